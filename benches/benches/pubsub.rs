//! Publishing to many: every subscriber receives every item and works on it.
//!
//! `cargo bench -p raddle-benches --bench pubsub` measures with criterion.
//! `… --bench pubsub -- --overhead` prints what is left of the time without the work itself, from runs of all
//! subjects in turn.
//!
//! A run is 10,000 items in all. All subjects but one have two workers. All streams have the same capacity,
//! with room for all items, because tokio's would lose some otherwise; crossbeam's channels hold 64.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use raddle::runtime::Runtime;
use raddle_benches::locked::{self, Lock, Ring};
use raddle_benches::{lcg, runtime};
use raddle_parking_lot::ParkingMutex;
use raddle_streams::broadcast::{self, Policy, Start};

const ITEMS: u64 = 10_000;
const WORKERS: usize = 2;
/// Of all streams.
const CAPACITY: usize = 16_384;

#[derive(Clone, Copy)]
struct Case {
    publishers: usize,
    subscribers: usize,
    /// Steps of the generator per item and subscriber.
    work: u64,
}

impl Case {
    fn name(self) -> String {
        format!("{}x{}/work={}", self.publishers, self.subscribers, self.work)
    }

    /// The items of one of the publishers.
    fn items_of(self, publisher: usize) -> impl Iterator<Item = u64> {
        let each = ITEMS / self.publishers as u64;
        publisher as u64 * each..(publisher as u64 + 1) * each
    }

    /// What a subscriber does with an item.
    #[inline]
    fn work_on(self, item: u64) -> u64 {
        lcg(item, self.work)
    }

    /// What each subscriber's results add up to.
    fn checksum(self) -> u64 {
        (0..ITEMS).fold(0, |sum, item| sum.wrapping_add(self.work_on(black_box(item))))
    }
}

/// One run: how long it took, and what each subscriber's results add up to.
type Run = (Duration, Vec<u64>);

/// Publishers and subscribers as fibers, of which the first are on the first worker.
fn on_fibers<S: Send + 'static, Q: Send + 'static>(
    runtime: &Runtime,
    publishers: Vec<Q>,
    subscribers: Vec<S>,
    publish: impl Fn(usize, Q) + Copy + Send + 'static,
    receive: impl Fn(S) -> u64 + Copy + Send + 'static,
) -> Run {
    let run = move || {
        let start = Instant::now();
        let subscribers: Vec<_> = subscribers
            .into_iter()
            .enumerate()
            .map(|(index, each)| raddle::task::spawn_on(index % WORKERS, move || receive(each)))
            .collect();
        let publishers: Vec<_> = publishers
            .into_iter()
            .enumerate()
            .map(|(index, each)| {
                raddle::task::spawn_on(index % WORKERS, move || publish(index, each))
            })
            .collect();
        publishers.into_iter().for_each(|each| each.join().expect("no panic"));
        let sums = subscribers.into_iter().map(|each| each.join().expect("no panic")).collect();
        (start.elapsed(), sums)
    };
    runtime.run(run).expect("no panic")
}

fn raddle_broadcast(runtime: &Runtime, case: Case) -> Run {
    let publisher = broadcast::Publisher::new(CAPACITY);
    let subscribers: Vec<_> = (0..case.subscribers)
        .map(|_| publisher.subscribe_with(Policy::Block, Start::Now))
        .collect();
    let publishers = vec![publisher; case.publishers];
    on_fibers(
        runtime,
        publishers,
        subscribers,
        move |index, publisher| {
            case.items_of(index).for_each(|item| publisher.publish(item).expect("open"));
        },
        move |mut subscriber| {
            let mut sum = 0_u64;
            loop {
                match subscriber.recv() {
                    Ok(item) => sum = sum.wrapping_add(case.work_on(item)),
                    Err(broadcast::RecvError::Closed) => return sum,
                    Err(error) => panic!("{error}"),
                }
            }
        },
    )
}

fn raddle_locked<L: Lock<Ring>>(runtime: &Runtime, case: Case) -> Run {
    let (publisher, subscribers) = locked::stream::<L>(CAPACITY, case.subscribers);
    // Who drops the last one closes.
    let publishers = vec![(publisher, Arc::new(())); case.publishers];
    on_fibers(
        runtime,
        publishers,
        subscribers,
        move |index, (publisher, token)| {
            case.items_of(index).for_each(|item| publisher.publish(item));
            if Arc::into_inner(token).is_some() {
                publisher.close();
            }
        },
        move |mut subscriber| {
            let items = std::iter::from_fn(|| subscriber.recv());
            items.map(|item| case.work_on(item)).fold(0, u64::wrapping_add)
        },
    )
}

/// The work of all subscribers, without a stream.
fn work_alone(runtime: &Runtime, case: Case) -> Run {
    on_fibers(
        runtime,
        Vec::<()>::new(),
        vec![(); case.subscribers],
        |_, ()| {},
        move |()| case.checksum(),
    )
}

fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build().expect("threads")
}

fn tokio_broadcast(runtime: &tokio::runtime::Runtime, case: Case) -> Run {
    let (publisher, _) = tokio::sync::broadcast::channel(CAPACITY);
    let subscribers: Vec<_> = (0..case.subscribers).map(|_| publisher.subscribe()).collect();
    let run = async move {
        let start = Instant::now();
        let subscribers: Vec<_> = subscribers
            .into_iter()
            .map(|mut subscriber| {
                tokio::spawn(async move {
                    let mut sum = 0_u64;
                    loop {
                        match subscriber.recv().await {
                            Ok(item) => sum = sum.wrapping_add(case.work_on(item)),
                            Err(tokio::sync::broadcast::error::RecvError::Closed) => return sum,
                            Err(error) => panic!("{error}"),
                        }
                    }
                })
            })
            .collect();
        for index in 0..case.publishers {
            let publisher = publisher.clone();
            tokio::spawn(async move {
                for item in case.items_of(index) {
                    publisher.send(item).expect("open");
                }
            });
        }
        drop(publisher);
        let mut sums = Vec::new();
        for each in subscribers {
            sums.push(each.await.expect("no panic"));
        }
        (start.elapsed(), sums)
    };
    runtime.block_on(async { tokio::spawn(run).await.expect("no panic") })
}

fn async_broadcast(runtime: &tokio::runtime::Runtime, case: Case) -> Run {
    let (publisher, first) = async_broadcast::broadcast(CAPACITY);
    let subscribers: Vec<_> = (0..case.subscribers).map(|_| first.clone()).collect();
    drop(first);
    let run = async move {
        let start = Instant::now();
        let subscribers: Vec<_> = subscribers
            .into_iter()
            .map(|mut subscriber| {
                tokio::spawn(async move {
                    let mut sum = 0_u64;
                    while let Ok(item) = subscriber.recv().await {
                        sum = sum.wrapping_add(case.work_on(item));
                    }
                    sum
                })
            })
            .collect();
        for index in 0..case.publishers {
            let publisher = publisher.clone();
            tokio::spawn(async move {
                for item in case.items_of(index) {
                    publisher.broadcast(item).await.expect("open");
                }
            });
        }
        drop(publisher);
        let mut sums = Vec::new();
        for each in subscribers {
            sums.push(each.await.expect("no panic"));
        }
        (start.elapsed(), sums)
    };
    runtime.block_on(async { tokio::spawn(run).await.expect("no panic") })
}

/// A channel and a thread for each subscriber; the threads are there before the clock starts.
fn crossbeam_64(case: Case) -> Run {
    let (publishers, receivers): (Vec<_>, Vec<_>) =
        (0..case.subscribers).map(|_| crossbeam_channel::bounded(64)).unzip();
    std::thread::scope(|scope| {
        let subscribers: Vec<_> = receivers
            .into_iter()
            .map(|receiver| {
                scope.spawn(move || {
                    let work = |item| case.work_on(item);
                    receiver.into_iter().map(work).fold(0, u64::wrapping_add)
                })
            })
            .collect();
        let start = Instant::now();
        for index in 0..case.publishers {
            let publishers = publishers.clone();
            scope.spawn(move || {
                for item in case.items_of(index) {
                    publishers.iter().for_each(|each| each.send(item).expect("open"));
                }
            });
        }
        drop(publishers);
        let sums = subscribers.into_iter().map(|each| each.join().expect("no panic")).collect();
        (start.elapsed(), sums)
    })
}

/// What is measured, by name.
struct Subjects {
    raddle: Runtime,
    tokio: tokio::runtime::Runtime,
}

const SUBJECTS: [&str; 7] = [
    "raddle",
    "raddle-parking",
    "raddle-std",
    "tokio-broadcast",
    "async-broadcast",
    "crossbeam-64",
    "work-alone",
];

impl Subjects {
    fn new() -> Self {
        Self { raddle: runtime(WORKERS), tokio: tokio_runtime() }
    }

    /// Runs a subject once, and checks that all has arrived.
    fn run(&self, subject: &str, case: Case, checksum: u64) -> Duration {
        let (elapsed, sums) = match subject {
            "raddle" => raddle_broadcast(&self.raddle, case),
            "raddle-parking" => raddle_locked::<ParkingMutex<Ring>>(&self.raddle, case),
            "raddle-std" => raddle_locked::<Mutex<Ring>>(&self.raddle, case),
            "tokio-broadcast" => tokio_broadcast(&self.tokio, case),
            "async-broadcast" => async_broadcast(&self.tokio, case),
            "crossbeam-64" => crossbeam_64(case),
            "work-alone" => work_alone(&self.raddle, case),
            other => unreachable!("no subject {other}"),
        };
        assert_eq!(sums, vec![checksum; case.subscribers], "{subject}: everything, and once");
        elapsed
    }
}

fn pubsub(criterion: &mut Criterion) {
    let subjects = Subjects::new();
    let cases = [(1, 64, 0), (1, 64, 200), (1, 64, 2000), (4, 8, 0)];
    for (publishers, subscribers, work) in cases {
        let case = Case { publishers, subscribers, work };
        let checksum = case.checksum();
        let mut group = criterion.benchmark_group(format!("pubsub/{}", case.name()));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(500));
        group.measurement_time(Duration::from_secs(3));
        for subject in SUBJECTS {
            group.bench_function(subject, |bencher| {
                bencher.iter_custom(|runs| {
                    (0..runs).map(|_| subjects.run(subject, case, checksum)).sum()
                });
            });
        }
        group.finish();
    }
}

/// The quartiles of some numbers.
fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| numbers[(numbers.len() - 1) * quarter / 4])
}

/// What the streams take besides the work: the time of each run without that of the work alone, which is
/// measured in the same round. Each round begins with another subject.
fn overhead() {
    const ROUNDS: usize = 17;
    let subjects = Subjects::new();
    let case = Case { publishers: 1, subscribers: 64, work: 200 };
    let checksum = case.checksum();
    let names = ["raddle", "tokio-broadcast", "work-alone"];
    let mut times = names.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..names.len() {
            let index = (round + turn) % names.len();
            let elapsed = subjects.run(names[index], case, checksum);
            times[index].push(elapsed.as_secs_f64() * 1e3);
        }
    }
    let [raddle, tokio, alone] = times;
    let without = |with: &[f64]| with.iter().zip(&alone).map(|(with, work)| with - work).collect();
    let (ours, theirs) = (quartiles(without(&raddle)), quartiles(without(&tokio)));
    println!("pubsub/{}: {ROUNDS} interleaved runs, milliseconds", case.name());
    println!("{:<28} {:>9} {:>9} {:>9}", "", "quartile", "median", "quartile");
    for (name, [low, median, high]) in [
        ("work alone", quartiles(alone.clone())),
        ("raddle", quartiles(raddle.clone())),
        ("tokio-broadcast", quartiles(tokio.clone())),
        ("raddle, overhead", ours),
        ("tokio-broadcast, overhead", theirs),
    ] {
        println!("{name:<28} {low:>9.3} {median:>9.3} {high:>9.3}");
    }
    let overlap = if ours[2] < theirs[0] { "do not overlap" } else { "overlap" };
    println!("raddle / tokio-broadcast: {:.3}; the quartiles {overlap}", ours[1] / theirs[1]);
}

fn main() {
    if std::env::args().any(|argument| argument == "--overhead") {
        return overhead();
    }
    let mut criterion = Criterion::default().configure_from_args();
    pubsub(&mut criterion);
    criterion.final_summary();
}
