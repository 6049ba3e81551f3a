//! Channels: on threads with the shapes of crossbeam-channel's own benchmarks, and between fibers.
//!
//! | shape | senders | receivers |
//! |---|---|---|
//! | `seq` | one thread fills the channel, and empties it | |
//! | `spsc` | 1 | 1 |
//! | `mpsc` | 4 | 1 |
//! | `mpmc` | 4 | 4 |
//!
//! An iteration is one message. Whoever receives adds up what it got, and the sum has to be that of all that was
//! sent.

mod ends;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use raddle_benches::{at_once, runtime};

use ends::{Channel, Crossbeam, Flume, Kanal, Raddle, Std, Tokio};

/// Those of crossbeam-channel's suite.
const THREADS: u64 = 4;

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Senders and receivers.
#[derive(Clone, Copy)]
struct Shape {
    senders: u64,
    receivers: u64,
}

const SPSC: Shape = Shape { senders: 1, receivers: 1 };
const MPSC: Shape = Shape { senders: THREADS, receivers: 1 };
const MPMC: Shape = Shape { senders: THREADS, receivers: THREADS };

/// How many of `count` messages are for number `index` of `among`.
fn share(count: u64, index: u64, among: u64) -> u64 {
    count / among + u64::from(index < count % among)
}

/// The numbers that sender `index` sends: 1 and up.
fn numbers(messages: u64, index: u64, senders: u64) -> impl Iterator<Item = u64> {
    1..=share(messages, index, senders)
}

/// The sum of all numbers that are sent.
fn sum(messages: u64, senders: u64) -> u64 {
    (0..senders).map(|index| numbers(messages, index, senders).sum::<u64>()).sum()
}

/// What a thread has.
enum End<C: Channel> {
    Sends(C::Sender),
    Receives(C::Receiver),
}

/// The ends for the threads of a shape; none if the channel cannot do it.
fn ends<C: Channel>(shape: Shape, capacity: usize) -> Option<Vec<Mutex<Option<End<C>>>>> {
    let (sender, receiver) = C::bounded(capacity)?;
    let mut receivers = Vec::new();
    for _ in 1..shape.receivers {
        receivers.push(C::share(&receiver)?);
    }
    receivers.push(receiver);
    let senders = (0..shape.senders).map(|_| End::Sends(sender.clone()));
    let ends = senders.chain(receivers.into_iter().map(End::Receives));
    Some(ends.map(|end| Mutex::new(Some(end))).collect())
}

fn pass<C: Channel>(shape: Shape, capacity: usize, messages: u64) -> Duration {
    let Shape { senders, receivers } = shape;
    let ends = ends::<C>(shape, capacity).expect("asked before");
    let (elapsed, sums) = at_once(ends.len(), |thread| {
        let end = ends[thread].lock().expect("not poisoned").take();
        match end.expect("each thread has one") {
            End::Sends(sender) => {
                numbers(messages, thread as u64, senders).for_each(|it| C::send(&sender, it));
                0
            }
            End::Receives(mut receiver) => {
                let count = share(messages, thread as u64 - senders, receivers);
                (0..count).map(|_| C::receive(&mut receiver)).sum()
            }
        }
    });
    assert_eq!(sums.iter().sum::<u64>(), sum(messages, senders), "each message arrived once");
    elapsed
}

fn measure<C: Channel>(group: &mut Group<'_>, shape: Shape, capacity: usize) {
    if ends::<C>(shape, capacity).is_some() {
        group.bench_function(C::NAME, |bencher| {
            bencher.iter_custom(|messages| pass::<C>(shape, capacity, messages));
        });
    }
}

fn threads(criterion: &mut Criterion) {
    for (name, shape) in [("spsc", SPSC), ("mpsc", MPSC), ("mpmc", MPMC)] {
        for capacity in [0, 1, 1024] {
            let mut group = criterion.benchmark_group(format!("channel/{name}/bounded_{capacity}"));
            measure::<Raddle>(&mut group, shape, capacity);
            measure::<Crossbeam>(&mut group, shape, capacity);
            measure::<Flume>(&mut group, shape, capacity);
            measure::<Kanal>(&mut group, shape, capacity);
            measure::<Std>(&mut group, shape, capacity);
            measure::<Tokio>(&mut group, shape, capacity);
            group.finish();
        }
    }
}

fn seq(criterion: &mut Criterion) {
    fn measure<C: Channel>(group: &mut Group<'_>, capacity: usize) {
        let Some((sender, mut receiver)) = C::bounded(capacity) else { return };
        group.bench_function(C::NAME, |bencher| {
            bencher.iter_custom(|messages| {
                let (mut sent, mut received) = (0, 0);
                let start = Instant::now();
                while sent < messages {
                    let batch = (messages - sent).min(capacity as u64);
                    (sent + 1..=sent + batch).for_each(|number| C::send(&sender, number));
                    received += (0..batch).map(|_| C::receive(&mut receiver)).sum::<u64>();
                    sent += batch;
                }
                let elapsed = start.elapsed();
                assert_eq!(received, sum(messages, 1), "each message arrived once");
                elapsed
            });
        });
    }
    for capacity in [1, 1024] {
        let mut group = criterion.benchmark_group(format!("channel/seq/bounded_{capacity}"));
        measure::<Raddle>(&mut group, capacity);
        measure::<Crossbeam>(&mut group, capacity);
        measure::<Flume>(&mut group, capacity);
        measure::<Kanal>(&mut group, capacity);
        measure::<Std>(&mut group, capacity);
        measure::<Tokio>(&mut group, capacity);
        group.finish();
    }
}

fn between_fibers(senders: u64, capacity: usize, messages: u64) -> Duration {
    let (sender, receiver) = raddle_streams::channel::bounded(capacity);
    let start = Instant::now();
    let fibers: Vec<_> = (0..senders)
        .map(|index| {
            let sender = sender.clone();
            raddle::spawn(move || {
                for number in numbers(messages, index, senders) {
                    sender.send(number).expect("a receiver is there");
                }
            })
        })
        .collect();
    let receiving =
        raddle::spawn(move || (0..messages).map(|_| receiver.recv().expect("open")).sum::<u64>());
    for fiber in fibers {
        fiber.join().expect("no panic");
    }
    let received = receiving.join().expect("no panic");
    let elapsed = start.elapsed();
    assert_eq!(received, sum(messages, senders), "each message arrived once");
    elapsed
}

async fn between_tokio_tasks(senders: u64, capacity: usize, messages: u64) -> Duration {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(capacity);
    let start = Instant::now();
    let tasks: Vec<_> = (0..senders)
        .map(|index| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for number in numbers(messages, index, senders) {
                    sender.send(number).await.expect("a receiver is there");
                }
            })
        })
        .collect();
    let receiving = tokio::spawn(async move {
        let mut received = 0;
        for _ in 0..messages {
            received += receiver.recv().await.expect("open");
        }
        received
    });
    for task in tasks {
        task.await.expect("no panic");
    }
    let received = receiving.await.expect("no panic");
    let elapsed = start.elapsed();
    assert_eq!(received, sum(messages, senders), "each message arrived once");
    elapsed
}

/// Fibers of ours and tasks of tokio, on as many workers.
fn fibers(criterion: &mut Criterion) {
    for workers in [1, 2] {
        let ours = runtime(workers);
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .enable_all()
            .build()
            .expect("a runtime");
        for (name, senders, capacity) in
            [("spsc_1", 1, 1), ("spsc_1024", 1, 1024), ("mpsc_1024", THREADS, 1024)]
        {
            let case = format!("channel/fibers_{workers}_workers/{name}");
            let mut group = criterion.benchmark_group(case);
            group.bench_function("raddle", |bencher| {
                bencher.iter_custom(|messages| {
                    let run = move || between_fibers(senders, capacity, messages);
                    ours.run(run).expect("no panic")
                });
            });
            group.bench_function("tokio-mpsc", |bencher| {
                bencher.iter_custom(|messages| {
                    let run = between_tokio_tasks(senders, capacity, messages);
                    tokio.block_on(tokio.spawn(run)).expect("no panic")
                });
            });
            group.finish();
        }
    }
}

criterion_group! {
    name = channel;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(900));
    targets = seq, threads, fibers
}
criterion_main!(channel);
