//! Two runs of a program, each a process of its own, decide the same with the same seed.
//!
//! How often a task is at a site of the runtime depends on the schedule: there are loops that wait.
//! So what is compared is the code here, which has none; beside it, each decision of any site that
//! both runs made at the same visit.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use raddle_hammer::{Decision, Hammer, decisions_of};
use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn, spawn_async, yield_async, yield_now};
use raddle_scenarios::scope;

const FIBERS: usize = 6;
const THREADS: usize = 3;
/// Marks the lines of a child's output.
const MARK: &str = "decision ";
/// Tells the test below that it is the child.
const CHILD: &str = "RADDLE_TEST_DECISIONS";

type Counter = <Hammer as Platform>::AtomicUsize;

struct Shared {
    counter: Counter,
    said: ParkingMutex<bool, Hammer>,
    changed: Condvar<Hammer>,
}

impl Shared {
    /// Some visits without a loop that depends on others.
    fn steps(&self) {
        for _ in 0..3 {
            self.counter.fetch_add(1, Ordering::Relaxed);
            self.counter.load(Ordering::Relaxed);
        }
        self.counter.swap(0, Ordering::Relaxed);
    }

    fn say(&self) {
        *self.said.lock() = true;
        self.changed.notify_all();
    }

    /// Whether it waits depends on the schedule, and so does what it calls last, and whether it
    /// parks there. What it does next does not.
    fn hear(&self) {
        let mut said = self.said.lock();
        while !*said {
            self.changed.wait(&mut said);
        }
        drop(said);
        self.steps();
    }
}

async fn future(shared: &'static Shared) {
    shared.steps();
    yield_async().await;
    shared.steps();
}

/// Each fiber of the parent has a child of its own, which another worker may run: a fiber or a
/// future.
fn fiber(shared: &'static Shared, number: usize) {
    shared.steps();
    let child = if number.is_multiple_of(2) {
        spawn::<Hammer, _, _>(|| shared.hear())
    } else {
        spawn_async::<Hammer, _>(future(shared))
    };
    yield_now::<Hammer>();
    shared.steps();
    if number == FIBERS / 2 {
        shared.say();
    }
    child.join().expect("no panic");
    shared.hear();
}

fn fibers(shared: &'static Shared) {
    let fibers: [_; FIBERS] =
        std::array::from_fn(|number| spawn::<Hammer, _, _>(move || fiber(shared, number)));
    shared.steps();
    fibers.into_iter().for_each(|fiber| fiber.join().expect("no panic"));
    shared.steps();
}

fn program() {
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        counter: Counter::new(0),
        said: ParkingMutex::new_in(false),
        changed: Condvar::new_in(),
    }));
    let runtime: Runtime<Hammer> = Builder::new_in().workers(2).build().expect("a runtime");
    scope::<Hammer, _>(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                shared.steps();
                // A thread of a thread.
                scope::<Hammer, _>(|inner| {
                    inner.spawn(|| shared.steps());
                    shared.steps();
                });
                shared.hear();
                raddle_hammer::inject(b"at the end");
            });
        }
        runtime.run(move || fibers(shared)).expect("no panic");
        shared.steps();
    });
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

/// The process of its own.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for Decision { site, place, path, nth, delay } in decisions_of(program) {
        println!("\n{MARK}{path:x} {site}@{place:x} {nth} {delay:?}");
    }
}

/// Whose, where, at the how manieth visit, and what.
type Row = (String, String, u64, String);

fn run(seed: &str) -> Vec<Row> {
    let child = Command::new(std::env::current_exe().expect("a path"))
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RADDLE_HAMMER_SEED", seed)
        .env("RADDLE_HAMMER_MAX", "300us")
        .env("RADDLE_HAMMER_ZBIAS", "0.5")
        .env_remove("RADDLE_HAMMER_PRIORITY")
        .output()
        .expect("a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let output = String::from_utf8_lossy(&child.stdout).into_owned();
    output.lines().filter_map(|line| row(line.strip_prefix(MARK)?)).collect()
}

fn row(line: &str) -> Option<Row> {
    let mut words = line.splitn(4, ' ');
    let (path, site, nth, delay) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some((path.to_owned(), site.to_owned(), nth.parse().ok()?, delay.to_owned()))
}

/// What the code here decided, by task or thread, each in its order.
fn own(rows: &[Row]) -> BTreeMap<&str, Vec<(&str, u64, &str)>> {
    let mut own = BTreeMap::<_, Vec<_>>::new();
    for (path, site, nth, delay) in rows.iter().filter(|(_, site, ..)| site.starts_with(file!())) {
        own.entry(path.as_str()).or_default().push((site.as_str(), *nth, delay.as_str()));
    }
    own
}

/// All decisions by who, where and when.
fn decisions(rows: &[Row]) -> BTreeMap<(&str, &str, u64), BTreeSet<&str>> {
    let mut decisions = BTreeMap::<_, BTreeSet<_>>::new();
    for (path, site, nth, delay) in rows {
        let place = (path.as_str(), site.as_str(), *nth);
        decisions.entry(place).or_default().insert(delay.as_str());
    }
    decisions
}

#[test]
fn the_same_seed_decides_the_same() {
    let (one, again) = (run("7"), run("7"));
    let (first, second) = (own(&one), own(&again));
    // The main thread, the parent of the fibers, each fiber and its child, each thread and its
    // child.
    assert_eq!(first.len(), 2 + 2 * FIBERS + 2 * THREADS);
    assert_eq!(first, second);
    let delayed = first.values().flatten().filter(|(.., delay)| *delay != "None").count();
    assert!(delayed > 100, "{delayed}: nothing would be compared");

    let (first, second) = (decisions(&one), decisions(&again));
    let both: Vec<_> = first.keys().filter(|place| second.contains_key(*place)).collect();
    println!("{} and {} visits, {} in both runs", first.len(), second.len(), both.len());
    assert!(both.len() > 300);
    for place in both {
        assert_eq!(first[place], second[place], "{place:?}");
    }
}

#[test]
fn another_seed_decides_otherwise() {
    let (one, other) = (run("7"), run("8"));
    let (first, second) = (own(&one), own(&other));
    let paths =
        |own: &BTreeMap<&str, _>| own.keys().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    assert_eq!(paths(&first), paths(&second), "who they are does not depend on the seed");
    let pairs = || first.values().flatten().zip(second.values().flatten());
    assert!(pairs().all(|(one, other)| (one.0, one.1) == (other.0, other.1)), "the same visits");
    let same = pairs().filter(|(one, other)| one.2 == other.2).count();
    // Both are nothing in a quarter of all visits, and the same yield in one of 64.
    assert!(same < pairs().count() / 2, "{same} of {}", pairs().count());
}

/// Fibers that do the same are told apart, and so are the visits of one.
#[test]
fn neighbours_and_repetitions_decide_otherwise() {
    let rows = run("7");
    let own = own(&rows);
    let delays: Vec<Vec<_>> =
        own.values().map(|visits| visits.iter().map(|visit| visit.2).collect()).collect();
    let distinct: BTreeSet<_> = delays.iter().collect();
    assert_eq!(distinct.len(), delays.len(), "no two tasks have the same delays");
    for visits in own.values() {
        let first_site = visits[0].0;
        let there = visits.iter().filter(|visit| visit.0 == first_site);
        let (numbers, delays): (Vec<_>, BTreeSet<_>) =
            there.map(|visit| (visit.1, visit.2)).unzip();
        assert!(numbers.iter().copied().eq(0..numbers.len() as u64), "{numbers:?}");
        assert!(numbers.len() < 6 || delays.len() > 1, "{delays:?}");
    }
}
