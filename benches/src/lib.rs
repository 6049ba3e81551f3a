//! Benchmarks against rivals, measured by criterion in one run, with the same number of workers.
//!
//! | bench | what | rivals |
//! |---|---|---|
//! | `tasks` | yield, spawn and join, ping-pong | may, tokio |
//! | `locks` | a mutex, uncontended and contended, by threads and by fibers | parking_lot, std, tokio |
//! | `vopr` | the simulator: decisions, recording, schedules of a bounded buffer | shuttle |
//!
//! An absolute time says little on a shared machine: compare the medians of one run.

use raddle::runtime::{Builder, Runtime};

/// A runtime with `workers` workers.
///
/// # Panics
/// If the machine refuses one.
pub fn runtime(workers: usize) -> Runtime {
    match Builder::new().workers(workers).build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Keeps a core busy for about `ns` nanoseconds without touching memory: 1 is one addition.
#[inline]
pub fn work(ns: u64) {
    let mut value = ns;
    for _ in 0..ns {
        value = std::hint::black_box(value).wrapping_mul(31);
    }
    std::hint::black_box(value);
}
