//! Whole programs that only a simulator can run: with a network, with clocks that are wrong, with
//! machines that crash, while something is at fault.
//!
//! They stand beside the [scenarios](crate::scenarios), which every harness runs, and are swept
//! with them. Each has its own faults; a sweep in which one of these never strikes has failed,
//! because it says nothing about it.

mod clocks;
mod disk;
mod echo;
mod kv;
mod nodes;
mod polled;
mod pubsub;
mod requests;
mod stuck;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::net::SocketAddr;

use raddle_platform::Platform;
use raddle_runtime::net::{TcpListener, TcpStream};
use raddle_runtime::{JoinHandle, Runtime, runtime, spawn};
use raddle_scenarios::{Needs, Scenario};

use crate::faults::{FaultKind, Faults, Liveness};
use crate::node::Node;
use crate::simulation::Granularity;

/// A scenario, and what goes wrong in it.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name, its property, and what must be reported.
    pub scenario: Scenario,
    /// What goes wrong. Nothing, for the scenarios of all harnesses.
    pub faults: Faults,
    /// Where threads may switch.
    pub granularity: Granularity,
}

impl From<Scenario> for Program {
    fn from(scenario: Scenario) -> Self {
        Self { scenario, faults: Faults::none(), granularity: Granularity::Atomics }
    }
}

impl Program {
    fn new(scenario: Scenario, faults: Faults) -> Self {
        Self { scenario, faults: faults.liveness(LIVELY), granularity: Granularity::Blocking }
    }
}

/// All that the simulator runs: the scenarios of all harnesses, then the programs of its own.
pub fn programs() -> Vec<Program> {
    let scenarios = crate::scenarios().into_iter().map(Program::from);
    scenarios.chain(own()).collect()
}

/// The programs of the simulator's own.
fn own() -> Vec<Program> {
    let lists: [fn() -> Vec<Program>; _] = [
        echo::list,
        requests::list,
        clocks::list,
        nodes::list,
        disk::list,
        kv::list,
        pubsub::list,
        polled::list,
        stuck::list,
    ];
    lists.into_iter().flat_map(|list| list()).collect()
}

/// All of the network and of the process, the rare ones so often that a sweep of a thousand seeds
/// meets each. (Nothing that ships has rare paths of its own yet.)
fn usual() -> Faults {
    Faults::all()
        .without(FaultKind::Buggify)
        .rate(FaultKind::EmptyWait, 16_384)
        .rate(FaultKind::Cancelled, 49_152)
        .rate(FaultKind::AcceptFails, 8192)
        .rate(FaultKind::WouldBlock, 4096)
        .rate(FaultKind::HalfOpen, 512)
        .rate(FaultKind::Reset, 512)
        .rate(FaultKind::Pause, 128)
        .swarm()
}

/// How soon a program must end when its faults have.
const LIVELY: Liveness = Liveness { steps: 2_000_000, virtual_time: Duration::from_secs(3000) };

/// What a program on a runtime of two workers uses.
const ON_RUNTIME: Needs = Needs::ATOMICS.threads(2).parker().clock().driver();

/// Longer than anything takes that is not cut.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `main` as a fiber of a runtime of two workers.
fn on_runtime<P: Platform, T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> T {
    let runtime: Runtime<P> = runtime::Builder::new_in().workers(2).build().expect("a runtime");
    let result = runtime.run(main).expect("it does not panic");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
    result
}

fn connect<P: Platform>(address: SocketAddr) -> std::io::Result<TcpStream<P>> {
    let stream = TcpStream::connect_timeout(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Accepts connections and serves each in a fiber of its own, until it is cancelled.
fn listen<P: Platform>(
    port: u16,
    serve: impl Fn(TcpStream<P>) + Clone + Send + 'static,
) -> (SocketAddr, JoinHandle<(), P>) {
    let listener = TcpListener::<P>::bind((Node::here().address(), port)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = spawn::<P, _, _>(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    let serve = serve.clone();
                    drop(spawn::<P, _, _>(move || serve(stream)));
                }
                Err(error) if raddle_runtime::is_cancelled_error(&error) => return,
                Err(_) => {}
            }
        }
    });
    (address, server)
}
