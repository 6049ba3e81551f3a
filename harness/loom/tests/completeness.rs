//! What a model explores: no outcome is missing, none is impossible.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use raddle_loom::{Loom, Model, Verdict};
use raddle_platform::{Atomic, AtomicInt, Clock, Instant, Ordering, Parker, Platform};
use raddle_scenarios::scope;

type AtomicUsize = <Loom as Platform>::AtomicUsize;
type LoomParker = <Loom as Platform>::Parker;
type LoomClock = <Loom as Platform>::Clock;

/// All outcomes of `program`, explored without a bound.
fn outcomes<T: Ord + 'static>(program: impl Fn() -> T + 'static) -> BTreeSet<T> {
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let theirs = Rc::clone(&seen);
    let report = Model::new().check(move || {
        let outcome = program();
        theirs.borrow_mut().insert(outcome);
    });
    assert_eq!(report.verdict, Verdict::Exhausted);
    seen.take()
}

/// tokio-rs/loom#392: by itself loom explores one execution, and never sees the store.
#[test]
fn a_load_before_its_own_store_hides_no_other_load() {
    let seen = outcomes(|| {
        let flag = AtomicUsize::new(0);
        scope::<Loom, _>(|threads| {
            threads.spawn(|| {
                flag.load(Ordering::Relaxed);
                flag.store(1, Ordering::Relaxed);
            });
            flag.load(Ordering::Relaxed)
        })
    });
    assert_eq!(seen, [0, 1].into());
}

/// tokio-rs/loom#166: by itself loom misses (1, 0), because of the load.
#[test]
fn a_redundant_load_removes_no_outcome() {
    let seen = outcomes(|| {
        let (key, value) = (AtomicUsize::new(0), AtomicUsize::new(0));
        scope::<Loom, _>(|threads| {
            threads.spawn(|| {
                key.store(1, Ordering::Relaxed);
                value.store(1, Ordering::Relaxed);
                value.store(0, Ordering::Relaxed);
                key.load(Ordering::Relaxed);
                key.store(0, Ordering::Relaxed);
            });
            (value.load(Ordering::Relaxed), key.load(Ordering::Relaxed))
        })
    });
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 1)].into());
}

#[test]
fn stores_are_seen_late_unless_a_fence_forbids_it() {
    fn store_buffering(fenced: bool) -> BTreeSet<(usize, usize)> {
        outcomes(move || {
            let (x, y) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let half = |mine: &AtomicUsize, other: &AtomicUsize| {
                mine.store(1, Ordering::Relaxed);
                if fenced {
                    Loom::fence(Ordering::SeqCst, &[]);
                }
                other.load(Ordering::Relaxed)
            };
            scope::<Loom, _>(|threads| {
                let other = threads.spawn(|| half(&y, &x));
                (half(&x, &y), other.join())
            })
        })
    }
    assert_eq!(store_buffering(false), [(0, 0), (0, 1), (1, 0), (1, 1)].into());
    assert_eq!(store_buffering(true), [(0, 1), (1, 0), (1, 1)].into());
}

#[test]
fn a_deadline_and_a_wake_come_in_both_orders() {
    let seen = outcomes(|| {
        let waker = LoomParker::waker();
        let flag = AtomicUsize::new(0);
        scope::<Loom, _>(|threads| {
            let flag = &flag;
            threads.spawn(move || {
                flag.swap(1, Ordering::Relaxed);
                waker.wake();
            });
            LoomParker::park_until(Instant::from_nanos(100));
            (flag.load(Ordering::Relaxed), LoomClock::now().as_nanos())
        })
    });
    // Woken in time; due before the other thread did anything; due while it was at it.
    assert_eq!(seen, [(0, 100), (1, 0), (1, 100)].into());
}

#[test]
fn no_clock_shows_a_later_deadline_before_an_earlier_one_is_due() {
    let seen = outcomes(|| {
        scope::<Loom, _>(|threads| {
            let wait = |ns| {
                LoomParker::park_until(Instant::from_nanos(ns));
                LoomClock::now().as_nanos()
            };
            let other = threads.spawn(move || wait(20));
            (wait(10), other.join())
        })
    });
    assert_eq!(seen, [(10, 20), (20, 20)].into());
}

#[test]
fn a_wait_until_the_far_future_is_a_deadlock() {
    let report = Model::new().check(|| LoomParker::park_until(Instant::FAR_FUTURE));
    let Verdict::Failed(failure) = report.verdict else { panic!("{:?}", report.verdict) };
    assert!(failure.messages[0].contains("deadlock"), "{failure}");
}

/// One step of a random program over two locations.
#[derive(Clone, Copy, Debug)]
enum Step {
    Load(usize),
    Add(usize),
    Exchange(usize, usize),
}

/// What each step of each thread read, and the final memory.
type Outcome = Vec<usize>;

/// Every sequentially consistent outcome, by brute force.
fn interleavings(program: &[Vec<Step>]) -> BTreeSet<Outcome> {
    fn explore(
        program: &[Vec<Step>],
        read: &mut [Vec<usize>],
        memory: [usize; 2],
        seen: &mut BTreeSet<Outcome>,
    ) {
        let mut ended = true;
        for thread in 0..program.len() {
            let Some(&step) = program[thread].get(read[thread].len()) else { continue };
            ended = false;
            let mut after = memory;
            let (Step::Load(place) | Step::Add(place) | Step::Exchange(place, _)) = step;
            match step {
                Step::Load(_) => {}
                Step::Add(_) => after[place] += 1,
                Step::Exchange(_, expected) if memory[place] == expected => after[place] = 5,
                Step::Exchange(..) => {}
            }
            read[thread].push(memory[place]);
            explore(program, read, after, seen);
            read[thread].pop();
        }
        if ended {
            seen.insert(read.iter().flatten().copied().chain(memory).collect());
        }
    }
    let mut seen = BTreeSet::new();
    explore(program, &mut vec![Vec::new(); program.len()], [0; 2], &mut seen);
    seen
}

fn execute(steps: &[Step], memory: &[AtomicUsize; 2]) -> Vec<usize> {
    let relaxed = Ordering::Relaxed;
    steps
        .iter()
        .map(|&step| match step {
            Step::Load(place) => memory[place].load(relaxed),
            Step::Add(place) => memory[place].fetch_add(1, relaxed),
            Step::Exchange(place, expected) => {
                match memory[place].compare_exchange(expected, 5, relaxed, relaxed) {
                    Ok(found) | Err(found) => found,
                }
            }
        })
        .collect()
}

#[test]
fn every_sequentially_consistent_outcome_of_random_programs_is_explored() {
    // A linear congruential generator (Knuth's MMIX): the programs are the same in every run.
    let mut state = 20_u64;
    let mut random = move |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n) as usize
    };
    for _ in 0..40 {
        let threads = 2 + random(2);
        let mut step = || match random(3) {
            0 => Step::Load(random(2)),
            1 => Step::Add(random(2)),
            _ => Step::Exchange(random(2), random(2)),
        };
        let steps = if threads == 2 { 4 } else { 2 };
        let program: Vec<Vec<Step>> =
            (0..threads).map(|_| (0..steps).map(|_| step()).collect()).collect();
        let expected = interleavings(&program);
        let theirs = program.clone();
        let seen = outcomes(move || {
            let memory = [AtomicUsize::new(0), AtomicUsize::new(0)];
            let mut outcome: Outcome = scope::<Loom, _>(|threads| {
                let memory = &memory;
                let threads: Vec<_> = theirs
                    .iter()
                    .map(|steps| threads.spawn(move || execute(steps, memory)))
                    .collect();
                threads.into_iter().flat_map(|thread| thread.join()).collect()
            });
            outcome.extend(memory.iter().map(|place| place.load(Ordering::Relaxed)));
            outcome
        });
        let missed: Vec<_> = expected.difference(&seen).collect();
        assert!(missed.is_empty(), "{program:?} never gave {missed:?}");
    }
}
