//! Planted bugs are found within a few hundred seeds, and their traces lead to the same failure.

use raddle_parking_lot::ParkingMutex;
use raddle_platform::{Atomic, Instant, Ordering, Parker, Platform, RaceCell};
use raddle_scenarios::scope;
use raddle_vopr::{FailureKind, Granularity, Limits, Report, Sim, Simulation, Strategy};

/// The report of the first seed that fails.
fn first_failure(simulation: Simulation, program: impl Fn()) -> Report {
    let mut reports = (0..300).map(|seed| simulation.clone().seed(seed).run(&program));
    reports.find(|report| report.failure().is_some()).expect("found within 300 seeds")
}

/// Finds a failure of `kind` by each strategy that looks for any, and replays each ten times.
fn is_found(kind: FailureKind, program: impl Fn()) {
    for strategy in [Strategy::Random, Strategy::Pct { depth: 3 }, Strategy::Portfolio] {
        let report = first_failure(Simulation::new().strategy(strategy.clone()), &program);
        let failure = report.failure().expect("it failed");
        assert_eq!(failure.kind, kind, "{strategy:?}: {failure}");
        for _ in 0..10 {
            let again = Simulation::new().replay(report.trace.clone()).run(&program);
            assert_eq!(again.failure(), Some(failure), "{strategy:?}");
            assert_eq!(again.certificate, report.certificate);
            assert_eq!((again.steps, &again.trace), (report.steps, &report.trace));
        }
    }
}

fn lost_update() {
    let counter = <Sim as Platform>::AtomicUsize::new(0);
    let add = || {
        let value = counter.load(Ordering::Relaxed);
        counter.store(value + 1, Ordering::Relaxed);
    };
    scope::<Sim, _>(|threads| {
        threads.spawn(add);
        add();
    });
    assert_eq!(counter.load(Ordering::Relaxed), 2, "an update was lost");
}

#[test]
fn a_lost_update_is_found() {
    is_found(FailureKind::Panic, lost_update);
}

fn opposite_orders() {
    let (first, second) =
        (ParkingMutex::<u32, Sim>::new_in(0), ParkingMutex::<u32, Sim>::new_in(0));
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            let _second = second.lock();
            let _first = first.lock();
        });
        let _first = first.lock();
        let _second = second.lock();
    });
}

#[test]
fn two_locks_taken_in_opposite_orders_are_found() {
    is_found(FailureKind::Deadlock, opposite_orders);
    let report = first_failure(Simulation::new(), opposite_orders);
    let message = report.failure().expect("it failed").message();
    for part in ["thread 0 (main)", "thread 1 (scenario)", "is in park at"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn blocking_granularity_finds_what_blocks() {
    let simulation = Simulation::new().granularity(Granularity::Blocking);
    let report = first_failure(simulation.clone(), || {
        // The second critical section begins at a blocking operation, so it can come in between.
        let first = ParkingMutex::<u32, Sim>::new_in(0);
        let second = ParkingMutex::<u32, Sim>::new_in(0);
        let yields = || raddle_platform::suspend::with_current::<Sim, _>(|it| it.yield_now());
        scope::<Sim, _>(|threads| {
            threads.spawn(|| {
                let _second = second.lock();
                yields();
                let _first = first.lock();
            });
            let _first = first.lock();
            yields();
            let _second = second.lock();
        });
    });
    assert_eq!(report.failure().expect("it failed").kind, FailureKind::Deadlock);
    let fine = simulation.seed(1).run(lost_update);
    assert_eq!(fine.failure(), None, "nothing blocks between the load and the store");
}

struct Shared(RaceCell<u32, Sim>, <Sim as Platform>::AtomicBool);

/// A flag publishes the cell, by `store` and `load`.
fn publication(store: Ordering, load: Ordering) {
    let shared = Shared(RaceCell::new_in(0), <Sim as Platform>::AtomicBool::new(false));
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: the property under test.
            unsafe { shared.0.with_mut(|value| *value = 7) };
            shared.1.store(true, store);
        });
        if shared.1.load(load) {
            // SAFETY: the property under test.
            assert_eq!(unsafe { shared.0.with(|value| *value) }, 7);
        }
    });
}

#[test]
fn a_data_race_on_a_cell_is_found() {
    is_found(FailureKind::DataRace, || publication(Ordering::Relaxed, Ordering::Acquire));
    is_found(FailureKind::DataRace, || publication(Ordering::Release, Ordering::Relaxed));
    for seed in 0..200 {
        let fine = || publication(Ordering::Release, Ordering::Acquire);
        Simulation::new().seed(seed).run(fine).unwrap();
    }
}

/// A waiter that looks at the flag and parks; the waker is told to it through `waker`.
fn sleep_and_wake(look_again: bool) {
    let ready = <Sim as Platform>::AtomicBool::new(false);
    let asleep = <Sim as Platform>::AtomicBool::new(false);
    let waker = <Sim as Platform>::Parker::waker();
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            // ORDERING: SeqCst: both sides of a store and a load of the other's flag.
            ready.store(true, Ordering::SeqCst);
            if asleep.load(Ordering::SeqCst) {
                waker.wake_by_ref();
            }
        });
        if !ready.load(Ordering::SeqCst) {
            asleep.store(true, Ordering::SeqCst);
            while !look_again || !ready.load(Ordering::SeqCst) {
                <Sim as Platform>::Parker::park();
                if !look_again {
                    break;
                }
            }
        }
    });
}

#[test]
fn a_lost_wakeup_is_found() {
    is_found(FailureKind::Deadlock, || sleep_and_wake(false));
    for seed in 0..200 {
        Simulation::new().seed(seed).run(|| sleep_and_wake(true)).unwrap();
    }
}

#[test]
fn a_thread_that_never_ends_is_a_leak() {
    is_found(FailureKind::Leak, || {
        let ready = <Sim as Platform>::AtomicBool::new(false);
        let _unjoined = raddle_scenarios::spawn::<Sim, _>(<Sim as Platform>::Parker::park);
        ready.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_loop_without_progress_is_a_livelock() {
    let limits = Limits { steps: 5_000, ..Limits::default() };
    let spin = || {
        let flag = <Sim as Platform>::AtomicBool::new(false);
        while !flag.load(Ordering::Relaxed) {
            Sim::spin_loop();
        }
    };
    let report = Simulation::new().limits(limits).run(spin);
    let failure = report.failure().expect("it failed");
    assert_eq!((failure.kind, failure.step), (FailureKind::Livelock, 5_001));
    assert!(failure.history.contains("spin_loop"), "{failure}");
}

#[test]
fn a_failed_execution_runs_no_destructor_and_says_what_it_left() {
    struct Sets<'a>(&'a core::cell::Cell<bool>);
    impl Drop for Sets<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = core::cell::Cell::new(false);
    let report = Simulation::new().run(|| {
        let _sets = Sets(&dropped);
        loop {
            <Sim as Platform>::Parker::park();
        }
    });
    assert_eq!(report.failure().expect("it failed").kind, FailureKind::Deadlock);
    assert!(!dropped.get());
    assert_eq!(report.abandoned.threads, 1);
}

#[test]
fn a_panic_that_somebody_joins_is_that_ones_business() {
    let caught = || {
        let end = std::panic::catch_unwind(|| {
            raddle_scenarios::spawn::<Sim, ()>(|| panic!("as planned")).join();
        });
        assert!(end.is_err());
    };
    Simulation::new().seed(1).run(caught).unwrap();
    let unheard = || {
        let _unjoined = raddle_scenarios::spawn::<Sim, ()>(|| panic!("as planned"));
    };
    let report = Simulation::new().seed(1).run(unheard);
    let failure = report.failure().expect("it failed");
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.messages[0].contains("as planned"), "{failure}");
}

#[test]
fn time_comes_in_the_order_of_deadlines_and_not_before_them() {
    for seed in 0..200 {
        let report = Simulation::new().seed(seed).run(|| {
            let order = ParkingMutex::<Vec<u64>, Sim>::new_in(Vec::new());
            scope::<Sim, _>(|threads| {
                for deadline in [30, 10, 20] {
                    let order = &order;
                    threads.spawn(move || {
                        use raddle_platform::Clock;
                        let now = <Sim as Platform>::Clock::now;
                        while now() < Instant::from_nanos(deadline) {
                            <Sim as Platform>::Parker::park_until(Instant::from_nanos(deadline));
                        }
                        order.lock().push(now().as_nanos());
                    });
                }
            });
            let order = order.into_inner();
            assert!(order.is_sorted() && order.iter().max() == Some(&30), "{order:?}");
        });
        report.unwrap();
    }
}

/// A spawn that fails gives its body back to be dropped, with all that the body owns of the world.
#[test]
fn more_threads_than_a_simulation_has_are_refused() {
    use raddle_platform::Threads;
    type T = <Sim as Platform>::Threads;
    let report = Simulation::new().seed(1).run(|| {
        let word = raddle_ownership::Arc::<_, Sim>::new_in(7);
        let refused = (0..5000).any(|_| {
            let theirs = word.clone();
            match T::spawn(String::new(), Box::new(move || drop(theirs))) {
                Ok(thread) => {
                    T::join(thread).expect("no panic");
                    false
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::QuotaExceeded);
                    true
                }
            }
        });
        assert!(refused);
    });
    report.unwrap();
}
