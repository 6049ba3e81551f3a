//! Programs on the production runtime while the network, the kernel and the clocks are at fault.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use raddle_parking_lot::ParkingMutex;
use raddle_platform::{Clock, Parker, Platform};

use super::echo::{converse, echo};
use super::{listen, on_runtime};
use crate::{
    ALWAYS, FaultKind, Faults, Fired, Granularity, Liveness, Report, Sim, Simulation, calm,
};

/// Clients that try again until they have their echo; when the faults end, all have it soon.
fn echo_program() {
    let list = super::echo::list();
    list[0].scenario.run();
}

fn simulation() -> Simulation {
    Simulation::new().granularity(Granularity::Blocking)
}

const LIVELY: Liveness = Liveness { steps: 200_000, virtual_time: Duration::from_secs(2000) };

/// In a sweep of the swarm each kind strikes, or the sweep says nothing about it.
#[test]
fn echo_under_all_faults() {
    let faults = Faults::all().without(FaultKind::Buggify).swarm().liveness(LIVELY);
    let mut fired = Fired::default();
    for seed in 0..400 {
        let report = simulation().faults(faults.clone()).seed(seed).run(echo_program);
        report.unwrap();
        fired = fired.and(report.faults);
    }
    assert_eq!(fired.never(&faults), [], "{fired}");
    // Between atomics, too.
    let faults = faults.liveness(Liveness { steps: 1_000_000, ..LIVELY });
    for seed in 0..50 {
        Simulation::new().faults(faults.clone()).seed(seed).run(echo_program).unwrap();
    }
}

#[test]
fn an_execution_with_faults_is_replayed() {
    let faults = Faults::all().swarm();
    for seed in 0..20 {
        let report = simulation().faults(faults.clone()).seed(seed).run(echo_program);
        report.unwrap();
        let simulation = simulation().faults(faults.clone());
        let again = simulation.replay(report.trace.clone()).run(echo_program);
        again.unwrap();
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps));
        assert_eq!((again.virtual_time, again.faults), (report.virtual_time, report.faults));
    }
}

/// No fault is asked for, and none strikes: nor is there any decision about one.
#[test]
fn without_faults_nothing_fails() {
    for seed in 0..50 {
        let report = simulation().seed(seed).run(|| {
            on_runtime::<Sim, _>(|| {
                // Also an overloaded machine is a fault.
                calm();
                let (address, server) = listen::<Sim>(0, echo);
                converse::<Sim>(address, 1).expect("no fault");
                server.cancel();
            });
        });
        report.unwrap();
        let natural = [FaultKind::Reorder];
        let struck = FaultKind::ALL.iter().filter(|kind| !natural.contains(kind));
        assert!(struck.clone().all(|kind| report.faults.of(*kind) == 0), "{}", report.faults);
        let kinds = report.trace.decisions.iter();
        assert!(kinds.clone().all(|decision| decision.kind() != crate::Kind::Fault));
    }
}

/// What one kind alone does to one conversation, where it strikes at every chance, under ten seeds.
fn alone(kind: FaultKind) -> Vec<(Report, Option<io::ErrorKind>)> {
    // A wait that always ends at once is a spin, which no strategy by priorities ever leaves.
    let rate = if kind == FaultKind::EmptyWait { ALWAYS / 2 } else { ALWAYS };
    let faults = Faults::none().rate(kind, rate);
    let run = |seed| {
        let error = Arc::new(ParkingMutex::new(None));
        let theirs = Arc::clone(&error);
        let report = simulation().faults(faults.clone()).seed(seed).run(move || {
            let theirs = Arc::clone(&theirs);
            on_runtime::<Sim, _>(move || {
                let (address, server) = listen::<Sim>(0, echo);
                *theirs.lock() = converse::<Sim>(address, 1).err().map(|error| error.kind());
                calm();
                server.cancel();
            });
        });
        report.unwrap();
        let error = error.lock().take();
        (report, error)
    };
    let runs: Vec<_> = (0..10).map(run).collect();
    assert!(runs.iter().any(|(report, _)| report.faults.of(kind) > 0), "{kind} never struck");
    runs
}

#[test]
fn each_kind_does_what_it_says() {
    use io::ErrorKind::{ConnectionReset, TimedOut};
    // On a machine that is slow enough somebody's patience may always end, the client's or the
    // server's: so some of the runs.
    let ends = |kind, error| {
        let runs = alone(kind);
        assert!(runs.iter().any(|(_, seen)| *seen == error), "{kind}: never {error:?}");
        runs
    };
    // These are only slow, or only strange.
    for kind in [FaultKind::ShortRead, FaultKind::ShortWrite, FaultKind::EmptyWait] {
        let quick = |(report, error): &(Report, Option<_>)| {
            error.is_none() && report.virtual_time < Duration::from_secs(1)
        };
        assert!(ends(kind, None).iter().any(quick), "{kind}");
    }
    for (report, _) in ends(FaultKind::Latency, None) {
        assert!(report.virtual_time > Duration::from_millis(1));
    }
    for (report, _) in alone(FaultKind::Retransmission) {
        assert!(report.virtual_time > Duration::from_millis(1));
    }
    ends(FaultKind::Reset, Some(ConnectionReset));
    ends(FaultKind::HalfOpen, Some(TimedOut));
    // A partition that begins again whenever it has healed.
    for (report, _) in alone(FaultKind::Partition) {
        assert!(report.virtual_time > Duration::from_millis(200));
    }
}

#[test]
fn a_paused_thread_does_not_run_and_then_goes_on() {
    let faults = Faults::none().rate(FaultKind::Pause, 2048);
    let mut fired = Fired::default();
    for seed in 0..50 {
        let report = simulation().faults(faults.clone()).seed(seed).run(echo_program);
        report.unwrap();
        fired = fired.and(report.faults);
    }
    assert!(fired.of(FaultKind::Pause) > 50, "{fired}");
}

#[test]
fn clocks_are_wrong_only_where_that_is_asked_for() {
    type C = <Sim as Platform>::Clock;
    let drift = |faults: &Faults, seed| {
        let drift = AtomicU64::new(0);
        let report = simulation().faults(faults.clone()).seed(seed).run(|| {
            let before = (C::now(), C::wall());
            for _ in 0..20 {
                <Sim as Platform>::Parker::park_until(C::now() + Duration::from_millis(50));
            }
            let (monotonic, wall) = (C::now() - before.0, C::wall());
            let passed = wall.as_nanos() as i128 - before.1.as_nanos() as i128;
            let wrong = (passed - monotonic.as_nanos() as i128).unsigned_abs();
            drift.store(u64::try_from(wrong).unwrap_or(u64::MAX), Relaxed);
        });
        report.unwrap();
        drift.load(Relaxed)
    };
    assert!((0..20).all(|seed| drift(&Faults::all(), seed) == 0));
    for kind in [FaultKind::ClockJump, FaultKind::ClockSkew] {
        let faults = Faults::none().rate(kind, ALWAYS);
        assert!((0..20).any(|seed| drift(&faults, seed) > 0), "{kind}");
    }
}

/// A quarter of all sites takes its rare path, in one seed these, in another those.
#[test]
fn rare_paths_are_taken_at_some_sites() {
    let faults = Faults::none().rate(FaultKind::Buggify, ALWAYS / 2);
    let sites = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut taken = [0; 8];
    for seed in 0..100 {
        let here = ParkingMutex::new([0; 8]);
        let report = simulation().faults(faults.clone()).seed(seed).run(|| {
            for (index, site) in sites.into_iter().enumerate() {
                let times = (0..20).filter(|_| Sim::buggify(raddle_platform::Site(site)));
                here.lock()[index] = times.count();
            }
        });
        report.unwrap();
        for (all, times) in taken.iter_mut().zip(*here.lock()) {
            *all += usize::from(times > 0);
        }
    }
    assert!(taken.iter().all(|seeds| (10..45).contains(seeds)), "{taken:?}");
    simulation().run(|| assert!(!Sim::buggify(raddle_platform::Site("a")))).unwrap();
}

#[test]
fn faults_are_read_as_they_are_written() {
    let bounds = Liveness { steps: 5, virtual_time: Duration::from_nanos(6) };
    let all = Faults::all().swarm().calm_after(7, Duration::from_secs(8)).liveness(bounds);
    for faults in [Faults::none(), Faults::none().with(FaultKind::ClockJump), all] {
        assert_eq!(faults.to_string().parse(), Ok(faults));
    }
    assert!("latency=x".parse::<Faults>().is_err() && "storm=1".parse::<Faults>().is_err());
}
