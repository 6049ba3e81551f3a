//! What simulations reach is counted by site, and counting changes nothing.

use std::rc::Rc;

use raddle_parking_lot::ParkingMutex;
use raddle_scenarios::scope;
use raddle_vopr::{Sim, Simulation, Sites};

fn contend() {
    let mutex = ParkingMutex::<u32, Sim>::new_in(0);
    scope::<Sim, _>(|threads| {
        threads.spawn(|| *mutex.lock() += 1);
        *mutex.lock() += 1;
    });
}

#[test]
fn the_sites_of_production_code_are_counted() {
    let sites = Rc::<Sites>::default();
    let mut steps = 0;
    for seed in 0..100 {
        let alone = Simulation::new().seed(seed).run(contend);
        let counted = Simulation::new().seed(seed).sites(Rc::clone(&sites)).run(contend);
        assert_eq!(alone.certificate, counted.certificate, "counting changes no execution");
        assert_eq!(alone.steps, counted.steps);
        steps += counted.steps;
    }
    let hits = sites.hits().expect("each site does one thing");
    let total: u64 = hits.iter().map(|(_, hit)| hit.count).sum();
    assert!(0 < total && total <= 2 * steps, "{total} of {steps} steps, measurements included");
    assert!(hits.iter().all(|(site, _)| site.file.starts_with("crates/parking-lot/")));
    let exchanges: Vec<_> =
        hits.iter().filter(|(_, hit)| hit.operation.name == "compare_exchange").collect();
    assert!(exchanges.iter().any(|(_, hit)| hit.succeeded > 0 && hit.failed > 0));
    assert!(exchanges.iter().all(|(_, hit)| hit.operation.orderings.len() == 2));
    assert!(hits.iter().any(|(_, hit)| hit.threads == 0b11), "both threads come to some site");
    assert!(hits.iter().any(|(_, hit)| hit.operation.name == "write"), "cells count");
}

#[test]
fn without_an_execution_there_is_nothing() {
    assert!(Sites::default().hits().expect("fine").is_empty());
}
