//! Fibers and futures: spawning, joining, panics, locality, scopes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle_runtime::{
    JoinError, Native, Runtime, block_on, runtime::Builder, scope, sleep, spawn, spawn_async,
    spawn_local, spawn_on, task, yield_async, yield_now,
};

fn runtime(workers: usize) -> Runtime {
    Builder::new().workers(workers).build().expect("a runtime")
}

#[test]
fn ten_thousand_fibers_each_run_once() {
    for workers in [1, 2, 4] {
        let runtime = runtime(workers);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let sum = runtime.run(move || {
            let fibers: Vec<_> = (0..10_000_usize)
                .map(|index| {
                    let runs = counted.clone();
                    spawn::<Native, _, _>(move || {
                        runs.fetch_add(1, Ordering::Relaxed);
                        if index % 3 == 0 {
                            yield_now::<Native>();
                        }
                        index
                    })
                })
                .collect();
            fibers.into_iter().map(|fiber| fiber.join().expect("no panic")).sum::<usize>()
        });
        assert_eq!(sum.expect("no panic"), 9_999 * 10_000 / 2);
        assert_eq!(runs.load(Ordering::Relaxed), 10_000);
    }
}

#[test]
fn futures_run_beside_fibers_and_join_both_ways() {
    let runtime = runtime(2);
    let result = runtime.run(|| {
        let future = spawn_async::<Native, _>(async {
            let fiber = spawn::<Native, _, _>(|| 20);
            yield_async().await;
            fiber.await.expect("no panic") + 1
        });
        future.join().expect("no panic") * 2
    });
    assert_eq!(result.expect("no panic"), 42);
}

#[test]
fn a_panic_is_carried_to_the_join() {
    let runtime = runtime(2);
    let number = std::hint::black_box(7);
    let fiber = runtime.spawn(move || -> u32 { panic!("knot in fiber {number}") });
    let Err(JoinError::Panicked(payload)) = fiber.join() else { panic!("a panic was expected") };
    assert_eq!(payload.downcast_ref::<String>().expect("a message"), "knot in fiber 7");
    let future = runtime.spawn_async(async { panic!("knot in a future") });
    let error = future.join().map(|(): ()| ()).expect_err("a panic was expected");
    assert_eq!(error.to_string(), "the task panicked: knot in a future");
    // The workers are unharmed.
    assert_eq!(runtime.run(|| 1).expect("no panic"), 1);
}

#[test]
fn a_started_fiber_stays_on_its_thread() {
    let runtime = runtime(4);
    let fibers: Vec<_> = (0..64)
        .map(|_| {
            runtime.spawn(|| {
                let home = std::thread::current().id();
                for _ in 0..100 {
                    yield_now::<Native>();
                    assert_eq!(std::thread::current().id(), home);
                    sleep::<Native>(Duration::from_micros(10)).expect("not cancelled");
                    assert_eq!(std::thread::current().id(), home);
                }
            })
        })
        .collect();
    for fiber in fibers {
        fiber.join().expect("it stayed");
    }
}

#[test]
fn spawn_on_runs_where_it_is_told() {
    let runtime = runtime(3);
    let threads = runtime.run(|| {
        let fibers: Vec<_> =
            (0..3).map(|worker| spawn_on::<Native, _, _>(worker, thread_name)).collect();
        fibers.into_iter().map(|fiber| fiber.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(
        threads.expect("no panic"),
        ["raddle-worker-0", "raddle-worker-1", "raddle-worker-2"]
    );
}

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_string()
}

#[test]
fn local_tasks_need_not_be_send() {
    let runtime = runtime(2);
    let total = runtime.run(|| {
        let total = Rc::new(Cell::new(0));
        let fibers: Vec<_> = (1..=10)
            .map(|n| {
                let total = total.clone();
                spawn_local::<Native, _, _>(move || {
                    yield_now::<Native>();
                    total.set(total.get() + n);
                    total
                })
            })
            .collect();
        for fiber in fibers {
            fiber.join().expect("no panic");
        }
        total.get()
    });
    assert_eq!(total.expect("no panic"), 55);
}

#[test]
fn a_builder_names_the_task() {
    let runtime = runtime(1);
    let fiber = task::Builder::new().name("weaver").spawn_on_runtime(&runtime.handle(), || ());
    assert_eq!(fiber.name(), Some("weaver"));
    fiber.join().expect("no panic");
}

#[test]
fn a_scope_waits_for_what_borrows_from_it() {
    let runtime = runtime(2);
    let sum = runtime.run(|| {
        let numbers: Vec<u64> = (0..1000).collect();
        let total = AtomicUsize::new(0);
        scope::<Native, _, _>(|scope| {
            for chunk in numbers.chunks(100) {
                scope.spawn(|| {
                    yield_now::<Native>();
                    total.fetch_add(chunk.iter().sum::<u64>() as usize, Ordering::Relaxed);
                });
            }
            let total = &total;
            scope.spawn_async(async move {
                yield_async().await;
                total.fetch_add(1, Ordering::Relaxed);
            });
            let joined = scope.spawn(|| numbers.len());
            assert_eq!(joined.join().expect("no panic"), 1000);
        });
        total.into_inner()
    });
    assert_eq!(sum.expect("no panic"), 999 * 1000 / 2 + 1);
}

#[test]
fn a_panic_in_a_scope_cancels_the_others_and_goes_on_in_the_caller() {
    let runtime = runtime(2);
    let ended = Arc::new(AtomicUsize::new(0));
    let counted = ended.clone();
    let result = runtime.run(move || {
        scope::<Native, _, _>(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while sleep::<Native>(Duration::from_secs(3600)).is_ok() {}
                    counted.fetch_add(1, Ordering::Relaxed);
                });
            }
            let all_wait = || yield_now::<Native>();
            (0..100).for_each(|_| all_wait());
            scope.spawn(|| panic!("a broken thread"));
        });
    });
    let error = result.expect_err("the panic was expected");
    assert_eq!(error.to_string(), "the task panicked: a broken thread");
    assert!(ended.load(Ordering::Relaxed) <= 4);
}

#[test]
fn a_detached_task_drops_its_result_and_its_captures() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let runtime = runtime(2);
    for _ in 0..100 {
        let (captured, result) = (Counted(drops.clone()), Counted(drops.clone()));
        drop(runtime.spawn(move || {
            let _captured = captured;
            result
        }));
    }
    drop(runtime);
    assert_eq!(drops.load(Ordering::SeqCst), 200);
}

#[test]
fn block_on_refuses_to_mix_two_runtimes() {
    let (outer, inner) = (runtime(1), runtime(1));
    let mixed = outer.run(move || inner.block_on(async { 1 }));
    let Err(JoinError::Panicked(payload)) = mixed else { panic!("mixed: {mixed:?}") };
    let message = payload.downcast_ref::<&str>().expect("a message");
    assert!(message.contains("spawn_async"), "{message}");
}

#[test]
fn block_on_works_in_a_fiber_and_on_a_plain_thread() {
    let runtime = runtime(2);
    let handle = runtime.handle();
    assert_eq!(runtime.run(|| block_on::<Native, _>(async { 3 })).expect("no panic"), 3);
    let joined = runtime.block_on(async move { handle.spawn(|| 4).await.expect("no panic") });
    assert_eq!(joined, 4);
}

#[test]
fn futures_move_between_workers() {
    let runtime = runtime(4);
    let seen = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let futures: Vec<_> = (0..64)
        .map(|_| {
            let seen = seen.clone();
            runtime.spawn_async(async move {
                for _ in 0..200 {
                    seen.lock().expect("no panic").insert(thread_name());
                    // A little work, so that the other workers wake in time to steal.
                    std::hint::black_box((0..2_000).sum::<u64>());
                    yield_async().await;
                }
            })
        })
        .collect();
    for future in futures {
        future.join().expect("no panic");
    }
    assert!(seen.lock().expect("no panic").len() > 1, "nothing was ever stolen");
}

#[test]
fn two_futures_that_wake_each_other_starve_nobody() {
    let runtime = runtime(1);
    let stop = Arc::new(AtomicUsize::new(0));
    let (ping, pong) = (
        Arc::new(raddle_parking_lot::Semaphore::new(0)),
        Arc::new(raddle_parking_lot::Semaphore::new(0)),
    );
    let player = |mine: &Arc<raddle_parking_lot::Semaphore>,
                  theirs: &Arc<raddle_parking_lot::Semaphore>| {
        let (mine, theirs, stop) = (mine.clone(), theirs.clone(), stop.clone());
        runtime.spawn_async(async move {
            while stop.load(Ordering::Relaxed) == 0 {
                theirs.add_permits(1);
                mine.acquire_async().await.forget();
            }
            theirs.add_permits(1);
        })
    };
    let players = [player(&ping, &pong), player(&pong, &ping)];
    let stopper = stop.clone();
    // Yields, and so stands in the list of started fibers while the two stand in the ring.
    let fiber = runtime.spawn(move || {
        for _ in 0..100 {
            yield_now::<Native>();
        }
        stopper.store(1, Ordering::Relaxed);
    });
    fiber.join().expect("it gets its turns");
    for player in players {
        player.join().expect("no panic");
    }
}

#[test]
fn what_a_fiber_owned_is_destroyed_where_waiting_parks_the_fiber() {
    struct Locks(Arc<raddle_parking_lot::ParkingMutex<u32>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            *self.0.lock() += 1;
        }
    }
    let runtime = runtime(1);
    let mutex = Arc::new(raddle_parking_lot::ParkingMutex::new(0));
    let (held, guard_of) = (Arc::new(AtomicUsize::new(0)), mutex.clone());
    let (seen, cancelled, result) = (held.clone(), Locks(mutex.clone()), Locks(mutex.clone()));
    let holder = runtime.spawn(move || {
        let _guard = guard_of.lock();
        held.store(1, Ordering::SeqCst);
        // Both end while this fiber, of the same worker, holds the mutex and sleeps.
        let never_run = spawn::<Native, _, _>(move || drop(cancelled));
        never_run.cancel();
        drop(spawn::<Native, _, _>(move || result));
        sleep::<Native>(Duration::from_millis(2)).expect("not cancelled");
    });
    holder.join().expect("no panic");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    drop(runtime);
    assert_eq!(*mutex.lock(), 2);
}
