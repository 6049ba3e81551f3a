//! Values that are read far more often than written, snapshots of many, and transactions.
//!
//! An iteration is one operation of each thread: where readers do not disturb each other, as many as there are
//! processors take as long as one. Each write makes the value one larger, so the last value says that
//! none was lost, and no thread ever reads a smaller one than before.

mod cells;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use raddle_benches::{at_once, lcg};
use raddle_versioned::{ArcCell, Snapshot, Versioned, transaction};

use cells::{ByHand, Cell, Fat, Value};

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// So many operations of each of `threads` threads, every `write_every`th a write; 0 is none.
fn mixed<T: Value, C: Cell<T>>(threads: usize, write_every: u64, operations: u64) -> Duration {
    let cell = C::new();
    let (elapsed, written) = at_once(threads, |_| {
        let (mut last, mut written, mut until_write) = (0, 0, write_every);
        for _ in 0..operations {
            if write_every > 0 {
                until_write -= 1;
                if until_write == 0 {
                    cell.write();
                    (written, until_write) = (written + 1, write_every);
                    continue;
                }
            }
            let count = black_box(&cell).read();
            assert!(count >= last, "a value that was replaced came back");
            last = count;
        }
        written
    });
    assert_eq!(cell.read(), written.iter().sum::<u64>(), "each write is there");
    elapsed
}

fn measure<T: Value, C: Cell<T>>(group: &mut Group<'_>, threads: usize, write_every: u64) {
    group.bench_function(C::NAME, |bencher| {
        bencher.iter_custom(|operations| mixed::<T, C>(threads, write_every, operations));
    });
}

fn all<T: Value>(criterion: &mut Criterion, case: &str, threads: usize, write_every: u64) {
    let mut group = criterion.benchmark_group(format!("versioned/{case}"));
    measure::<T, Versioned<T>>(&mut group, threads, write_every);
    measure::<T, ArcCell<T>>(&mut group, threads, write_every);
    measure::<T, arc_swap::ArcSwap<T>>(&mut group, threads, write_every);
    measure::<T, ByHand<T>>(&mut group, threads, write_every);
    measure::<T, parking_lot::RwLock<T>>(&mut group, threads, write_every);
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    for (mix, write_every) in [("100_0", 0), ("99_1", 100), ("95_5", 20)] {
        for readers in [1, 2, 8] {
            all::<u64>(criterion, &format!("{mix}/{readers}_readers"), readers, write_every);
        }
    }
    all::<Fat>(criterion, "fat_95_5/2_readers", 2, 20);
}

/// How long reads took: buckets of powers of two, with sixteen parts each.
struct Histogram {
    counts: Vec<u64>,
    all: u64,
}

impl Histogram {
    fn new() -> Self {
        Self { counts: vec![0; 64 * 16], all: 0 }
    }

    fn add(&mut self, ns: u64) {
        let ns = ns.max(16);
        let power = ns.ilog2();
        let part = (ns >> (power - 4)) & 15;
        self.counts[(16 * u64::from(power) + part) as usize] += 1;
        self.all += 1;
    }

    /// The upper end of the bucket in which the share is reached.
    fn quantile(&self, share: f64) -> u64 {
        let mut left = (share * self.all as f64) as u64;
        for (index, count) in self.counts.iter().enumerate() {
            if left < *count {
                let (power, part) = (index as u64 / 16, index as u64 % 16);
                return (17 + part) << power.saturating_sub(4);
            }
            left -= count;
        }
        0
    }
}

/// Reads, timed one by one, while another thread writes as fast as it can.
fn under_writes<C: Cell<u64>>(reads: u64, times: &mut Histogram) -> Duration {
    let cell = C::new();
    let stop = AtomicBool::new(false);
    let (_, outcomes) = at_once(2, |thread| {
        let mut own = Histogram::new();
        if thread == 0 {
            while !stop.load(Ordering::Relaxed) {
                cell.write();
            }
            return (own, Duration::ZERO);
        }
        let start = Instant::now();
        let (mut before, mut last) = (start, 0);
        for _ in 0..reads {
            let count = black_box(&cell).read();
            let now = Instant::now();
            own.add((now - before).as_nanos() as u64);
            assert!(count >= last, "a value that was replaced came back");
            (before, last) = (now, count);
        }
        stop.store(true, Ordering::Relaxed);
        (own, start.elapsed())
    });
    for (own, _) in &outcomes {
        times.all += own.all;
        times.counts.iter_mut().zip(&own.counts).for_each(|(all, one)| *all += one);
    }
    outcomes[1].1
}

fn storm(criterion: &mut Criterion) {
    fn measure<C: Cell<u64>>(group: &mut Group<'_>) {
        let mut times = Histogram::new();
        group.bench_function(C::NAME, |bencher| {
            bencher.iter_custom(|reads| under_writes::<C>(reads, &mut times));
        });
        if times.all > 0 {
            println!(
                "note: reads while another thread writes as fast as it can, {}: half of them within {} ns, \
                 99.9 % within {} ns, 99.99 % within {} ns, the clock's time included",
                C::NAME,
                times.quantile(0.5),
                times.quantile(0.999),
                times.quantile(0.9999),
            );
        }
    }
    let mut group = criterion.benchmark_group("versioned/read_and_clock_under_writes");
    measure::<Versioned<u64>>(&mut group);
    measure::<ArcCell<u64>>(&mut group);
    measure::<arc_swap::ArcSwap<u64>>(&mut group);
    measure::<ByHand<u64>>(&mut group);
    measure::<parking_lot::RwLock<u64>>(&mut group);
    group.finish();
}

const CELLS: usize = 64;

/// The sum of 64 cells at one point in time; beside it, their sum at none, and behind one lock.
fn snapshot(criterion: &mut Criterion) {
    let sum = (0..CELLS as u64).sum::<u64>();
    let cells: Vec<Versioned<u64>> = (0..CELLS as u64).map(Versioned::new).collect();
    let mut group = criterion.benchmark_group("versioned/snapshot_64");
    group.bench_function("raddle", |bencher| {
        bencher.iter(|| {
            let now = Snapshot::new();
            let seen: u64 = black_box(&cells).iter().map(|cell| *now.read(cell)).sum();
            assert_eq!(seen, sum);
        });
    });
    group.bench_function("raddle-64-reads", |bencher| {
        bencher.iter(|| {
            let seen: u64 = black_box(&cells).iter().map(|cell| *cell.read()).sum();
            assert_eq!(seen, sum);
        });
    });
    let locked = parking_lot::RwLock::new((0..CELLS as u64).map(Box::new).collect::<Vec<_>>());
    group.bench_function("parking_lot", |bencher| {
        bencher.iter(|| {
            let seen: u64 = black_box(&locked).read().iter().map(|value| **value).sum();
            assert_eq!(seen, sum);
        });
    });
    group.finish();
}

/// Two different accounts.
fn accounts(random: &mut u64) -> (usize, usize) {
    *random = lcg(*random, 1);
    let from = (*random >> 33) as usize % CELLS;
    let distance = 1 + (*random >> 48) as usize % (CELLS - 1);
    (from, (from + distance) % CELLS)
}

/// So many transfers of each thread, between 64 accounts which have 1000 each.
fn transfer(
    threads: usize,
    transfers: u64,
    between: impl Fn(usize, usize) + Sync,
    total: impl Fn() -> i64,
) -> Duration {
    let (elapsed, _) = at_once(threads, |thread| {
        let mut random = 1 + thread as u64;
        for _ in 0..transfers {
            let (from, to) = accounts(&mut random);
            between(from, to);
        }
    });
    assert_eq!(total(), 1000 * CELLS as i64, "nothing was lost");
    elapsed
}

fn transfers(criterion: &mut Criterion) {
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("versioned/transfer/{threads}_threads"));
        group.bench_function("raddle", |bencher| {
            bencher.iter_custom(|count| {
                let accounts: Vec<Versioned<i64>> =
                    (0..CELLS).map(|_| Versioned::new(1000)).collect();
                let between = |from: usize, to: usize| {
                    let attempt = || {
                        transaction(|tx| {
                            tx.update(&accounts[from], |left| left - 1);
                            tx.update(&accounts[to], |left| left + 1);
                            Ok::<_, ()>(())
                        })
                    };
                    while attempt().is_err() {
                        std::thread::yield_now();
                    }
                };
                let total = || accounts.iter().map(|account| *account.read()).sum();
                transfer(threads, count, between, total)
            });
        });
        group.bench_function("parking_lot", |bencher| {
            bencher.iter_custom(|count| {
                let accounts: Vec<_> =
                    (0..CELLS).map(|_| parking_lot::Mutex::new(1000_i64)).collect();
                let between = |from: usize, to: usize| {
                    // Always in the same order, so that no two wait for each other.
                    let mut first = accounts[from.min(to)].lock();
                    let mut second = accounts[from.max(to)].lock();
                    let (out, into) = if from < to {
                        (&mut *first, &mut *second)
                    } else {
                        (&mut *second, &mut *first)
                    };
                    *out -= 1;
                    *into += 1;
                };
                let total = || accounts.iter().map(|account| *account.lock()).sum();
                transfer(threads, count, between, total)
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = versioned;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(900));
    targets = reads, storm, snapshot, transfers
}
criterion_main!(versioned);
