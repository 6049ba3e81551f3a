//! What a shutdown leaves behind.

use core::time::Duration;

use raddle_parking_lot::Semaphore;
use raddle_runtime::{Runtime, runtime};
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, Program};
use crate::faults::Faults;
use crate::platform::Sim;
use std::sync::Arc;

pub(super) fn list() -> Vec<Program> {
    let scenario = Scenario::new(
        "runtime/a_stuck_fiber_is_left_behind",
        "a fiber that never ends is counted by the shutdown, and its worker stays: that is reported",
        program,
    );
    let needs = ON_RUNTIME.threads(1);
    vec![Program::new(scenario.needs(needs).deadlocks(), Faults::none())]
}

fn program() {
    let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(1).build().expect("a runtime");
    let never = Arc::new(Semaphore::<Sim>::new_in(0));
    let (started, theirs) = (Arc::new(Semaphore::<Sim>::new_in(0)), Arc::clone(&never));
    let begun = Arc::clone(&started);
    drop(runtime.spawn(move || {
        begun.add_permits(1);
        // Not a cancellation point.
        theirs.acquire().forget();
    }));
    started.acquire().forget();
    let left = runtime.shutdown(Duration::from_secs(1)).expect_err("it never ends");
    assert_eq!(left.tasks_left, 1);
}
