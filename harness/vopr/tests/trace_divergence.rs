//! A replay that leaves its trace says where, what was there, and in which of three ways.

use core::cell::Cell;

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, Rng};
use raddle_scenarios::scope;
use raddle_vopr::trace::{self, Error, Flow, Observer};
use raddle_vopr::{
    Case, Divergence, FailureKind, INTERVAL, Known, Report, Sim, Simulation, Strategy, Trace,
};

/// What a program does the second time and did not do the first.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    /// An operation that is no decision, in the middle.
    private: bool,
    /// A thread more, at the end.
    thread: bool,
    /// Fewer operations, at the end.
    shorter: bool,
}

fn program(change: Change) {
    let counter = <Sim as Platform>::AtomicUsize::new(0);
    let add = |times: usize| {
        for _ in 0..times {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    };
    scope::<Sim, _>(|threads| {
        threads.spawn(|| add(20));
        add(10);
        if change.private {
            <Sim as Platform>::Rng::u64();
        }
        add(10);
    });
    scope::<Sim, _>(|threads| {
        if change.thread {
            threads.spawn(|| add(5));
        }
        threads.spawn(|| add(if change.shorter { 1 } else { 60 }));
        add(if change.shorter { 1 } else { 60 });
    });
}

fn record() -> Report {
    let report =
        Simulation::new().strategy(Strategy::Random).seed(11).run(|| program(Change::default()));
    report.unwrap();
    assert!(report.trace.decisions.len() > 2 * INTERVAL, "{}", report.decisions);
    report
}

fn replay(trace: &Trace, change: Change) -> Report {
    Simulation::new().replay(trace.clone()).run(|| program(change))
}

/// The report, after it has been the same three times.
fn divergence(trace: &Trace, change: Change) -> Divergence {
    let reports: Vec<_> = (0..3).map(|_| replay(trace, change)).collect();
    for report in &reports {
        let failure = report.failure().expect("it diverges");
        assert_eq!(failure.kind, FailureKind::Divergence, "{failure}");
        assert_eq!(Some(failure), reports[0].failure(), "the same bytes each time");
        assert_eq!(report.divergence, reports[0].divergence);
        assert!(report.replayed().is_err());
        assert_eq!(failure.message(), report.divergence.as_ref().expect("there").to_string());
    }
    *reports[0].divergence.clone().expect("there")
}

#[test]
fn the_same_program_does_not_diverge() {
    let report = record();
    let again = replay(&report.trace, Change::default());
    again.unwrap();
    assert!(again.replayed().is_ok());
    assert_eq!(again.trace, report.trace, "its certificates too");
    assert_eq!(report.trace.certificate(), Some(report.certificate));
}

#[test]
fn another_decision_is_reported_where_it_is_asked_for() {
    let report = record();
    let found = divergence(&report.trace, Change { thread: true, ..Change::default() });
    assert_eq!(found.case, Case::Event, "{found}");
    let (expected, actual) = (found.expected.expect("there"), found.actual.expect("there"));
    assert_eq!(actual.options, expected.options + 1, "{found}");
    assert_eq!(found.enabled.len(), actual.options, "{found}");
    assert_eq!((found.last.len(), found.next.len()), (16, 5), "{found}");
    assert!(found.next[0].starts_with(&format!("decision {}: ", found.index)), "{found}");
    // Up to there the replay is the execution: its certificate is the one that was recorded.
    let (count, full) = found.agreed.expect("it has certificates");
    assert_eq!(report.trace.certificate_after(count as usize), Some(full));
    assert!(found.index - count < INTERVAL as u64, "the last full certificate before: {found}");
    assert_eq!(found.site.rsplit(':').count() - 1, 2, "file, line and column: {found}");
    let text = found.to_string();
    for part in ["divergence at decision", "expected", "actual", "enabled", "goes on with"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_certificate_that_differs_first_is_told_from_its_symptom() {
    let report = record();
    let change = Change { private: true, thread: true, ..Change::default() };
    let found = divergence(&report.trace, change);
    assert_eq!(found.case, Case::CertificateFirst, "{found}");
    let symptom = found.symptom.as_ref().expect("it comes later");
    assert!(found.index < symptom.index && found.step < symptom.step, "{found}");
    assert_ne!(symptom.expected.map(|it| it.options), symptom.actual.map(|it| it.options));
    let (count, _) = found.agreed.expect("it has certificates");
    assert!(count <= found.index && found.index < count + INTERVAL as u64, "{found}");
    assert!(found.to_string().contains("it went another way before"), "{found}");
    // The cause: the decision after the random value, which the last operations show.
    assert!(found.last.iter().any(|line| line.contains("u64")), "{found}");
}

#[test]
fn a_certificate_alone_is_enough() {
    let report = record();
    let found = divergence(&report.trace, Change { private: true, ..Change::default() });
    assert_eq!(found.case, Case::CertificateOnly, "{found}");
    assert_eq!((found.symptom.as_ref(), found.expected), (None, found.actual));
    match found.certificate_expected {
        Known::Full(full) => assert_ne!(full, found.certificate_actual),
        Known::Mark(mark) => {
            let actual = found.certificate_actual.to_string();
            assert!(!actual.ends_with(&format!("{mark:x}")), "{found}");
        }
        Known::Nothing => panic!("{found}"),
    }
    // Without certificates nobody can know.
    let bare = Trace::new(report.trace.seed, report.trace.decisions.clone());
    let change = Change { private: true, ..Change::default() };
    Simulation::new().replay(bare).run(|| program(change)).unwrap();
}

#[test]
fn an_end_that_comes_early_or_not_at_all_is_reported() {
    let report = record();
    let early = divergence(&report.trace, Change { shorter: true, ..Change::default() });
    assert!(early.expected.is_some() || early.actual.is_some(), "{early}");
    let mut cut = report.trace.clone();
    cut.decisions.truncate(cut.decisions.len() - 3);
    let found = divergence(&cut, Change::default());
    assert!(found.is_unexpected_end() && found.expected.is_none(), "{found}");
    let again = replay(&cut, Change::default());
    assert!(matches!(again.replayed(), Err(Error::UnexpectedEnd(_))));
    // Also where it went another way before.
    let change = Change { private: true, ..Change::default() };
    let found = divergence(&cut, change);
    assert_eq!(found.case, Case::CertificateFirst, "{found}");
    assert!(found.expected.is_some() && found.is_unexpected_end(), "{found}");
    assert!(matches!(replay(&cut, change).replayed(), Err(Error::UnexpectedEnd(_))));
    let mut long = report.trace.clone();
    long.decisions.push(long.decisions[0]);
    let found = divergence(&long, Change::default());
    assert!(found.actual.is_none() && !found.is_unexpected_end(), "{found}");
}

#[test]
fn a_failure_of_the_replay_s_own_does_not_hide_the_divergence() {
    let report = record();
    let again = Simulation::new().replay(report.trace.clone()).run(|| {
        <Sim as Platform>::Rng::u64();
        program(Change::default());
        panic!("as planned");
    });
    assert_eq!(again.failure().expect("it failed").kind, FailureKind::Panic);
    let found = again.divergence.as_ref().expect("it is another execution, too");
    assert_eq!(found.case, Case::CertificateOnly, "{found}");
}

#[test]
fn reports_have_a_bounded_size() {
    let names = |thread: bool| {
        let long = "n".repeat(5_000);
        let threads = if thread { 60 } else { 50 };
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                use raddle_platform::Threads;
                let run = || (0..50).for_each(|_| <Sim as Platform>::Threads::yield_now());
                <Sim as Platform>::Threads::spawn(long.clone(), Box::new(run)).expect("a thread")
            })
            .collect();
        for handle in handles {
            use raddle_platform::Threads;
            <Sim as Platform>::Threads::join(handle).expect("it ends");
        }
    };
    let report = Simulation::new().seed(1).run(|| names(false));
    report.unwrap();
    let again = Simulation::new().replay(report.trace.clone()).run(|| names(true));
    let found = again.divergence.as_ref().expect("it diverges");
    assert!(found.to_string().len() < 40_000, "{} bytes", found.to_string().len());
    let (last, rest) = found.enabled.split_last().expect("many can run");
    let left_out = found.actual.expect("it asks").options - rest.len();
    assert_eq!((rest.len(), last.clone()), (32, format!("… and {left_out} more")));
    assert!(rest.iter().all(|it| it.chars().count() <= 201), "texts, too");
}

#[test]
fn an_observer_that_abandons_a_replay_is_no_divergence() {
    let report = record();
    let seen = std::rc::Rc::new(Cell::new(0));
    let counts = std::rc::Rc::clone(&seen);
    let observer = Observer::new(move |moment| {
        counts.set(counts.get() + 1);
        if moment.decision() == 40 { Flow::Abandon } else { Flow::Continue }
    });
    let simulation = Simulation::new().replay(report.trace.clone()).observe(observer);
    let again = simulation.run(|| program(Change::default()));
    assert_eq!(again.failure().expect("it ended early").kind, FailureKind::Abandoned);
    assert_eq!((again.decisions, again.divergence.is_none()), (40, true));
    assert!(seen.get() > 40, "decisions and operations");
}

#[test]
fn two_long_traces_are_compared_by_few_certificates() {
    let long = || {
        let counter = <Sim as Platform>::AtomicUsize::new(0);
        let add = || {
            for _ in 0..4_000 {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        };
        scope::<Sim, _>(|threads| {
            threads.spawn(add);
            add();
        });
    };
    let simulation = Simulation::new().strategy(Strategy::Random).seed(2);
    let one = simulation.run(long);
    for shared in [0, 63, 64, 65, 3_000, 6_999] {
        let trace = one.trace.clone();
        let tail = Strategy::Prefix { trace, decisions: shared, tail: 77 };
        let other = simulation.clone().strategy(tail).run(long);
        let recording = |report| simulation.recording("tests/long", report);
        let difference = trace::diff(&recording(&one), &recording(&other));
        let first = difference.first.expect("they have other tails");
        let common = one.trace.decisions.iter().zip(&other.trace.decisions);
        let common = common.take_while(|(left, right)| left == right).count() as u64;
        assert!(first.index == common && common >= shared as u64, "{first:?}, {common}");
        let interval = INTERVAL as u64;
        assert_eq!(first.agreed.expect("certificates").0, common / interval * interval);
        assert!(first.comparisons <= 64 + 8, "{first:?}");
    }
    let same = trace::diff(
        &simulation.recording("tests/long", &one),
        &simulation.recording("tests/long", &simulation.run(long)),
    );
    assert!(same.is_none() && same.header.is_empty(), "{same}");
}
