//! A server on a machine of its own, which crashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use core::time::Duration;

use raddle_runtime::sleep;
use raddle_scenarios::Scenario;

use super::echo::{converse, echo};
use super::{ON_RUNTIME, Program, listen, on_runtime};
use crate::faults::{FaultClass, FaultKind, Faults, calm};
use crate::node::Node;
use crate::platform::Sim;

/// Where the server is, each time that it starts.
const PORT: u16 = 7000;

pub(super) fn list() -> Vec<Program> {
    let faults = Faults::none()
        .with_class(FaultClass::Node)
        .rate(FaultKind::Crash, 64)
        .rate(FaultKind::Kill, 64);
    let scenario = Scenario::new(
        "faults/crashes",
        "a client whose server crashes and starts again has its echo in the end",
        program,
    );
    vec![Program::new(scenario.needs(ON_RUNTIME.io()), faults)]
}

fn program() {
    // The only thing that the nodes share; real, because it is the test's.
    let over = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&over);
    let server = Node::start("server", move || {
        let over = Arc::clone(&theirs);
        on_runtime::<Sim, _>(move || {
            let (_, server) = listen::<Sim>(PORT, echo);
            while !over.load(Ordering::Relaxed) {
                let _ = sleep::<Sim>(Duration::from_millis(100));
            }
            server.cancel();
        });
    });
    server.set_fragile(true);
    let address = (server.address(), PORT).into();
    on_runtime::<Sim, _>(move || {
        (0..3).for_each(|salt| _ = converse::<Sim>(address, salt));
        calm();
        while converse::<Sim>(address, 7).is_err() {
            let _ = sleep::<Sim>(Duration::from_millis(10));
        }
    });
    over.store(true, Ordering::Relaxed);
    server.wait();
}
