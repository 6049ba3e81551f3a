//! Many tasks on several workers: stolen, yielding, spawned while the runtime ends.

use core::hint::black_box;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, Threads};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn, spawn_async, spawn_on, yield_async, yield_now};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/steal_storm",
            "1,000 fibers on 8 workers keep every local over all of their suspensions",
            &["run-loop", "idle-search", "spinlock"],
            steal_storm::<P>,
        ),
        Stress::new(
            "stress/migrating_futures",
            "futures that move between workers at each yield lose and repeat nothing",
            &["run-loop", "uring-wait"],
            migrating_futures::<P>,
        ),
        Stress::new(
            "stress/pinned_from_everywhere",
            "a task for one worker that any other spawns runs there, and once",
            &["run-loop"],
            pinned_from_everywhere::<P>,
        ),
        Stress::new(
            "stress/spawn_storm_during_shutdown",
            "each task that is spawned while the runtime ends is run to its end or refused, once",
            &["guests"],
            spawn_storm_during_shutdown::<P>,
        ),
    ]
}

/// Each runtime ends for good.
fn end<P: Platform>(runtime: Runtime<P>) {
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
}

const FIBERS: u64 = 1_000;
const YIELDS: u64 = 8;

/// Fills its locals by a rule, gives way, and looks whether they are what they were.
fn keeps_its_locals<P: Platform>(name: u64) -> u64 {
    let mut sum = 0_u64;
    for round in 0..YIELDS {
        let locals: [u64; 24] = core::array::from_fn(|index| {
            black_box(name.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (round << 32) ^ index as u64)
        });
        yield_now::<P>();
        for (index, local) in locals.iter().enumerate() {
            let expected = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (round << 32) ^ index as u64;
            assert_eq!(black_box(*local), expected, "a local of fiber {name} in round {round}");
            sum = sum.wrapping_add(*local);
        }
    }
    sum
}

fn expected_sum(name: u64) -> u64 {
    let mut sum = 0_u64;
    for round in 0..YIELDS {
        for index in 0..24 {
            let local = name.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (round << 32) ^ index;
            sum = sum.wrapping_add(local);
        }
    }
    sum
}

fn steal_storm<P: Platform>(budget: &Budget) -> u64 {
    let runtime: Runtime<P> = Builder::new_in().workers(8).build().expect("a runtime");
    let operations = budget.rounds(|| {
        let sum = runtime.run(|| {
            let fibers: Vec<_> = (0..FIBERS)
                .map(|name| spawn::<P, _, _>(move || keeps_its_locals::<P>(name)))
                .collect();
            let sums = fibers.into_iter().map(|fiber| fiber.join().expect("no panic"));
            sums.fold(0, u64::wrapping_add)
        });
        let expected = (0..FIBERS).map(expected_sum).fold(0, u64::wrapping_add);
        assert_eq!(sum.expect("no panic"), expected, "the checksum of all locals");
        FIBERS * YIELDS
    });
    end(runtime);
    operations
}

fn migrating_futures<P: Platform>(budget: &Budget) -> u64 {
    const FUTURES: u64 = 200;
    let runtime: Runtime<P> = Builder::new_in().workers(4).build().expect("a runtime");
    let operations = budget.rounds(|| {
        let sum = runtime.block_on(async {
            let futures: Vec<_> = (0..FUTURES)
                .map(|name| {
                    spawn_async::<P, _>(async move {
                        let mut sum = 0;
                        for round in 0..YIELDS {
                            sum += name * YIELDS + round;
                            yield_async().await;
                        }
                        sum
                    })
                })
                .collect();
            let mut sum = 0;
            for future in futures {
                sum += future.await.expect("no panic");
            }
            sum
        });
        let all = FUTURES * YIELDS;
        assert_eq!(sum, all * (all - 1) / 2, "each number once");
        all
    });
    end(runtime);
    operations
}

fn pinned_from_everywhere<P: Platform>(budget: &Budget) -> u64 {
    const WORKERS: usize = 4;
    const TASKS: usize = 50;
    let runtime: Runtime<P> = Builder::new_in().workers(WORKERS).build().expect("a runtime");
    let threads: Arc<Vec<P::AtomicU64>, P> =
        Arc::new_in((0..WORKERS).map(|_| P::AtomicU64::new(0)).collect());
    let operations = budget.rounds(|| {
        let threads = threads.clone();
        let ran = runtime.run(move || {
            let spawners: Vec<_> = (0..WORKERS)
                .map(|_| {
                    let threads = threads.clone();
                    spawn::<P, _, _>(move || {
                        let tasks: Vec<_> = (0..TASKS)
                            .map(|task| {
                                let threads = threads.clone();
                                let worker = task % WORKERS;
                                spawn_on::<P, _, _>(worker, move || {
                                    let id = P::Threads::id();
                                    let first = threads[worker].compare_exchange(
                                        0,
                                        id,
                                        Ordering::Relaxed,
                                        Ordering::Relaxed,
                                    );
                                    first.is_ok() || first == Err(id)
                                })
                            })
                            .collect();
                        tasks.into_iter().map(|task| task.join()).collect::<Vec<_>>()
                    })
                })
                .collect();
            spawners
                .into_iter()
                .flat_map(|spawner| spawner.join().expect("no panic"))
                .collect::<Vec<_>>()
        });
        let ran = ran.expect("no panic");
        assert_eq!(ran.len(), WORKERS * TASKS, "each task once");
        assert!(ran.into_iter().all(|task| task.expect("no panic")), "on its worker's thread");
        (WORKERS * TASKS) as u64
    });
    end(runtime);
    operations
}

/// Counts itself, however it ends.
struct Counted<P: Platform>(Arc<Counts<P>, P>);

struct Counts<P: Platform> {
    made: P::AtomicU64,
    dropped: P::AtomicU64,
    ran: P::AtomicU64,
}

impl<P: Platform> Drop for Counted<P> {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn spawn_storm_during_shutdown<P: Platform>(budget: &Budget) -> u64 {
    const SPAWNERS: usize = 3;
    budget.rounds(|| {
        let counts = Arc::<_, P>::new_in(Counts::<P> {
            made: P::AtomicU64::new(0),
            dropped: P::AtomicU64::new(0),
            ran: P::AtomicU64::new(0),
        });
        let runtime: Runtime<P> = Builder::new_in().workers(3).build().expect("a runtime");
        let handle = runtime.handle();
        let stop = P::AtomicBool::new(false);
        let outcomes = raddle_scenarios::scope::<P, _>(|threads| {
            let (counts, stop) = (&counts, &stop);
            let spawners: [_; SPAWNERS] = core::array::from_fn(|_| {
                let handle = handle.clone();
                threads.spawn(move || {
                    let mut tasks = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        counts.made.fetch_add(1, Ordering::Relaxed);
                        let counted = Counted::<P>(counts.clone());
                        tasks.push(handle.spawn(move || {
                            yield_now::<P>();
                            counted.0.ran.fetch_add(1, Ordering::Relaxed);
                        }));
                        if tasks.len() == 500 {
                            break;
                        }
                    }
                    tasks.into_iter().map(|task| task.join()).filter(Result::is_ok).count() as u64
                })
            });
            // Some are running, some are queued, some are not spawned yet.
            while counts.ran.load(Ordering::Relaxed) < 20 {
                P::Threads::yield_now();
            }
            end(runtime);
            stop.store(true, Ordering::Relaxed);
            spawners.map(|spawner| spawner.join())
        });
        let made = counts.made.load(Ordering::Relaxed);
        assert_eq!(counts.dropped.load(Ordering::Relaxed), made, "each task's body is gone once");
        let finished: u64 = outcomes.iter().sum();
        assert_eq!(
            counts.ran.load(Ordering::Relaxed),
            finished,
            "those that ran are those that ended"
        );
        made
    })
}
