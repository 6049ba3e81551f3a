//! What is observed of an execution: by level and filter, within its room, and without any effect.

use std::collections::BTreeSet;

use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Parker, Platform, Rng};
use raddle_scenarios::scope;
use raddle_vopr::trace::{self, Event, Filter, Level, Overflow, Record, What};
use raddle_vopr::{FailureKind, OFFERS, Report, Sim, Simulation, scenarios};

fn program() {
    let counter = <Sim as Platform>::AtomicUsize::new(0);
    scope::<Sim, _>(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for _ in 0..50 {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                <Sim as Platform>::Rng::u64();
                <Sim as Platform>::Parker::park_until(Instant::from_nanos(50));
            });
        }
    });
}

fn run(record: Record) -> Report {
    Simulation::new().seed(5).record(record).run(program)
}

fn events(report: &Report) -> Vec<Event> {
    report.events.as_ref().map(|events| events.iter().collect()).unwrap_or_default()
}

#[test]
fn recording_changes_no_execution() {
    let plain = run(Record::default());
    plain.unwrap();
    assert!(plain.events.is_none());
    for level in [Level::Blocking, Level::Operations] {
        let report = run(Record::level(level));
        assert_eq!((report.certificate, report.steps), (plain.certificate, plain.steps));
        assert!(events(&report).len() > 10);
    }
}

#[test]
fn levels_and_filters_say_what_is_wanted() {
    let every = events(&run(Record::level(Level::Operations)));
    let blocking = events(&run(Record::level(Level::Blocking)));
    assert!(every.iter().any(|event| event.kind() == "fetch_add"));
    assert!(blocking.iter().all(|event| event.kind() != "fetch_add"));
    // The coarser is a part of the finer.
    assert!(blocking.iter().all(|event| every.contains(event)));
    assert!(every.is_sorted_by_key(|event| (event.step, event.decision)));
    let with = |filter| events(&run(Record { filter, ..Record::level(Level::Operations) }));
    let threads = with(Filter { threads: vec![1], ..Filter::default() });
    let expected: Vec<_> = every.iter().filter(|event| event.thread == 1).cloned().collect();
    assert_eq!(threads, expected);
    let kinds = with(Filter { kinds: vec!["u64".to_owned()], ..Filter::default() });
    assert_eq!(kinds.len(), 2);
    let here = with(Filter { sites: vec!["trace_events.rs".to_owned()], ..Filter::default() });
    assert!(here.len() < every.len() && here.iter().all(|it| it.site.contains("trace_events")));
    let late = Record { from_step: 60, ..Record::level(Level::Operations) };
    let late = events(&run(late));
    assert!(late.iter().all(|event| event.step >= 60) && late.last() == every.last());
}

#[test]
fn room_is_bounded_by_each_policy() {
    let every = events(&run(Record::level(Level::Operations)));
    let small = |overflow| {
        let record = Record { cap_bytes: 800, overflow, ..Record::level(Level::Operations) };
        run(record)
    };
    let stop = small(Overflow::Stop);
    let first = events(&stop);
    assert_eq!(first, every[..first.len()]);
    let ring = small(Overflow::Ring);
    let last = events(&ring);
    assert_eq!(last, every[every.len() - last.len()..]);
    for report in [&stop, &ring] {
        let kept = report.events.as_ref().expect("recorded");
        assert!(kept.bytes() <= 800 && kept.count() > 5, "{} bytes", kept.bytes());
        assert_eq!(kept.count() + kept.dropped(), every.len() as u64);
    }
    let fail = small(Overflow::Fail);
    assert_eq!(fail.failure().expect("no room").kind, FailureKind::Recording);
}

/// Every kind of event that the platform has is emitted by the code that ships, in the scenarios
/// that run it, and is in the file afterwards.
#[test]
fn what_the_program_tells_survives_a_file() {
    let mut kinds = BTreeSet::new();
    let mut names = BTreeSet::new();
    for scenario in scenarios() {
        let tells = scenario.needs.driver || scenario.name.starts_with("mutex/");
        if !tells || !scenario.needs.unmet(&OFFERS).is_empty() {
            continue;
        }
        for seed in 0..40 {
            let simulation = Simulation::new().seed(seed).record(Record::level(Level::Blocking));
            let report = simulation.run(|| scenario.run());
            let recording = simulation.recording(scenario.name, &report);
            let bytes = trace::encode(&recording).expect("it fits");
            let read = trace::decode(&bytes).expect("it is whole");
            assert_eq!(read, recording, "{}", scenario.name);
            for event in read.events.iter() {
                if let What::Told { kind, fields } = &event.what {
                    kinds.insert(kind.to_string());
                    assert!(&**kind != "Scheduled" || fields.len() == 2, "{event}");
                } else {
                    names.insert(event.kind().to_owned());
                }
            }
        }
    }
    let told = [
        "Acquired",
        "Cancelled",
        "Completed",
        "Parked",
        "Released",
        "Scheduled",
        "Spawned",
        "ScopeClosed",
        "ScopeOpened",
        "Stolen",
        "TimerCleared",
        "TimerSet",
        "TimersFired",
        "WaitsFor",
        "Woken",
        "Yielded",
    ];
    for kind in told {
        // Whoever adds a kind adds it here, too.
        assert!(kinds.contains(kind), "{kind} is told by nobody: {kinds:?}");
    }
    for name in ["spawn", "park", "wake", "join", "time advances", "notify", "wait"] {
        assert!(names.contains(name), "{name} is never observed: {names:?}");
    }
}
