//! `WaitGroup`: threads, fibers and futures as waiters.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use raddle_parking_lot::WaitGroup;
use raddle_platform::{Instant, Platform, RaceCell, suspend};

use crate::freed::Freed;
use crate::waiters::{Blocking, Waiter, each_blocking, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

fn done_happens_before<P: Platform, W: Waiter<P>>() {
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
        W::run(|| W::wait_for(&group));
        for cell in &cells {
            // SAFETY: all are done.
            assert_eq!(unsafe { cell.with(|value| *value) }, 1);
        }
    });
}

fn two_waiters<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| A::wait_for(&group)));
        threads.spawn(|| B::run(|| B::wait_for(&group)));
        group.done();
    });
    assert_eq!(group.count(), 0);
}

fn timeout_against_done<P: Platform, W: Blocking<P>>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            if W::run(|| group.wait_until(SOON)) {
                assert_eq!(group.count(), 0);
            }
        });
        group.done();
    });
    assert!(group.wait_until(Instant::ZERO), "the group is at rest");
}

fn future_dropped_against_done<P: Platform, W: Waiter<P>>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let _ = polled::once(pin!(group.wait_async()));
        });
        threads.spawn(|| W::run(|| W::wait_for(&group)));
        group.done();
    });
    assert!(group.wait_until(Instant::ZERO), "the group is at rest");
}

fn freed_right_after<P: Platform, W: Waiter<P>>() {
    let group = Freed::new(WaitGroup::<P>::new_in());
    // SAFETY: freed only after `done`.
    unsafe { group.get() }.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let group = group;
            // SAFETY: freed below.
            W::run(|| W::wait_for(unsafe { group.get() }));
            // SAFETY: who was done is done with the group.
            unsafe { group.free() };
        });
        // SAFETY: freed only after this.
        unsafe { group.get() }.done();
    });
}

/// The waiter finds the group at rest, or queues before the last one is done, or in between.
fn registration_against_done<P: Platform, W: Waiter<P>>() {
    let group = WaitGroup::<P>::new_in();
    let cell = RaceCell::<u32, P>::new_in(0);
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| W::wait_for(&group));
            // SAFETY: all is done.
            assert_eq!(unsafe { cell.with(|value| *value) }, 1);
        });
        // SAFETY: nobody reads before this is done.
        unsafe { cell.with_mut(|value| *value = 1) };
        group.done();
    });
}

/// A queued future gets another waker while the last one is done.
fn waker_replaced_against_done<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut wait = pin!(group.wait_async());
            if polled::once(wait.as_mut()) == Poll::Pending {
                suspend::block_on::<P, _>(wait);
            }
        });
        group.done();
    });
    assert_eq!(group.count(), 0);
}

/// Nobody will be done.
fn a_duration_ends<P: Platform>() {
    let group = WaitGroup::<P>::new_in();
    group.add(1);
    assert!(!group.wait_for(SOME_TIME));
    assert_eq!(group.count(), 1);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        vec![
            Scenario::new(
                "wait_group/a_duration_ends",
                "a wait for some time ends when the time is over",
                a_duration_ends::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
        ],
        each_waiter!(
            "wait_group/done_happens_before",
            "what each did before it was done, a waiter sees",
            done_happens_before,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_pair!(
            "wait_group/two_waiters",
            "two that wait for one group both return",
            two_waiters,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "wait_group/registration_against_done",
            "a waiter that queues while the last one is done returns, and sees what was done",
            registration_against_done,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_blocking!(
            "wait_group/timeout_against_done",
            "a waiter whose time is over leaves the group usable",
            timeout_against_done,
            P
        )
        .map(|each| each.needs(one.clock()).bound(4))
        .to_vec(),
        each_waiter!(
            "wait_group/future_dropped_against_done",
            "a dropped waiter keeps nobody waiting",
            future_dropped_against_done,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        vec![
            Scenario::new(
                "wait_group/waker_replaced_against_done",
                "a future that is polled with a new waker while all is done is woken",
                waker_replaced_against_done::<P>,
            )
            .needs(one)
            .bound(4),
        ],
        each_waiter!(
            "wait_group/freed_right_after",
            "the last one that is done does not touch the group after a waiter has returned",
            freed_right_after,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
    ]
    .concat()
}
