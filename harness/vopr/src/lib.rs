//! The simulator.

mod agenda;
mod atomics;
mod cells;
mod decisions;
mod divergence;
mod driver;
mod entropy;
mod faults;
mod history;
mod judge;
pub mod linear;
mod machine;
mod memory;
pub mod net;
mod objects;
mod parker;
mod platform;
mod race;
mod report;
mod schedule;
pub mod seeds;
mod simulation;
mod sites;
mod strategy;
mod threads;
mod time;
pub mod trace;
mod vector;
mod waits;
mod watchdog;
mod world;

pub use decisions::{Certificate, Decision, INTERVAL, Kind, Known, Prefixes, Trace};
pub use divergence::{Asked, Case, Divergence, Symptom};
pub use faults::{ALWAYS, FaultKind, Faults, Fired, Liveness, calm};
pub use judge::{OFFERS, is_expected, unused, wakes_spuriously};
pub use platform::Sim;
pub use report::{Abandoned, Counts, Failure, FailureKind, Report, Verdict};
pub use simulation::{Granularity, Limits, Simulation};
pub use sites::Sites;
pub use strategy::{PctBound, Strategy};

/// What must hold, for this harness to run: [`raddle_scenarios::all`], compiled here once for every
/// program that runs it.
#[inline(never)]
pub fn scenarios() -> Vec<raddle_scenarios::Scenario> {
    raddle_scenarios::all::<Sim>()
}
