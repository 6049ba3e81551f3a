//! `Condvar`: threads, fibers and futures as waiters.

use core::pin::pin;
use core::time::Duration;

use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::waiters::{Blocking, Waiter, each_blocking, each_blocking_pair, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

/// A condition, and what tells that it changed.
struct Flag<P: Platform> {
    set: ParkingMutex<u32, P>,
    changed: Condvar<P>,
}

impl<P: Platform> Flag<P> {
    fn new() -> Self {
        Self { set: ParkingMutex::new_in(0), changed: Condvar::new_in() }
    }

    fn wait<W: Waiter<P>>(&self) {
        let mut set = W::lock(&self.set);
        while *set == 0 {
            set = W::wait_on(&self.changed, set);
        }
    }
}

fn notified_under_the_mutex<P: Platform, W: Waiter<P>>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| flag.wait::<W>()));
        let mut set = flag.set.lock();
        *set = 1;
        flag.changed.notify_one();
    });
}

fn notified_after_the_mutex<P: Platform, W: Waiter<P>>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| flag.wait::<W>()));
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
}

fn notify_all_requeues<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| flag.wait::<A>()));
        threads.spawn(|| B::run(|| flag.wait::<B>()));
        let mut set = flag.set.lock();
        *set = 1;
        flag.changed.notify_all();
    });
    assert!(flag.set.try_lock().is_some());
}

fn notify_against_timeout<P: Platform, W: Blocking<P>>() {
    let flag = Flag::<P>::new();
    let (notified, heard) = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| {
            W::run(|| {
                let mut set = flag.set.lock();
                let heard = !flag.changed.wait_until(&mut set, SOON).timed_out();
                *set += 1;
                heard
            })
        });
        let notified = flag.changed.notify_one();
        (notified, waiter.join())
    });
    assert_eq!(notified, heard, "a notification is heard by exactly one");
    assert_eq!(flag.set.try_lock().map(|set| *set), Some(1));
}

/// Two wait, one of them with a deadline; one notification. If the deadline did not end its wait
/// unnotified, the other must still be told: so the one that heard notifies again.
fn notification_is_not_lost<P: Platform, A: Blocking<P>, B: Waiter<P>>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            A::run(|| {
                let mut set = flag.set.lock();
                if *set == 0 && !flag.changed.wait_until(&mut set, SOON).timed_out() {
                    flag.changed.notify_one();
                }
            });
        });
        threads.spawn(|| B::run(|| flag.wait::<B>()));
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
}

fn notified_future_dropped<P: Platform, W: Waiter<P>>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let set = flag.set.lock();
            if *set == 0 {
                drop(polled::once(pin!(flag.changed.wait_async(set))));
            }
        });
        threads.spawn(|| W::run(|| flag.wait::<W>()));
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
    assert!(flag.set.try_lock().is_some());
}

fn freed_right_after<P: Platform, W: Waiter<P>>() {
    let flag = Freed::new(Flag::<P>::new());
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let flag = flag;
            // SAFETY: freed below.
            W::run(|| unsafe { flag.get() }.wait::<W>());
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

/// A queued future gets another waker while it is notified, and woken by the old one.
fn waker_replaced_against_notify<P: Platform>() {
    let flag = Flag::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let set = flag.set.lock();
            if *set == 0 {
                let mut wait = pin!(flag.changed.wait_async(set));
                assert!(polled::once(wait.as_mut()).is_pending(), "it unlocks first");
                assert_eq!(*suspend::block_on::<P, _>(wait), 1);
            }
        });
        *flag.set.lock() = 1;
        flag.changed.notify_one();
    });
    assert!(flag.set.try_lock().is_some());
}

/// Nobody will notify.
fn a_duration_ends<P: Platform>() {
    let flag = Flag::<P>::new();
    let mut set = flag.set.lock();
    assert!(flag.changed.wait_for(&mut set, SOME_TIME).timed_out());
    assert!(flag.changed.wait_while_for(&mut set, |set| *set == 0, SOME_TIME).timed_out());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        vec![
            Scenario::new(
                "condvar/a_duration_ends",
                "waits for some time end when the time is over",
                a_duration_ends::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
        ],
        each_waiter!(
            "condvar/notified_under_the_mutex",
            "a waiter learns of a change that is notified under the mutex",
            notified_under_the_mutex,
            P
        )
        .map(|each| each.needs(one).bound(5))
        .to_vec(),
        each_waiter!(
            "condvar/notified_after_the_mutex",
            "a waiter learns of a change that is notified after the unlock",
            notified_after_the_mutex,
            P
        )
        .map(|each| each.needs(one).bound(5))
        .to_vec(),
        each_pair!(
            "condvar/notify_all_requeues",
            "all waiters get the mutex, one after the other",
            notify_all_requeues,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_blocking!(
            "condvar/notify_against_timeout",
            "a notification and a deadline at the same time: one of them, not both or neither",
            notify_against_timeout,
            P
        )
        .map(|each| each.needs(one.clock()).bound(4))
        .to_vec(),
        each_blocking_pair!(
            "condvar/notification_is_not_lost",
            "a notification that meets a deadline is not lost for the other waiter",
            notification_is_not_lost,
            P
        )
        .map(|each| each.needs(two.clock()).bound(2))
        .to_vec(),
        each_waiter!(
            "condvar/notified_future_dropped",
            "a future that is dropped after it was chosen passes the notification on",
            notified_future_dropped,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        vec![
            Scenario::new(
                "condvar/waker_replaced_against_notify",
                "a future that is polled with a new waker while it is notified is woken",
                waker_replaced_against_notify::<P>,
            )
            .needs(one)
            .bound(3),
        ],
        each_waiter!(
            "condvar/freed_right_after",
            "a notifier does not touch the condition variable after its waiter has returned",
            freed_right_after,
            P
        )
        .map(|each| each.needs(one).bound(5))
        .to_vec(),
    ]
    .concat()
}
