//! The runtime, through its real run loop.

use core::time::Duration;

use raddle_parking_lot::Semaphore;
use raddle_platform::Platform;
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn, yield_now};

use crate::{Needs, Scenario};

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "runtime/one_fiber_to_shutdown",
            "one worker runs one fiber, hands its result to the join, and ends at the shutdown",
            one_fiber_to_shutdown::<P>,
        )
        .needs(Needs::ATOMICS.threads(1).parker().driver())
        .bound(2),
        Scenario::new(
            "runtime/shutdown_against_spawn",
            "a fiber that is spawned while the runtime shuts down runs, or its join says cancelled",
            shutdown_against_spawn::<P>,
        )
        .needs(Needs::ATOMICS.threads(1).parker().driver())
        .bound(1),
        Scenario::new(
            "runtime/two_fibers_wake_each_other",
            "two fibers of one worker block and wake each other until both are done",
            two_fibers_wake_each_other::<P>,
        )
        .needs(Needs::ATOMICS.threads(1).parker().driver())
        .bound(1),
        Scenario::new(
            "runtime/spawn_and_join_across_workers",
            "a fiber that is spawned by another is found by a worker, and its result by the join",
            spawn_and_join_across_workers::<P>,
        )
        .needs(Needs::ATOMICS.threads(2).parker().driver())
        .bound(1)
        .may_time_out(),
    ]
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
    end(runtime);
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

fn two_fibers_wake_each_other<P: Platform>() {
    let runtime = runtime::<P>(1);
    let result = runtime.run(|| {
        let turns = raddle_ownership::Arc::<_, P>::new_in((
            Semaphore::<P>::new_in(0),
            Semaphore::<P>::new_in(0),
        ));
        let theirs = turns.clone();
        let other = spawn::<P, _, _>(move || {
            theirs.0.acquire().forget();
            theirs.1.add_permits(1);
        });
        turns.0.add_permits(1);
        turns.1.acquire().forget();
        other.join().is_ok()
    });
    assert!(result.expect("it ran"));
    end(runtime);
}

fn spawn_and_join_across_workers<P: Platform>() {
    let runtime = runtime::<P>(2);
    let result = runtime.run(|| spawn::<P, _, _>(|| 7).join().expect("it ran"));
    assert_eq!(result.expect("it ran"), 7);
    end(runtime);
}
