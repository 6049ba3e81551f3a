//! Parks simulated threads.

use core::panic::Location;
use std::sync::Arc;
use std::task::{Wake, Waker};

use raddle_platform::{Instant, Parker};

use crate::history::{Effect, Name, Operation};
use crate::schedule::wait;
use crate::world::{Class, is_there, operate, with};

/// One token per thread. A park may end for no reason.
#[derive(Debug)]
pub struct SimParker;

/// Sets a token of one world.
#[derive(Debug)]
pub(crate) struct TokenWaker {
    pub(crate) token: u32,
    pub(crate) serial: u64,
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[track_caller]
    fn wake_by_ref(self: &Arc<Self>) {
        set_token(Name::Wake, self.token, self.serial);
    }
}

/// Sets a token, if its world is the current one. A waker may outlive its world.
#[track_caller]
pub(crate) fn set_token(name: Name, token: u32, serial: u64) {
    if !is_there() || with(|world| world.serial) != serial {
        return;
    }
    operate(Operation::plain(name), Class::Blocking, |world, _| {
        match name {
            Name::Wake => world.counts.parker += 1,
            _ => world.counts.driver += 1,
        }
        world.wake(token);
        Ok(((), Effect::Value(u64::from(token))))
    });
}

impl Parker for SimParker {
    fn waker() -> Waker {
        let site = Location::caller();
        with(|world| {
            world.counts.parker += 1;
            world.reach_by_name("waker", site);
            Waker::from(Arc::clone(&world.thread().waker))
        })
    }

    fn park() {
        let token = with(|world| {
            world.counts.parker += 1;
            world.thread().token
        });
        wait(Operation::plain(Name::Park), Location::caller(), token, None);
    }

    fn park_until(deadline: Instant) {
        let token = with(|world| {
            world.counts.parker += 1;
            world.counts.clock += 1;
            world.thread().token
        });
        let operation = Operation::plain(Name::ParkUntil);
        wait(operation, Location::caller(), token, Some(deadline));
    }
}
