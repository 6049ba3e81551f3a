//! Several machines in one simulation, each with a program, clocks, a disk and an address.
//!
//! The program that [`Simulation::run`](crate::Simulation::run) is given runs on a node of its own,
//! the *root*. It may start others. Threads that a node's main function starts belong to the node;
//! nodes share nothing but the network (and what a test hands to their main functions to look on).
//!
//! A node ends when its main function returns. It can also [crash](Node::crash), at a moment that
//! the test chooses or, with the fault [`Crash`](crate::FaultKind::Crash), at any. Then no
//! destructor runs: its threads stop where they stand, and what they had on stacks and heap is
//! [abandoned](crate::Abandoned). Its disk has what a disk has after a loss of power, and its main
//! function can be [started again](Node::restart) on that.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use raddle_platform::{Parker, Platform};
//! use raddle_vopr::node::{Exit, Node};
//! use raddle_vopr::{Sim, Simulation, Strategy};
//!
//! let report = Simulation::new().strategy(Strategy::RoundRobin).run(|| {
//!     let starts = Arc::new(AtomicU32::new(0));
//!     let counter = Arc::clone(&starts);
//!     let server = Node::start("server", move || {
//!         // The first time it waits for ever, the second time it ends.
//!         while counter.fetch_add(1, Ordering::Relaxed) == 0 {
//!             <Sim as Platform>::Parker::park();
//!         }
//!     });
//!     server.crash();
//!     assert_eq!(server.wait(), Exit::Crashed);
//!     server.restart();
//!     assert_eq!(server.wait(), Exit::Ended);
//! });
//! report.unwrap();
//! ```

mod crash;
mod host;

use core::panic::Location;
use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;

use raddle_platform::driver::Signal;

pub(crate) use crash::Crash;
pub(crate) use host::{Clocks, Host, Main, ROOT, Stage};

use crate::disk::Disk;
use crate::history::{Effect, Name, Operation};
use crate::net;
use crate::schedule::wait;
use crate::world::{Class, Failed, State, World, operate, stop, switch, with};

/// A node of the simulation that the caller is in.
///
/// # Panics
/// All methods do in another simulation than the one in which the node was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    number: usize,
    serial: u64,
}

/// How a node has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its main function has returned.
    Ended,
    /// It crashed, or was killed.
    Crashed,
}

impl Node {
    /// A new node that runs `main`, at once and after each [restart](Self::restart). What of it
    /// fails the execution is as for the root: a panic of `main`, and threads that never end.
    ///
    /// # Panics
    /// Outside of a simulation.
    #[track_caller]
    pub fn start(name: &str, main: impl Fn() + Send + Sync + 'static) -> Self {
        let (main, site): (Main, _) = (Arc::new(main), Location::caller());
        let (number, serial) =
            operate(Operation::plain(Name::Boot), Class::Blocking, |world, _| {
                let number = world.add_host(name, main);
                let booted = world.boot(number, site);
                Ok((booted.map(|()| (number, world.serial)), Effect::Value(number as u64)))
            })
            .unwrap_or_else(|Failed| stop());
        Self { number, serial }
    }

    /// The node that the caller is on.
    ///
    /// # Panics
    /// Outside of a simulation.
    pub fn here() -> Self {
        with(|world| Self { number: world.node(), serial: world.serial })
    }

    /// The node that every simulation has.
    ///
    /// # Panics
    /// Outside of a simulation.
    pub fn root() -> Self {
        with(|world| Self { number: ROOT, serial: world.serial })
    }

    fn with<R>(&self, f: impl FnOnce(&mut World) -> R) -> R {
        with(|world| {
            assert_eq!(world.serial, self.serial, "a node of another simulation");
            f(world)
        })
    }

    /// Its number: 0 is the root's.
    pub fn number(&self) -> usize {
        self.number
    }

    /// As it was called when it was made.
    pub fn name(&self) -> String {
        self.with(|world| world.hosts[self.number].name.clone())
    }

    /// Its address on the wire.
    pub fn address(&self) -> IpAddr {
        net::address(self.number)
    }

    /// Its disk.
    pub fn disk(&self) -> Disk {
        Disk { node: self.number, serial: self.serial }
    }

    /// Whether its main function runs.
    pub fn is_up(&self) -> bool {
        self.with(|world| world.hosts[self.number].stage == Stage::Up)
    }

    /// How it came to its end, unless it is up.
    pub fn exit(&self) -> Option<Exit> {
        self.with(|world| match world.hosts[self.number].stage {
            Stage::Up => None,
            Stage::Ended => Some(Exit::Ended),
            Stage::Down => Some(Exit::Crashed),
        })
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.with(|world| world.hosts[self.number].restarts)
    }

    /// Lets no fault crash it. That a test does stays possible.
    pub fn set_fragile(&self, fragile: bool) {
        self.with(|world| world.hosts[self.number].fragile = fragile);
    }

    /// Its power is lost. No destructor runs, its connections fall silent, and of what its programs
    /// wrote and did not sync its disk has kept, lost or torn any part. Nothing happens if it is
    /// down. Does not return to a caller who is on this node.
    ///
    /// # Panics
    /// When this is the root.
    #[track_caller]
    pub fn crash(&self) {
        self.bring_down(Crash::Power);
    }

    /// Its program is killed, by SIGKILL as it were. No destructor runs; its kernel closes what was
    /// open, and keeps what was written. Otherwise as [`crash`](Self::crash).
    ///
    /// # Panics
    /// When this is the root.
    #[track_caller]
    pub fn kill(&self) {
        self.bring_down(Crash::Kill);
    }

    #[track_caller]
    fn bring_down(&self, how: Crash) {
        assert_ne!(self.number, ROOT, "the root's crash would be the end of the simulation");
        let number = self.number;
        let operation = Operation::plain(Name::Crash);
        let done = operate(operation, Class::Blocking, |world, _| {
            assert_eq!(world.serial, self.serial, "a node of another simulation");
            Ok((world.crash(number, how), Effect::Value(number as u64)))
        });
        done.unwrap_or_else(|Failed| stop());
        if with(|world| world.thread().state == State::Abandoned) {
            switch();
            stop();
        }
    }

    /// Starts its main function again, unless it is up: then the answer is `false`. Its disk is as
    /// it was left.
    #[track_caller]
    pub fn restart(&self) -> bool {
        let (number, site) = (self.number, Location::caller());
        let operation = Operation::plain(Name::Boot);
        let done = operate(operation, Class::Blocking, |world, _| {
            assert_eq!(world.serial, self.serial, "a node of another simulation");
            let down = world.hosts[number].stage != Stage::Up && world.node() != number;
            let booted = if down { world.boot(number, site) } else { Ok(()) };
            let booted = booted.map(|()| down);
            Ok((booted, Effect::Value(number as u64)))
        });
        done.unwrap_or_else(|Failed| stop())
    }

    /// Waits until it is not up.
    #[track_caller]
    pub fn wait(&self) -> Exit {
        let (number, site) = (self.number, Location::caller());
        loop {
            if let Some(exit) = self.exit() {
                return exit;
            }
            let token = self.with(|world| world.watch_host(number));
            wait(Operation::plain(Name::Await), site, token, None);
        }
    }

    /// Its clocks show `by` more at once, the monotonic one and that on the wall, as when the machine
    /// was suspended so long: what its program waits for until then is due. No other node's do.
    pub fn jump(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.with(|world| world.jump(self.number, by));
    }

    /// Sends its program a signal.
    pub fn raise(&self, signal: Signal) {
        self.with(|world| world.raise(self.number, signal));
    }
}
