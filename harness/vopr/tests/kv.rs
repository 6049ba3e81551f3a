//! `raddle-kv` itself in the simulation: its clients' histories are linearizable, whatever goes
//! wrong on the way.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use raddle_kv::config::{Config, Log};
use raddle_kv::server::Server;
use raddle_runtime::net::TcpStream;
use raddle_runtime::{Runtime, runtime, scope, spawn};
use raddle_vopr::linear::{Bounds, Bytes, History, Map, MapOp, Recorder, Reply, When, check_keyed};
use raddle_vopr::seeds::{Purpose, Stream};
use raddle_vopr::{
    ALWAYS, FaultKind, Faults, Fired, Granularity, Limits, Liveness, Sim, Simulation, calm, net,
};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
const KEYS: [&str; 3] = ["warp", "weft", "n"];

type Calls = Arc<Recorder<MapOp, Reply>>;

/// A connection, and what was received on it and not read yet.
struct Client {
    stream: TcpStream<Sim>,
    input: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: Vec::new() })
    }

    fn call(&mut self, operation: &MapOp) -> io::Result<Reply> {
        (&self.stream).write_all(&encode(operation))?;
        self.reply()
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.input.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64];
        match (&self.stream).read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.input.extend(&buffer[..count]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_first().expect("a reply has a kind");
        let rest = core::str::from_utf8(rest).expect("text");
        let number = || rest.parse::<i64>().expect("a number");
        Ok(match kind {
            b'+' => Reply::Ok,
            b'-' => Reply::Error,
            b':' => Reply::Integer(number()),
            b'$' => match usize::try_from(number()) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    while self.input.len() < length + 2 {
                        self.fill()?;
                    }
                    let mut value: Vec<u8> = self.input.drain(..length + 2).collect();
                    value.truncate(length);
                    Reply::Value(value.into())
                }
            },
            b'*' => {
                let values = (0..number()).map(|_| match self.reply()? {
                    Reply::Value(value) => Ok(Some(value)),
                    _ => Ok(None),
                });
                Reply::Values(values.collect::<io::Result<_>>()?)
            }
            other => panic!("a reply of the kind {:?}", char::from(*other)),
        })
    }
}

fn encode(operation: &MapOp) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut word = |bytes: &[u8]| words.push(bytes.to_vec());
    let keys = |word: &mut dyn FnMut(&[u8]), name: &str, keys: &[Bytes]| {
        word(name.as_bytes());
        keys.iter().for_each(|key| word(key.as_slice()));
    };
    match operation {
        MapOp::Get(key) => keys(&mut word, "GET", core::slice::from_ref(key)),
        MapOp::Set { key, value, expires, when } => {
            keys(&mut word, "SET", &[key.clone(), value.clone()]);
            if let Some(expires) = expires {
                word(b"PX");
                word(expires.as_millis().to_string().as_bytes());
            }
            match when {
                When::Always => {}
                When::Absent => word(b"NX"),
                When::Present => word(b"XX"),
            }
        }
        MapOp::Del(list) => keys(&mut word, "DEL", list),
        MapOp::Exists(list) => keys(&mut word, "EXISTS", list),
        MapOp::MGet(list) => keys(&mut word, "MGET", list),
        MapOp::Append(key, value) => keys(&mut word, "APPEND", &[key.clone(), value.clone()]),
        MapOp::Incr(key, by) => {
            keys(&mut word, "INCRBY", core::slice::from_ref(key));
            word(by.to_string().as_bytes());
        }
        MapOp::MSet(pairs) => {
            let list: Vec<_> =
                pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect();
            keys(&mut word, "MSET", &list);
        }
        MapOp::Expire(key, after) => {
            keys(&mut word, "PEXPIRE", core::slice::from_ref(key));
            word(after.as_millis().to_string().as_bytes());
        }
        MapOp::Persist(key) => keys(&mut word, "PERSIST", core::slice::from_ref(key)),
        MapOp::Pttl(key) => keys(&mut word, "PTTL", core::slice::from_ref(key)),
        MapOp::DbSize => word(b"DBSIZE"),
        MapOp::Flush => word(b"FLUSHALL"),
    }
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// What a client asks next. Each value is written once, so that an answer says whose it is.
fn next(stream: &mut Stream, process: u32, count: usize) -> MapOp {
    let mut key = || Bytes::from(KEYS[stream.below(KEYS.len())]);
    let (one, other) = (key(), key());
    let value = || Bytes::from(format!("{process}.{count}").into_bytes());
    match stream.below(10) {
        0..=2 => MapOp::Get(one),
        3 => MapOp::set(one, value()),
        4 => MapOp::Set { key: one, value: value(), expires: None, when: When::Absent },
        5 => MapOp::Incr("n".into(), 1),
        6 => MapOp::Del(vec![one, other]),
        7 => MapOp::Append(one, value()),
        8 => MapOp::MGet(vec![one, other]),
        _ => MapOp::MSet(vec![(one, value()), (other, value())]),
    }
}

/// Asks `commands` times. After a failure nobody knows whether the command was carried out, so it
/// stays without an answer, and another client takes over.
fn work(address: SocketAddr, log: &Calls, seed: u64, number: u32, commands: usize) {
    let mut stream = Stream::of(seed, Purpose::Workload, u64::from(number));
    let (mut process, mut client) = (number, None);
    for count in 0..commands {
        let mut connected = match client.take() {
            Some(client) => client,
            None => match Client::connect(address) {
                Ok(client) => client,
                Err(_) => continue,
            },
        };
        let operation = next(&mut stream, process, count);
        let id = log.invoke(process, operation.clone());
        match connected.call(&operation) {
            Ok(reply) => {
                log.complete(id, reply);
                client = Some(connected);
            }
            Err(_) => process += 100,
        }
    }
}

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
                fibers.spawn(move || work(address, log, seed, number, commands));
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
