//! Yield, spawn and join, ping-pong.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use raddle_benches::runtime;

/// Two tasks on one worker give way to each other; time per switch. The switches are counted, so
/// that nobody is measured for doing nothing.
fn yields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("yield");
    let raddle = runtime(1);
    group.bench_function("raddle", |bencher| {
        bencher.iter_custom(|switches| {
            let each = switches.div_ceil(2);
            raddle
                .run(move || {
                    let counted = Arc::new(AtomicU64::new(0));
                    let fiber = || {
                        let counted = counted.clone();
                        raddle::spawn(move || {
                            for _ in 0..each {
                                raddle::yield_now();
                            }
                            counted.fetch_add(each, Ordering::Relaxed);
                        })
                    };
                    let fibers = [fiber(), fiber()];
                    let start = Instant::now();
                    for fiber in fibers {
                        fiber.join().expect("no panic");
                    }
                    let elapsed = start.elapsed();
                    assert_eq!(counted.load(Ordering::Relaxed), 2 * each);
                    elapsed
                })
                .expect("no panic")
        });
    });
    may::config().set_workers(1);
    group.bench_function("may", |bencher| {
        bencher.iter_custom(|switches| {
            let each = switches.div_ceil(2);
            let counted = Arc::new(AtomicU64::new(0));
            let coroutine = || {
                let counted = counted.clone();
                may::go!(move || {
                    for _ in 0..each {
                        may::coroutine::yield_now();
                    }
                    counted.fetch_add(each, Ordering::Relaxed);
                })
            };
            let start = Instant::now();
            for coroutine in [coroutine(), coroutine()] {
                coroutine.join().expect("no panic");
            }
            let elapsed = start.elapsed();
            assert_eq!(counted.load(Ordering::Relaxed), 2 * each);
            elapsed
        });
    });
    let tokio = tokio_runtime(1);
    group.bench_function("tokio", |bencher| {
        bencher.iter_custom(|switches| {
            let each = switches.div_ceil(2);
            in_tokio(&tokio, async move {
                let task = || {
                    tokio::spawn(async move {
                        for _ in 0..each {
                            tokio::task::yield_now().await;
                        }
                    })
                };
                let tasks = [task(), task()];
                let start = Instant::now();
                for task in tasks {
                    task.await.expect("no panic");
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// Calls itself `frames` times, and gives way at the end.
#[inline(never)]
fn yield_below<const WHO: usize>(frames: usize) -> usize {
    if frames == 0 {
        raddle::yield_now();
        return black_box(WHO);
    }
    black_box(yield_below::<WHO>(frames - 1)) + frames
}

/// Two fibers on one worker give way below so many frames of their own; time per switch. The processor
/// remembers where calls return to, but not on which stack, so each frame on the way back costs a wrong
/// guess. A channel without room for two messages switches twice for each.
fn yields_below(criterion: &mut Criterion) {
    let raddle = runtime(1);
    for frames in [1, 2, 4] {
        let mut group = criterion.benchmark_group(format!("yield_below/{frames}_frames"));
        group.bench_function("raddle", |bencher| {
            bencher.iter_custom(|switches| {
                let each = switches.div_ceil(2);
                let run = move || {
                    let depth = frames - 1;
                    let start = Instant::now();
                    let first =
                        raddle::spawn(move || (0..each).map(|_| yield_below::<0>(depth)).sum());
                    let second =
                        raddle::spawn(move || (0..each).map(|_| yield_below::<1>(depth)).sum());
                    let sums: [usize; 2] =
                        [first, second].map(|fiber| fiber.join().expect("no panic"));
                    assert_eq!(sums[1] - sums[0], each as usize);
                    start.elapsed()
                };
                raddle.run(run).expect("no panic")
            });
        });
        group.finish();
    }
}

/// A task spawns another and waits for its result.
fn spawn_join(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let mut group = criterion.benchmark_group(format!("spawn_join/{workers}_workers"));
        let raddle = runtime(workers);
        group.bench_function("raddle", |bencher| {
            bencher.iter_custom(|rounds| {
                raddle
                    .run(move || {
                        let start = Instant::now();
                        for round in 0..rounds {
                            let fiber = raddle::spawn(move || black_box(round));
                            assert_eq!(fiber.join().expect("no panic"), round);
                        }
                        start.elapsed()
                    })
                    .expect("no panic")
            });
        });
        let tokio = tokio_runtime(workers);
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|rounds| {
                in_tokio(&tokio, async move {
                    let start = Instant::now();
                    for round in 0..rounds {
                        let task = tokio::spawn(async move { black_box(round) });
                        assert_eq!(task.await.expect("no panic"), round);
                    }
                    start.elapsed()
                })
            });
        });
        group.finish();
    }
}

/// Two tasks hand a turn back and forth; time per round trip.
fn ping_pong(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let mut group = criterion.benchmark_group(format!("ping_pong/{workers}_workers"));
        let raddle = runtime(workers);
        group.bench_function("raddle", |bencher| {
            bencher
                .iter_custom(|rounds| raddle.run(move || raddle_ping(rounds)).expect("no panic"));
        });
        let tokio = tokio_runtime(workers);
        group.bench_function("tokio_semaphores", |bencher| {
            bencher.iter_custom(|rounds| in_tokio(&tokio, tokio_ping(rounds)));
        });
        group.bench_function("tokio_mpsc", |bencher| {
            bencher.iter_custom(|rounds| in_tokio(&tokio, tokio_mpsc_ping(rounds)));
        });
        group.finish();
    }
}

fn raddle_ping(rounds: u64) -> Duration {
    use raddle::sync::Semaphore;
    let turns = Arc::new((Semaphore::new(0), Semaphore::new(0)));
    let theirs = turns.clone();
    let other = raddle::spawn(move || {
        for _ in 0..rounds {
            theirs.0.acquire().forget();
            theirs.1.add_permits(1);
        }
    });
    let start = Instant::now();
    for _ in 0..rounds {
        turns.0.add_permits(1);
        turns.1.acquire().forget();
    }
    let elapsed = start.elapsed();
    other.join().expect("no panic");
    elapsed
}

async fn tokio_ping(rounds: u64) -> Duration {
    use tokio::sync::Semaphore;
    let turns = Arc::new((Semaphore::new(0), Semaphore::new(0)));
    let theirs = turns.clone();
    let other = tokio::spawn(async move {
        for _ in 0..rounds {
            theirs.0.acquire().await.expect("open").forget();
            theirs.1.add_permits(1);
        }
    });
    let start = Instant::now();
    for _ in 0..rounds {
        turns.0.add_permits(1);
        turns.1.acquire().await.expect("open").forget();
    }
    let elapsed = start.elapsed();
    other.await.expect("no panic");
    elapsed
}

async fn tokio_mpsc_ping(rounds: u64) -> Duration {
    let (to_other, mut from_us) = tokio::sync::mpsc::channel(1);
    let (to_us, mut from_other) = tokio::sync::mpsc::channel(1);
    let other = tokio::spawn(async move {
        for _ in 0..rounds {
            let turn: u64 = from_us.recv().await.expect("open");
            to_us.send(turn).await.expect("open");
        }
    });
    let start = Instant::now();
    for round in 0..rounds {
        to_other.send(round).await.expect("open");
        assert_eq!(from_other.recv().await, Some(round));
    }
    let elapsed = start.elapsed();
    other.await.expect("no panic");
    elapsed
}

fn tokio_runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Runs `future` on a worker, as the fibers are, and not on the calling thread.
fn in_tokio<F>(tokio: &tokio::runtime::Runtime, future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio.block_on(tokio.spawn(future)).expect("no panic")
}

criterion_group! {
    name = tasks;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = yields, yields_below, spawn_join, ping_pong
}
criterion_main!(tasks);
