//! Mutexes: uncontended; contended by threads, with the fairness of each; contended by fibers.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use raddle_benches::{runtime, work};

/// What the thread benches need of a mutex.
trait Mutex: Send + Sync + 'static {
    const NAME: &'static str;
    fn new() -> Self;
    fn with(&self, f: impl FnOnce(&mut u64));
}

impl Mutex for raddle::sync::Mutex<u64> {
    const NAME: &'static str = "raddle";
    fn new() -> Self {
        Self::new(0)
    }
    fn with(&self, f: impl FnOnce(&mut u64)) {
        f(&mut self.lock());
    }
}

impl Mutex for parking_lot::Mutex<u64> {
    const NAME: &'static str = "parking_lot";
    fn new() -> Self {
        Self::new(0)
    }
    fn with(&self, f: impl FnOnce(&mut u64)) {
        f(&mut self.lock());
    }
}

impl Mutex for std::sync::Mutex<u64> {
    const NAME: &'static str = "std";
    fn new() -> Self {
        Self::new(0)
    }
    fn with(&self, f: impl FnOnce(&mut u64)) {
        f(&mut self.lock().expect("not poisoned"));
    }
}

fn uncontended(criterion: &mut Criterion) {
    fn measure<M: Mutex>(
        group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    ) {
        let mutex = M::new();
        group.bench_function(M::NAME, |bencher| {
            bencher.iter(|| black_box(&mutex).with(|value| *value += 1));
        });
    }
    let mut group = criterion.benchmark_group("mutex_uncontended");
    measure::<raddle::sync::Mutex<u64>>(&mut group);
    measure::<parking_lot::Mutex<u64>>(&mut group);
    measure::<std::sync::Mutex<u64>>(&mut group);
    group.finish();
}

/// `threads` threads share `rounds` critical sections of `inside` nanoseconds. Returns the time,
/// and the most and the fewest sections that a thread got.
fn contend<M: Mutex>(threads: usize, inside: u64, rounds: u64) -> (Duration, u64, u64) {
    let mutex = Arc::new(M::new());
    let go = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (mutex, go) = (mutex.clone(), go.clone());
            std::thread::spawn(move || {
                while !go.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                let (mut mine, mut more) = (0, true);
                while more {
                    mutex.with(|taken| {
                        more = *taken < rounds;
                        *taken += u64::from(more);
                        work(inside);
                    });
                    mine += u64::from(more);
                }
                mine
            })
        })
        .collect();
    let start = Instant::now();
    go.store(true, Ordering::Release);
    let shares: Vec<u64> =
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
    let elapsed = start.elapsed();
    assert_eq!(shares.iter().sum::<u64>(), rounds, "each section was entered once");
    let most = shares.iter().copied().max().unwrap_or(0);
    (elapsed, most, shares.into_iter().min().unwrap_or(0))
}

fn threads(criterion: &mut Criterion) {
    fn measure<M: Mutex>(
        group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
        threads: usize,
        inside: u64,
    ) {
        let (most, fewest) = (AtomicU64::new(0), AtomicU64::new(0));
        group.bench_function(M::NAME, |bencher| {
            bencher.iter_custom(|rounds| {
                let (elapsed, high, low) = contend::<M>(threads, inside, rounds);
                most.fetch_add(high, Ordering::Relaxed);
                fewest.fetch_add(low, Ordering::Relaxed);
                elapsed
            });
        });
        let (most, fewest) = (most.into_inner(), fewest.into_inner());
        if most == 0 {
            return; // filtered out
        }
        let spread = most as f64 / fewest.max(1) as f64;
        println!(
            "note: {threads} threads, {inside} ns inside, {}: the busiest thread had {spread:.2} times \
             as many critical sections as the idlest",
            M::NAME
        );
    }
    for count in [2, 8] {
        for inside in [1, 100] {
            let name = format!("mutex_{count}_threads/{inside}_ns");
            let mut group = criterion.benchmark_group(name);
            measure::<raddle::sync::Mutex<u64>>(&mut group, count, inside);
            measure::<parking_lot::Mutex<u64>>(&mut group, count, inside);
            measure::<std::sync::Mutex<u64>>(&mut group, count, inside);
            group.finish();
        }
    }
}

/// Eight fibers or tasks on two workers.
fn fibers(criterion: &mut Criterion) {
    const FIBERS: u64 = 8;
    let mut group = criterion.benchmark_group("mutex_8_fibers_2_workers");
    let raddle = runtime(2);
    group.bench_function(BenchmarkId::from_parameter("raddle"), |bencher| {
        bencher.iter_custom(|rounds| {
            let each = rounds.div_ceil(FIBERS);
            let elapsed = raddle.run(move || {
                let mutex = Arc::new(raddle::sync::Mutex::new(0));
                let start = Instant::now();
                let fibers: Vec<_> = (0..FIBERS)
                    .map(|index| {
                        let mutex = mutex.clone();
                        raddle::task::spawn_on(index as usize % 2, move || {
                            for _ in 0..each {
                                *mutex.lock() += 1;
                            }
                        })
                    })
                    .collect();
                for fiber in fibers {
                    fiber.join().expect("no panic");
                }
                assert_eq!(*mutex.lock(), each * FIBERS);
                start.elapsed()
            });
            elapsed.expect("no panic")
        });
    });
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    group.bench_function(BenchmarkId::from_parameter("tokio"), |bencher| {
        bencher.iter_custom(|rounds| {
            let each = rounds.div_ceil(FIBERS);
            let run = async move {
                let mutex = Arc::new(tokio::sync::Mutex::new(0));
                let start = Instant::now();
                let tasks: Vec<_> = (0..FIBERS)
                    .map(|_| {
                        let mutex = mutex.clone();
                        tokio::spawn(async move {
                            for _ in 0..each {
                                *mutex.lock().await += 1;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.expect("no panic");
                }
                assert_eq!(*mutex.lock().await, each * FIBERS);
                start.elapsed()
            };
            tokio.block_on(tokio.spawn(run)).expect("no panic")
        });
    });
    group.finish();
}

criterion_group! {
    name = locks;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = uncontended, threads, fibers
}
criterion_main!(locks);
