//! `WaitGroup`: threads and futures as waiters.

use core::pin::pin;

use raddle_parking_lot::WaitGroup;
use raddle_platform::{Instant, Platform, RaceCell, suspend};

use crate::freed::Freed;
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

fn done_happens_before<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    let cells = [RaceCell::<u32, P>::new_in(0), RaceCell::<u32, P>::new_in(0)];
    group.add(2);
    scope::<P, _>(|threads| {
        for cell in &cells {
            let group = &group;
            threads.spawn(move || {
                // SAFETY: nobody reads before both are done.
                unsafe { cell.with_mut(|value| *value = 1) };
                group.done();
            });
        }
        group.wait();
        for cell in &cells {
            // SAFETY: all are done.
            assert_eq!(unsafe { cell.with(|value| *value) }, 1);
        }
    });
}

fn two_waiters<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| group.wait());
        threads.spawn(|| suspend::block_on::<P, _>(group.wait_async()));
        group.done();
    });
    assert_eq!(group.count(), 0);
}

fn timeout_against_done<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            if group.wait_until(SOON) {
                assert_eq!(group.count(), 0);
            }
        });
        group.done();
    });
    assert!(group.wait_until(Instant::ZERO), "the group is at rest");
}

fn future_dropped_against_done<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let _ = polled::once(pin!(group.wait_async()));
        });
        threads.spawn(|| group.wait());
        group.done();
    });
    assert!(group.wait_until(Instant::ZERO), "the group is at rest");
}

fn freed_right_after<P: Platform>() {
    let group = Freed::new(WaitGroup::<P>::new_in());
    // SAFETY: freed only after `done`.
    unsafe { group.get() }.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let group = group;
            // SAFETY: freed below.
            unsafe { group.get() }.wait();
            // SAFETY: who was done is done with the group.
            unsafe { group.free() };
        });
        // SAFETY: freed only after this.
        unsafe { group.get() }.done();
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "wait_group/done_happens_before",
            "what each did before it was done, a waiter sees",
            done_happens_before::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "wait_group/two_waiters",
            "a thread and a future that wait for one group both return",
            two_waiters::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "wait_group/timeout_against_done",
            "a waiter whose time is over leaves the group usable",
            timeout_against_done::<P>,
        )
        .needs(one.clock())
        .bound(4),
        Scenario::new(
            "wait_group/future_dropped_against_done",
            "a dropped waiter keeps nobody waiting",
            future_dropped_against_done::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "wait_group/freed_right_after",
            "the last one that is done does not touch the group after a waiter has returned",
            freed_right_after::<P>,
        )
        .needs(one),
    ]
}
