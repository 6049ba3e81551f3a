//! Real threads under sanitizers, with delays that a hash decides.
//!
//! [`Hammer`] is a [`Platform`](raddle_platform::Platform): production code, scenarios and whole
//! programs run on it as on `Native`, on the threads and atomics of the machine. Besides,
//!
//! * each operation is a **visit of a site**, and a hash of seed, site, task and count decides
//!   whether the thread goes on, spins, yields or sleeps there ([`Settings`]). Nothing is recorded,
//!   and the same seed makes the same decisions in the next run;
//! * ThreadSanitizer and AddressSanitizer are told of every switch of a stack;
//! * fences are read-modify-writes on a word of their handshake, which ThreadSanitizer understands;
//! * the next task and the next worker are chosen by perturbed [priorities](Priority).
//!
//! What it has no gap in is the model: the compiler, the processor and the kernel are the real ones.
//! What it has a gap in is determinism: the simulator (`raddle-vopr`) has none there.

#[doc = include_str!("../../../docs/hammer.md")]
pub mod guide {}

mod atomics;
pub mod bugs;
mod delay;
mod log;
mod mix;
mod platform;
mod priority;
mod settings;
mod sites;
mod strand;
pub mod stress;

pub use atomics::Visited;
#[doc(hidden)]
pub use delay::nap;
pub use delay::{Called, Delay, delays, inject};
pub use log::{Decision, decisions_of};
pub use platform::{Hammer, HammerParker, HammerRace, HammerThreads, Joins};
pub use settings::{Priority, Settings, Unusable};
pub use sites::{Visits, count_sites, visited_sites};
pub use strand::Strand;

/// The sanitizer that the program is compiled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// None.
    None,
    /// ThreadSanitizer.
    Thread,
    /// AddressSanitizer, with LeakSanitizer.
    Address,
}

impl Sanitizer {
    /// The one of this program.
    pub const ACTIVE: Self = match raddle_platform::native::SANITIZER.as_bytes() {
        b"thread" => Self::Thread,
        b"address" => Self::Address,
        _ => Self::None,
    };

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Thread => "thread",
            Self::Address => "address",
        }
    }
}

/// Begins the calling thread anew, as a program that has just started: the next run of the same
/// code visits its sites for the first time.
pub fn begin() {
    strand::begin(1);
}
