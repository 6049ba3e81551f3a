//! Locks under threads, fibers and futures at the same time, with timeouts and drops.

use core::future::Future;
use core::task::{Context, Waker};
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::{Condvar, ParkingMutex, ParkingRwLock, Semaphore, WaitGroup};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn, spawn_async, timeout, yield_async, yield_now};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/lock_storm",
            "threads, fibers and futures that take one mutex, some with timeouts, exclude another",
            &["queue-bit", "lock-looks", "suspend", "verdict", "park"],
            lock_storm::<P>,
        ),
        Stress::new(
            "stress/rwlock_with_undo",
            "readers and writers that give up leave the lock to the others, and see whole pairs",
            &["queue-bit", "suspend", "verdict"],
            rwlock_with_undo::<P>,
        ),
        Stress::new(
            "stress/semaphore_storm",
            "never more holders than permits, and all permits are there at the end",
            &["queue-bit"],
            semaphore_storm::<P>,
        ),
        Stress::new(
            "stress/wait_group_storm",
            "who waits for a group goes on after the last one is done, and sees what all did",
            &["queue-bit"],
            wait_group_storm::<P>,
        ),
        Stress::new(
            "stress/crowd_against_drops",
            "of many that are given permits at once some go away, and no permit is lost",
            &["crowd", "queue-bit"],
            crowd_against_drops::<P>,
        ),
        Stress::new(
            "stress/bounded_buffer",
            "items that go through a small buffer with two condition variables come out once each",
            &["queue-bit", "suspend"],
            bounded_buffer::<P>,
        ),
        Stress::new(
            "stress/requeue_storm",
            "waiters of a condition variable that are moved to its mutex give up, and none is lost",
            &["relinked", "suspend"],
            requeue_storm::<P>,
        ),
    ]
}

const SOON: Duration = Duration::from_micros(50);
/// Of each kind: threads, fibers, futures.
const EACH: u64 = 3;
const TURNS: u64 = 100;

/// Runs `thread` on threads and `fiber` on fibers, and waits for all; the sum of what they return.
fn everywhere<P: Platform>(
    runtime: &Runtime<P>,
    thread: impl Fn(u64) -> u64 + Sync,
    fiber: impl Fn(u64) -> u64 + Send + Clone + 'static,
) -> u64 {
    let fibers: Vec<_> = (0..EACH)
        .map(|name| {
            let fiber = fiber.clone();
            runtime.spawn(move || fiber(name))
        })
        .collect();
    let threads = raddle_scenarios::scope::<P, _>(|threads| {
        let thread = &thread;
        let handles: Vec<_> = (0..EACH).map(|name| threads.spawn(move || thread(name))).collect();
        handles.into_iter().map(|handle| handle.join()).sum::<u64>()
    });
    threads + fibers.into_iter().map(|fiber| fiber.join().expect("no panic")).sum::<u64>()
}

fn runtime<P: Platform>(workers: usize) -> Runtime<P> {
    Builder::new_in().workers(workers).build().expect("a runtime")
}

fn end<P: Platform>(runtime: Runtime<P>) {
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
}

/// Adds one under the lock; every third turn it has no patience.
fn add<P: Platform>(lock: &ParkingMutex<u64, P>) -> u64 {
    (0..TURNS)
        .map(|turn| {
            let guard = if turn % 3 == 0 { lock.try_lock_for(SOON) } else { Some(lock.lock()) };
            guard.map_or(0, |mut count| {
                *count += 1;
                1
            })
        })
        .sum()
}

fn lock_storm<P: Platform>(budget: &Budget) -> u64 {
    let runtime = runtime::<P>(3);
    let lock = Arc::<_, P>::new_in(ParkingMutex::<u64, P>::new_in(0));
    let mut added = 0;
    let operations = budget.rounds(|| {
        let futures: Vec<_> = (0..EACH)
            .map(|_| {
                let lock = lock.clone();
                runtime.spawn_async(async move {
                    let mut added = 0;
                    for turn in 0..TURNS {
                        if turn % 3 == 0 {
                            // A future that is dropped in the queue.
                            if let Ok(mut count) = timeout::<_, P>(SOON, lock.lock_async()).await {
                                *count += 1;
                                added += 1;
                            }
                        } else {
                            *lock.lock_async().await += 1;
                            added += 1;
                        }
                    }
                    added
                })
            })
            .collect();
        let (theirs, mine) = (lock.clone(), &*lock);
        added += everywhere(&runtime, |_| add(mine), move |_| add(&theirs));
        added += runtime.block_on(async {
            let mut sum = 0;
            for future in futures {
                sum += future.await.expect("no panic");
            }
            sum
        });
        assert_eq!(*lock.lock(), added, "each addition counts");
        3 * EACH * TURNS
    });
    end(runtime);
    operations
}

/// Two values that are always the same, unless somebody looks in the middle of a write.
struct Pair<P: Platform>(RaceCell<(u64, u64), P>);

fn rwlock_with_undo<P: Platform>(budget: &Budget) -> u64 {
    fn turns<P: Platform>(lock: &ParkingRwLock<Pair<P>, P>, name: u64) -> u64 {
        let mut written = 0;
        for turn in 0..TURNS {
            let write = (turn + name).is_multiple_of(4);
            let patient = !turn.is_multiple_of(3);
            if write {
                let guard = if patient { Some(lock.write()) } else { lock.try_write_for(SOON) };
                let Some(guard) = guard else { continue };
                // SAFETY: the write lock is held.
                unsafe {
                    guard.0.with_mut(|pair| {
                        pair.0 += 1;
                        pair.1 += 1;
                    });
                }
                written += 1;
            } else {
                let guard = if patient { Some(lock.read()) } else { lock.try_read_for(SOON) };
                let Some(guard) = guard else { continue };
                // SAFETY: a read lock is held.
                let (one, other) = unsafe { guard.0.with(|pair| *pair) };
                assert_eq!(one, other, "a pair from the middle of a write");
            }
        }
        written
    }
    let runtime = runtime::<P>(3);
    let lock = Arc::<_, P>::new_in(ParkingRwLock::<_, P>::new_in(Pair(RaceCell::new_in((0, 0)))));
    let mut written = 0;
    let operations = budget.rounds(|| {
        let (theirs, mine) = (lock.clone(), &*lock);
        written += everywhere(&runtime, |name| turns(mine, name), move |name| turns(&theirs, name));
        let guard = lock.read();
        // SAFETY: a read lock is held.
        assert_eq!(unsafe { guard.0.with(|pair| *pair) }, (written, written), "each write counts");
        2 * EACH * TURNS
    });
    end(runtime);
    operations
}

fn semaphore_storm<P: Platform>(budget: &Budget) -> u64 {
    const PERMITS: usize = 4;
    struct Gate<P: Platform> {
        permits: Semaphore<P>,
        inside: P::AtomicUsize,
    }
    fn turns<P: Platform>(gate: &Gate<P>, name: u64) -> u64 {
        for turn in 0..TURNS {
            let count = 1 + (turn + name) % 3;
            let permit = match turn % 3 {
                0 => gate.permits.try_acquire_many_for(count as u32, SOON),
                _ => Some(gate.permits.acquire_many(count as u32)),
            };
            let Some(permit) = permit else { continue };
            let before = gate.inside.fetch_add(count as usize, Ordering::Relaxed);
            assert!(before + count as usize <= PERMITS, "more inside than permits");
            gate.inside.fetch_sub(count as usize, Ordering::Relaxed);
            drop(permit);
        }
        TURNS
    }
    let runtime = runtime::<P>(3);
    let gate = Arc::<_, P>::new_in(Gate {
        permits: Semaphore::<P>::new_in(PERMITS),
        inside: P::AtomicUsize::new(0),
    });
    let operations = budget.rounds(|| {
        let (theirs, mine) = (gate.clone(), &*gate);
        let turns =
            everywhere(&runtime, |name| turns(mine, name), move |name| turns(&theirs, name));
        assert_eq!(gate.permits.available_permits(), PERMITS, "no permit is lost");
        turns
    });
    end(runtime);
    operations
}

fn wait_group_storm<P: Platform>(budget: &Budget) -> u64 {
    const WORKERS: u64 = 6;
    let runtime = runtime::<P>(3);
    let operations = budget.rounds(|| {
        let group = Arc::<_, P>::new_in(WaitGroup::<P>::new_in());
        let cells: Arc<Vec<RaceCell<u64, P>>, P> =
            Arc::new_in((0..WORKERS).map(|_| RaceCell::new_in(0)).collect());
        group.add(WORKERS as usize);
        let fill = |group: &WaitGroup<P>, cells: &[RaceCell<u64, P>], name: u64| {
            // SAFETY: each has its own, and nobody reads before all are done.
            unsafe { cells[name as usize].with_mut(|cell| *cell = name + 1) };
            group.done();
        };
        for name in 0..WORKERS / 2 {
            let (group, cells) = (group.clone(), cells.clone());
            drop(runtime.spawn(move || fill(&group, &cells, name)));
        }
        let sum = |cells: &[RaceCell<u64, P>]| -> u64 {
            // SAFETY: all are done, and nobody writes any more.
            cells.iter().map(|cell| unsafe { cell.with(|cell| *cell) }).sum()
        };
        let (theirs, their_cells) = (group.clone(), cells.clone());
        let fiber = runtime.spawn(move || {
            theirs.wait();
            sum(&their_cells)
        });
        let sums = raddle_scenarios::scope::<P, _>(|threads| {
            let (group, cells) = (&*group, &**cells);
            for name in WORKERS / 2..WORKERS {
                threads.spawn(move || fill(group, cells, name));
            }
            let waiter = threads.spawn(move || {
                while !group.wait_for(SOON) {}
                sum(cells)
            });
            group.wait();
            [sum(cells), waiter.join()]
        });
        let expected = WORKERS * (WORKERS + 1) / 2;
        assert_eq!(sums, [expected; 2], "seen from threads");
        assert_eq!(fiber.join().ok(), Some(expected), "seen from a fiber");
        WORKERS
    });
    end(runtime);
    operations
}

fn crowd_against_drops<P: Platform>(budget: &Budget) -> u64 {
    const MANY: usize = 40;
    let semaphore = Semaphore::<P>::new_in(0);
    let waker = Waker::noop();
    budget.rounds(|| {
        let mut waits: Vec<_> = (0..MANY).map(|_| Box::pin(semaphore.acquire_async())).collect();
        for wait in &mut waits {
            assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        raddle_scenarios::scope::<P, _>(|threads| {
            threads.spawn(|| semaphore.add_permits(MANY));
            drop(waits);
        });
        let taken = semaphore.try_acquire_many(MANY as u32);
        taken.expect("what was given and what was not").forget();
        MANY as u64
    })
}

fn bounded_buffer<P: Platform>(budget: &Budget) -> u64 {
    const ROOM: usize = 3;
    const ITEMS: u64 = 300;
    struct Buffer<P: Platform> {
        items: ParkingMutex<Vec<u64>, P>,
        room: Condvar<P>,
        some: Condvar<P>,
    }
    impl<P: Platform> Buffer<P> {
        fn put(&self, item: u64) {
            let mut items = self.items.lock();
            while items.len() == ROOM {
                self.room.wait(&mut items);
            }
            items.push(item);
            self.some.notify_one();
        }
        fn take(&self) -> u64 {
            let mut items = self.items.lock();
            while items.is_empty() {
                self.some.wait(&mut items);
            }
            let item = items.remove(0);
            self.room.notify_one();
            item
        }
    }
    let runtime = runtime::<P>(2);
    let buffer = Arc::<_, P>::new_in(Buffer::<P> {
        items: ParkingMutex::new_in(Vec::new()),
        room: Condvar::new_in(),
        some: Condvar::new_in(),
    });
    let operations = budget.rounds(|| {
        let (theirs, mine) = (buffer.clone(), buffer.clone());
        let producer = runtime.spawn(move || {
            for item in 0..ITEMS {
                theirs.put(item);
                if item % 7 == 0 {
                    yield_now::<P>();
                }
            }
        });
        let consumer = runtime.spawn(move || (0..ITEMS).map(|_| mine.take()).sum::<u64>());
        let sums = raddle_scenarios::scope::<P, _>(|threads| {
            let buffer = &*buffer;
            threads.spawn(move || (ITEMS..2 * ITEMS).for_each(|item| buffer.put(item)));
            threads.spawn(move || (0..ITEMS).map(|_| buffer.take()).sum::<u64>()).join()
        });
        producer.join().expect("no panic");
        let sum = sums + consumer.join().expect("no panic");
        assert_eq!(sum, ITEMS * (2 * ITEMS - 1), "each item once");
        2 * ITEMS
    });
    // A future beside them, so that all three kinds have waited here.
    let last = buffer.clone();
    let future = runtime.block_on(async move {
        let task = spawn_async::<P, _>(async move {
            yield_async().await;
            last.items.lock_async().await.len()
        });
        let fiber = spawn::<P, _, _>(|| 0);
        task.await.expect("no panic") + fiber.await.expect("no panic")
    });
    assert_eq!(future, 0, "nothing is left in the buffer");
    end(runtime);
    operations
}

/// `notify_all` moves those who wait to the mutex, while their time runs out and futures are dropped.
fn requeue_storm<P: Platform>(budget: &Budget) -> u64 {
    struct Stage<P: Platform> {
        round: ParkingMutex<u64, P>,
        changed: Condvar<P>,
    }
    const WAITERS: u64 = 4;
    const ROUNDS: u64 = 60;
    fn wait<P: Platform>(stage: &Stage<P>, until: u64, patient: bool) {
        let mut round = stage.round.lock();
        while *round < until {
            if patient {
                stage.changed.wait(&mut round);
            } else {
                // Whether the time was over or not, the mutex is held again.
                let _ = stage.changed.wait_for(&mut round, SOON);
            }
        }
    }
    async fn wait_async<P: Platform>(stage: &Stage<P>, until: u64) {
        loop {
            let round = stage.round.lock_async().await;
            if *round >= until {
                return;
            }
            // Dropped by the timeout wherever it stands: in the one queue or in the other.
            let waiting = stage.changed.wait_async(round);
            drop(timeout::<_, P>(SOON, waiting).await);
        }
    }
    let runtime = runtime::<P>(3);
    let stage = Arc::<_, P>::new_in(Stage::<P> {
        round: ParkingMutex::new_in(0),
        changed: Condvar::new_in(),
    });
    let operations = budget.rounds(|| {
        let first = *stage.round.lock();
        let last = first + ROUNDS;
        let waiters: Vec<_> = (0..WAITERS)
            .map(|name| {
                let stage = stage.clone();
                if name % 2 == 0 {
                    runtime
                        .spawn(move || (first..last).for_each(|it| wait(&stage, it + 1, name == 0)))
                } else {
                    runtime.spawn_async(async move {
                        for round in first..last {
                            wait_async(&stage, round + 1).await;
                        }
                    })
                }
            })
            .collect();
        raddle_scenarios::scope::<P, _>(|threads| {
            let stage = &*stage;
            threads.spawn(move || (first..last).for_each(|it| wait(stage, it + 1, true)));
            threads.spawn(move || (first..last).for_each(|it| wait(stage, it + 1, false)));
            for _ in first..last {
                let mut round = stage.round.lock();
                *round += 1;
                stage.changed.notify_all();
                drop(round);
            }
        });
        waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
        assert_eq!(*stage.round.lock(), last, "all have seen the last round");
        ROUNDS * (WAITERS + 2)
    });
    end(runtime);
    operations
}
