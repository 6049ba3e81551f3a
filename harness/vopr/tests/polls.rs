//! Nothing in the code that ships minds a poll without a wake: all scenarios of all harnesses hold
//! under it.

use raddle_scenarios::Expect;
use raddle_vopr::{FaultKind, Faults, Fired, OFFERS, Simulation, scenarios, wakes_spuriously};

const SEEDS: u64 = 60;

#[test]
fn all_scenarios_hold_under_spurious_polls() {
    let faults = Faults::none().rate(FaultKind::SpuriousPoll, 16_384);
    let (mut fired, mut concerned) = (Fired::default(), 0);
    for scenario in scenarios() {
        if scenario.expect != Expect::Holds || !scenario.needs.unmet(&OFFERS).is_empty() {
            continue;
        }
        let mut here = Fired::default();
        for seed in 0..SEEDS {
            let simulation = Simulation::new().seed(seed).faults(faults.clone());
            let simulation = simulation.spurious_wakes(wakes_spuriously(&scenario));
            let report = simulation.run(|| scenario.run());
            let failure = report.failure();
            assert!(failure.is_none(), "{}, seed {seed}: {}", scenario.name, failure.unwrap());
            here = here.and(report.faults);
        }
        concerned += u32::from(here.of(FaultKind::SpuriousPoll) > 0);
        fired = fired.and(here);
    }
    println!("{fired} in {concerned} scenarios");
    assert!(fired.of(FaultKind::SpuriousPoll) > 1000 && concerned > 20, "{fired}, {concerned}");
}

/// The same seed gives the same polls, and so does its trace.
#[test]
fn polls_are_replayed() {
    let program =
        raddle_vopr::programs().into_iter().find(|it| it.scenario.name == "faults/polled");
    let program = program.expect("it is in the list");
    let simulation = Simulation::new().granularity(program.granularity).faults(program.faults);
    for seed in 0..20 {
        let report = simulation.clone().seed(seed).run(|| program.scenario.run());
        assert!(report.failure().is_none(), "seed {seed}: {:?}", report.failure());
        let again = simulation.clone().replay(report.trace.clone()).run(|| program.scenario.run());
        again.unwrap();
        assert_eq!((again.certificate, again.faults), (report.certificate, report.faults));
    }
}
