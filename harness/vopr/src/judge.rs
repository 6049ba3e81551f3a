//! What reports mean for a scenario.

use raddle_scenarios::{Expect, Needs, Scenario};

use crate::report::{Counts, Failure, FailureKind};

/// What this harness can run.
pub const OFFERS: Needs = Needs {
    atomics: true,
    threads: 64,
    parker: true,
    clock: true,
    rng: true,
    driver: true,
    io: true,
    race_detection: true,
    weak_memory: false,
    long: true,
    task_order: true,
    rare: true,
};

/// Whether a failure is what the scenario must show.
pub fn is_expected(failure: &Failure, expect: Expect) -> bool {
    match expect {
        Expect::Holds => false,
        Expect::Fails(part) => failure.messages.iter().any(|message| message.contains(part)),
        Expect::Races => failure.kind == FailureKind::DataRace,
        Expect::Deadlocks => matches!(failure.kind, FailureKind::Deadlock | FailureKind::Leak),
    }
}

/// A kind of operation that the scenario declares and no run used: then it did not run in the
/// simulated world, or says too much.
pub fn unused(scenario: &Scenario, counts: Counts) -> Option<&'static str> {
    let needs = scenario.needs;
    let kinds = [
        (needs.atomics, counts.atomics, "atomics"),
        (needs.parker, counts.parker, "a parker"),
        (needs.clock, counts.clock, "a clock"),
        (needs.rng, counts.rng, "randomness"),
        (needs.driver, counts.driver, "a driver"),
        (needs.io, counts.io, "sockets"),
    ];
    let unused = kinds.into_iter().find(|&(needed, count, _)| needed && count == 0);
    let fewer = (counts.threads < needs.threads as u64).then_some("more threads");
    unused.map(|(_, _, kind)| kind).or(fewer)
}

/// Whether parks may end for no reason in this scenario. Those of the parker itself wait for
/// nothing but its token: there is no condition that they could look at again, as everybody else
/// must.
pub fn wakes_spuriously(scenario: &Scenario) -> bool {
    !scenario.name.starts_with("parker/")
}
