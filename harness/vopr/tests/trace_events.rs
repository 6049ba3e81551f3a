//! What is observed of an execution: by level and filter, within its room, and without any effect.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::time::Duration;

use raddle_parking_lot::ParkingRwLock;
use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Parker, Platform, Rng};
use raddle_runtime::net::{TcpListener, TcpStream};
use raddle_runtime::{Runtime, checkpoint, runtime, sleep, spawn, yield_now};
use raddle_scenarios::scope;
use raddle_vopr::trace::{self, Event, Filter, Level, Observed, Overflow, Record};
use raddle_vopr::{
    FailureKind, FaultKind, Faults, OFFERS, Report, Sim, Simulation, net, scenarios,
};

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
    // An event keeps its number, whatever was dropped before it.
    let recording = Simulation::new().recording("tests/ring", &ring);
    let bytes = trace::encode(&recording).expect("it fits");
    let reader = trace::Reader::new(io::Cursor::new(&bytes)).expect("whole");
    let mut number = recording.events.dropped();
    assert!(number > 0);
    for place in reader.places().iter().filter(|it| it.kind == trace::ChunkKind::Events) {
        assert_eq!(place.first, number);
        number += place.count;
    }
    assert_eq!(number, every.len() as u64);
    let fail = small(Overflow::Fail);
    assert_eq!(fail.failure().expect("no room").kind, FailureKind::Recording);
    // Whatever the room is, it is enough, and is used.
    for cap_bytes in (300..2_000).step_by(37) {
        for overflow in [Overflow::Stop, Overflow::Ring] {
            let record = Record { cap_bytes, overflow, ..Record::level(Level::Operations) };
            let report = run(record);
            let kept = report.events.as_ref().expect("recorded");
            assert!(kept.bytes() <= cap_bytes, "{overflow:?}: {} of {cap_bytes}", kept.bytes());
            assert!(kept.bytes() >= cap_bytes / 2 || kept.dropped() == 0, "{overflow:?}");
        }
    }
}

/// A program that does a little of everything, on the runtime that ships.
fn medley() {
    let runtime: Runtime<Sim> =
        runtime::Builder::new_in().workers(2).build().expect("a runtime starts");
    let done = runtime.run(|| {
        echo();
        let lock = ParkingRwLock::<u64, Sim>::new_in(0);
        let mut both = lock.write();
        raddle_runtime::scope::<Sim, _, _>(|tasks| {
            for _ in 0..3 {
                tasks.spawn(|| drop(lock.read()));
            }
            let wait = || sleep::<Sim>(Duration::from_micros(3));
            for _ in 0..2 {
                tasks.spawn(move || wait().is_ok());
            }
            let _ = wait();
            yield_now::<Sim>();
            *both = <Sim as Platform>::Rng::u64();
            checkpoint::<Sim>("written", 1);
            drop(both);
        });
        raddle_runtime::scope::<Sim, _, _>(|tasks| {
            tasks.spawn(|| sleep::<Sim>(Duration::from_secs(9)).is_ok());
            tasks.cancel();
        });
    });
    done.expect("it does not panic");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

/// One connection, whose server may find it reset.
fn echo() {
    let listener = TcpListener::<Sim>::bind((net::address(0), 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = spawn::<Sim, _, _>(move || {
        let mut byte = [0];
        let Ok((mut stream, _)) = listener.accept() else { return };
        while let Ok(1) = stream.read(&mut byte) {
            if stream.write_all(&byte).is_err() {
                return;
            }
        }
    });
    let client = || {
        let mut stream = TcpStream::<Sim>::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"!")?;
        stream.read_exact(&mut [0])
    };
    // It may have been reset.
    let _: io::Result<()> = client();
    server.cancel();
}

/// Every kind that there is comes from the code that ships, or from the simulator, and is in the
/// file afterwards. Whoever adds a kind must have it told by something.
#[test]
fn every_kind_is_told_and_survives_a_file() {
    let mut seen = BTreeSet::new();
    let mut note = |simulation: &Simulation, name: &str, report: &Report| {
        let recording = simulation.recording(name, report);
        let bytes = trace::encode(&recording).expect("it fits");
        let read = trace::decode(&bytes).expect("it is whole");
        assert_eq!(read, recording, "{name}");
        for event in read.events.iter() {
            assert!(event.kind() != "Scheduled" || event.field("worker").is_some(), "{event}");
            seen.extend(event.observed());
        }
    };
    let faults = Faults::none().with(FaultKind::Latency).rate(FaultKind::Reset, 8192);
    for seed in 0..30 {
        let simulation = Simulation::new()
            .seed(seed)
            .faults(faults.clone())
            .record(Record::level(Level::Blocking));
        let report = simulation.run(medley);
        report.unwrap();
        note(&simulation, "tests/medley", &report);
    }
    // Who steals needs work that lies about.
    for scenario in scenarios().iter().filter(|it| it.name.starts_with("scheduler/")) {
        if !scenario.needs.unmet(&OFFERS).is_empty() {
            continue;
        }
        for seed in 0..20 {
            let simulation = Simulation::new().seed(seed).record(Record::level(Level::Blocking));
            let report = simulation.run(|| scenario.run());
            note(&simulation, scenario.name, &report);
        }
    }
    let missing: Vec<_> = Observed::all().filter(|kind| !seen.contains(kind)).collect();
    assert!(missing.is_empty(), "these are told by nobody: {missing:?}");
}

/// A timer is one story: it is set, and then it fires or is cleared, once.
#[test]
fn a_timer_is_set_and_fires_or_is_cleared() {
    let (mut fired, mut cleared) = (0, 0);
    for seed in 0..20 {
        let simulation = Simulation::new().seed(seed).record(Record::level(Level::Blocking));
        let report = simulation.run(medley);
        report.unwrap();
        let mut set = BTreeMap::new();
        for event in events(&report) {
            let key =
                || (event.field("worker").expect("whose"), event.field("timer").expect("which"));
            match event.kind() {
                "TimerSet" => {
                    assert_eq!(set.insert(key(), event.field("deadline_ns")), None, "{event}")
                }
                "TimerFired" => {
                    let deadline = set.remove(&key()).expect("set before");
                    assert!(deadline.is_some_and(|at| at <= event.time_ns), "{event}");
                    fired += 1;
                }
                "TimerCleared" => {
                    assert!(set.remove(&key()).is_some(), "{event}");
                    cleared += 1;
                }
                _ => {}
            }
        }
        assert!(set.is_empty(), "neither fired nor cleared: {set:?}");
    }
    assert!(fired > 0 && cleared > 0, "{fired} fired, {cleared} cleared");
}
