//! The simulator: production code in a world where nothing is left to chance but by a seed.
//!
//! Threads are coroutines on one thread of the system, and every operation of the platform [`Sim`]
//! is a point at which another may go on. A [`Strategy`] takes each decision; they stand in one
//! log, the [`Trace`], which a replay follows. The guide, `docs/vopr.md`, begins at the beginning.
//!
//! ```
//! use raddle_platform::{Atomic, Ordering, Platform};
//! use raddle_scenarios::scope;
//! use raddle_vopr::{Sim, Simulation};
//!
//! let lost_update = || {
//!     let counter = <Sim as Platform>::AtomicUsize::new(0);
//!     let increment = || {
//!         let value = counter.load(Ordering::Relaxed);
//!         counter.store(value + 1, Ordering::Relaxed);
//!     };
//!     scope::<Sim, _>(|threads| {
//!         threads.spawn(increment);
//!         increment();
//!     });
//!     assert_eq!(counter.load(Ordering::Relaxed), 2);
//! };
//! let mut runs = (0..100).map(|seed| Simulation::new().seed(seed).run(lost_update));
//! assert!(runs.any(|report| report.failure().is_some()));
//! ```

mod agenda;
mod artifacts;
mod atomics;
mod cells;
mod control;
mod decisions;
pub mod disk;
mod divergence;
mod driver;
mod entropy;
mod execution;
mod faults;
pub mod heap;
mod history;
mod judge;
pub mod linear;
mod machine;
mod manifest;
mod memory;
pub mod messages;
pub mod net;
pub mod node;
mod objects;
mod parker;
mod platform;
mod programs;
mod race;
pub mod regressions;
mod replayer;
mod report;
mod schedule;
pub mod seeds;
mod simulation;
mod sites;
mod stamp;
mod strategy;
mod threads;
mod time;
mod timers;
pub mod trace;
mod vector;
mod waits;
mod watchdog;
mod world;

pub use artifacts::{Kept, TestCase};
pub use control::{Script, inspect};
pub use decisions::{Certificate, Decision, INTERVAL, Kind, Known, Prefixes, Trace};
pub use divergence::{Asked, Case, Divergence, Symptom};
pub use execution::{Execution, Position, Progress, Upcoming};
pub use faults::{ALWAYS, FaultClass, FaultKind, Faults, Fired, Liveness, calm};
pub use judge::{OFFERS, is_expected, unused, wakes_spuriously};
pub use manifest::{Manifest, Untrue};
pub use platform::Sim;
pub use programs::{Program, programs};
pub use replayer::{Replayer, Stop};
pub use report::{Abandoned, Counts, Failure, FailureKind, Report, Verdict};
pub use simulation::{Granularity, Limits, Simulation};
pub use sites::Sites;
pub use stamp::Stamp;
pub use strategy::{PctBound, Strategy};

/// What must hold, for this harness to run: [`raddle_scenarios::all`], compiled here once for every
/// program that runs it.
#[inline(never)]
pub fn scenarios() -> Vec<raddle_scenarios::Scenario> {
    raddle_scenarios::all::<Sim>()
}

/// The guide, so that its program is run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/vopr.md")]
mod guide {}
