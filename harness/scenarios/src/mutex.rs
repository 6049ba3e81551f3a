//! `ParkingMutex`: threads and futures as waiters.

use core::pin::pin;

use raddle_parking_lot::{MutexGuard, ParkingMutex};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::{Needs, Scenario, polled, scope};

type Mutex<P, T = u32> = ParkingMutex<T, P>;

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// Two threads lock, and the main one after them.
fn exclusion<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *mutex.lock() += 1);
        *mutex.lock() += 1;
    });
    assert_eq!(*mutex.lock(), 2);
}

/// Each locks twice: the second time meets a waiter that was woken by the first.
fn no_lost_wakeup_of_two<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            *mutex.lock() += 1;
            *mutex.lock() += 1;
        });
        *mutex.lock() += 1;
        *mutex.lock() += 1;
    });
    assert_eq!(mutex.into_inner(), 4);
}

fn no_lost_wakeup_of_three<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *mutex.lock() += 1);
        threads.spawn(|| *mutex.lock() += 1);
        *mutex.lock() += 1;
    });
    assert_eq!(mutex.into_inner(), 3);
}

fn threads_and_futures_mixed<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *mutex.lock() += 1);
        threads.spawn(|| suspend::block_on::<P, _>(async { *mutex.lock_async().await += 1 }));
        *mutex.lock() += 1;
    });
    assert_eq!(mutex.into_inner(), 3);
}

fn registration_against_unlock<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| suspend::block_on::<P, _>(async { *mutex.lock_async().await += 1 }));
        drop(guard);
    });
    assert_eq!(mutex.into_inner(), 1);
}

fn timeout_against_unlock<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    let locked = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| mutex.try_lock_until(SOON).map(|mut guard| *guard += 1));
        drop(guard);
        waiter.join().is_some()
    });
    let guard = mutex.try_lock();
    assert_eq!(guard.map(|guard| *guard), Some(u32::from(locked)), "left locked");
}

fn timeout_against_handover<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    let locked = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| mutex.try_lock_until(SOON).map(|mut guard| *guard += 1));
        MutexGuard::unlock_fair(guard);
        waiter.join().is_some()
    });
    let guard = mutex.try_lock();
    assert_eq!(guard.map(|guard| *guard), Some(u32::from(locked)), "left locked");
}

/// The one that times out was first in the queue, and woken; but the main thread was faster. Whoever
/// is behind it must be woken next time.
fn timeout_passes_the_wake_on<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(mutex.try_lock_until(SOON)));
        threads.spawn(|| *mutex.lock() += 1);
        drop(guard);
        *mutex.lock() += 1;
    });
    assert_eq!(mutex.try_lock().map(|guard| *guard), Some(2));
}

/// The main thread takes the mutex again and again, so that the waiter loses, starves, and is
/// handed it.
fn handover_under_barging<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *mutex.lock() += 1);
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

fn future_dropped_in_the_queue<P: Platform>() {
    let mutex = Mutex::<P>::new_in(0);
    let guard = mutex.lock();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(mutex.lock_async()))));
        threads.spawn(|| *mutex.lock() += 1);
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
                core::task::Poll::Ready(mut guard) => *guard += 1,
                core::task::Poll::Pending => *suspend::block_on::<P, _>(lock) += 1,
            }
        });
        drop(guard);
    });
    assert_eq!(mutex.into_inner(), 1);
}

fn freed_right_after<P: Platform>() {
    let mutex = Freed::new(Mutex::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { mutex.get() }.lock();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let mutex = mutex;
            // SAFETY: freed below.
            *unsafe { mutex.get() }.lock() += 1;
            // SAFETY: who unlocked is done with the mutex.
            unsafe { mutex.free() };
        });
        drop(guard);
    });
}

fn freed_right_after_a_handover<P: Platform>() {
    let mutex = Freed::new(Mutex::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { mutex.get() }.lock();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let mutex = mutex;
            // SAFETY: freed below.
            suspend::block_on::<P, _>(async { *unsafe { mutex.get() }.lock_async().await += 1 });
            // SAFETY: who unlocked is done with the mutex.
            unsafe { mutex.free() };
        });
        MutexGuard::unlock_fair(guard);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "mutex/exclusion",
            "what one did under the mutex, the next one sees",
            exclusion::<P>,
        )
        .needs(one),
        Scenario::new(
            "mutex/no_lost_wakeup_of_two",
            "two that lock again and again both get the mutex each time",
            no_lost_wakeup_of_two::<P>,
        )
        .needs(one)
        .bound(5),
        Scenario::new(
            "mutex/no_lost_wakeup_of_three",
            "three that lock at the same time all get the mutex",
            no_lost_wakeup_of_three::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "mutex/threads_and_futures_mixed",
            "threads and a future that lock at the same time all get the mutex",
            threads_and_futures_mixed::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "mutex/registration_against_unlock",
            "a future that queues while the mutex is unlocked is woken",
            registration_against_unlock::<P>,
        )
        .needs(one),
        Scenario::new(
            "mutex/timeout_against_unlock",
            "a waiter whose time is over when it is woken leaves the mutex usable",
            timeout_against_unlock::<P>,
        )
        .needs(one.clock()),
        Scenario::new(
            "mutex/timeout_against_handover",
            "a mutex handed to a waiter whose time is over is neither lost nor leaked",
            timeout_against_handover::<P>,
        )
        .needs(one.clock())
        .bound(4),
        Scenario::new(
            "mutex/timeout_passes_the_wake_on",
            "a woken waiter whose time is over does not keep the next one waiting",
            timeout_passes_the_wake_on::<P>,
        )
        .needs(two.clock())
        .bound(2),
        Scenario::new(
            "mutex/handover_under_barging",
            "a waiter that is overtaken too often is handed the mutex",
            handover_under_barging::<P>,
        )
        .needs(one)
        .bound(4),
        Scenario::new(
            "mutex/handover_against_newcomer",
            "a newcomer does not take a mutex that is being handed over",
            handover_against_newcomer::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "mutex/future_dropped_in_the_queue",
            "a future that is dropped while it is queued or woken keeps nobody waiting",
            future_dropped_in_the_queue::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "mutex/future_dropped_against_handover",
            "a mutex handed to a future that is dropped is unlocked",
            future_dropped_against_handover::<P>,
        )
        .needs(Needs::ATOMICS.threads(1))
        .bound(4),
        Scenario::new(
            "mutex/waker_replaced_against_unlock",
            "a future that is polled with a new waker while it is woken is woken",
            waker_replaced_against_unlock::<P>,
        )
        .needs(one)
        .bound(4),
        Scenario::new(
            "mutex/freed_right_after",
            "who unlocks does not touch the mutex after the next one has it, which may free it",
            freed_right_after::<P>,
        )
        .needs(one),
        Scenario::new(
            "mutex/freed_right_after_a_handover",
            "who hands the mutex over does not touch it afterwards",
            freed_right_after_a_handover::<P>,
        )
        .needs(one),
    ]
}
