//! `ParkingMutex`: threads, fibers and futures as waiters.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use raddle_parking_lot::{MutexGuard, ParkingMutex};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::waiters::{Blocking, Waiter, each_blocking, each_blocking_pair, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

type Mutex<P, T = u32> = ParkingMutex<T, P>;

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

/// Two lock, and the main thread after them.
fn exclusion<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::lock(&mutex) += 1));
        B::run(|| *B::lock(&mutex) += 1);
    });
    assert_eq!(*mutex.lock(), 2);
}

/// Each locks twice: the second time meets a waiter that was woken by the first.
fn no_lost_wakeup_of_two<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            A::run(|| {
                *A::lock(&mutex) += 1;
                *A::lock(&mutex) += 1;
            });
        });
        B::run(|| {
            *B::lock(&mutex) += 1;
            *B::lock(&mutex) += 1;
        });
    });
    assert_eq!(mutex.into_inner(), 4);
}

fn no_lost_wakeup_of_three<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::lock(&mutex) += 1));
        threads.spawn(|| B::run(|| *B::lock(&mutex) += 1));
        A::run(|| *A::lock(&mutex) += 1);
    });
    assert_eq!(mutex.into_inner(), 3);
}

fn registration_against_unlock<P: Platform, W: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| *W::lock(&mutex) += 1));
        drop(guard);
    });
    assert_eq!(mutex.into_inner(), 1);
}

fn try_lock<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let attempt = || u32::from(mutex.try_lock().map(|mut guard| *guard += 1).is_some());
    let locked = scope::<P, _>(|threads| {
        let theirs = threads.spawn(attempt);
        attempt() + theirs.join()
    });
    assert!(locked >= 1 && !mutex.is_locked());
    assert_eq!(mutex.into_inner(), locked);
}

fn timeout_against_unlock<P: Platform, W: Blocking<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    let locked = scope::<P, _>(|threads| {
        let waiter =
            threads.spawn(|| W::run(|| mutex.try_lock_until(SOON).map(|mut guard| *guard += 1)));
        drop(guard);
        waiter.join().is_some()
    });
    let guard = mutex.try_lock();
    assert_eq!(guard.map(|guard| *guard), Some(u32::from(locked)), "left locked");
}

fn timeout_against_handover<P: Platform, W: Blocking<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    let locked = scope::<P, _>(|threads| {
        let waiter =
            threads.spawn(|| W::run(|| mutex.try_lock_until(SOON).map(|mut guard| *guard += 1)));
        MutexGuard::unlock_fair(guard);
        waiter.join().is_some()
    });
    let guard = mutex.try_lock();
    assert_eq!(guard.map(|guard| *guard), Some(u32::from(locked)), "left locked");
}

/// The one that times out was first in the queue, and woken; but the main thread was faster. Whoever
/// is behind it must be woken next time.
fn timeout_passes_the_wake_on<P: Platform, A: Blocking<P>, B: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| drop(mutex.try_lock_until(SOON))));
        threads.spawn(|| B::run(|| *B::lock(&mutex) += 1));
        drop(guard);
        *mutex.lock() += 1;
    });
    assert_eq!(mutex.try_lock().map(|guard| *guard), Some(2));
}

/// The main thread takes the mutex again and again, so that the waiter loses, starves, and is
/// handed it.
fn handover_under_barging<P: Platform, W: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| *W::lock(&mutex) += 1));
        for _ in 0..3 {
            *mutex.lock() += 1;
        }
    });
    assert_eq!(mutex.into_inner(), 4);
}

/// A waiter has lost so often that the mutex will be handed to it; just then a newcomer comes.
fn handover_against_newcomer<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let mut waiter = Box::pin(mutex.lock_async());
    let mut guard = mutex.lock();
    assert!(polled::once(waiter.as_mut()).is_pending());
    for _ in 0..=P::BOUNDS.barges {
        drop(guard);
        // Where time passes the waiter may starve earlier, and has the mutex now.
        let Some(barger) = mutex.try_lock() else { return };
        guard = barger;
        assert!(polled::once(waiter.as_mut()).is_pending());
    }
    let newcomer = scope::<P, _>(|threads| {
        threads.spawn(|| *suspend::block_on::<P, _>(waiter) += 1);
        let newcomer = threads.spawn(|| mutex.try_lock().map(|mut guard| *guard += 1));
        drop(guard);
        newcomer.join()
    });
    assert_eq!(mutex.into_inner(), 1 + newcomer.map_or(0, |()| 1));
}

/// A waiter loses once too often, and asks to be handed the mutex just when that becomes free.
fn unlock_against_a_waiter_that_starves<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let mut waiter = Box::pin(mutex.lock_async());
    let mut guard = mutex.lock();
    for _ in 0..=P::BOUNDS.barges {
        assert!(polled::once(waiter.as_mut()).is_pending());
        drop(guard);
        // Where time passes the waiter may starve earlier, and has the mutex now.
        let Some(barger) = mutex.try_lock() else { return };
        guard = barger;
    }
    let newcomer = scope::<P, _>(|threads| {
        threads.spawn(|| *suspend::block_on::<P, _>(waiter) += 1);
        let newcomer = threads.spawn(|| mutex.try_lock().map(|mut guard| *guard += 1));
        drop(guard);
        newcomer.join()
    });
    assert_eq!(mutex.into_inner(), 1 + newcomer.map_or(0, |()| 1));
}

/// The owner makes way for whoever is queued, if anybody is, and has the mutex again afterwards.
fn bump_against_waiter<P: Platform, W: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let mut guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| *W::lock(&mutex) += 1));
        MutexGuard::bump(&mut guard);
        let seen = *guard;
        *guard += 1;
        assert_eq!(*guard, seen + 1);
        drop(guard);
    });
    assert_eq!(mutex.into_inner(), 2);
}

/// The owner of a part of the value unlocks the whole.
fn mapped_guard_against_waiter<P: Platform, W: Waiter<P>>() {
    let mutex = Mutex::<P, (u32, u32)>::new_in((0, 0));
    let part = MutexGuard::map(mutex.lock(), |pair| &mut pair.1);
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| W::lock(&mutex).0 += 1));
        let mut part = part;
        *part += 1;
        drop(part);
    });
    assert_eq!(mutex.into_inner(), (1, 1));
}

fn future_dropped_in_the_queue<P: Platform, W: Waiter<P>>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(mutex.lock_async()))));
        threads.spawn(|| W::run(|| *W::lock(&mutex) += 1));
        drop(guard);
    });
    assert_eq!(mutex.try_lock().map(|guard| *guard), Some(1));
}

fn future_dropped_against_handover<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(mutex.lock_async()))));
        MutexGuard::unlock_fair(guard);
    });
    assert!(mutex.try_lock().is_some());
}

/// A queued future gets another waker while it is woken by the old one.
fn waker_replaced_against_unlock<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut lock = pin!(mutex.lock_async());
            match polled::once(lock.as_mut()) {
                Poll::Ready(mut guard) => *guard += 1,
                Poll::Pending => *suspend::block_on::<P, _>(lock) += 1,
            }
        });
        drop(guard);
    });
    assert_eq!(mutex.into_inner(), 1);
}

fn freed_right_after<P: Platform, W: Waiter<P>>() {
    let mutex = Freed::new(Mutex::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { mutex.get() }.lock();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let mutex = mutex;
            // SAFETY: freed below.
            W::run(|| *W::lock(unsafe { mutex.get() }) += 1);
            // SAFETY: who unlocked is done with the mutex.
            unsafe { mutex.free() };
        });
        drop(guard);
    });
}

fn freed_right_after_a_handover<P: Platform, W: Waiter<P>>() {
    let mutex = Freed::new(Mutex::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { mutex.get() }.lock();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let mutex = mutex;
            // SAFETY: freed below.
            W::run(|| *W::lock(unsafe { mutex.get() }) += 1);
            // SAFETY: who unlocked is done with the mutex.
            unsafe { mutex.free() };
        });
        MutexGuard::unlock_fair(guard);
    });
}

/// Nobody will unlock.
fn a_duration_ends<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let _guard = mutex.lock();
    assert!(mutex.try_lock_for(SOME_TIME).is_none());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    let mut list = vec![
        Scenario::new(
            "mutex/a_duration_ends",
            "a wait for some time ends when the time is over",
            a_duration_ends::<P>,
        )
        .needs(Needs::ATOMICS.parker().clock()),
        Scenario::new(
            "mutex/try_lock",
            "two that do not wait are never both inside, and one gets in",
            try_lock::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "mutex/handover_against_newcomer",
            "a newcomer does not take a mutex that is being handed over",
            handover_against_newcomer::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "mutex/unlock_against_a_waiter_that_starves",
            "a mutex that a newcomer has is not handed to a waiter that has just lost too often",
            unlock_against_a_waiter_that_starves::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "mutex/future_dropped_against_handover",
            "a mutex handed to a future that is dropped is unlocked",
            future_dropped_against_handover::<P>,
        )
        .needs(Needs::ATOMICS.threads(1))
        .bound(5),
        Scenario::new(
            "mutex/waker_replaced_against_unlock",
            "a future that is polled with a new waker while it is woken is woken",
            waker_replaced_against_unlock::<P>,
        )
        .needs(one)
        .bound(4),
    ];
    list.extend(contended::<P>(one, two));
    list.extend(released::<P>(one));
    list
}

/// Waiters against each other.
fn contended<P: Platform>(one: Needs, two: Needs) -> Vec<Scenario> {
    [
        each_pair!(
            "mutex/exclusion",
            "what one did under the mutex, the next one sees",
            exclusion,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_pair!(
            "mutex/no_lost_wakeup_of_two",
            "two that lock again and again both get the mutex each time",
            no_lost_wakeup_of_two,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_pair!(
            "mutex/no_lost_wakeup_of_three",
            "three that lock at the same time all get the mutex",
            no_lost_wakeup_of_three,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_blocking_pair!(
            "mutex/timeout_passes_the_wake_on",
            "a woken waiter whose time is over does not keep the next one waiting",
            timeout_passes_the_wake_on,
            P
        )
        .map(|each| each.needs(two.clock()).bound(2))
        .to_vec(),
        each_waiter!(
            "mutex/future_dropped_in_the_queue",
            "a future that is dropped while it is queued or woken keeps nobody waiting",
            future_dropped_in_the_queue,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
    ]
    .concat()
}

/// A waiter against the owner.
fn released<P: Platform>(one: Needs) -> Vec<Scenario> {
    [
        each_waiter!(
            "mutex/registration_against_unlock",
            "a waiter that queues while the mutex is unlocked is woken",
            registration_against_unlock,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_blocking!(
            "mutex/timeout_against_unlock",
            "a waiter whose time is over when it is woken leaves the mutex usable",
            timeout_against_unlock,
            P
        )
        .map(|each| each.needs(one.clock()))
        .to_vec(),
        each_blocking!(
            "mutex/timeout_against_handover",
            "a mutex handed to a waiter whose time is over is neither lost nor leaked",
            timeout_against_handover,
            P
        )
        .map(|each| each.needs(one.clock()).bound(5))
        .to_vec(),
        each_waiter!(
            "mutex/handover_under_barging",
            "a waiter that is overtaken too often is handed the mutex",
            handover_under_barging,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "mutex/bump_against_waiter",
            "an owner that makes way lets a waiter have the mutex, and has it again",
            bump_against_waiter,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "mutex/mapped_guard_against_waiter",
            "a guard of a part unlocks the whole",
            mapped_guard_against_waiter,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_waiter!(
            "mutex/freed_right_after",
            "who unlocks does not touch the mutex after the next one has it, which may free it",
            freed_right_after,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_waiter!(
            "mutex/freed_right_after_a_handover",
            "who hands the mutex over does not touch it afterwards",
            freed_right_after_a_handover,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
    ]
    .concat()
}
