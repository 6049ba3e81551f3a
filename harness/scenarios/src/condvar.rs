//! `Condvar`: threads and futures as waiters.

use core::pin::pin;

use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// A condition, and what tells that it changed.
struct Flag<P: Platform> {
    set: ParkingMutex<u32, P>,
    changed: Condvar<P>,
}

impl<P: Platform> Flag<P> {
    fn new() -> Self {
        Self { set: ParkingMutex::new_in(0), changed: Condvar::new_in() }
    }

    fn wait(&self) {
        let mut set = self.set.lock();
        self.changed.wait_while(&mut set, |set| *set == 0);
    }

    async fn wait_async(&self) {
        let mut set = self.set.lock_async().await;
        while *set == 0 {
            set = self.changed.wait_async(set).await;
        }
    }
}

fn notified_under_the_mutex<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| flag.wait());
        let mut set = flag.set.lock();
        *set = 1;
        flag.changed.notify_one();
    });
}

fn notified_after_the_mutex<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| suspend::block_on::<P, _>(flag.wait_async()));
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
}

fn notify_all_requeues<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| flag.wait());
        threads.spawn(|| flag.wait());
        let mut set = flag.set.lock();
        *set = 1;
        flag.changed.notify_all();
    });
    assert!(flag.set.try_lock().is_some());
}

fn notify_against_timeout<P: Platform>() {
    let flag = Flag::<P>::new();
    let (notified, heard) = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| {
            let mut set = flag.set.lock();
            let heard = !flag.changed.wait_until(&mut set, SOON).timed_out();
            *set += 1;
            heard
        });
        let notified = flag.changed.notify_one();
        (notified, waiter.join())
    });
    assert_eq!(notified, heard, "a notification is heard by exactly one");
    assert_eq!(flag.set.try_lock().map(|set| *set), Some(1));
}

/// Two wait, one of them with a deadline; one notification. If the deadline did not end its wait
/// unnotified, the other must still be told: so the one that heard notifies again.
fn notification_is_not_lost<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut set = flag.set.lock();
            if *set == 0 && !flag.changed.wait_until(&mut set, SOON).timed_out() {
                flag.changed.notify_one();
            }
        });
        threads.spawn(|| flag.wait());
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
}

fn notified_future_dropped<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let set = flag.set.lock();
            if *set == 0 {
                drop(polled::once(pin!(flag.changed.wait_async(set))));
            }
        });
        threads.spawn(|| flag.wait());
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
    assert!(flag.set.try_lock().is_some());
}

fn freed_right_after<P: Platform>() {
    let flag = Freed::new(Flag::<P>::new());
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let flag = flag;
            // SAFETY: freed below.
            unsafe { flag.get() }.wait();
            // SAFETY: the notifier had the mutex when it notified, and unlocked it since.
            unsafe { flag.free() };
        });
        // SAFETY: freed only after the unlock.
        let flag = unsafe { flag.get() };
        let mut set = flag.set.lock();
        *set = 1;
        flag.changed.notify_one();
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "condvar/notified_under_the_mutex",
            "a waiter learns of a change that is notified under the mutex",
            notified_under_the_mutex::<P>,
        )
        .needs(one)
        .bound(5),
        Scenario::new(
            "condvar/notified_after_the_mutex",
            "a waiting future learns of a change that is notified after the unlock",
            notified_after_the_mutex::<P>,
        )
        .needs(one)
        .bound(5),
        Scenario::new(
            "condvar/notify_all_requeues",
            "all waiters get the mutex, one after the other",
            notify_all_requeues::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "condvar/notify_against_timeout",
            "a notification and a deadline at the same time: one of them, not both or neither",
            notify_against_timeout::<P>,
        )
        .needs(one.clock())
        .bound(5),
        Scenario::new(
            "condvar/notification_is_not_lost",
            "a notification that meets a deadline is not lost for the other waiter",
            notification_is_not_lost::<P>,
        )
        .needs(two.clock())
        .bound(2),
        Scenario::new(
            "condvar/notified_future_dropped",
            "a future that is dropped after it was chosen passes the notification on",
            notified_future_dropped::<P>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "condvar/freed_right_after",
            "a notifier does not touch the condition variable after its waiter has returned",
            freed_right_after::<P>,
        )
        .needs(one)
        .bound(5),
    ]
}
