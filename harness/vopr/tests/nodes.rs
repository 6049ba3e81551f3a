//! Several machines in one simulation: what they share, what they do not, and what is left of one
//! that crashes.

use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use raddle_parking_lot::ParkingMutex;
use raddle_platform::driver::{Handle, Interest, Signal};
use raddle_platform::global::Key;
use raddle_platform::{Clock, Driver, Instant, Parker, Platform, Rng, Threads};
use raddle_scenarios::scope;
use raddle_vopr::node::{Exit, Node};
use raddle_vopr::{
    ALWAYS, FailureKind, FaultClass, FaultKind, Faults, Report, Sim, Simulation, Strategy, calm,
    net,
};

type D = <Sim as Platform>::Driver;

const PORT: u16 = 80;
const SEEDS: u64 = 50;

fn now() -> Instant {
    <Sim as Platform>::Clock::now()
}

fn sleep(duration: Duration) {
    let end = now() + duration;
    while now() < end {
        <Sim as Platform>::Parker::park_until(end);
    }
}

fn park_for_ever() -> ! {
    loop {
        <Sim as Platform>::Parker::park();
    }
}

/// A connection to a listener, by somebody who has a few seconds at most.
fn connect(address: SocketAddr) -> io::Result<Handle> {
    let handle = D::connect(address)?;
    let ready = D::block_until_ready(handle, Interest::Writable, Some(now() + 60 * MINUTE))?;
    let result = if ready { D::take_error(handle) } else { Err(io::ErrorKind::TimedOut.into()) };
    result.map(|()| handle).inspect_err(|_| D::close(handle))
}

const MINUTE: Duration = Duration::from_secs(60);

/// Receives a byte: nothing at the end of the stream. Time may come in haste, so only who must
/// gives up.
fn receive(handle: Handle, patience: Option<Duration>) -> io::Result<Option<u8>> {
    let deadline = patience.map(|patience| now() + patience);
    loop {
        if !D::block_until_ready(handle, Interest::Readable, deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut byte = [0];
        match D::recv(handle, &mut byte) {
            Ok(count) => return Ok((count == 1).then_some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn send(handle: Handle, byte: u8) -> io::Result<()> {
    loop {
        D::block_until_ready(handle, Interest::Writable, None)?;
        match D::send(handle, &[byte]) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends back each byte that it receives, and one more: how often its node was started.
fn echo(starts: &AtomicU32) {
    let start = starts.fetch_add(1, Relaxed) as u8;
    let listener = D::listen((Node::here().address(), PORT).into(), 8).expect("a port");
    loop {
        D::block_until_ready(listener, Interest::Readable, None).expect("it stays");
        let Ok((handle, _)) = D::accept(listener) else { continue };
        while let Ok(Some(byte)) = receive(handle, None) {
            if send(handle, byte).and_then(|()| send(handle, start)).is_err() {
                break;
            }
        }
        D::close(handle);
    }
}

fn start_echo() -> (Node, SocketAddr) {
    let starts = AtomicU32::new(0);
    let node = Node::start("echo", move || echo(&starts));
    let address = (node.address(), PORT).into();
    (node, address)
}

fn ask(handle: Handle, byte: u8) -> io::Result<Option<u8>> {
    send(handle, byte)?;
    let echoed = receive(handle, Some(60 * MINUTE))?;
    assert!(echoed.is_none_or(|echoed| echoed == byte));
    receive(handle, Some(60 * MINUTE))
}

/// Connects until somebody listens.
fn persist(address: SocketAddr) -> Handle {
    loop {
        match connect(address) {
            Ok(handle) => return handle,
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
}

/// Not by priorities: who asks again and again before all others, with time, asks for ever.
fn sweep(program: impl Fn()) {
    for seed in 0..SEEDS {
        Simulation::new().seed(seed).strategy(Strategy::Random).run(&program).unwrap();
    }
}

fn without_haste(program: impl Fn()) -> Report {
    let report = Simulation::new().strategy(Strategy::RoundRobin).run(program);
    report.unwrap();
    report
}

#[test]
fn a_node_has_its_own_address_globals_and_random_values() {
    static KEY: Key = Key::new("nodes.own");
    let values = Arc::new(Mutex::new(BTreeSet::new()));
    sweep(|| {
        values.lock().expect("no panic").clear();
        let main = |values: &Mutex<BTreeSet<_>>| {
            let global = Sim::global(&KEY, || AtomicU64::new(0));
            assert_eq!(global.fetch_add(1, Relaxed), 0, "nobody else has it");
            let address = Node::here().address();
            assert!(D::listen((net::address(9), PORT).into(), 1).is_err());
            let listener = D::listen((address, PORT).into(), 1).expect("the port is free here");
            D::close(listener);
            let value = (address, <Sim as Platform>::Rng::u64());
            values.lock().expect("no panic").insert(value);
        };
        let nodes: Vec<_> = ["a", "b", "c"]
            .map(|name| {
                let values = Arc::clone(&values);
                Node::start(name, move || main(&values))
            })
            .into();
        main(&values);
        for (index, node) in nodes.iter().enumerate() {
            assert_eq!(node.wait(), Exit::Ended);
            assert_eq!((node.number(), node.is_up()), (index + 1, false));
        }
        let values = values.lock().expect("no panic");
        assert_eq!(values.len(), 4);
        let random: BTreeSet<_> = values.iter().map(|(_, random)| *random).collect();
        assert_eq!(random.len(), 4);
    });
}

/// What one node draws does not depend on what another has started.
#[test]
fn random_values_of_a_node_are_its_own() {
    let drawn = |others: usize| {
        let value = Arc::new(AtomicU64::new(0));
        let result = Arc::clone(&value);
        without_haste(move || {
            let others: Vec<_> = (0..others)
                .map(|_| <Sim as Platform>::Threads::spawn(String::new(), Box::new(|| ())))
                .collect();
            let value = Arc::clone(&value);
            let main = move || value.store(<Sim as Platform>::Rng::u64(), Relaxed);
            Node::start("a", main).wait();
            for other in others {
                <Sim as Platform>::Threads::join(other.expect("a thread")).expect("no panic");
            }
        });
        result.load(Relaxed)
    };
    assert_eq!(drawn(0), drawn(3));
}

#[test]
fn monotonic_clocks_have_nothing_to_do_with_one_another() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let clocks = Arc::clone(&seen);
    without_haste(move || {
        let clocks = Arc::clone(&clocks);
        let node = Node::start("a", move || {
            let before = now();
            sleep(Duration::from_millis(5));
            assert!(now() - before >= Duration::from_millis(5));
            clocks.lock().expect("no panic").push(before);
            park_for_ever();
        });
        sleep(Duration::from_millis(20));
        node.crash();
        node.restart();
        sleep(Duration::from_millis(20));
        node.crash();
        assert!(now().as_nanos() < 1_000_000_000);
    });
    let seen = seen.lock().expect("no panic");
    assert!(seen.len() == 2 && seen[0].as_nanos() >= 1_000_000_000);
    // Far more, or less, than the time between.
    assert!(seen[0].as_nanos().abs_diff(seen[1].as_nanos()) >= 1_000_000_000);
}

/// What `jump` does in the middle of two sleeps, one on each of two nodes: when each ended by its own
/// clock, and in the world's time, which the root's clock shows.
fn two_sleeps(jump: fn(&Node, &Node)) -> [[Duration; 2]; 2] {
    let slept = Arc::new(Mutex::new([[Duration::ZERO; 2]; 2]));
    let results = Arc::clone(&slept);
    without_haste(move || {
        let world = now();
        let ended = Arc::new(AtomicU32::new(0));
        let start = |index: usize| {
            let (slept, ended) = (Arc::clone(&results), Arc::clone(&ended));
            Node::start(["one", "other"][index], move || {
                let before = (now(), <Sim as Platform>::Clock::wall());
                sleep(10 * MINUTE);
                let wall = <Sim as Platform>::Clock::wall() - before.1;
                assert_eq!(wall, now() - before.0, "both clocks of a machine jump");
                slept.lock().expect("no panic")[index][0] = now() - before.0;
                ended.fetch_add(1 << index, Relaxed);
            })
        };
        let nodes = [start(0), start(1)];
        sleep(MINUTE);
        jump(&nodes[0], &nodes[1]);
        for _ in 0..20 {
            let ended = ended.load(Relaxed);
            for (index, slept) in results.lock().expect("no panic").iter_mut().enumerate() {
                if ended & 1 << index != 0 && slept[1].is_zero() {
                    slept[1] = now() - world;
                }
            }
            sleep(MINUTE);
        }
    });
    *slept.lock().expect("no panic")
}

/// The other's clock shows what it would have shown, and its sleep is as long.
fn only_one_jumps(slept: [[Duration; 2]; 2]) -> bool {
    let [one, other] = slept;
    let about = |time: Duration, minutes: u32| {
        (minutes..minutes + 2).contains(&(time.as_secs() as u32 / 60))
    };
    about(one[0], 61) && about(one[1], 1) && about(other[0], 10) && about(other[1], 10)
}

#[test]
fn a_clock_that_jumps_does_so_alone() {
    assert!(only_one_jumps(two_sleeps(|one, _| one.jump(60 * MINUTE))));
    // A jump within the sleep makes it shorter for the world, and not for its own clock.
    let [one, other] = two_sleeps(|one, _| one.jump(5 * MINUTE));
    assert_eq!([one[0], other[0]], [10 * MINUTE; 2]);
    assert!(one[1] < 7 * MINUTE && other[1] >= 10 * MINUTE, "{one:?} {other:?}");
}

/// The broken twin: a world in which a jump is everybody's.
#[test]
fn a_jump_of_the_whole_world_is_found() {
    assert!(!only_one_jumps(two_sleeps(|one, other| {
        one.jump(60 * MINUTE);
        other.jump(60 * MINUTE);
    })));
    assert!(!only_one_jumps(two_sleeps(|_, _| {})));
}

/// The fault strikes one machine at a time, and time does not come by it.
#[test]
fn a_fault_makes_one_clock_jump() {
    let faults = Faults::none().rate(FaultKind::ClockJump, 8192);
    let mut apart = 0;
    for seed in 0..SEEDS {
        let passed = Arc::new(Mutex::new([Duration::ZERO; 2]));
        let results = Arc::clone(&passed);
        let simulation = Simulation::new().seed(seed).faults(faults.clone());
        let report = simulation.run(move || {
            let look = |index: usize, results: &Arc<Mutex<[Duration; 2]>>| {
                let before = now();
                (0..4).for_each(|_| sleep(Duration::from_millis(50)));
                results.lock().expect("no panic")[index] = now() - before;
            };
            let theirs = Arc::clone(&results);
            let node = Node::start("a", move || look(1, &theirs));
            look(0, &results);
            node.wait();
        });
        report.unwrap();
        assert!(report.virtual_time <= Duration::from_millis(400), "{:?}", report.virtual_time);
        let [one, other] = *passed.lock().expect("no panic");
        apart += u32::from(one.abs_diff(other) > Duration::from_millis(500));
    }
    assert!(apart > 10, "the clocks part in {apart} of {SEEDS} seeds");
}

/// A crash leaves everything where it stands: also what would write when it is dropped.
#[test]
fn a_crash_runs_no_destructor() {
    struct Writes(Arc<AtomicU32>);
    impl Drop for Writes {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    for kill in [false, true] {
        for seed in 0..SEEDS {
            let (dropped, begun) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let counters = (Arc::clone(&dropped), Arc::clone(&begun));
            let simulation = Simulation::new().seed(seed).strategy(Strategy::Sticky);
            let report = simulation.run(move || {
                let (dropped, begun) = counters.clone();
                let node = Node::start("a", move || {
                    static KEY: Key = Key::new("nodes.dropped");
                    let writes = || Writes(Arc::clone(&dropped));
                    let _on_the_stack = writes();
                    let _on_the_heap = Box::new(writes());
                    let mutex = ParkingMutex::<_, Sim>::new_in(writes());
                    <Sim as Platform>::Threads::on_exit(Box::new({
                        let captured = writes();
                        move || drop(captured)
                    }));
                    Sim::global(&KEY, || Mutex::new(Vec::new()))
                        .lock()
                        .expect("no panic")
                        .push(writes());
                    let hold = || {
                        begun.fetch_add(1, Relaxed);
                        let _guard = mutex.lock();
                        park_for_ever();
                    };
                    scope::<Sim, _>(|threads| {
                        threads.spawn(hold);
                        hold();
                    });
                });
                let (_, begun) = &counters;
                while begun.load(Relaxed) < 2 {
                    <Sim as Platform>::Threads::yield_now();
                }
                if kill {
                    node.kill()
                } else {
                    node.crash()
                }
                assert_eq!(node.wait(), Exit::Crashed);
            });
            report.unwrap();
            assert_eq!(dropped.load(Relaxed), 0);
            let abandoned = report.abandoned;
            assert_eq!((abandoned.crashes, abandoned.threads), (1, 2), "seed {seed}");
            assert_eq!(abandoned.stack_bytes, 2 * 512 * 1024);
        }
    }
}

/// What the threads of a crashed node held and waited for is forgotten: no deadlock, no race.
#[test]
fn a_node_can_crash_itself_and_start_again() {
    let most = Arc::new(AtomicU32::new(0));
    let starts = Arc::clone(&most);
    sweep(move || {
        starts.store(0, Relaxed);
        let starts = Arc::clone(&starts);
        let node = Node::start("a", move || {
            static KEY: Key = Key::new("nodes.mutex");
            let mutex = Sim::global(&KEY, || ParkingMutex::<u32, Sim>::new_in(0));
            let mut value = mutex.lock();
            assert_eq!(*value, 0);
            *value = 1;
            if starts.fetch_add(1, Relaxed) < 3 {
                Node::here().crash();
                unreachable!("it is gone");
            }
        });
        for _ in 0..3 {
            assert_eq!(node.wait(), Exit::Crashed);
            assert!(node.restart());
        }
        assert_eq!((node.wait(), node.exit()), (Exit::Ended, Some(Exit::Ended)));
        assert_eq!(node.restarts(), 3);
        assert!(!Node::root().restart(), "it is up");
    });
    assert_eq!(most.load(Relaxed), 4);
}

#[test]
fn nodes_talk_over_the_wire() {
    without_haste(|| {
        let (node, address) = start_echo();
        let client = Node::start("client", move || {
            let handle = persist(address);
            assert_eq!(ask(handle, 7).expect("nothing is at fault"), Some(0));
            D::close(handle);
        });
        assert_eq!(client.wait(), Exit::Ended);
        assert_ne!(D::connect((net::address(0), PORT).into()).map(D::close).ok(), None);
        node.crash();
    });
}

/// After a loss of power there is silence, and once the node is up again it knows of nothing.
#[test]
fn peers_of_a_crashed_node_hear_nothing_and_then_a_reset() {
    without_haste(|| {
        let (node, address) = start_echo();
        let handle = persist(address);
        assert_eq!(ask(handle, 1).expect("nothing is at fault"), Some(0));
        node.crash();
        send(handle, 2).expect("nobody knows yet");
        let silent = receive(handle, Some(Duration::from_secs(5))).expect_err("nobody answers");
        assert_eq!(silent.kind(), io::ErrorKind::TimedOut);
        node.restart();
        let reset = receive(handle, Some(10 * MINUTE)).expect_err("it was sent again");
        assert_eq!(reset.raw_os_error(), Some(libc::ECONNRESET));
        D::close(handle);
        let handle = persist(address);
        assert_eq!(ask(handle, 3).expect("nothing is at fault"), Some(1));
        D::close(handle);
        node.crash();
    });
}

/// The kernel of a killed program says goodbye for it.
#[test]
fn peers_of_a_killed_program_hear_of_it_at_once() {
    without_haste(|| {
        let (node, address) = start_echo();
        let handle = persist(address);
        assert_eq!(ask(handle, 1).expect("nothing is at fault"), Some(0));
        node.kill();
        assert_eq!(receive(handle, None).expect("the end"), None);
        D::close(handle);
        let refused = connect(address).expect_err("nobody listens");
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
        node.restart();
        let handle = persist(address);
        assert_eq!(ask(handle, 2).expect("nothing is at fault"), Some(1));
        D::close(handle);
        node.crash();
    });
}

/// Whoever asks for a connection to a node that is down asks again, until it is up.
#[test]
fn a_handshake_outlives_a_crash() {
    sweep(|| {
        let (node, address) = start_echo();
        D::close(persist(address));
        let handle = D::connect(address).expect("it begins");
        node.crash();
        sleep(Duration::from_secs(2));
        node.restart();
        let result = D::block_until_ready(handle, Interest::Writable, None);
        assert!(result.expect("a socket"), "there is an answer");
        D::close(handle);
        node.crash();
    });
}

#[test]
fn a_partition_cuts_two_nodes_and_heals() {
    without_haste(|| {
        let (node, address) = start_echo();
        let handle = persist(address);
        assert_eq!(ask(handle, 1).expect("nothing is at fault"), Some(0));
        net::partition(0, node.number());
        send(handle, 2).expect("nobody knows yet");
        assert!(receive(handle, Some(Duration::from_secs(9))).is_err());
        let other = Node::start("other", move || {
            let handle = persist(address);
            D::close(handle);
        });
        net::heal();
        assert_eq!(receive(handle, None).expect("it is whole"), Some(2));
        assert_eq!(receive(handle, None).expect("it is whole"), Some(0));
        // What the node says is lost, what it is told comes through.
        net::partition_one_way(node.number(), 0);
        send(handle, 3).expect("it is told");
        assert!(receive(handle, Some(Duration::from_secs(9))).is_err());
        net::heal();
        assert_eq!(receive(handle, None).expect("it is whole"), Some(3));
        D::close(handle);
        assert_eq!(other.wait(), Exit::Ended);
        node.crash();
    });
}

#[test]
fn a_signal_reaches_the_program_of_one_node() {
    sweep(|| {
        let ready = Arc::new(AtomicU32::new(0));
        let start = |name| {
            let ready = Arc::clone(&ready);
            Node::start(name, move || {
                let signal = D::signal(Signal::Terminate).expect("a handle");
                ready.fetch_add(1, Relaxed);
                D::block_until_ready(signal, Interest::Readable, None).expect("it comes");
                D::close(signal);
            })
        };
        let (one, other) = (start("one"), start("other"));
        while ready.load(Relaxed) < 2 {
            <Sim as Platform>::Threads::yield_now();
        }
        one.raise(Signal::Terminate);
        assert_eq!(one.wait(), Exit::Ended);
        assert!(other.is_up());
        other.raise(Signal::Terminate);
        assert_eq!(other.wait(), Exit::Ended);
    });
}

fn fails(program: impl Fn()) -> raddle_vopr::Failure {
    let report = Simulation::new().strategy(Strategy::RoundRobin).run(program);
    report.failure().expect("it fails").clone()
}

#[test]
fn what_fails_on_a_node_fails_the_execution() {
    let failure = fails(|| {
        Node::start("a", || panic!("planted")).wait();
    });
    assert_eq!(failure.kind, FailureKind::Panic);
    assert!(failure.message().contains("the main thread of a panicked"), "{failure}");

    let failure = fails(|| {
        Node::start("a", || park_for_ever());
    });
    assert_eq!(failure.kind, FailureKind::Leak);
    assert!(failure.message().contains("(a on a) is in park"), "{failure}");
}

/// A program that waits for another that has crashed: the report says who waits.
#[test]
fn waiting_for_a_node_that_never_ends_is_a_deadlock() {
    let failure = fails(|| {
        Node::start("a", || park_for_ever()).wait();
    });
    assert_eq!(failure.kind, FailureKind::Deadlock);
    assert!(failure.message().contains("wait for a node"), "{failure}");
}

fn under_crashes(seed: u64, strategy: Strategy) -> (Report, u32) {
    let faults = Faults::none().with_class(FaultClass::Node).rate(FaultKind::Crash, 256);
    let faults = faults.rate(FaultKind::Kill, 256);
    let answered = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&answered);
    let simulation = Simulation::new().seed(seed).strategy(strategy).faults(faults);
    let report = simulation.run(move || {
        let (node, address) = start_echo();
        for byte in 0..5 {
            let handle = persist(address);
            count.fetch_add(u32::from(matches!(ask(handle, byte), Ok(Some(_)))), Relaxed);
            D::close(handle);
        }
        calm();
        let handle = persist(address);
        let start = ask(handle, 9).expect("nothing is at fault").expect("an answer");
        assert!(u32::from(start) <= node.restarts());
        D::close(handle);
        node.crash();
    });
    (report, answered.load(Relaxed))
}

#[test]
fn faults_crash_nodes_and_start_them_again() {
    let (mut crashes, mut kills, mut answered) = (0, 0, 0);
    for seed in 0..100 {
        let (report, count) = under_crashes(seed, Strategy::Random);
        report.unwrap();
        crashes += report.faults.of(FaultKind::Crash);
        kills += report.faults.of(FaultKind::Kill);
        answered += count;
        assert_eq!(
            report.abandoned.crashes,
            report.faults.of(FaultKind::Crash) + report.faults.of(FaultKind::Kill) + 1
        );
    }
    assert!(crashes > 20 && kills > 20 && answered > 100, "{crashes} {kills} {answered}");
}

#[test]
fn a_fault_crashes_no_node_that_is_not_fragile() {
    let faults = Faults::none().rate(FaultKind::Crash, ALWAYS);
    let report = Simulation::new().seed(1).faults(faults).run(|| {
        let node = Node::start("a", || {
            Node::here().set_fragile(false);
            sleep(Duration::from_secs(1));
            Node::here().set_fragile(true);
            sleep(Duration::from_secs(1));
            unreachable!("a crash is certain");
        });
        assert_eq!(node.wait(), Exit::Crashed);
        calm();
        node.crash();
    });
    report.unwrap();
}

#[test]
fn crashes_are_the_same_again_and_in_a_replay() {
    for seed in 0..30 {
        let (report, _) = under_crashes(seed, Strategy::Random);
        let (again, _) = under_crashes(seed, Strategy::Random);
        assert_eq!(again.certificate, report.certificate);
        assert_eq!(again.abandoned, report.abandoned);
        let (replay, _) = under_crashes(report.seed, Strategy::Replay(report.trace.clone()));
        replay.replayed().expect("the same decisions");
        assert_eq!(replay.certificate, report.certificate);
    }
}
