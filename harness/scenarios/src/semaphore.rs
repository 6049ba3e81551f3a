//! `Semaphore`: threads and futures as waiters.

use core::pin::pin;

use raddle_parking_lot::Semaphore;
use raddle_platform::{Instant, Platform, RaceCell, suspend};

use crate::freed::Freed;
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

fn release_happens_before_acquire<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    let cell = RaceCell::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: nobody reads before the permit is there.
            unsafe { cell.with_mut(|value| *value = 1) };
            semaphore.add_permits(1);
        });
        semaphore.acquire().forget();
        // SAFETY: the permit says that the other thread is done.
        assert_eq!(unsafe { cell.with(|value| *value) }, 1);
    });
}

fn two_waiters<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| semaphore.acquire().forget());
        threads.spawn(|| suspend::block_on::<P, _>(semaphore.acquire_async()).forget());
        semaphore.add_permits(1);
        semaphore.add_permits(1);
    });
    assert_eq!(semaphore.available_permits(), 0);
}

/// Two releases at the same time: one has the queue when the other comes.
fn two_releases<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| semaphore.add_permits(1));
        threads.spawn(|| semaphore.add_permits(1));
        semaphore.acquire_many(2).forget();
    });
    assert_eq!(semaphore.available_permits(), 0);
}

fn ping_pong<P: Platform>() {
    let (ping, pong) = (Semaphore::<P>::new_in(0), Semaphore::<P>::new_in(0));
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            for _ in 0..2 {
                ping.acquire().forget();
                pong.add_permits(1);
            }
        });
        for _ in 0..2 {
            ping.add_permits(1);
            pong.acquire().forget();
        }
    });
}

fn timeout_against_release<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    let acquired = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| {
            semaphore.try_acquire_until(SOON).map(raddle_parking_lot::SemaphorePermit::forget)
        });
        semaphore.add_permits(1);
        waiter.join().is_some()
    });
    assert_eq!(semaphore.available_permits(), usize::from(!acquired));
}

/// The first one wants more than there will be; when it gives up, the second one must be served.
fn future_dropped_in_the_queue<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(semaphore.acquire_many_async(2)))));
        threads.spawn(|| semaphore.acquire().forget());
        semaphore.add_permits(1);
    });
    assert_eq!(semaphore.available_permits(), 0);
}

fn future_dropped_against_release<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(semaphore.acquire_async()))));
        semaphore.add_permits(1);
    });
    assert_eq!(semaphore.available_permits(), 1);
}

fn freed_right_after<P: Platform>() {
    let semaphore = Freed::new(Semaphore::<P>::new_in(0));
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let semaphore = semaphore;
            // SAFETY: freed below.
            unsafe { semaphore.get() }.acquire().forget();
            // SAFETY: who released is done with the semaphore.
            unsafe { semaphore.free() };
        });
        // SAFETY: freed only after the release.
        unsafe { semaphore.get() }.add_permits(1);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "semaphore/release_happens_before_acquire",
            "what one did before it added a permit, whoever takes it sees",
            release_happens_before_acquire::<P>,
        )
        .needs(one),
        Scenario::new(
            "semaphore/two_waiters",
            "a thread and a future that wait for a permit each get one",
            two_waiters::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "semaphore/two_releases",
            "two releases at the same time serve a waiter that needs both",
            two_releases::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new("semaphore/ping_pong", "two threads hand a turn to and fro", ping_pong::<P>)
            .needs(one)
            .bound(2),
        Scenario::new(
            "semaphore/timeout_against_release",
            "a permit given to a waiter whose time is over is neither lost nor given twice",
            timeout_against_release::<P>,
        )
        .needs(one.clock())
        .bound(4),
        Scenario::new(
            "semaphore/future_dropped_in_the_queue",
            "a dropped waiter that wanted much lets those behind it go",
            future_dropped_in_the_queue::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "semaphore/future_dropped_against_release",
            "a permit given to a future that is dropped comes back",
            future_dropped_against_release::<P>,
        )
        .needs(Needs::ATOMICS.threads(1))
        .bound(4),
        Scenario::new(
            "semaphore/freed_right_after",
            "a release does not touch the semaphore after it let its waiter go",
            freed_right_after::<P>,
        )
        .needs(one),
    ]
}
