//! `raddle-kv` itself in the simulation: its clients' histories are linearizable, whatever goes
//! wrong on the way.

mod append_only;
mod client;

use core::time::Duration;
use std::sync::Arc;

use raddle_kv::config::{Config, Log};
use raddle_kv::server::Server;
use raddle_runtime::{Runtime, runtime, scope, spawn};
use raddle_vopr::linear::{Bounds, Bytes, History, Map, MapOp, Reply, check_keyed};
use raddle_vopr::seeds::{Purpose, Stream};
use raddle_vopr::{
    ALWAYS, FaultKind, Faults, Fired, Granularity, Limits, Liveness, Sim, Simulation, calm, net,
};

use client::{Calls, Client, KEYS, work};

/// A server on two workers, and its clients on their own fibers. When the faults end, somebody
/// reads all keys: what was acknowledged is there.
fn serve(seed: u64, clients: u32, commands: usize, log: &Calls) {
    let log = Arc::clone(log);
    let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(2).build().expect("a runtime");
    let served = runtime.run(move || {
        let config = Config { port: 0, bind: net::address(0), log: Log::Off, ..Config::default() };
        let server = Server::<Sim>::bind(config).expect("a port");
        let (address, stop) = (server.local_addr().expect("an address"), server.stop_token());
        let serving = spawn::<Sim, _, _>(move || server.run());
        scope::<Sim, _, _>(|fibers| {
            for number in 0..clients {
                let log = &log;
                let stream = Stream::of(seed, Purpose::Workload, u64::from(number));
                fibers.spawn(move || work(address, log, stream, number, commands, &|| ()));
            }
        });
        calm();
        let keys = KEYS.map(Bytes::from).to_vec();
        let last = (1..).find_map(|attempt| {
            let mut client = Client::connect(address).ok()?;
            let operation = MapOp::MGet(keys.clone());
            let id = log.invoke(10_000 + attempt, operation.clone());
            client.call(&operation).map(|reply| log.complete(id, reply)).ok()
        });
        assert!(last.is_some());
        stop.cancel();
        serving.join().expect("no panic")
    });
    served.expect("no panic").expect("all connections end");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

const LIVELY: Liveness = Liveness { steps: 2_000_000, virtual_time: Duration::from_secs(3000) };

fn simulation() -> Simulation {
    let limits = Limits { steps: 5_000_000, ..Limits::default() };
    Simulation::new().granularity(Granularity::Blocking).limits(limits)
}

/// Runs the server and its clients once: the history, and how often each fault struck.
fn run(simulation: &Simulation, seed: u64, clients: u32) -> (History<MapOp, Reply>, Fired) {
    // The program may run twice, where the strategy measures it first.
    let logs = std::cell::RefCell::new(Calls::default());
    let report = simulation.clone().seed(seed).run(|| {
        let log = Calls::default();
        *logs.borrow_mut() = Arc::clone(&log);
        serve(seed, clients, 10, &log);
    });
    report.unwrap();
    (logs.into_inner().history(), report.faults)
}

fn check(history: &History<MapOp, Reply>) {
    check_keyed(&Map::default(), history, Bounds::default()).unwrap();
}

#[test]
fn one_client_is_answered_as_by_a_map() {
    for seed in 0..20 {
        let (history, _) = run(&simulation(), seed, 1);
        check(&history);
    }
}

#[test]
fn three_clients_see_one_map() {
    for seed in 0..60 {
        let (history, _) = run(&simulation(), seed, 3);
        assert!(history.calls().iter().any(|call| call.outcome().is_some()));
        check(&history);
    }
}

#[test]
fn what_clients_see_is_linearizable_under_faults() {
    let faults = Faults::all()
        .without(FaultKind::Buggify)
        .rate(FaultKind::Cancelled, ALWAYS)
        .swarm()
        .liveness(LIVELY);
    let simulation = simulation().faults(faults.clone());
    let (mut fired, mut answered, mut unknown) = (Fired::default(), 0, 0);
    for seed in 0..400 {
        let (history, struck) = run(&simulation, seed, 3);
        check(&history);
        fired = fired.and(struck);
        let known = history.calls().iter().filter(|call| call.outcome().is_some()).count();
        answered += known;
        unknown += history.calls().len() - known;
    }
    assert_eq!(fired.never(&faults), [], "{fired}");
    assert!(answered > 1000 && unknown > 20, "{answered} answered, {unknown} lost");
}

/// The check can fail: an answer that was changed on its way is found.
#[test]
fn a_wrong_answer_is_found() {
    let (history, _) = run(&simulation(), 1, 3);
    let mut wrong = History::default();
    let mut changed = false;
    let calls = history.calls().to_vec();
    // Told again, in the order of their events.
    let mut events: Vec<_> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        events.push((call.invoked.step, 1, index));
        events.extend(call.returned.as_ref().map(|(at, _)| (at.step, 0, index)));
    }
    events.sort_unstable();
    let mut ids = vec![None; calls.len()];
    for (_, invoked, index) in events {
        let call = &calls[index];
        match (invoked, &call.returned, ids[index]) {
            (1, ..) => {
                let id = wrong.invoke(call.process, call.operation.clone(), call.invoked);
                ids[index] = Some(id);
            }
            (_, Some((at, reply)), Some(id)) => {
                let mut reply = reply.clone();
                if let (MapOp::Get(_), false) = (&call.operation, changed) {
                    reply = Reply::Value("never written".into());
                    changed = true;
                }
                wrong.complete(id, reply, *at);
            }
            _ => {}
        }
    }
    assert!(changed, "somebody reads");
    assert!(!check_keyed(&Map::default(), &wrong, Bounds::default()).is_linearizable());
}
