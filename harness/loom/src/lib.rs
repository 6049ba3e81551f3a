//! Raddle under loom.
//!
//! [`Loom`] is the platform whose atomics, threads and races are loom's: code that is generic over
//! the platform runs in it unchanged, and a [`Model`] runs a small program through every
//! interleaving and every weak-memory outcome that loom knows. The binary `raddle-loom` runs the
//! whole list of [`raddle_scenarios`].
//!
//! ```
//! use raddle_loom::{Loom, Model, Verdict};
//! use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
//! use raddle_scenarios::scope;
//!
//! let report = Model::new().check(|| {
//!     let counter = <Loom as Platform>::AtomicUsize::new(0);
//!     scope::<Loom, _>(|threads| {
//!         threads.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
//!         counter.fetch_add(1, Ordering::Relaxed);
//!     });
//!     assert_eq!(counter.load(Ordering::Relaxed), 2);
//! });
//! assert_eq!(report.verdict, Verdict::Exhausted);
//! ```
//!
//! # What loom 0.7.2 does not see
//!
//! A verdict holds *within loom*, which is less than C++ allows:
//!
//! - SeqCst loads and stores are treated as AcqRel (false alarms); `fence(SeqCst)` is modelled.
//! - A plain store that races a read-modify-write may vanish (false alarms).
//! - A weak compare-exchange never fails spuriously, a failing one never reads an old value, and
//!   loads reach back seven stores at most.
//! - Load buffering is not explored.
//! - Five threads, with the main one. Time moves only when a wait times out. The network is in
//!   memory, and loses, delays and reorders nothing; so are files, which do what they are told at
//!   once.
//!
//! Its search misses interleavings besides (tokio-rs/loom#166, #392); that this platform mends.

mod atomics;
mod clock;
mod cpu;
mod driver;
mod files;
mod history;
mod judge;
mod loads;
mod model;
mod mutation;
mod net;
mod parker;
mod platform;
mod race;
mod rng;
mod signals;
mod sites;
mod step;
mod threads;
mod token;
mod world;

pub use judge::{Judgement, OFFERS, judge};
pub use model::{Checkpoint, Failure, Model, Report, Verdict};
pub use mutation::{Change, Mutation, Weaker, ordering};
pub use platform::Loom;
pub use signals::report_signals;
pub use world::Counts;

/// What must hold, for this harness to run: [`raddle_scenarios::all`], compiled here once for every
/// program that runs it.
#[inline(never)]
pub fn scenarios() -> Vec<raddle_scenarios::Scenario> {
    raddle_scenarios::all::<Loom>()
}

/// The guides, so that their programs are run.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/testing.md")]
    mod testing {}
    #[doc = include_str!("../../../docs/loom.md")]
    mod loom {}
}
