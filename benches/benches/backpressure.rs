//! A producer that is held back by a bounded queue, and workers with work to do for each item.
//!
//! The producer makes numbers as fast as it can; a queue of 64 holds it back; two workers go through so many
//! steps of a generator for each number and add up the results. The sum has to be that of the items. An
//! iteration is one item. `work-alone` is the work without a queue: two threads that have half of
//! the items each, below which nobody gets.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use raddle_benches::{at_once, lcg, runtime};

const CAPACITY: usize = 64;
const WORKERS: u64 = 2;

/// The sum of the work for the items from `first` to `end`, every `step`th.
fn results(work: u64, first: u64, end: u64, step: u64) -> u64 {
    (first..end).step_by(step as usize).fold(0, |sum, item| sum ^ lcg(item, work))
}

fn work_alone(work: u64, items: u64) -> (Duration, u64) {
    let (elapsed, sums) =
        at_once(WORKERS as usize, |worker| results(work, worker as u64, items, WORKERS));
    (elapsed, sums.into_iter().fold(0, |sum, part| sum ^ part))
}

/// Fibers, on as many workers as there are worker threads elsewhere.
fn raddle_fibers(work: u64, items: u64) -> (Duration, u64) {
    let (sender, receiver) = raddle_streams::channel::bounded(CAPACITY);
    let start = Instant::now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let receiver = receiver.clone();
            raddle::spawn(move || receiver.iter().fold(0, |sum, item| sum ^ lcg(item, work)))
        })
        .collect();
    drop(receiver);
    let producer = raddle::spawn(move || {
        for item in 0..items {
            sender.send(item).expect("a worker is there");
        }
    });
    producer.join().expect("no panic");
    let sums = workers.into_iter().map(|worker| worker.join().expect("no panic"));
    let sum = sums.fold(0, |sum, part| sum ^ part);
    (start.elapsed(), sum)
}

/// Its channel has one receiver, so each worker has one of its own, with a part of the capacity.
async fn tokio_tasks(work: u64, items: u64) -> (Duration, u64) {
    let start = Instant::now();
    let (mut senders, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..WORKERS {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(CAPACITY / WORKERS as usize);
        senders.push(sender);
        workers.push(tokio::spawn(async move {
            let mut sum = 0;
            while let Some(item) = receiver.recv().await {
                sum ^= lcg(item, work);
            }
            sum
        }));
    }
    let producer = tokio::spawn(async move {
        for item in 0..items {
            let sender = &senders[(item % WORKERS) as usize];
            sender.send(item).await.expect("a worker is there");
        }
    });
    producer.await.expect("no panic");
    let mut sum = 0;
    for worker in workers {
        sum ^= worker.await.expect("no panic");
    }
    (start.elapsed(), sum)
}

/// Threads: a producer and the workers.
fn crossbeam_threads(work: u64, items: u64) -> (Duration, u64) {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    // It ends the channel by going.
    let sender = Mutex::new(Some(sender));
    let (elapsed, sums) = at_once(1 + WORKERS as usize, |thread| {
        if thread > 0 {
            return receiver.iter().fold(0, |sum, item| sum ^ lcg(item, work));
        }
        let sender = sender.lock().expect("not poisoned").take().expect("one producer");
        for item in 0..items {
            sender.send(item).expect("a worker is there");
        }
        0
    });
    (elapsed, sums.into_iter().fold(0, |sum, part| sum ^ part))
}

fn pipeline(criterion: &mut Criterion) {
    let ours = runtime(WORKERS as usize);
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS as usize)
        .enable_all()
        .build()
        .expect("a runtime");
    for work in [0, 500, 5000] {
        let checked = |items: u64, (elapsed, sum): (Duration, u64)| {
            assert_eq!(sum, results(work, 0, items, 1), "each item was worked on once");
            elapsed
        };
        let mut group = criterion.benchmark_group(format!("backpressure/work={work}"));
        group.bench_function("raddle", |bencher| {
            bencher.iter_custom(|items| {
                let run = move || raddle_fibers(work, items);
                checked(items, ours.run(run).expect("no panic"))
            });
        });
        group.bench_function("tokio-mpsc", |bencher| {
            bencher.iter_custom(|items| {
                let run = tokio_tasks(work, items);
                checked(items, tokio.block_on(tokio.spawn(run)).expect("no panic"))
            });
        });
        group.bench_function("crossbeam-threads", |bencher| {
            bencher.iter_custom(|items| checked(items, crossbeam_threads(work, items)));
        });
        group.bench_function("work-alone", |bencher| {
            bencher.iter_custom(|items| checked(items, work_alone(work, items)));
        });
        group.finish();
    }
}

criterion_group! {
    name = backpressure;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500));
    targets = pipeline
}
criterion_main!(backpressure);
