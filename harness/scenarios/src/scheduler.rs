//! The scheduler's handshakes: who sleeps, who searches, who is woken; its lock and its registry.

use raddle_platform::{Atomic, Ordering, Parker, Platform};
use raddle_runtime::internals::{Lock, RunQueues, Sleepers};

use crate::{Needs, Scenario, scope};

/// One worker sleeps on its thread's token; two others each have news for it.
fn news_against_sleep<P: Platform, const PRODUCERS: usize>() {
    let sleepers = Sleepers::<P>::new(1);
    let news: [P::AtomicBool; PRODUCERS] = core::array::from_fn(|_| P::AtomicBool::new(false));
    scope::<P, _>(|threads| {
        for news in &news {
            let (waker, sleepers) = (P::Parker::waker(), &sleepers);
            threads.spawn(move || {
                news.store(true, Ordering::Relaxed);
                if sleepers.must_wake(0) {
                    waker.wake();
                }
            });
        }
        let count = || news.iter().filter(|news| news.load(Ordering::Relaxed)).count();
        let mut seen = count();
        while seen < PRODUCERS {
            sleepers.fall_asleep(0);
            if count() == seen {
                P::Parker::park();
            }
            assert!(!sleepers.wake_up(0), "nobody took it for work");
            seen = count();
        }
    });
}

/// Producers inject a task each and wake a sleeper for it; the worker takes them all.
fn work_against_sleep<P: Platform, const PRODUCERS: usize>() {
    let sleepers = Sleepers::<P>::new(1);
    let queues = RunQueues::<P>::new(1);
    scope::<P, _>(|threads| {
        for _ in 0..PRODUCERS {
            let (waker, sleepers, queues) = (P::Parker::waker(), &sleepers, &queues);
            threads.spawn(move || {
                queues.inject();
                if sleepers.sleeper_for_work().is_some() {
                    waker.wake();
                }
            });
        }
        let mut taken = 0;
        while taken < PRODUCERS {
            if queues.inject_pop().is_some() {
                taken += 1;
                continue;
            }
            sleepers.fall_asleep(0);
            let found = queues.inject_pop().is_some();
            if !found {
                P::Parker::park();
            }
            taken += usize::from(found);
            if sleepers.wake_up(0) {
                sleepers.stop_searching();
            }
        }
    });
}

/// A searcher gives up while somebody adds work and relies on it.
fn work_against_the_last_searcher<P: Platform>() {
    let sleepers = Sleepers::<P>::new(2);
    let queues = RunQueues::<P>::new(2);
    scope::<P, _>(|threads| {
        let (waker, sleepers, queues) = (P::Parker::waker(), &sleepers, &queues);
        threads.spawn(move || {
            queues.inject();
            if sleepers.sleeper_for_work().is_some() {
                waker.wake();
            }
        });
        let searches = sleepers.start_searching();
        assert!(searches, "nobody else searches");
        assert!(!sleepers.start_searching(), "half of the workers search");
        let mut found = queues.inject_pop().is_some();
        assert!(sleepers.stop_searching(), "it was the last");
        while !found {
            sleepers.fall_asleep(0);
            found = queues.inject_pop().is_some();
            if !found {
                P::Parker::park();
                found = queues.inject_pop().is_some();
            }
            if sleepers.wake_up(0) {
                sleepers.stop_searching();
            }
        }
    });
}

/// Nothing but the fences orders a push to a ring and the look of a searcher.
fn work_in_a_ring_against_the_last_searcher<P: Platform>() {
    let sleepers = Sleepers::<P>::new(2);
    let queues = RunQueues::<P>::new(2);
    scope::<P, _>(|threads| {
        let (sleepers, queues) = (&sleepers, &queues);
        sleepers.fall_asleep(1);
        assert!(sleepers.start_searching(), "nobody else searches");
        let other = threads.spawn(move || {
            // SAFETY: that thread plays worker 0.
            unsafe { queues.push(0) };
            sleepers.sleeper_for_work().is_some()
        });
        assert!(sleepers.stop_searching(), "it was the last");
        let seen = !queues.is_empty(0);
        assert!(other.join() || seen, "somebody knows of the work");
    });
    // SAFETY: the threads have ended.
    assert!(unsafe { queues.pop(0) }.is_some());
}

/// One searcher has stolen a batch, the other nothing.
fn loot_against_the_last_searcher<P: Platform>() {
    let sleepers = Sleepers::<P>::new(4);
    let queues = RunQueues::<P>::new(2);
    scope::<P, _>(|threads| {
        let (sleepers, queues) = (&sleepers, &queues);
        assert!(sleepers.start_searching() && sleepers.start_searching(), "half of them may");
        let other = threads.spawn(move || {
            // SAFETY: that thread plays worker 1.
            unsafe { queues.push(1) };
            sleepers.stop_searching()
        });
        let last = sleepers.stop_searching();
        let seen = !queues.is_empty(1);
        assert_ne!(other.join(), last, "one of them is the last");
        assert!(seen || !last, "the last one sees what those before it have queued");
    });
    // SAFETY: the threads have ended.
    assert!(unsafe { queues.pop(1) }.is_some());
}

/// Two tasks, two sleepers: one worker is woken, and wakes the next because there may be more.
fn a_searcher_that_found_wakes_the_next<P: Platform>() {
    let sleepers = Sleepers::<P>::new(2);
    let queues = RunQueues::<P>::new(2);
    let wakers = [P::AtomicBool::new(false), P::AtomicBool::new(false)];
    scope::<P, _>(|threads| {
        let (sleepers, queues, wakers) = (&sleepers, &queues, &wakers);
        sleepers.fall_asleep(0);
        sleepers.fall_asleep(1);
        let producer = move || {
            queues.inject();
            let woken = sleepers.sleeper_for_work();
            if let Some(worker) = woken {
                assert!(!wakers[worker].swap(true, Ordering::Relaxed), "woken once");
            }
            woken.is_some()
        };
        let other = threads.spawn(producer);
        let first = producer();
        let second = other.join();
        assert!(first || second, "somebody is woken");
    });
    // Whoever was woken finds a task, and as the last searcher hands on.
    let Some(worker) = wakers.iter().position(|woken| woken.load(Ordering::Relaxed)) else {
        panic!("somebody was woken");
    };
    assert!(sleepers.wake_up(worker), "it counts as searching");
    assert!(queues.inject_pop().is_some() && queues.inject_pop().is_some());
    assert!(sleepers.stop_searching(), "one at a time is woken");
}

/// A sleeper leaves on its own while two producers want to wake it.
fn a_sleeper_that_leaves<P: Platform>() {
    let sleepers = Sleepers::<P>::new(1);
    scope::<P, _>(|threads| {
        let sleepers = &sleepers;
        sleepers.fall_asleep(0);
        let producer = move || sleepers.sleeper_for_work().is_some();
        let first = threads.spawn(producer);
        let second = threads.spawn(producer);
        let counted = sleepers.wake_up(0);
        let taken = usize::from(first.join()) + usize::from(second.join());
        assert_eq!(taken, usize::from(counted), "taken by one producer, or left on its own");
        if counted {
            assert!(sleepers.stop_searching(), "nobody else is counted");
        }
    });
    // Nobody is left in the count: a worker may search.
    assert!(sleepers.start_searching());
}

fn lock_excludes<P: Platform>() {
    let lock = Lock::<_, P>::new(0);
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| lock.with(|value| *value += 1));
        lock.with(|value| *value += 1);
        other.join();
    });
    lock.with(|value| assert_eq!(*value, 2, "an update was lost"));
}

fn registry_of_two_threads<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    scope::<P, _>(|threads| {
        let oldest = queues.register();
        let other = threads.spawn(|| {
            let own = queues.register();
            let alive = queues.alive();
            assert!((1..=3).contains(&alive), "its own is there");
            own
        });
        let own = queues.register();
        drop(oldest);
        drop(other.join());
        assert_eq!(queues.alive(), 1);
        drop(own);
    });
    assert_eq!(queues.alive(), 0, "all have left");
}

fn registry_closes_against_an_entry<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| queues.register());
        queues.close_registry();
        let seen = queues.alive();
        let entered = other.join();
        assert_eq!(seen, usize::from(entered.is_some()), "who got in is seen after the closing");
    });
    assert!(queues.register().is_none());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let atomics = |threads| Needs::ATOMICS.threads(threads);
    vec![
        Scenario::new(
            "idle/news_against_sleep",
            "news for a worker that is about to sleep keeps it awake or wakes it",
            news_against_sleep::<P, 1>,
        )
        .needs(atomics(1).parker()),
        Scenario::new(
            "idle/two_news_against_sleep",
            "of two who have news for a worker, none relies on the other in vain",
            news_against_sleep::<P, 2>,
        )
        .needs(atomics(2).parker())
        .bound(2),
        Scenario::new(
            "idle/work_against_sleep",
            "work that is added while the last worker goes to sleep is found or wakes it",
            work_against_sleep::<P, 1>,
        )
        .needs(atomics(1).parker()),
        Scenario::new(
            "idle/two_works_against_sleep",
            "two who add work lose no wake, though only one at a time wakes a sleeper",
            work_against_sleep::<P, 2>,
        )
        .needs(atomics(2).parker())
        .bound(2),
        Scenario::new(
            "idle/work_against_the_last_searcher",
            "work that is added while somebody searches is found before the searcher sleeps",
            work_against_the_last_searcher::<P>,
        )
        .needs(atomics(1).parker()),
        Scenario::new(
            "idle/work_in_a_ring_against_the_last_searcher",
            "work that is queued in a ring while the last searcher stops is seen, or wakes a sleeper",
            work_in_a_ring_against_the_last_searcher::<P>,
        )
        .needs(atomics(1)),
        Scenario::new(
            "idle/loot_against_the_last_searcher",
            "the last searcher sees what the searchers before it have queued",
            loot_against_the_last_searcher::<P>,
        )
        .needs(atomics(1)),
        Scenario::new(
            "idle/a_searcher_that_found_wakes_the_next",
            "one sleeper at a time is woken for work, and each once",
            a_searcher_that_found_wakes_the_next::<P>,
        )
        .needs(atomics(1)),
        Scenario::new(
            "idle/a_sleeper_that_leaves",
            "a sleeper that leaves while it is wanted is counted as searching exactly if it was taken",
            a_sleeper_that_leaves::<P>,
        )
        .needs(atomics(2))
        .bound(3),
        Scenario::new(
            "spinlock/excludes",
            "two critical sections exclude each other, and the later sees the earlier",
            lock_excludes::<P>,
        )
        .needs(atomics(1)),
        Scenario::new(
            "registry/two_threads",
            "tasks enter and leave from two threads, and the list holds those that are alive",
            registry_of_two_threads::<P>,
        )
        .needs(atomics(1)),
        Scenario::new(
            "registry/closes_against_an_entry",
            "a task that enters while the registry closes is refused, or seen by the shutdown",
            registry_closes_against_an_entry::<P>,
        )
        .needs(atomics(1)),
    ]
}
