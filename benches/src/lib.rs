//! Benchmarks against rivals, measured by criterion in one run, with the same number of workers.
//!
//! | bench | what | rivals |
//! |---|---|---|
//! | `tasks` | yield, spawn and join, ping-pong | may, tokio |
//! | `locks` | a mutex, uncontended and contended, by threads and by fibers | parking_lot, std, tokio |
//! | `backpressure` | a producer, a bounded queue, workers with work to do | crossbeam, tokio |
//! | `channel` | channels between threads and between fibers | crossbeam, flume, kanal, std, tokio |
//! | `contention` | what a contended lock costs, counted, by how it waits (`docs/contention.md`) | std, parking_lot |
//! | `ownership` | building, sharing and dropping a graph of `Arc` and `Weak` | std |
//! | `versioned` | cells, snapshots, transactions | arc-swap, crossbeam-epoch, parking_lot |
//! | `pubsub` | one item to many subscribers, with and without work | tokio, async-broadcast, crossbeam |
//! | `vopr` | the simulator: decisions, recording, schedules of a bounded buffer | shuttle |
//! | `watch` | the newest value of one writer | arc-swap, std, tokio |
//!
//! An absolute time says little on a shared machine: compare the medians of one run.

pub mod locked;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

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

/// A chain of `steps` steps of a linear congruential generator: work that has a result to check. Its constants
/// are hidden from the optimizer, which would make one step of several otherwise.
#[inline]
#[must_use]
pub fn lcg(seed: u64, steps: u64) -> u64 {
    if steps == 0 {
        return seed;
    }
    let (factor, summand) =
        std::hint::black_box((6_364_136_223_846_793_005, 1_442_695_040_888_963_407));
    let mut value = seed;
    for _ in 0..steps {
        value = value.wrapping_mul(factor).wrapping_add(summand);
    }
    std::hint::black_box(value)
}

/// Runs `run` on so many threads, which begin together, and returns the time from the first that begins to
/// the last that ends, with what they returned.
///
/// # Panics
/// If one of them does.
pub fn at_once<T: Send>(threads: usize, run: impl Fn(usize) -> T + Sync) -> (Duration, Vec<T>) {
    let line = Barrier::new(threads);
    let timed = |index| {
        line.wait();
        let start = Instant::now();
        let value = run(index);
        (start, Instant::now(), value)
    };
    let timed = &timed;
    let ended: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|index| scope.spawn(move || timed(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let start = ended.iter().map(|(start, ..)| *start).min();
    let end = ended.iter().map(|(_, end, _)| *end).max();
    let elapsed = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
    (elapsed, ended.into_iter().map(|(.., value)| value).collect())
}
