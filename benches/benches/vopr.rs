//! The simulator: decisions, what recording them costs, and schedules against shuttle.
//!
//! shuttle lets another thread run before each operation of a lock and nowhere else, as Raddle does
//! at the granularity [`Granularity::Blocking`]; the figure at the granularity of atomics, where the
//! inside of the locks is explored too, stands beside it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_scenarios::scope;
use raddle_vopr::{Granularity, Report, Sim, Simulation, Strategy, trace};

/// So many threads add so often: each addition is one decision among three threads.
const THREADS: usize = 3;
const ADDITIONS: usize = 10_000;

fn additions() {
    let sum = <Sim as Platform>::AtomicUsize::new(0);
    let add = || {
        for _ in 0..ADDITIONS {
            sum.fetch_add(1, Ordering::Relaxed);
        }
    };
    scope::<Sim, _>(|threads| {
        for _ in 1..THREADS {
            threads.spawn(add);
        }
        add();
    });
    assert_eq!(sum.load(Ordering::Relaxed), THREADS * ADDITIONS);
}

/// The time for `decisions` of them, taken by whole executions.
fn decide(decisions: u64, mut run: impl FnMut(u64) -> Report) -> Duration {
    let (mut taken, mut seed) = (0, 0);
    let start = Instant::now();
    while taken < decisions {
        taken += black_box(run(seed)).decisions;
        seed += 1;
    }
    start.elapsed().mul_f64(decisions as f64 / taken as f64)
}

fn decisions(criterion: &mut Criterion) {
    let simulation = Simulation::new().strategy(Strategy::Random);
    let run = |seed| {
        let report = simulation.clone().seed(seed).run(additions);
        report.unwrap();
        report
    };
    let record = |seed| {
        let report = run(seed);
        let bytes = trace::encode(&simulation.recording("benches/additions", &report));
        black_box(bytes.expect("it fits"));
        report
    };
    let report = run(0);
    let bytes = trace::encode(&simulation.recording("benches/additions", &report));
    let bytes = bytes.expect("it fits").len() as f64 / report.decisions as f64;
    println!("vopr_decisions: {bytes:.2} bytes of trace file per decision");
    let mut group = criterion.benchmark_group("vopr_decisions");
    group.throughput(Throughput::Elements(1));
    group.bench_function("run", |bencher| bencher.iter_custom(|count| decide(count, run)));
    group.bench_function("recorded", |bencher| bencher.iter_custom(|count| decide(count, record)));
    group.finish();
}

const ITEMS: usize = 10;
const CAPACITY: usize = 2;

/// Two threads put ten items each into a buffer for two, and a third takes them.
fn raddle_buffer() {
    let buffer = ParkingMutex::<Vec<usize>, Sim>::new_in(Vec::new());
    let (room, items) = (Condvar::<Sim>::new_in(), Condvar::<Sim>::new_in());
    scope::<Sim, _>(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for item in 0..ITEMS {
                    let mut buffer = buffer.lock();
                    while buffer.len() == CAPACITY {
                        room.wait(&mut buffer);
                    }
                    buffer.push(item);
                    items.notify_one();
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..2 * ITEMS {
                let mut buffer = buffer.lock();
                while buffer.is_empty() {
                    items.wait(&mut buffer);
                }
                buffer.pop();
                room.notify_one();
            }
        });
    });
}

/// The same on shuttle's types.
fn shuttle_buffer() {
    use shuttle::sync::{Condvar, Mutex};
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new()));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let shared = Arc::clone(&shared);
        threads.push(shuttle::thread::spawn(move || {
            let (buffer, room, items) = &*shared;
            for item in 0..ITEMS {
                let mut buffer = buffer.lock().expect("not poisoned");
                while buffer.len() == CAPACITY {
                    buffer = room.wait(buffer).expect("not poisoned");
                }
                buffer.push(item);
                items.notify_one();
            }
        }));
    }
    let shared = Arc::clone(&shared);
    threads.push(shuttle::thread::spawn(move || {
        let (buffer, room, items) = &*shared;
        for _ in 0..2 * ITEMS {
            let mut buffer = buffer.lock().expect("not poisoned");
            while buffer.is_empty() {
                buffer = items.wait(buffer).expect("not poisoned");
            }
            buffer.pop();
            room.notify_one();
        }
    }));
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// The time for so many executions, each by another seed.
fn schedules(count: u64, granularity: Granularity) -> Duration {
    let simulation = Simulation::new().strategy(Strategy::Random).granularity(granularity);
    let start = Instant::now();
    for seed in 0..count {
        simulation.clone().seed(seed).run(raddle_buffer).unwrap();
    }
    start.elapsed()
}

fn bounded_buffer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vopr_bounded_buffer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raddle_locks", |bencher| {
        bencher.iter_custom(|count| schedules(count, Granularity::Blocking));
    });
    group.bench_function("raddle_atomics", |bencher| {
        bencher.iter_custom(|count| schedules(count, Granularity::Atomics));
    });
    group.bench_function("shuttle", |bencher| {
        bencher.iter_custom(|count| {
            let count = usize::try_from(count).expect("a number of schedules");
            let start = Instant::now();
            shuttle::check_random(shuttle_buffer, count);
            start.elapsed()
        });
    });
    group.finish();
}

criterion_group! {
    name = vopr;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decisions, bounded_buffer
}
criterion_main!(vopr);
