//! Bugs of programs that talk over a network: those that the sweep has, too.

use std::sync::OnceLock;

use raddle_vopr::{FailureKind, Program, Simulation, programs};

use super::Twin;

/// A server that knows which requests it has served, and the twin that forgets them.
fn requests(broken: bool) -> &'static Program {
    static BOTH: OnceLock<[Program; 2]> = OnceLock::new();
    let named = |name| programs().into_iter().find(|program| program.scenario.name == name);
    let both = BOTH.get_or_init(|| {
        ["faults/requests", "faults/twin_requests_are_forgotten"]
            .map(|name| named(name).expect("it is in the list"))
    });
    &both[usize::from(broken)]
}

pub(super) const LOST_REPLY: Twin = Twin {
    name: "reply lost at reset",
    simulation: || {
        let Program { faults, granularity, .. } = requests(true);
        Simulation::new().granularity(*granularity).faults(faults.clone())
    },
    program: |broken| requests(broken).scenario.run(),
    kind: FailureKind::Panic,
    says: &["each request is served once"],
};
