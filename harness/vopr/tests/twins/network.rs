//! Bugs of programs that talk over a network.

use core::time::Duration;
use std::io::{Read, Write};
use std::sync::Arc;

use raddle_parking_lot::ParkingMutex;
use raddle_runtime::net::{TcpListener, TcpStream};
use raddle_runtime::{is_cancelled_error, spawn};
use raddle_vopr::{
    FailureKind, FaultKind, Faults, Granularity, Liveness, Sim, Simulation, calm, net,
};

use super::Twin;
use super::tasks::on_runtime;

/// Longer than anything takes that is not cut.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads numbers, hands each to `number`, and sends it back.
fn answer(mut stream: TcpStream<Sim>, number: impl Fn(u8)) {
    // A client that is gone without a word must not keep this for ever.
    let _ = stream.set_read_timeout(Some(10 * PATIENCE));
    let mut request = [0];
    while stream.read_exact(&mut request).is_ok() {
        number(request[0]);
        if stream.write_all(&request).is_err() {
            return;
        }
    }
}

/// A counter that a client adds one to, each request with a number of its own. The server knows
/// which numbers it has seen, and the twin does not.
fn count(broken: bool) {
    const REQUESTS: u8 = 6;
    let served = on_runtime(move || {
        let seen = Arc::new(ParkingMutex::<Vec<u8>, Sim>::new_in(Vec::new()));
        let ledger = Arc::clone(&seen);
        let listener = TcpListener::<Sim>::bind((net::address(0), 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = spawn::<Sim, _, _>(move || {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let ledger = Arc::clone(&ledger);
                        let number = move |number| {
                            let mut seen = ledger.lock();
                            if broken || !seen.contains(&number) {
                                seen.push(number);
                            }
                        };
                        drop(spawn::<Sim, _, _>(move || answer(stream, number)));
                    }
                    Err(error) if is_cancelled_error(&error) => return,
                    Err(_) => {}
                }
            }
        });
        let ask = |number: u8| {
            let stream = TcpStream::<Sim>::connect_timeout(address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
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
    assert_eq!(served, usize::from(REQUESTS), "a request was served twice");
}

pub(super) const LOST_REPLY: Twin = Twin {
    name: "reply lost at reset",
    simulation: || {
        let liveness = Liveness { steps: 200_000, virtual_time: Duration::from_secs(2000) };
        let faults = Faults::none().rate(FaultKind::Reset, 4096).rate(FaultKind::Latency, 2048);
        let simulation = Simulation::new().granularity(Granularity::Blocking);
        simulation.faults(faults.liveness(liveness))
    },
    program: count,
    kind: FailureKind::Panic,
    says: &["a request was served twice"],
};
