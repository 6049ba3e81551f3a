//! The wait group, seen from outside, on real threads.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counting, as_cancelled_fiber, eventually, freed_by_the_waiter, threads};
use raddle_parking_lot::WaitGroup;
use raddle_platform::{Native, suspend};

#[test]
fn all_waiters_return_when_all_is_done_and_not_before() {
    static GROUP: WaitGroup = WaitGroup::new();
    let done = AtomicUsize::new(0);
    GROUP.add(4);
    threads(12, |index| {
        if index < 4 {
            done.fetch_add(1, Ordering::Relaxed);
            GROUP.done();
        } else {
            if index % 2 == 0 {
                GROUP.wait();
            } else {
                suspend::block_on::<Native, _>(GROUP.wait_async());
            }
            assert_eq!(done.load(Ordering::Relaxed), 4);
        }
    });
    assert_eq!(GROUP.count(), 0);
}

#[test]
fn a_group_is_used_round_by_round() {
    let group = WaitGroup::new();
    let done = AtomicUsize::new(0);
    for round in 1..500 {
        group.add(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    done.fetch_add(1, Ordering::Relaxed);
                    group.done();
                });
            }
            group.wait();
            assert_eq!(done.load(Ordering::Relaxed), 2 * round);
        });
    }
}

#[test]
fn an_empty_group_is_done() {
    let group = WaitGroup::new();
    group.wait();
    assert!(group.wait_for(Duration::ZERO));
    group.add(1);
    assert!(!group.wait_for(Duration::from_millis(1)));
    as_cancelled_fiber(|| assert!(group.wait_cancellable().is_err()));
    group.done();
    assert!(group.wait_cancellable().is_ok());
}

#[test]
#[should_panic(expected = "more often")]
fn more_done_than_added_is_refused() {
    WaitGroup::new().done();
}

#[test]
fn a_dropped_waiter_leaves_no_trace() {
    let group = WaitGroup::new();
    let wakes = [Counting::default(), Counting::default(), Counting::default()];
    group.add(1);
    let mut waiters: Vec<_> = wakes.iter().map(|_| Box::pin(group.wait_async())).collect();
    for (wakes, waiter) in wakes.iter().zip(&mut waiters) {
        assert!(wakes.poll(waiter.as_mut()).is_pending());
    }
    drop(waiters.remove(1));
    group.done();
    assert_eq!(wakes.each_ref().map(Counting::count), [1, 0, 1]);
    assert!(wakes[0].poll(waiters[0].as_mut()).is_ready());
}

#[test]
fn a_group_may_be_freed_right_after_its_waiter_returned() {
    for _ in 0..2_000 {
        let group = WaitGroup::new();
        group.add(1);
        freed_by_the_waiter(group, WaitGroup::wait, WaitGroup::done);
    }
}

#[test]
fn a_storm_of_waiters_is_woken() {
    let group = WaitGroup::new();
    let waiting = AtomicUsize::new(0);
    group.add(1);
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                waiting.fetch_add(1, Ordering::Relaxed);
                group.wait();
            });
        }
        eventually(|| waiting.load(Ordering::Relaxed) == 40);
        group.done();
    });
}
