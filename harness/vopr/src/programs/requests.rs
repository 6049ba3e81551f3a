//! Requests with numbers: a client that has no answer asks again, and the server must know.

use std::io::{Read, Write};
use std::sync::Arc;

use raddle_parking_lot::ParkingMutex;
use raddle_runtime::checkpoint;
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, PATIENCE, Program, connect, listen, on_runtime};
use crate::faults::{FaultKind, Faults, calm};
use crate::platform::Sim;

const ONCE: &str = "each request is served once";

pub(super) fn list() -> Vec<Program> {
    let resets = || Faults::none().rate(FaultKind::Reset, 4096).rate(FaultKind::Latency, 2048);
    let needs = ON_RUNTIME.io();
    let sound = Scenario::new(
        "faults/requests",
        "a request whose reply a reset has lost is asked for again, and served once",
        || program(true),
    );
    let twin = Scenario::new(
        "faults/twin_requests_are_forgotten",
        "twin: the server does not know which requests it has served",
        || program(false),
    );
    vec![
        Program::new(sound.needs(needs), resets()),
        Program::new(twin.needs(needs).fails(ONCE), resets()),
    ]
}

fn program(knows: bool) {
    const REQUESTS: u8 = 6;
    let served = on_runtime::<Sim, _>(move || {
        let seen = Arc::new(ParkingMutex::<Vec<u8>, Sim>::new_in(Vec::new()));
        let ledger = Arc::clone(&seen);
        let (address, server) = listen::<Sim>(0, move |mut stream| {
            let _ = stream.set_read_timeout(Some(10 * PATIENCE));
            let mut request = [0];
            while stream.read_exact(&mut request).is_ok() {
                let mut seen = ledger.lock();
                if !knows || !seen.contains(&request[0]) {
                    seen.push(request[0]);
                    checkpoint::<Sim>("served", u64::from(request[0]));
                }
                drop(seen);
                if stream.write_all(&request).is_err() {
                    return;
                }
            }
        });
        let ask = |number: u8| {
            let stream = connect::<Sim>(address)?;
            (&stream).write_all(&[number])?;
            (&stream).read_exact(&mut [0])
        };
        for number in 0..REQUESTS {
            if number == REQUESTS - 1 {
                calm();
            }
            // Until it has an answer it does not know whether it was heard.
            while ask(number).is_err() {}
        }
        server.cancel();
        seen.lock().len()
    });
    assert_eq!(served, usize::from(REQUESTS), "{ONCE}");
}
