//! Executions that run as far as they are told, and replays that go forwards and back.

use core::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raddle_parking_lot::ParkingMutex;
use raddle_platform::{Atomic, AtomicInt, Clock, Ordering, Parker, Platform};
use raddle_runtime::{Runtime, checkpoint, runtime, sleep};
use raddle_scenarios::scope;
use raddle_vopr::trace::{self, Error};
use raddle_vopr::{
    FailureKind, Faults, Progress, Replayer, Report, Sim, Simulation, Stop, Trace, inspect,
};

const MS: Duration = Duration::from_millis(1);

/// Fibers that sleep for different times, and a lock between them, on the runtime that ships.
fn sleepers(log: &Rc<RefCell<Vec<u64>>>) {
    let (sender, woken) = std::sync::mpsc::channel();
    let runtime: Runtime<Sim> =
        runtime::Builder::new_in().workers(2).build().expect("a runtime starts");
    let done = runtime.run(move || {
        let total = ParkingMutex::<u64, Sim>::new_in(0);
        raddle_runtime::scope::<Sim, _, _>(|tasks| {
            for number in 1..4_u32 {
                let (sender, total) = (sender.clone(), &total);
                tasks.spawn(move || {
                    sleep::<Sim>(MS * number).expect("nobody cancels");
                    checkpoint::<Sim>("woken", u64::from(number));
                    *total.lock() += 1;
                    sender.send(u64::from(number)).expect("somebody listens");
                });
            }
        });
    });
    done.expect("it does not panic");
    runtime.shutdown(60_000 * MS).expect("it ends");
    log.borrow_mut().extend(woken.try_iter());
}

fn replay(report: &Report) -> (Report, Vec<u64>) {
    let log = Rc::default();
    let again = Simulation::new().replay(report.trace.clone()).run(|| sleepers(&log));
    (again, log.take())
}

/// Whatever is done to an execution from outside, its trace leads to the same one without that.
#[test]
fn what_was_controlled_is_replayed_without_control() {
    for seed in 0..40_u64 {
        let log = Rc::default();
        let mut execution = Simulation::new().seed(seed).start(|| sleepers(&log));
        execution.step_n(seed * 7);
        execution.advance(MS);
        execution.step_n(3);
        execution.advance(MS * (seed as u32 % 4));
        if seed % 2 == 0 {
            execution.run_until(|at| at.now >= 2 * MS && at.steps % 5 == 0);
        }
        let partial = execution.take_trace();
        let report = execution.finish();
        report.unwrap();
        assert_eq!(log.borrow().len(), 3);
        assert!(!report.trace.control.is_empty());
        assert_eq!(report.trace.decisions[..partial.decisions.len()], partial.decisions);
        let (again, woken) = replay(&report);
        again.unwrap();
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps), "{seed}");
        assert_eq!((again.virtual_time, woken), (report.virtual_time, log.take()));
        assert_eq!(again.trace, report.trace);
        // The orders are in the text, and in the file.
        assert_eq!(
            report.trace.to_string().parse::<Trace>().map(|it| it.control),
            Ok(report.trace.control.clone())
        );
        let simulation = Simulation::new().seed(seed);
        let bytes =
            trace::encode(&simulation.recording("tests/sleepers", &report)).expect("it fits");
        let recording = trace::decode(&bytes).expect("it is whole");
        assert_eq!(recording.trace, report.trace);
        let log = Rc::default();
        let again = recording.simulation().expect("its settings").run(|| sleepers(&log));
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps), "{seed}");
    }
}

#[test]
fn standing_still_changes_nothing() {
    for seed in 0..30 {
        let log = Rc::default();
        let simulation = Simulation::new().seed(seed).strategy(raddle_vopr::Strategy::Random);
        let report = simulation.run(|| sleepers(&log));
        let mut replayer =
            Replayer::new(&simulation.clone().replay(report.trace.clone()), || sleepers(&log));
        let mut steps = 0;
        while replayer.next().is_some() {
            steps += 1;
            assert!(replayer.verify().is_ok());
        }
        assert!(steps >= report.steps - 1, "{steps} of {}", report.steps);
        let again = replayer.finish();
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps), "{seed}");
    }
}

#[test]
fn time_comes_as_far_as_it_may_and_no_further() {
    for seed in 0..30 {
        let log = Rc::default();
        let mut execution = Simulation::new().seed(seed).start(|| sleepers(&log));
        assert_eq!(execution.run_until_quiescent(), Progress::Quiescent);
        assert_eq!(execution.now(), Duration::ZERO);
        assert_eq!(execution.peek(), None, "nobody can run");
        assert_eq!(execution.step_n(5), Progress::Quiescent, "nor when told to");
        execution.advance(Duration::from_micros(1));
        assert_eq!(execution.now(), Duration::from_micros(1), "with no deadline at all");
        assert_eq!(execution.advance(4 * MS), Progress::Over);
        let report = execution.finish();
        report.unwrap();
        assert_eq!(log.borrow().len(), 3);
        assert_eq!(replay(&report).0.certificate, report.certificate);
    }
}

#[test]
fn a_deadlock_is_found_though_time_is_held() {
    let mut execution =
        Simulation::new().spurious_wakes(false).start(<Sim as Platform>::Parker::park);
    assert_eq!(execution.run_until_quiescent(), Progress::Over);
    assert_eq!(execution.failure().expect("it is stuck").kind, FailureKind::Deadlock);
    assert_eq!(execution.finish().failure().expect("still").kind, FailureKind::Deadlock);
}

#[test]
fn two_executions_stand_beside_each_other() {
    let run = |execution: &mut raddle_vopr::Execution<'_>| {
        let mut certificates = Vec::new();
        while execution.step_n(10) == Progress::Running {
            certificates.push(execution.certificate());
        }
        certificates
    };
    let logs = [Rc::default(), Rc::default()];
    let start = |seed: u64| Simulation::new().seed(seed).start(|| sleepers(&logs[0]));
    let alone = [run(&mut start(1)), run(&mut start(2))];
    let mut both = [start(1), start(2)];
    let mut together = [Vec::new(), Vec::new()];
    for _ in 0..alone[0].len().max(alone[1].len()) {
        for (execution, certificates) in both.iter_mut().zip(&mut together) {
            if execution.step_n(10) == Progress::Running {
                certificates.push(execution.certificate());
            }
        }
    }
    assert_eq!(together, alone);
    // And a whole simulation in between harms neither.
    Simulation::new().run(|| _ = <Sim as Platform>::Clock::now()).unwrap();
    let [first, _] = both;
    first.finish().unwrap();
    assert_eq!(logs[0].borrow().len(), 3);
}

#[test]
fn an_abandoned_execution_runs_no_destructor() {
    struct Loud<'a>(&'a Cell<bool>);
    impl Drop for Loud<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Cell::new(false);
    let mut execution = Simulation::new().start(|| {
        let _loud = Loud(&dropped);
        for _ in 0..100 {
            <Sim as Platform>::Clock::now();
        }
    });
    assert_eq!(execution.step_n(50), Progress::Running);
    drop(execution);
    assert!(!dropped.get());
    let message = std::panic::catch_unwind(|| panic!("outside")).expect_err("it panics");
    assert_eq!(message.downcast_ref(), Some(&"outside"), "the test's own panics are its own");
}

fn counting() {
    let counter = <Sim as Platform>::AtomicUsize::new(0);
    let shown = Arc::new(Mutex::new(0));
    let theirs = Arc::clone(&shown);
    inspect("counted", move || theirs.lock().expect("no panic").to_string());
    scope::<Sim, _>(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..10 {
                    let now = counter.fetch_add(1, Ordering::Relaxed) + 1;
                    *shown.lock().expect("no panic") = now;
                    checkpoint::<Sim>("counted", now as u64);
                }
            });
        }
    });
    <Sim as Platform>::Parker::park_until(<Sim as Platform>::Clock::now() + MS);
}

#[test]
fn a_replay_stops_where_it_is_told() {
    let simulation = Simulation::new().seed(5);
    let report = simulation.run(counting);
    report.unwrap();
    assert_eq!(report.state, [("counted".to_owned(), "20".to_owned())]);
    let simulation = simulation.replay(report.trace.clone());
    let stopped = |stop: Stop| {
        let mut replayer = Replayer::new(&simulation, counting);
        assert_eq!(replayer.run_to(stop), Progress::Running);
        replayer
    };
    assert_eq!(stopped(Stop::Step(17)).position().steps, 17);
    assert_eq!(stopped(Stop::Decision(9)).position().decisions, 9);
    assert!(stopped(Stop::Time(MS)).position().now >= MS);
    let mut replayer = stopped(Stop::Step(17));
    replayer.run_to(Stop::Step(5));
    assert_eq!(replayer.position().steps, 18, "by one at least");
    for number in 25..35 {
        let mut replayer = stopped(Stop::Event(number));
        assert!(replayer.events() >= number);
        replayer.back();
        assert!(replayer.events() < number, "it stops as soon as it can");
    }
    assert_eq!(stopped(Stop::Thread(2)).last().expect("there").thread, 2);
    let seventh =
        |event: &trace::Event| event.kind() == "Checkpoint" && event.field("value") == Some(7);
    let mut replayer = stopped(Stop::When(Box::new(seventh)));
    assert_eq!(replayer.state()[0].1, "7");
    let (place, threads) = (replayer.position(), replayer.threads());
    replayer.back();
    replayer.back();
    assert_eq!(replayer.position().steps, place.steps - 2);
    replayer.seek(place.steps);
    assert_eq!((replayer.position(), replayer.threads()), (place, threads));
    let upcoming = replayer.peek().expect("it goes on");
    let logged = upcoming.logged.expect("the trace goes on");
    assert!(upcoming.options.len() == logged.options() || upcoming.options.len() == 1);
    replayer.reset();
    let fresh = Replayer::new(&simulation, counting);
    assert_eq!((replayer.position(), replayer.events()), (fresh.position(), fresh.events()));
    assert_eq!(replayer.run(), Progress::Over);
    assert_eq!((replayer.next(), replayer.peek()), (None, None));
    assert_eq!(replayer.finish().certificate, report.certificate);
}

#[test]
fn a_stop_at_a_task_is_where_it_runs() {
    let log = Rc::default();
    let simulation = Simulation::new().seed(9);
    let report = simulation.run(|| sleepers(&log));
    let mut replayer = Replayer::new(&simulation.replay(report.trace.clone()), || sleepers(&log));
    replayer.run_to(Stop::Task(3));
    assert_eq!(replayer.last().expect("told").field("task"), Some(3));
    assert_eq!(replayer.finish().certificate, report.certificate);
}

#[test]
fn a_replay_of_another_program_says_so_where_it_parts() {
    let report = Simulation::new().seed(5).run(counting);
    let other = || {
        <Sim as Platform>::Clock::now();
        counting();
    };
    let mut replayer = Replayer::new(&Simulation::new().replay(report.trace.clone()), other);
    assert!(replayer.verify().is_ok(), "nothing has happened");
    replayer.run();
    assert!(matches!(replayer.verify(), Err(Error::Divergence(_) | Error::UnexpectedEnd(_))));
}

#[test]
fn a_hook_that_panics_harms_nobody() {
    let mut execution = Simulation::new().start(|| {
        inspect("wrong", || panic!("on purpose"));
        <Sim as Platform>::Clock::now();
    });
    execution.run_until_quiescent();
    assert!(execution.state()[0].1.contains("panicked"));
    execution.finish().unwrap();
}

#[test]
fn faults_strike_under_control_too() {
    for seed in 0..20 {
        let faults = Faults::none().rate(raddle_vopr::FaultKind::Pause, 2048);
        let log = Rc::default();
        let simulation = Simulation::new().seed(seed).faults(faults);
        let mut execution = simulation.start(|| sleepers(&log));
        while execution.advance(MS) != Progress::Over {}
        let report = execution.finish();
        report.unwrap();
        let again = simulation.replay(report.trace.clone()).run(|| sleepers(&log));
        again.unwrap();
        assert_eq!((again.certificate, again.faults), (report.certificate, report.faults));
    }
}
