//! Clocks that jump and drift, and rare paths on demand.

use core::cell::Cell;
use core::time::Duration;

use raddle_platform::{Clock, Parker, Platform, Site};
use raddle_runtime::{scope, sleep};
use raddle_scenarios::{Needs, Scenario};

use super::{ON_RUNTIME, Program, on_runtime};
use crate::faults::{FaultClass, FaultKind, Faults, calm};
use crate::platform::Sim;

type C = <Sim as Platform>::Clock;

pub(super) fn list() -> Vec<Program> {
    let clocks = Faults::none().with_class(FaultClass::Clock).rate(FaultKind::Pause, 1024);
    let sleeps = Scenario::new(
        "faults/clocks",
        "no sleep ends early and the monotonic clock never goes back, however wrong the wall clock is",
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

fn sleeps() {
    const LENGTH: Duration = Duration::from_millis(20);
    on_runtime::<Sim, _>(|| {
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
        // A jump over its deadline would end the shutdown's patience.
        calm();
    });
    <Sim as Platform>::Parker::park_until(C::now() + LENGTH);
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
