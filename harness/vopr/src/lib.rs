//! The simulator.

mod atomics;
mod cells;
mod decisions;
mod divergence;
mod driver;
mod entropy;
mod history;
mod judge;
pub mod linear;
mod machine;
mod memory;
mod objects;
mod parker;
mod platform;
mod race;
mod report;
mod schedule;
pub mod seeds;
mod simulation;
mod strategy;
mod threads;
mod time;
pub mod trace;
mod vector;
mod watchdog;
mod world;

pub use decisions::{Certificate, Decision, INTERVAL, Kind, Prefixes, Trace};
pub use divergence::{Asked, Case, Divergence, Known, Symptom};
pub use judge::{OFFERS, is_expected, unused, wakes_spuriously};
pub use platform::Sim;
pub use report::{Abandoned, Counts, Failure, FailureKind, Report, Verdict};
pub use simulation::{Granularity, Limits, Simulation};
pub use strategy::{PctBound, Strategy};
