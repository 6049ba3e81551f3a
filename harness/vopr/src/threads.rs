//! Simulated threads, as the platform offers them.

use core::panic::Location;
use std::any::Any;
use std::io;

use raddle_platform::{SlotKey, Threads};

use crate::history::{Effect, Name, Operation};
use crate::world::{self, Class, operate, with};
use crate::{machine, schedule};

/// Threads of a simulation.
#[derive(Debug)]
pub struct SimThreads;

/// A thread that was started.
#[derive(Debug)]
pub struct SimJoinHandle {
    number: u32,
    serial: u64,
}

impl Threads for SimThreads {
    type JoinHandle = SimJoinHandle;

    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<SimJoinHandle> {
        let number = machine::spawn(name, body)?;
        Ok(SimJoinHandle { number, serial: with(|world| world.serial) })
    }

    fn join(handle: SimJoinHandle) -> Result<(), Box<dyn Any + Send>> {
        assert_eq!(handle.serial, with(|world| world.serial), "a thread of another simulation");
        schedule::join(handle.number, Location::caller());
        let panic = with(|world| {
            let panic = world.threads[handle.number as usize].panic.take();
            world.thread().panicked |= panic.is_some();
            panic
        });
        panic.map_or(Ok(()), Err)
    }

    fn id() -> u64 {
        with(|world| u64::from(world.current) + 1)
    }

    fn yield_now() {
        operate(Operation::plain(Name::YieldNow), Class::Yield, |_, _| Ok(((), Effect::Done)));
    }

    fn available_parallelism() -> usize {
        2
    }

    fn slot(key: SlotKey) -> *mut () {
        with(|world| world.thread().slots[key as usize])
    }

    fn set_slot(key: SlotKey, value: *mut ()) -> *mut () {
        with(|world| core::mem::replace(&mut world.thread().slots[key as usize], value))
    }

    fn on_exit(f: Box<dyn FnOnce()>) -> bool {
        with(|world| world.thread().exits.push(f));
        true
    }

    /// std's answer is that of the operating-system thread, so it is `true` in all simulated
    /// threads while one unwinds. The others have not panicked themselves.
    fn panicking() -> bool {
        std::thread::panicking() && world::try_with(|world| world.thread().panicked).unwrap_or(true)
    }

    /// Never: what a failed execution leaves is abandoned, and not unwound.
    fn tearing_down() -> bool {
        !world::is_there()
    }
}
