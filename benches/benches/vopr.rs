//! The simulator: decisions, what recording them costs, schedules against shuttle, and commands of
//! `raddle-kv` under faults.
//!
//! shuttle lets another thread run before each operation of a lock and nowhere else, as Raddle does
//! at the granularity [`Granularity::Blocking`]; the figure at the granularity of atomics, where the
//! inside of the locks is explored too, stands beside it.

use std::cell::Cell;
use std::hint::black_box;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use raddle_kv::config::{Config, Log};
use raddle_kv::server::Server;
use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_runtime::net::TcpStream;
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn};
use raddle_scenarios::scope;
use raddle_vopr::{
    FaultKind, Faults, Granularity, Limits, Report, Sim, Simulation, Strategy, calm, net, trace,
};

/// So many threads add so often: each addition is one decision among three threads.
const THREADS: usize = 3;
const ADDITIONS: usize = 10_000;

fn additions() {
    let sum = <Sim as Platform>::AtomicUsize::new(0);
    let add = || {
        for _ in 0..ADDITIONS {
            sum.fetch_add(1, Ordering::Relaxed);
        }
    };
    scope::<Sim, _>(|threads| {
        for _ in 1..THREADS {
            threads.spawn(add);
        }
        add();
    });
    assert_eq!(sum.load(Ordering::Relaxed), THREADS * ADDITIONS);
}

/// The time for `decisions` of them, taken by whole executions.
fn decide(decisions: u64, mut run: impl FnMut(u64) -> Report) -> Duration {
    let (mut taken, mut seed) = (0, 0);
    let start = Instant::now();
    while taken < decisions {
        taken += black_box(run(seed)).decisions;
        seed += 1;
    }
    start.elapsed().mul_f64(decisions as f64 / taken as f64)
}

fn decisions(criterion: &mut Criterion) {
    let simulation = Simulation::new().strategy(Strategy::Random);
    let run = |seed| {
        let report = simulation.clone().seed(seed).run(additions);
        report.unwrap();
        report
    };
    let record = |seed| {
        let report = run(seed);
        let bytes = trace::encode(&simulation.recording("benches/additions", &report));
        black_box(bytes.expect("it fits"));
        report
    };
    let report = run(0);
    let bytes = trace::encode(&simulation.recording("benches/additions", &report));
    let bytes = bytes.expect("it fits").len() as f64 / report.decisions as f64;
    println!("note: {bytes:.2} bytes of trace file per decision");
    let mut group = criterion.benchmark_group("vopr_decisions");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raddle", |bencher| bencher.iter_custom(|count| decide(count, run)));
    group.bench_function("raddle_recorded", |bencher| {
        bencher.iter_custom(|count| decide(count, record))
    });
    group.finish();
}

const ITEMS: usize = 10;
const CAPACITY: usize = 2;

/// Two threads put ten items each into a buffer for two, and a third takes them.
fn raddle_buffer() {
    let buffer = ParkingMutex::<Vec<usize>, Sim>::new_in(Vec::new());
    let (room, items) = (Condvar::<Sim>::new_in(), Condvar::<Sim>::new_in());
    scope::<Sim, _>(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                for item in 0..ITEMS {
                    let mut buffer = buffer.lock();
                    while buffer.len() == CAPACITY {
                        room.wait(&mut buffer);
                    }
                    buffer.push(item);
                    items.notify_one();
                }
            });
        }
        threads.spawn(|| {
            for _ in 0..2 * ITEMS {
                let mut buffer = buffer.lock();
                while buffer.is_empty() {
                    items.wait(&mut buffer);
                }
                buffer.pop();
                room.notify_one();
            }
        });
    });
}

/// The same on shuttle's types.
fn shuttle_buffer() {
    use shuttle::sync::{Condvar, Mutex};
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new()));
    let mut threads = Vec::new();
    for _ in 0..2 {
        let shared = Arc::clone(&shared);
        threads.push(shuttle::thread::spawn(move || {
            let (buffer, room, items) = &*shared;
            for item in 0..ITEMS {
                let mut buffer = buffer.lock().expect("not poisoned");
                while buffer.len() == CAPACITY {
                    buffer = room.wait(buffer).expect("not poisoned");
                }
                buffer.push(item);
                items.notify_one();
            }
        }));
    }
    let shared = Arc::clone(&shared);
    threads.push(shuttle::thread::spawn(move || {
        let (buffer, room, items) = &*shared;
        for _ in 0..2 * ITEMS {
            let mut buffer = buffer.lock().expect("not poisoned");
            while buffer.is_empty() {
                buffer = items.wait(buffer).expect("not poisoned");
            }
            buffer.pop();
            room.notify_one();
        }
    }));
    for thread in threads {
        thread.join().expect("no panic");
    }
}

/// The time for so many executions, each by another seed.
fn schedules(count: u64, granularity: Granularity) -> Duration {
    let simulation = Simulation::new().strategy(Strategy::Random).granularity(granularity);
    let start = Instant::now();
    for seed in 0..count {
        simulation.clone().seed(seed).run(raddle_buffer).unwrap();
    }
    start.elapsed()
}

fn bounded_buffer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vopr_bounded_buffer");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raddle", |bencher| {
        bencher.iter_custom(|count| schedules(count, Granularity::Blocking));
    });
    group.bench_function("raddle_atomics", |bencher| {
        bencher.iter_custom(|count| schedules(count, Granularity::Atomics));
    });
    group.bench_function("shuttle", |bencher| {
        bencher.iter_custom(|count| {
            let count = usize::try_from(count).expect("a number of schedules");
            let start = Instant::now();
            shuttle::check_random(shuttle_buffer, count);
            start.elapsed()
        });
    });
    group.finish();
}

/// Counts up a key of `raddle-kv` so often, over new connections where one breaks, and returns how
/// often it had an answer.
fn client(address: SocketAddr, commands: u64) -> u64 {
    const PATIENCE: Duration = Duration::from_secs(2);
    let mut answered = 0;
    let mut stream: Option<TcpStream<Sim>> = None;
    for _ in 0..commands {
        let connection = match stream.take() {
            Some(connection) => connection,
            None => {
                let Ok(new) = TcpStream::connect_timeout(address, PATIENCE) else { continue };
                if new.set_read_timeout(Some(PATIENCE)).is_err() {
                    continue;
                }
                new
            }
        };
        let mut buffer = [0; 32];
        let mut ask = || {
            (&connection).write_all(b"INCR counter\r\n").ok()?;
            let mut length = 0;
            while !buffer[..length].ends_with(b"\r\n") {
                length += match (&connection).read(&mut buffer[length..]) {
                    Ok(0) => return None,
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                    Err(_) => return None,
                };
            }
            Some(())
        };
        if ask().is_some() {
            answered += 1;
            stream = Some(connection);
        }
    }
    answered
}

/// A server on two workers, and two clients beside it.
fn serve(answered: &Cell<u64>) {
    const COMMANDS: u64 = 200;
    let runtime: Runtime<Sim> = Builder::new_in().workers(2).build().expect("a runtime");
    let count = runtime.run(|| {
        let config = Config { port: 0, bind: net::address(0), log: Log::Off, ..Config::default() };
        let server = Server::<Sim>::bind(config).expect("a port");
        let (address, stop) = (server.local_addr().expect("an address"), server.stop_token());
        let serving = spawn::<Sim, _, _>(move || server.run());
        let clients: [_; 2] =
            std::array::from_fn(|_| spawn::<Sim, _, _>(move || client(address, COMMANDS)));
        let count: u64 = clients.into_iter().map(|it| it.join().expect("no panic")).sum();
        calm();
        stop.cancel();
        serving.join().expect("no panic").expect("it ends");
        count
    });
    answered.set(count.expect("no panic"));
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

/// The time for so many answered commands under the usual faults, taken by whole executions.
fn commands(count: u64) -> Duration {
    let limits = Limits { steps: 20_000_000, ..Limits::default() };
    let faults = Faults::all().without(FaultKind::Buggify).swarm();
    let simulation = Simulation::new().strategy(Strategy::Random).limits(limits).faults(faults);
    let simulation = simulation.granularity(Granularity::Blocking);
    let (mut done, mut seed) = (0, 0);
    let start = Instant::now();
    while done < count {
        let answered = Cell::new(0);
        simulation.clone().seed(seed).run(|| serve(&answered)).unwrap();
        (done, seed) = (done + answered.get(), seed + 1);
    }
    start.elapsed().mul_f64(count as f64 / done as f64)
}

fn kv(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("vopr_kv_command");
    group.throughput(Throughput::Elements(1));
    group.bench_function("raddle", |bencher| bencher.iter_custom(commands));
    group.finish();
}

criterion_group! {
    name = vopr;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decisions, bounded_buffer, kv
}
criterion_main!(vopr);
