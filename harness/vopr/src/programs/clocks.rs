//! Clocks that jump and drift, and rare paths on demand.

use core::cell::Cell;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use raddle_platform::{Clock, Parker, Platform, Site};
use raddle_runtime::{scope, sleep};
use raddle_scenarios::{Needs, Scenario};

use super::{ON_RUNTIME, Program, on_runtime};
use crate::faults::{FaultClass, FaultKind, Faults, calm};
use crate::node::Node;
use crate::platform::Sim;

type C = <Sim as Platform>::Clock;

pub(super) fn list() -> Vec<Program> {
    let clocks = Faults::none().with_class(FaultClass::Clock).rate(FaultKind::Pause, 1024);
    let sleeps = Scenario::new(
        "faults/clocks",
        "no sleep ends early by the clock of its own machine, however that jumps, and those of others",
        sleeps,
    );
    let rare = Scenario::new(
        "faults/rare_paths",
        "a rare path is taken where the program asks for it, and never when the faults have ended",
        rare_paths,
    );
    vec![
        Program::new(sleeps.needs(ON_RUNTIME), clocks.swarm()),
        Program::new(rare.needs(Needs::NONE), Faults::none().with(FaultKind::Buggify)),
    ]
}

/// The length of a sleep.
const LENGTH: Duration = Duration::from_millis(20);

/// Two machines, whose clocks have nothing to do with one another.
fn sleeps() {
    // Real, because it is the test's.
    let awake = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&awake);
    let other = Node::start("other", move || sleep_and_look(&theirs));
    sleep_and_look(&awake);
    other.wait();
    <Sim as Platform>::Parker::park_until(C::now() + LENGTH);
}

/// What sleeps does not wake early, by the clock of its own machine.
fn sleep_and_look(awake: &Arc<AtomicU32>) {
    let awake = Arc::clone(awake);
    on_runtime::<Sim, _>(move || {
        scope::<Sim, _, _>(|fibers| {
            for number in 1..3_u32 {
                fibers.spawn(move || {
                    for _ in 0..4 {
                        let (begin, _) = (C::now(), C::wall());
                        sleep::<Sim>(LENGTH * number).expect("nobody cancels");
                        assert!(C::now() - begin >= LENGTH * number, "it ended early");
                    }
                });
            }
        });
        // A jump over its deadline would end the patience of a shutdown, on either machine.
        awake.fetch_add(1, Relaxed);
        while awake.load(Relaxed) < 2 {
            sleep::<Sim>(LENGTH).expect("nobody cancels");
        }
        calm();
    });
}

fn rare_paths() {
    let taken = Cell::new(0);
    let ask = |site| taken.set(taken.get() + u32::from(Sim::buggify(Site(site))));
    for site in ["a", "b", "c", "d"] {
        (0..20).for_each(|_| ask(site));
    }
    calm();
    let before = taken.get();
    (0..20).for_each(|_| ask("a"));
    assert_eq!(taken.get(), before, "the faults have ended");
}
