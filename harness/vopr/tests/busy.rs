//! Time comes for the timers of workers that are never idle, whoever decides.

use raddle_vopr::{Simulation, Strategy, scenarios};

#[test]
fn time_comes_for_a_worker_that_is_never_idle() {
    let scenarios = scenarios();
    let named =
        |scenario: &&raddle_scenarios::Scenario| scenario.name == "timer/under_constant_work";
    let scenario = scenarios.iter().find(named).expect("it is in the list");
    let strategies =
        [Strategy::Random, Strategy::Sticky, Strategy::RoundRobin, Strategy::Pct { depth: 3 }];
    for strategy in strategies {
        for seed in 0..50 {
            let simulation = Simulation::new().strategy(strategy.clone()).seed(seed);
            simulation.run(|| scenario.run()).unwrap();
        }
    }
}
