//! Whole runtimes: made, used from a thread, and shut down.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::{Atomic, Ordering, Platform};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{JoinError, Runtime, yield_now};

use crate::{Needs, Scenario, scope, spawn};

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |workers| Needs::ATOMICS.threads(workers).parker().driver();
    vec![
        Scenario::new(
            "runtime/one_fiber_to_shutdown",
            "one worker runs one fiber, hands its result to the join, and ends at the shutdown",
            one_fiber_to_shutdown::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "runtime/shutdown_against_spawn",
            "a fiber that is spawned while the runtime shuts down runs, or its join says cancelled",
            shutdown_against_spawn::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "runtime/shutdown_against_another_s_spawn",
            "a task that another thread spawns while the runtime shuts down ends like any other",
            shutdown_against_another_s_spawn::<P>,
        )
        .needs(with(2))
        .bound(2),
        Scenario::new(
            "runtime/shutdown_cancels_who_waits",
            "a shutdown ends the waits of fibers and futures, and returns when they have ended",
            shutdown_cancels_who_waits::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "runtime/forced_shutdown",
            "a shutdown whose time is up says how many tasks it left, or none",
            forced_shutdown::<P>,
        )
        .leaks()
        .needs(with(1).clock())
        .bound(2),
        Scenario::new(
            "runtime/a_plain_thread_yields",
            "threads outside of every runtime give way to each other, and go on",
            a_plain_thread_yields::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
    ]
}

fn a_plain_thread_yields<P: Platform>() {
    let done = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            yield_now::<P>();
            done.swap(true, Ordering::Relaxed);
        });
        yield_now::<P>();
    });
    assert!(done.load(Ordering::Relaxed));
}

fn runtime<P: Platform>(workers: usize) -> Runtime<P> {
    Builder::<P>::new_in().workers(workers).build().expect("a runtime")
}

fn end<P: Platform>(runtime: Runtime<P>) {
    assert_eq!(runtime.shutdown(Duration::MAX), Ok(()), "no task is left");
}

fn one_fiber_to_shutdown<P: Platform>() {
    let runtime = runtime::<P>(1);
    let fiber = runtime.spawn(|| {
        yield_now::<P>();
        7
    });
    assert_eq!(fiber.join().expect("it ran"), 7);
    let handle = runtime.handle();
    assert_ne!(handle.driver_name(), "");
    end(runtime);
    let late = [handle.spawn(|| 7), handle.spawn_async(async { 7 })];
    for task in late {
        assert!(matches!(task.join(), Err(JoinError::Cancelled)), "the runtime has ended");
    }
}

fn shutdown_against_spawn<P: Platform>() {
    let runtime = runtime::<P>(1);
    let fiber = runtime.spawn(|| 7);
    end(runtime);
    assert!(fiber.is_finished(), "no task outlives its runtime");
    if let Ok(value) = fiber.join() {
        assert_eq!(value, 7);
    }
}

fn shutdown_cancels_who_waits<P: Platform>() {
    let runtime = runtime::<P>(1);
    let never = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let theirs = never.clone();
    let fiber = runtime.spawn(move || theirs.acquire_cancellable().is_err());
    end(runtime);
    assert!(fiber.join().unwrap_or(true), "cancelled out of its wait, or before it started");
    assert_eq!(never.available_permits(), 0);
}

fn forced_shutdown<P: Platform>() {
    let runtime = runtime::<P>(1);
    let fiber = runtime.spawn_async(async { 7 });
    match runtime.shutdown(Duration::from_nanos(1)) {
        Ok(()) => assert!(fiber.is_finished()),
        Err(left) => assert_eq!(left.tasks_left, 1, "who reports a task left had seen one"),
    }
}

fn shutdown_against_another_s_spawn<P: Platform>() {
    let runtime = runtime::<P>(1);
    let handle = runtime.handle();
    let spawner = spawn::<P, _>(move || handle.spawn_async(async { 7 }));
    end(runtime);
    let task = spawner.join();
    assert!(task.is_finished(), "no task outlives its runtime");
    drop(task);
}
