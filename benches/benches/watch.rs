//! The newest value: one writer, and readers that look at it, or wait for its changes.
//!
//! The value is a pair, of which the second is twice the first, and which only grows: a reader that sees anything
//! else has seen half of a write, or an old one. In `poll` an iteration is one write, and one read
//! of each reader, all on threads of their own. In `changed` it is one write, by a fiber or a task that
//! gives way after each, and readers that wait until they have seen the last one.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use raddle_benches::{at_once, runtime};
use raddle_streams::observable::Observable;

type Pair = (u64, u64);
type Group<'a> = BenchmarkGroup<'a, WallTime>;

const fn pair(count: u64) -> Pair {
    (count, 2 * count)
}

/// A value that one writes and many read.
trait Watched: Send + Sync {
    const NAME: &'static str;
    /// What a reader has of its own.
    type Reader: Send;
    fn new() -> Self;
    fn reader(&self) -> Self::Reader;
    fn write(&self, value: Pair);
    fn read(&self, reader: &mut Self::Reader) -> Pair;
}

struct Raddle(raddle_streams::watch::Sender<Pair>);

impl Watched for Raddle {
    const NAME: &'static str = "raddle";
    type Reader = raddle_streams::watch::Receiver<Pair>;
    fn new() -> Self {
        Self(raddle_streams::watch::channel(pair(0)).0)
    }
    fn reader(&self) -> Self::Reader {
        self.0.subscribe()
    }
    fn write(&self, value: Pair) {
        self.0.send_replace(value);
    }
    fn read(&self, reader: &mut Self::Reader) -> Pair {
        *reader.borrow_and_update()
    }
}

impl Watched for Observable<Pair> {
    const NAME: &'static str = "raddle-observable";
    type Reader = ();
    fn new() -> Self {
        Self::new(pair(0))
    }
    fn reader(&self) {}
    fn write(&self, value: Pair) {
        self.update(|_| value);
    }
    fn read(&self, (): &mut ()) -> Pair {
        self.get()
    }
}

struct Tokio(tokio::sync::watch::Sender<Pair>);

impl Watched for Tokio {
    const NAME: &'static str = "tokio-watch";
    type Reader = tokio::sync::watch::Receiver<Pair>;
    fn new() -> Self {
        Self(tokio::sync::watch::channel(pair(0)).0)
    }
    fn reader(&self) -> Self::Reader {
        self.0.subscribe()
    }
    fn write(&self, value: Pair) {
        self.0.send_replace(value);
    }
    fn read(&self, reader: &mut Self::Reader) -> Pair {
        *reader.borrow_and_update()
    }
}

impl Watched for arc_swap::ArcSwap<Pair> {
    const NAME: &'static str = "arc-swap";
    type Reader = ();
    fn new() -> Self {
        Self::from_pointee(pair(0))
    }
    fn reader(&self) {}
    fn write(&self, value: Pair) {
        self.store(Arc::new(value));
    }
    fn read(&self, (): &mut ()) -> Pair {
        **self.load()
    }
}

impl Watched for Mutex<Pair> {
    const NAME: &'static str = "std";
    type Reader = ();
    fn new() -> Self {
        Self::new(pair(0))
    }
    fn reader(&self) {}
    fn write(&self, value: Pair) {
        *self.lock().expect("not poisoned") = value;
    }
    fn read(&self, (): &mut ()) -> Pair {
        *self.lock().expect("not poisoned")
    }
}

/// Whether `now` is a value, and not older than one seen before.
#[inline]
fn check(before: u64, now: Pair) {
    assert!(now.1 == 2 * now.0, "half of a write was seen");
    assert!(now.0 >= before, "a value that was replaced came back");
}

fn poll<W: Watched>(readers: usize, operations: u64) -> Duration {
    let watched = W::new();
    let (elapsed, _) = at_once(1 + readers, |thread| {
        if thread == 0 {
            (1..=operations).for_each(|count| watched.write(pair(count)));
            return;
        }
        let (mut reader, mut before) = (watched.reader(), 0);
        for _ in 0..operations {
            let now = black_box(&watched).read(&mut reader);
            check(before, now);
            before = now.0;
        }
    });
    assert_eq!(watched.read(&mut watched.reader()), pair(operations), "the last write is there");
    elapsed
}

fn polls(criterion: &mut Criterion) {
    fn measure<W: Watched>(group: &mut Group<'_>, readers: usize) {
        group.bench_function(W::NAME, |bencher| {
            bencher.iter_custom(|operations| poll::<W>(readers, operations));
        });
    }
    for readers in [1, 4, 8] {
        let mut group = criterion.benchmark_group(format!("watch/poll/{readers}_readers"));
        measure::<Raddle>(&mut group, readers);
        measure::<Observable<Pair>>(&mut group, readers);
        measure::<Tokio>(&mut group, readers);
        measure::<arc_swap::ArcSwap<Pair>>(&mut group, readers);
        measure::<Mutex<Pair>>(&mut group, readers);
        group.finish();
    }
}

fn changed_for_fibers(readers: u64, writes: u64) -> Duration {
    let (sender, receiver) = raddle_streams::watch::channel(pair(0));
    let start = Instant::now();
    let fibers: Vec<_> = (0..readers)
        .map(|_| {
            let mut receiver = receiver.clone();
            raddle::spawn(move || {
                let mut before = 0;
                while before < writes {
                    receiver.changed().expect("open");
                    let now = *receiver.borrow_and_update();
                    check(before, now);
                    before = now.0;
                }
            })
        })
        .collect();
    let writer = raddle::spawn(move || {
        for count in 1..=writes {
            sender.send(pair(count)).expect("receivers are there");
            raddle::yield_now();
        }
        sender
    });
    let sender = writer.join().expect("no panic");
    fibers.into_iter().for_each(|fiber| fiber.join().expect("no panic"));
    drop(sender);
    start.elapsed()
}

async fn changed_for_tokio_tasks(readers: u64, writes: u64) -> Duration {
    let (sender, receiver) = tokio::sync::watch::channel(pair(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..readers)
        .map(|_| {
            let mut receiver = receiver.clone();
            tokio::spawn(async move {
                let mut before = 0;
                while before < writes {
                    receiver.changed().await.expect("open");
                    let now = *receiver.borrow_and_update();
                    check(before, now);
                    before = now.0;
                }
            })
        })
        .collect();
    let writer = tokio::spawn(async move {
        for count in 1..=writes {
            sender.send(pair(count)).expect("receivers are there");
            tokio::task::yield_now().await;
        }
        sender
    });
    let sender = writer.await.expect("no panic");
    for task in tasks {
        task.await.expect("no panic");
    }
    drop(sender);
    start.elapsed()
}

/// Four readers that wait, on two workers.
fn changes(criterion: &mut Criterion) {
    const READERS: u64 = 4;
    let mut group = criterion.benchmark_group("watch/changed/4_readers_2_workers");
    let ours = runtime(2);
    group.bench_function("raddle", |bencher| {
        bencher.iter_custom(|writes| {
            ours.run(move || changed_for_fibers(READERS, writes)).expect("no panic")
        });
    });
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    group.bench_function("tokio-watch", |bencher| {
        bencher.iter_custom(|writes| {
            let run = changed_for_tokio_tasks(READERS, writes);
            tokio.block_on(tokio.spawn(run)).expect("no panic")
        });
    });
    group.finish();
}

criterion_group! {
    name = watch;
    config = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(900));
    targets = polls, changes
}
criterion_main!(watch);
