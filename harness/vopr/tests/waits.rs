//! What a deadlock's report says: who waits for what, who has it, and since where.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::{Condvar, ParkingMutex, ParkingRwLock, Semaphore};
use raddle_runtime::{runtime, task};
use raddle_scenarios::scope;
use raddle_vopr::{FailureKind, Report, Sim, Simulation};

type Mutex = ParkingMutex<u32, Sim>;

/// The first failure of `program`.
fn first_failure(program: impl Fn()) -> Report {
    let simulation = Simulation::new();
    let reports = (0..1_000).map(|seed| simulation.clone().seed(seed).run(&program));
    reports.into_iter().find(|report| report.failure().is_some()).expect("a seed finds it")
}

fn deadlock(program: impl Fn()) -> String {
    let report = first_failure(&program);
    let failure = report.failure().expect("it failed");
    assert!(matches!(failure.kind, FailureKind::Deadlock | FailureKind::Leak), "{failure}");
    let again = Simulation::new().replay(report.trace.clone()).run(&program);
    assert_eq!(again.failure(), Some(failure), "the report is the same in a replay");
    failure.message().to_owned()
}

fn lock_both(first: &Mutex, second: &Mutex) {
    let first = first.lock();
    let second = second.lock();
    drop((first, second));
}

#[test]
fn two_threads_that_lock_in_two_orders_are_named_with_what_they_have() {
    let message = deadlock(|| {
        let (a, b) = (Mutex::new_in(0), Mutex::new_in(0));
        scope::<Sim, _>(|threads| {
            threads.spawn(|| lock_both(&a, &b));
            lock_both(&b, &a);
        });
    });
    assert!(message.contains("thread 0 waits for mutex#0, which thread 1 has since "), "{message}");
    assert!(message.contains("thread 1 waits for mutex#1, which thread 0 has since "), "{message}");
    let circle = "in a circle: thread 0 waits for thread 1 waits for thread 0";
    assert!(message.contains(circle), "{message}");
}

/// Two fibers with names, of which each has what the other wants.
fn two_fibers() {
    let runtime = runtime::Builder::<Sim>::new_in().workers(2).build().expect("a runtime");
    let handle = runtime.handle();
    let named = |name| task::Builder::<Sim>::new_in().name(name);
    let locks = Arc::<_, Sim>::new_in((Mutex::new_in(0), Mutex::new_in(0)));
    let (there, back) = (locks.clone(), locks);
    let first = named("warp").spawn_on_runtime(&handle, move || lock_both(&there.0, &there.1));
    let second = named("weft").spawn_on_runtime(&handle, move || lock_both(&back.1, &back.0));
    let _ = (first.join(), second.join());
    runtime.shutdown(Duration::from_secs(1)).expect("it ends");
}

#[test]
fn two_fibers_that_lock_in_two_orders_are_named_with_what_they_have() {
    let message = deadlock(two_fibers);
    assert!(message.contains("(warp) waits for mutex#"), "{message}");
    assert!(message.contains("(weft) waits for mutex#"), "{message}");
    assert!(message.contains("thread 0 waits for task#"), "{message}");
    assert!(message.contains("in a circle: task "), "{message}");
}

#[test]
fn a_guard_that_is_never_dropped_is_named() {
    let message = deadlock(|| {
        let lock = ParkingRwLock::<u32, Sim>::new_in(0);
        core::mem::forget(lock.read());
        drop(lock.write());
    });
    assert!(
        message.contains("thread 0 waits for rwlock#0, which thread 0 has since "),
        "{message}"
    );
}

#[test]
fn a_wait_that_nobody_ends_says_for_what() {
    let message = deadlock(|| Semaphore::<Sim>::new_in(0).acquire().forget());
    assert!(message.contains("thread 0 waits for semaphore#0"), "{message}");
    let message = deadlock(|| {
        let (lock, never) = (Mutex::new_in(0), Condvar::<Sim>::new_in());
        never.wait(&mut lock.lock());
    });
    assert!(message.contains("thread 0 waits for condvar#1"), "{message}");
}

#[test]
fn what_was_waited_for_before_is_forgotten() {
    let message = deadlock(|| {
        let (lock, never) = (Mutex::new_in(0), Semaphore::<Sim>::new_in(0));
        scope::<Sim, _>(|threads| {
            threads.spawn(|| drop(lock.lock()));
            drop(lock.lock());
            drop(lock.try_lock_for(Duration::from_nanos(10)));
            never.acquire().forget();
        });
    });
    assert!(message.contains("thread 0 waits for semaphore#"), "{message}");
    assert!(!message.contains("waits for mutex"), "{message}");
}
