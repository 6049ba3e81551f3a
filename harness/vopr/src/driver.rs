//! A driver that sleeps and is notified. Input and output are refused: there is no network yet.

use core::panic::Location;
use std::io;
use std::net::{Shutdown, SocketAddr};

use raddle_platform::Instant;
use raddle_platform::driver::{
    Completion, Config, Driver, Handle, Interest, Notify, Op, Signal, Token,
};

use crate::history::{Effect, Name, Operation};
use crate::parker::{deadline_ns, set_token};
use crate::schedule::wait;
use crate::world::{Class, operate, with};

/// See the [module](self).
#[derive(Debug)]
pub struct SimDriver {
    /// Its own: a wait neither takes nor leaves the thread's parking token.
    token: u32,
    serial: u64,
    /// Refused, and not handed over yet.
    ended: Vec<Completion>,
}

/// Ends a driver's wait.
#[derive(Debug)]
pub struct SimNotifier {
    token: u32,
    serial: u64,
}

impl Notify for SimNotifier {
    fn notify(&self) {
        set_token(Name::Notify, self.token, self.serial);
    }
}

/// What every socket operation answers.
fn unsupported<T>() -> io::Result<T> {
    let message = "the simulator has no network: leave out what needs I/O (OFFERS.io is false)";
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

impl SimDriver {
    #[track_caller]
    fn step(&mut self, name: Name, completions: Option<&mut Vec<Completion>>) {
        operate(Operation::plain(name), Class::Blocking, |world, _| {
            world.counts.driver += 1;
            Ok(((), Effect::Done))
        });
        if let Some(completions) = completions {
            completions.append(&mut self.ended);
        }
    }
}

impl Driver for SimDriver {
    type Notifier = SimNotifier;

    fn new(_: &Config) -> io::Result<Self> {
        let (token, serial) = with(|world| (world.add_token(), world.serial));
        Ok(Self { token, serial, ended: Vec::new() })
    }

    fn name(&self) -> &'static str {
        "vopr"
    }

    fn notifier(&self) -> SimNotifier {
        SimNotifier { token: self.token, serial: self.serial }
    }

    unsafe fn submit(&mut self, _: Op, token: Token) {
        self.step(Name::Submit, None);
        self.ended.push(Completion { token, result: -EOPNOTSUPP });
    }

    fn cancel(&mut self, _: Token) {
        self.step(Name::Cancel, None);
    }

    fn tick(&mut self, completions: &mut Vec<Completion>) {
        self.step(Name::Tick, Some(completions));
    }

    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        with(|world| {
            world.counts.driver += 1;
            world.counts.clock += u64::from(deadline.is_some());
        });
        if self.ended.is_empty() {
            let deadline = deadline.and_then(deadline_ns);
            wait(Operation::plain(Name::Wait), Location::caller(), self.token, deadline);
        }
        completions.append(&mut self.ended);
    }

    fn end(&mut self, completions: &mut Vec<Completion>) {
        self.step(Name::End, Some(completions));
    }

    fn in_flight(&self) -> usize {
        self.ended.len()
    }

    fn listen(_: SocketAddr, _: u32) -> io::Result<Handle> {
        unsupported()
    }
    fn accept(_: Handle) -> io::Result<(Handle, SocketAddr)> {
        unsupported()
    }
    fn connect(_: SocketAddr) -> io::Result<Handle> {
        unsupported()
    }
    fn take_error(_: Handle) -> io::Result<()> {
        unsupported()
    }
    fn recv(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        unsupported()
    }
    fn peek(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        unsupported()
    }
    fn send(_: Handle, _: &[u8]) -> io::Result<usize> {
        unsupported()
    }
    fn shutdown(_: Handle, _: Shutdown) -> io::Result<()> {
        unsupported()
    }
    fn local_addr(_: Handle) -> io::Result<SocketAddr> {
        unsupported()
    }
    fn peer_addr(_: Handle) -> io::Result<SocketAddr> {
        unsupported()
    }
    fn set_nodelay(_: Handle, _: bool) -> io::Result<()> {
        unsupported()
    }
    fn nodelay(_: Handle) -> io::Result<bool> {
        unsupported()
    }
    fn close(_: Handle) {}
    fn block_until_ready(_: Handle, _: Interest, _: Option<Instant>) -> io::Result<bool> {
        unsupported()
    }
    fn signal(_: Signal) -> io::Result<Handle> {
        unsupported()
    }
    fn take_signal(_: Handle) -> io::Result<bool> {
        unsupported()
    }
}

/// As Linux numbers it.
const EOPNOTSUPP: i32 = 95;
