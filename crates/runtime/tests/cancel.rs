//! Cancellation, sleeping, timeouts, shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use raddle_runtime::{
    CancellationToken, Cancelled, Elapsed, JoinError, Native, Runtime, block_on, is_cancelled,
    runtime::Builder, sleep, sleep_async, spawn, task, timeout, yield_now,
};

const LONG: Duration = Duration::from_secs(3600);

fn runtime(workers: usize) -> Runtime {
    Builder::new().workers(workers).build().expect("a runtime")
}

#[test]
fn a_sleep_ends_at_its_time_and_not_before() {
    let runtime = runtime(2);
    for ms in [0, 1, 3, 20] {
        let (asked, slept) = runtime
            .run(move || {
                let (asked, start) = (Duration::from_millis(ms), Instant::now());
                sleep::<Native>(asked).expect("not cancelled");
                (asked, start.elapsed())
            })
            .expect("no panic");
        assert!(slept >= asked, "slept {slept:?} instead of {asked:?}");
    }
    let start = Instant::now();
    runtime.block_on(sleep_async::<Native>(Duration::from_millis(5)));
    assert!(start.elapsed() >= Duration::from_millis(5));
}

#[test]
fn timers_fire_although_the_worker_never_runs_dry() {
    let runtime = runtime(1);
    let fired = Arc::new(AtomicBool::new(false));
    let seen = fired.clone();
    let busy = runtime.spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            yield_now::<Native>();
        }
    });
    let sleeper = runtime.spawn(move || {
        sleep::<Native>(Duration::from_millis(2)).expect("not cancelled");
        fired.store(true, Ordering::Relaxed);
    });
    busy.join().expect("the timer fired");
    sleeper.join().expect("no panic");
}

#[test]
fn a_timeout_drops_the_slow_and_keeps_the_fast() {
    let runtime = runtime(2);
    runtime
        .run(|| {
            let slow = timeout::<_, Native>(Duration::from_millis(1), sleep_async::<Native>(LONG));
            assert_eq!(block_on::<Native, _>(slow), Err(Elapsed));
            let fast = timeout::<_, Native>(LONG, async { 5 });
            assert_eq!(block_on::<Native, _>(fast), Ok(5));
        })
        .expect("no panic");
}

#[test]
fn cancelling_ends_a_sleep_and_every_later_one() {
    let runtime = runtime(2);
    let fiber = runtime.spawn(|| {
        let first = sleep::<Native>(LONG);
        assert!(is_cancelled::<Native>());
        (first, sleep::<Native>(LONG))
    });
    // Cancelled before it started, it never runs; wait until it does.
    while runtime.run(|| ()).is_err() {}
    fiber.cancel();
    match fiber.join() {
        Ok(results) => assert_eq!(results, (Err(Cancelled), Err(Cancelled))),
        Err(error) => assert!(matches!(error, JoinError::Cancelled), "{error}"),
    }
}

#[test]
fn a_cancelled_joiner_is_released_and_the_joined_runs_on() {
    let runtime = runtime(2);
    let token = CancellationToken::new();
    let slow = CancellationToken::new();
    let (inner, started) = (slow.clone(), Arc::new(AtomicBool::new(false)));
    let seen = started.clone();
    let body = move || {
        let slow = task::Builder::new().token(&inner).spawn(|| sleep::<Native>(LONG));
        started.store(true, Ordering::SeqCst);
        matches!(slow.join(), Err(JoinError::Interrupted))
    };
    let joiner = task::Builder::new().token(&token).spawn_on_runtime(&runtime.handle(), body);
    while !seen.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    token.cancel();
    assert!(joiner.join().expect("no panic"), "the join was interrupted");
    slow.cancel();
}

#[test]
fn a_cancelled_future_is_dropped_where_it_waits() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let runtime = runtime(2);
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(dropped.clone());
    let future = runtime.spawn_async(async move {
        let _flag = flag;
        sleep_async::<Native>(LONG).await;
    });
    future.cancel();
    assert!(matches!(future.join(), Err(JoinError::Cancelled)));
    assert!(dropped.load(Ordering::SeqCst), "the future is gone when the join returns");
}

#[test]
fn a_token_cancels_its_tasks_its_children_and_its_waiters() {
    let runtime = runtime(2);
    let token = CancellationToken::new();
    let child = token.child();
    let stopped = Arc::new(AtomicUsize::new(0));
    let fibers: Vec<_> = (0..100)
        .map(|index| {
            let stopped = stopped.clone();
            let of = if index % 2 == 0 { &token } else { &child };
            task::Builder::new().token(of).spawn_on_runtime(&runtime.handle(), move || {
                assert_eq!(sleep::<Native>(LONG), Err(Cancelled));
                stopped.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    let waiter = runtime.spawn_async(child.cancelled());
    token.cancel();
    waiter.join().expect("the waiter ends");
    let never_ran = fibers.into_iter().filter_map(|fiber| fiber.join().err()).count();
    assert_eq!(stopped.load(Ordering::SeqCst) + never_ran, 100);
    assert!(child.is_cancelled());
    let late = task::Builder::new().token(&child).spawn_on_runtime(&runtime.handle(), || ());
    assert!(matches!(late.join(), Err(JoinError::Cancelled)));
}

#[test]
fn a_shutdown_cancels_what_is_left_and_ends() {
    let runtime = runtime(2);
    let fibers: Vec<_> = (0..200).map(|_| runtime.spawn(|| sleep::<Native>(LONG))).collect();
    let futures: Vec<_> =
        (0..200).map(|_| runtime.spawn_async(sleep_async::<Native>(LONG))).collect();
    assert_eq!(runtime.shutdown(LONG), Ok(()));
    for fiber in fibers {
        assert!(matches!(fiber.join(), Ok(Err(Cancelled)) | Err(JoinError::Cancelled)));
    }
    for future in futures {
        assert!(matches!(future.join(), Err(JoinError::Cancelled)));
    }
}

#[test]
fn a_fiber_that_does_not_end_is_left_behind_and_counted() {
    let runtime = runtime(1);
    let handle = runtime.handle();
    let stubborn = runtime.spawn(|| {
        loop {
            // Ignores that it was cancelled.
            let _ = sleep::<Native>(Duration::from_millis(1));
            yield_now::<Native>();
        }
    });
    while !runtime.run(|| true).expect("no panic") {}
    let error = runtime.shutdown(Duration::from_millis(20)).expect_err("it does not end");
    assert_eq!(error.tasks_left, 1);
    let late = handle.spawn(|| ());
    assert!(matches!(late.join(), Err(JoinError::Cancelled)), "a closed runtime takes no tasks");
    drop(stubborn);
}

#[test]
fn spawning_while_the_runtime_shuts_down_neither_hangs_nor_leaks() {
    for _ in 0..50 {
        let runtime = runtime(2);
        let handle = runtime.handle();
        let spawner = std::thread::spawn(move || {
            let mut accepted = 0;
            loop {
                match handle.spawn(|| ()).join() {
                    Ok(()) => accepted += 1,
                    Err(JoinError::Cancelled) => return accepted,
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert_eq!(runtime.shutdown(LONG), Ok(()));
        spawner.join().expect("no panic");
    }
}

#[test]
fn a_runtime_in_a_runtime_is_refused_to_shut_itself_down() {
    let runtime = runtime(1);
    let result = runtime.run(|| {
        let inner = Builder::new().workers(1).build().expect("a runtime");
        let answer = inner.run(|| 9).expect("no panic");
        drop(inner);
        answer
    });
    assert_eq!(result.expect("no panic"), 9);
    runtime
        .run(|| {
            let fiber = spawn::<Native, _, _>(|| 1);
            assert_eq!(fiber.join().expect("no panic"), 1);
        })
        .expect("no panic");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    let error = Builder::new().workers(0).build().expect_err("no workers");
    assert!(error.to_string().contains("must be 1 to 1024"), "{error}");
}
