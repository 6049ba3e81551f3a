//! `raddle-kv` with its append-only file, on a node that crashes: nothing that it acknowledged under
//! `always` is ever lost. On a disk that lies, it says so and does not start, and serves no wrong
//! value.

use core::time::Duration;
use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use raddle_kv::aof::OpenError;
use raddle_kv::config::{self, Config, Fsync, Log, Switch};
use raddle_kv::server::Server;
use raddle_platform::{Platform, Threads};
use raddle_runtime::{Runtime, runtime, scope, sleep};
use raddle_vopr::linear::{Bounds, Bytes, History, Map, MapOp, Reply, Verdict, check_keyed};
use raddle_vopr::node::{Exit, Node};
use raddle_vopr::seeds::{Purpose, Stream};
use raddle_vopr::{
    FaultClass, FaultKind, Faults, Fired, Granularity, Limits, Liveness, Report, Sim, Simulation,
    Strategy, calm, net,
};

use crate::client::{Calls, Client, KEYS, work};

const SEEDS: u64 = 200;
const PORT: u16 = 6380;
/// The number of the node that the server is on.
const SERVER: usize = 1;

/// What the server says at its starts, when it does not start.
type Refusals = Arc<Mutex<Vec<io::Error>>>;

fn config(appendfsync: Fsync) -> Config {
    Config {
        port: PORT,
        bind: net::address(SERVER),
        log: Log::Off,
        appendonly: Switch::Yes,
        appendfsync,
        dir: PathBuf::from("data"),
        // So that rewrites begin and crash, too.
        auto_aof_rewrite_min_size: config::Bytes(600),
        ..Config::default()
    }
}

/// The main function of the server's node.
fn serve(fsync: Fsync, refusals: &Refusals) {
    Node::here().disk().make_directory("data");
    let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(2).build().expect("a runtime");
    let served = runtime.run(move || Server::<Sim>::bind(config(fsync)).map(Server::run));
    match served.expect("no panic") {
        // What it could not write it has told its clients.
        Ok(_) => {}
        Err(error) => refusals.lock().expect("no panic").push(error),
    }
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

/// Starts the server again when it has ended, and when it has lost its file, until `done`, or until
/// it finds damage and that is the end.
fn supervise(node: &Node, broken: &AtomicBool, done: &AtomicBool, refusals: &Refusals, lies: bool) {
    let over =
        || lies && refusals.lock().expect("no panic").iter().any(|error| corrupt(error).is_some());
    while !done.load(Relaxed) && !over() {
        let broken = broken.swap(false, Relaxed);
        if broken {
            node.kill();
        }
        if broken || node.exit() == Some(Exit::Ended) {
            node.restart();
        }
        park_for(Duration::from_millis(100));
    }
}

fn park_for(duration: Duration) {
    use raddle_platform::{Clock, Parker};
    let end = <Sim as Platform>::Clock::now() + duration;
    while <Sim as Platform>::Clock::now() < end {
        <Sim as Platform>::Parker::park_until(end);
    }
}

/// Reads all keys, as often as it takes: `false` if that is too often.
fn read_all(node: &Node, log: &Calls, first: u32) -> bool {
    let keys = KEYS.map(Bytes::from).to_vec();
    for attempt in first..first + 200 {
        if let Ok(mut client) = Client::connect((node.address(), PORT).into()) {
            let operation = MapOp::MGet(keys.clone());
            let id = log.invoke(attempt, operation.clone());
            if let Ok(reply) = client.call(&operation) {
                log.complete(id, reply);
                return true;
            }
        }
        sleep::<Sim>(Duration::from_millis(100)).expect("nobody cancels");
    }
    false
}

/// Clients at work while the server crashes. Then the faults end, it crashes once more, and what is
/// there is read. If the disk lies, the server may refuse to start.
fn crash_and_serve(setup: Setup, log: &Calls, refusals: &Refusals) {
    let Setup { seed, clients, lies, fsync } = setup;
    let said = Arc::clone(refusals);
    let node = Node::start("server", move || serve(fsync, &said));
    assert_eq!(node.number(), SERVER);
    let (broken, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let supervisor = {
        let (node, broken, done) = (node.clone(), Arc::clone(&broken), Arc::clone(&done));
        let refusals = Arc::clone(refusals);
        let body = Box::new(move || supervise(&node, &broken, &done, &refusals, lies));
        <Sim as Platform>::Threads::spawn("supervisor".to_owned(), body).expect("a thread")
    };
    let (runtime, log) = (runtime::Builder::<Sim>::new_in().workers(1).build(), Arc::clone(log));
    let runtime = runtime.expect("a runtime");
    let main = node.clone();
    let worked = runtime.run(move || {
        let node = main;
        let refused = || broken.store(true, Relaxed);
        scope::<Sim, _, _>(|fibers| {
            for number in 0..clients {
                let (log, node, refused) = (&log, &node, &refused);
                let stream = Stream::of(seed, Purpose::Workload, u64::from(number));
                let address = (node.address(), PORT).into();
                fibers.spawn(move || work(address, log, stream, number, 12, refused));
            }
        });
        calm();
        node.crash();
        node.restart();
        read_all(&node, &log, 10_000)
    });
    let answered = worked.expect("no panic");
    let refused = refusals.lock().expect("no panic").iter().any(|error| corrupt(error).is_some());
    assert!(answered || lies && refused, "the server neither answers nor says what is wrong");
    done.store(true, Relaxed);
    <Sim as Platform>::Threads::join(supervisor).expect("no panic");
    node.crash();
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

const LIVELY: Liveness = Liveness { steps: 2_000_000, virtual_time: Duration::from_secs(3000) };

fn simulation(faults: Faults) -> Simulation {
    let limits = Limits { steps: 5_000_000, ..Limits::default() };
    // Not by priorities: who waits for a node to come back must not keep time from passing.
    let simulation = Simulation::new().strategy(Strategy::Random).faults(faults.liveness(LIVELY));
    simulation.granularity(Granularity::Blocking).limits(limits)
}

#[derive(Clone, Copy)]
struct Setup {
    seed: u64,
    clients: u32,
    /// The disk is not only one that loses its power.
    lies: bool,
    fsync: Fsync,
}

impl Setup {
    fn new(seed: u64) -> Self {
        Self { seed, clients: 1 + seed as u32 % 3, lies: false, fsync: Fsync::Always }
    }
}

struct Run {
    report: Report,
    history: History<MapOp, Reply>,
    refusals: Vec<io::Error>,
}

fn run(simulation: &Simulation, setup: Setup) -> Run {
    let last = RefCell::new((Calls::default(), Refusals::default()));
    let report = simulation.clone().seed(setup.seed).run(|| {
        let (log, refusals) = (Calls::default(), Refusals::default());
        *last.borrow_mut() = (Arc::clone(&log), Arc::clone(&refusals));
        crash_and_serve(setup, &log, &refusals);
    });
    let (log, refusals) = last.into_inner();
    let refusals = core::mem::take(&mut *refusals.lock().expect("no panic"));
    Run { report, history: log.history(), refusals }
}

/// What the server says of damage.
fn corrupt(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<OpenError>()?;
    matches!(error, OpenError::Corrupt(_)).then(|| error.to_string())
}

/// Whether the history is linearizable, if that can be told.
fn check(history: &History<MapOp, Reply>, seed: u64) -> bool {
    match check_keyed(&Map::default(), history, Bounds::default()) {
        Verdict::Linearizable => true,
        Verdict::GaveUp { .. } => false,
        verdict @ Verdict::NotLinearizable(_) => panic!("seed {seed}: {verdict}"),
    }
}

fn crash_faults() -> Faults {
    let faults = Faults::none().with_class(FaultClass::Node).with_class(FaultClass::Disk);
    faults.rate(FaultKind::Crash, 256).rate(FaultKind::Kill, 256)
}

/// That the disk did not answer is no damage.
fn damage(error: &io::Error) -> Option<String> {
    corrupt(error).filter(|text| !text.contains("it cannot be read"))
}

#[test]
fn nothing_that_was_acknowledged_is_lost() {
    let faults = crash_faults().with(FaultKind::Interrupted).swarm();
    let simulation = simulation(faults.clone());
    let (mut crashes, mut answered, mut unknown) = (0, 0, 0);
    let mut fired = Fired::default();
    for seed in 0..SEEDS {
        let Run { report, history, refusals } = run(&simulation, Setup::new(seed));
        report.unwrap();
        assert_eq!(refusals.iter().find_map(damage), None, "seed {seed}");
        unknown += u64::from(!check(&history, seed));
        fired = fired.and(report.faults);
        crashes += report.abandoned.crashes;
        answered += history.calls().iter().filter(|call| call.outcome().is_some()).count() as u64;
    }
    assert!(crashes > 2 * SEEDS && answered > 5 * SEEDS && unknown < SEEDS / 50);
    assert_eq!(fired.never(&faults), [], "{fired}");
}

/// The check can fail: under `everysec` a loss of power takes away what was acknowledged.
#[test]
fn what_is_synced_once_a_second_is_lost() {
    let simulation = simulation(Faults::none());
    let lost = (0..20).filter(|seed| {
        let run = run(&simulation, Setup { fsync: Fsync::Everysec, ..Setup::new(*seed) });
        run.report.unwrap();
        !check_keyed(&Map::default(), &run.history, Bounds::default()).is_linearizable()
    });
    assert!(lost.count() > 0);
}

/// A bit rots, a sector cannot be read, a write is lost or goes elsewhere: the server starts with
/// all that it has acknowledged, or does not start and says where the damage is. It promises that
/// for one such fault; two may hide each other.
#[test]
fn a_disk_that_lies_is_found_out() {
    let kinds = FaultKind::ALL.iter().filter(|kind| kind.class() == FaultClass::Corruption);
    let faults = kinds.clone().fold(Faults::none(), |faults, kind| faults.rate(*kind, 2048));
    let faults = faults.rate(FaultKind::Crash, 512).swarm();
    let simulation = simulation(faults.clone());
    let (mut fired, mut single, mut found, mut unknown) = (Fired::default(), 0, 0, 0);
    for seed in 0..SEEDS {
        let setup = Setup { lies: true, ..Setup::new(seed) };
        let Run { report, history, refusals } = run(&simulation, setup);
        report.unwrap();
        let text = refusals.iter().find_map(corrupt);
        assert!(text.as_ref().is_none_or(|text| text.contains("data/appendonly.aof")), "{text:?}");
        found += u64::from(text.is_some());
        fired = fired.and(report.faults);
        if kinds.clone().map(|kind| report.faults.of(*kind)).sum::<u64>() <= 1 {
            unknown += u64::from(!check(&history, seed));
            single += 1;
        }
    }
    assert!(found > SEEDS / 50 && unknown < SEEDS / 50 && single > SEEDS / 2);
    assert_eq!(fired.never(&faults), [], "{fired}");
}

/// The certificates of some executions full of crashes, and what their clients saw.
fn fingerprints() -> String {
    let simulation = simulation(crash_faults().with_class(FaultClass::Network));
    let line = |seed| {
        let Run { report, history, .. } = run(&simulation, Setup::new(seed));
        report.unwrap();
        assert!(report.abandoned.crashes > 2, "crashes come on top of the two of the test");
        format!("{} {:?} {history:?}\n", report.certificate, report.abandoned)
    };
    (0..4).map(line).collect()
}

/// Addresses, environment and working directory are others in each.
#[test]
fn a_crash_is_the_same_in_five_processes() {
    const CHILD: &str = "VOPR_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!("BEGIN\n{}END", fingerprints());
        return;
    }
    let name = "append_only::a_crash_is_the_same_in_five_processes";
    let here = std::env::current_exe().expect("the test's own file");
    let expected = fingerprints();
    for (index, directory) in ["/", "/tmp", "/usr", "/proc", "/var"].into_iter().enumerate() {
        let mut child = std::process::Command::new(&here);
        child.args(["--exact", name, "--nocapture"]).env_clear().env(CHILD, "1");
        child.env("PADDING", "x".repeat(1 + 1000 * index)).current_dir(directory);
        let output = child.output().expect("a child process");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let (_, rest) = text.split_once("BEGIN\n").expect("the child's output");
        assert_eq!(rest.split_once("END").expect("the child's output").0, expected, "{directory}");
    }
}

#[test]
fn a_crash_is_the_same_in_a_replay() {
    let simulation = simulation(crash_faults());
    for seed in 0..10 {
        let first = run(&simulation, Setup::new(seed));
        let again = run(&simulation.clone().replay(first.report.trace.clone()), Setup::new(seed));
        again.report.replayed().expect("the same decisions");
        assert_eq!(again.report.certificate, first.report.certificate);
        assert_eq!(format!("{:?}", again.history), format!("{:?}", first.history));
    }
}
