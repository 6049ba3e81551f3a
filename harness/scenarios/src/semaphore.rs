//! `Semaphore`: threads, fibers and futures as waiters.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use raddle_parking_lot::{Semaphore, SemaphorePermit};
use raddle_platform::{Instant, Platform, RaceCell, suspend};

use crate::freed::Freed;
use crate::waiters::{Blocking, Waiter, each_blocking, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

fn release_happens_before_acquire<P: Platform, W: Waiter<P>>() {
    let semaphore = Semaphore::<P>::new_in(0);
    let cell = RaceCell::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: nobody reads before the permit is there.
            unsafe { cell.with_mut(|value| *value = 1) };
            semaphore.add_permits(1);
        });
        W::run(|| W::acquire(&semaphore, 1));
        // SAFETY: the permit says that the other thread is done.
        assert_eq!(unsafe { cell.with(|value| *value) }, 1);
    });
}

fn two_waiters<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| A::acquire(&semaphore, 1)));
        threads.spawn(|| B::run(|| B::acquire(&semaphore, 1)));
        semaphore.add_permits(1);
        semaphore.add_permits(1);
    });
    assert_eq!(semaphore.available_permits(), 0);
}

/// Two releases at the same time: one has the queue when the other comes.
fn two_releases<P: Platform, W: Waiter<P>>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| semaphore.add_permits(1));
        threads.spawn(|| semaphore.add_permits(1));
        W::run(|| W::acquire(&semaphore, 2));
    });
    assert_eq!(semaphore.available_permits(), 0);
}

fn ping_pong<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let (ping, pong) = (Semaphore::<P>::new_in(0), Semaphore::<P>::new_in(0));
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            A::run(|| {
                for _ in 0..2 {
                    A::acquire(&ping, 1);
                    pong.add_permits(1);
                }
            });
        });
        B::run(|| {
            for _ in 0..2 {
                ping.add_permits(1);
                B::acquire(&pong, 1);
            }
        });
    });
}

fn timeout_against_release<P: Platform, W: Blocking<P>>() {
    let semaphore = Semaphore::<P>::new_in(0);
    let acquired = scope::<P, _>(|threads| {
        let waiter = threads
            .spawn(|| W::run(|| semaphore.try_acquire_until(SOON).map(SemaphorePermit::forget)));
        semaphore.add_permits(1);
        waiter.join().is_some()
    });
    assert_eq!(semaphore.available_permits(), usize::from(!acquired));
}

/// The first one wants more than there will be; when it gives up, the second one must be served.
fn future_dropped_in_the_queue<P: Platform, W: Waiter<P>>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(semaphore.acquire_many_async(2)))));
        threads.spawn(|| W::run(|| W::acquire(&semaphore, 1)));
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

fn freed_right_after<P: Platform, W: Waiter<P>>() {
    let semaphore = Freed::new(Semaphore::<P>::new_in(0));
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let semaphore = semaphore;
            // SAFETY: freed below.
            W::run(|| W::acquire(unsafe { semaphore.get() }, 1));
            // SAFETY: who released is done with the semaphore.
            unsafe { semaphore.free() };
        });
        // SAFETY: freed only after the release.
        unsafe { semaphore.get() }.add_permits(1);
    });
}

/// The permit is taken away for good, or given; and what is given is not taken away.
fn forget_against_release<P: Platform, W: Waiter<P>>() {
    let semaphore = Semaphore::<P>::new_in(1);
    let forgotten = scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| W::acquire(&semaphore, 2)));
        let forgotten = semaphore.forget_permits(1);
        semaphore.add_permits(1 + forgotten);
        forgotten
    });
    assert!(forgotten <= 1);
    assert_eq!(semaphore.available_permits(), 0);
}

/// Two take permits away at the same time as a third adds one.
fn forget_against_forget<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(1);
    let forgotten = scope::<P, _>(|threads| {
        let theirs = threads.spawn(|| semaphore.forget_permits(1));
        let ours = semaphore.forget_permits(1);
        ours + theirs.join()
    });
    assert_eq!((forgotten, semaphore.available_permits()), (1, 0));
}

/// A queued future gets another waker while it is granted its permit.
fn waker_replaced_against_release<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut acquire = pin!(semaphore.acquire_async());
            match polled::once(acquire.as_mut()) {
                Poll::Ready(permit) => permit.forget(),
                Poll::Pending => suspend::block_on::<P, _>(acquire).forget(),
            }
        });
        semaphore.add_permits(1);
    });
    assert_eq!(semaphore.available_permits(), 0);
}

/// Nobody will add a permit.
fn a_duration_ends<P: Platform>() {
    let semaphore = Semaphore::<P>::new_in(1);
    assert!(semaphore.try_acquire_many_for(2, SOME_TIME).is_none());
    assert_eq!(semaphore.available_permits(), 1);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        vec![
            Scenario::new(
                "semaphore/a_duration_ends",
                "a wait for some time ends when the time is over",
                a_duration_ends::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
        ],
        each_waiter!(
            "semaphore/release_happens_before_acquire",
            "what one did before it added a permit, whoever takes it sees",
            release_happens_before_acquire,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_pair!(
            "semaphore/two_waiters",
            "two that wait for a permit each get one",
            two_waiters,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "semaphore/two_releases",
            "two releases at the same time serve a waiter that needs both",
            two_releases,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_pair!("semaphore/ping_pong", "two hand a turn to and fro", ping_pong, P)
            .map(|each| each.needs(one).bound(2))
            .to_vec(),
        each_blocking!(
            "semaphore/timeout_against_release",
            "a permit given to a waiter whose time is over is neither lost nor given twice",
            timeout_against_release,
            P
        )
        .map(|each| each.needs(one.clock()).bound(4))
        .to_vec(),
        each_waiter!(
            "semaphore/future_dropped_in_the_queue",
            "a dropped waiter that wanted much lets those behind it go",
            future_dropped_in_the_queue,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        vec![
            Scenario::new(
                "semaphore/future_dropped_against_release",
                "a permit given to a future that is dropped comes back",
                future_dropped_against_release::<P>,
            )
            .needs(Needs::ATOMICS.threads(1))
            .bound(4),
        ],
        vec![
            Scenario::new(
                "semaphore/waker_replaced_against_release",
                "a future that is polled with a new waker while it is served is woken",
                waker_replaced_against_release::<P>,
            )
            .needs(one)
            .bound(4),
        ],
        each_waiter!(
            "semaphore/forget_against_release",
            "permits that are taken away are not given to a waiter",
            forget_against_release,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        vec![
            Scenario::new(
                "semaphore/forget_against_forget",
                "a permit is taken away once",
                forget_against_forget::<P>,
            )
            .needs(Needs::ATOMICS.threads(1)),
        ],
        each_waiter!(
            "semaphore/freed_right_after",
            "a release does not touch the semaphore after it let its waiter go",
            freed_right_after,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
    ]
    .concat()
}
