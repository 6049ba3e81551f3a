//! The first example of GoReplay (Akihiro Suda, 2017): what replays, and what does not.
//!
//! Eight threads each delay and then print. With one seed the delays are the same in each run. The
//! order of the prints is not: it follows the delays as far as the kernel lets it. GoReplay's README
//! shows ten runs with one output; that is what a quiet machine does, and no guarantee. So the
//! outputs are counted here, and shown by `cargo test -- --nocapture`, but nothing depends on them.
//!
//! The threads are std's: the hammer does not know where they come from, and tells them apart by
//! their contexts alone.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use raddle_hammer::{Delay, Settings, decisions_of, inject};

const THREADS: u8 = 8;
const RUNS: usize = 10;
/// Two that wait so differently should come in that order.
const APART: Duration = Duration::from_millis(2);

type Printed = Mutex<Vec<u8>>;

fn print(number: u8, printed: &Printed) {
    inject(format!("i={number}").as_bytes());
    printed.lock().expect("no panic").push(number);
}

/// One run: what was printed, and the delays, from the shortest to the longest.
fn run() -> (Vec<u8>, Vec<Delay>) {
    let printed = Printed::default();
    let decisions = decisions_of(|| {
        thread::scope(|threads| {
            for number in 0..THREADS {
                let printed = &printed;
                threads.spawn(move || print(number, printed));
            }
        });
    });
    let delays = decisions.into_iter().map(|decision| decision.delay).collect();
    (printed.into_inner().expect("no panic"), in_length(delays))
}

/// The same, but each thread starts when the one before has ended: who has which delay.
fn one_after_the_other() -> Vec<Delay> {
    let printed = Printed::default();
    let all = (0..THREADS).map(|number| {
        let decisions = decisions_of(|| {
            thread::scope(|threads| {
                threads.spawn(|| print(number, &printed));
            });
        });
        let [decision] = &decisions[..] else { panic!("one visit") };
        decision.delay
    });
    all.collect()
}

fn in_length(mut delays: Vec<Delay>) -> Vec<Delay> {
    delays.sort_by_key(|delay| match delay {
        Delay::None => (0, 0, Duration::ZERO),
        Delay::Spin(pauses) => (1, *pauses, Duration::ZERO),
        Delay::Yield => (2, 0, Duration::ZERO),
        Delay::Sleep(time) => (3, 0, *time),
    });
    delays
}

fn asleep(delay: Delay) -> Duration {
    match delay {
        Delay::Sleep(time) => time,
        Delay::None | Delay::Spin(_) | Delay::Yield => Duration::ZERO,
    }
}

/// Of the pairs that are far apart by their delays: how many there are, and how many of them were
/// printed in that order.
fn in_order(printed: &[u8], delays: &[Delay]) -> (usize, usize) {
    let sleep = |number: &u8| asleep(delays[usize::from(*number)]);
    let pairs = printed.iter().enumerate().flat_map(|(place, one)| {
        printed[place + 1..].iter().map(move |later| (sleep(one), sleep(later)))
    });
    let apart: Vec<_> = pairs.filter(|(one, later)| one.abs_diff(*later) > APART).collect();
    (apart.len(), apart.iter().filter(|(one, later)| one < later).count())
}

fn each_once(printed: &[u8]) -> bool {
    let numbers: BTreeSet<_> = printed.iter().copied().collect();
    printed.len() == usize::from(THREADS) && numbers.iter().copied().eq(0..THREADS)
}

fn install(seed: Option<u64>) {
    let max = Duration::from_millis(10);
    Settings { seed, max, zero_bias: 0.0, ..Settings::default() }.install();
}

fn outputs_off() {
    install(None);
    let outputs: BTreeSet<_> = (0..RUNS)
        .map(|_| {
            let (printed, delays) = run();
            assert!(each_once(&printed), "{printed:?}");
            assert_eq!(delays, [], "off means off");
            printed
        })
        .collect();
    println!("off: {} distinct outputs in {RUNS} runs", outputs.len());
}

/// The delay of each thread.
fn outputs_of(seed: u64) -> Vec<Delay> {
    install(Some(seed));
    let delays = one_after_the_other();
    let (mut outputs, mut pairs, mut ordered) = (BTreeSet::new(), 0, 0);
    for _ in 0..RUNS {
        let (printed, decided) = run();
        assert!(each_once(&printed), "{printed:?}");
        assert_eq!(decided, in_length(delays.clone()), "the schedule decides nothing");
        let (apart, kept) = in_order(&printed, &delays);
        (pairs, ordered) = (pairs + apart, ordered + kept);
        outputs.insert(printed);
    }
    println!(
        "seed {seed}: {} distinct outputs in {RUNS} runs; of the pairs whose delays are more than \
         {APART:?} apart, {ordered} of {pairs} in that order",
        outputs.len()
    );
    delays
}

/// One test, since the settings are the process's.
#[test]
fn delays_replay_and_orders_mostly() {
    outputs_off();
    let [foo, bar] = [1, 2].map(outputs_of);
    assert_ne!(foo, bar, "another seed decides otherwise");
    for delays in [foo, bar] {
        let sleeps = delays.iter().filter(|delay| asleep(**delay) > Duration::ZERO);
        let distinct: BTreeSet<_> = sleeps.clone().map(|delay| asleep(*delay)).collect();
        assert_eq!(distinct.len(), sleeps.count(), "contexts tell the threads apart: {delays:?}");
        assert!(!distinct.is_empty(), "nobody sleeps: {delays:?}");
    }
}
