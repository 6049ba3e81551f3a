//! The condition variable, seen from outside, on real threads.

mod common;

use std::collections::VecDeque;
use std::time::Duration;

use common::{Counting, as_cancelled_fiber, eventually, freed_by_the_waiter, ready, threads};
use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Native, suspend};

#[test]
fn a_bounded_queue_loses_nothing() {
    struct Queue {
        items: ParkingMutex<VecDeque<u64>>,
        not_full: Condvar,
        not_empty: Condvar,
    }
    static QUEUE: Queue = Queue {
        items: ParkingMutex::new(VecDeque::new()),
        not_full: Condvar::new(),
        not_empty: Condvar::new(),
    };
    const EACH: u64 = 3_000;
    let sum = ParkingMutex::<u64>::new(0);
    threads(6, |index| {
        for item in 0..EACH {
            let mut items = QUEUE.items.lock();
            match index {
                0..3 => {
                    QUEUE.not_full.wait_while(&mut items, |items| items.len() == 4);
                    items.push_back(item);
                    QUEUE.not_empty.notify_one();
                }
                3..5 => {
                    QUEUE.not_empty.wait_while(&mut items, |items| items.is_empty());
                    *sum.lock() += items.pop_front().expect("not empty");
                    drop(items);
                    QUEUE.not_full.notify_one();
                }
                _ => {
                    let item = suspend::block_on::<Native, _>(async {
                        while items.is_empty() {
                            items = QUEUE.not_empty.wait_async(items).await;
                        }
                        items.pop_front().expect("not empty")
                    });
                    QUEUE.not_full.notify_one();
                    *sum.lock() += item;
                }
            }
        }
    });
    assert_eq!(sum.into_inner(), 3 * (0..EACH).sum::<u64>());
}

#[test]
fn notify_all_reaches_all_and_counts_them() {
    let state = ParkingMutex::<(usize, bool)>::new((0, false));
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut guard = state.lock();
                guard.0 += 1;
                changed.wait_while(&mut guard, |state| !state.1);
                guard.0 -= 1;
            });
        }
        eventually(|| state.lock().0 == 20);
        let mut guard = state.lock();
        guard.1 = true;
        assert_eq!(changed.notify_all(), 20);
        assert_eq!(changed.notify_all(), 0);
    });
    assert_eq!(state.into_inner().0, 0);
}

#[test]
fn notify_one_chooses_the_one_that_has_waited_longest() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = [Counting::default(), Counting::default(), Counting::default()];
    let mut waiters: Vec<_> =
        wakes.iter().map(|_| Box::pin(changed.wait_async(mutex.lock()))).take(1).collect();
    assert!(wakes[0].poll(waiters[0].as_mut()).is_pending());
    for index in 1..3 {
        waiters.push(Box::pin(changed.wait_async(mutex.lock())));
        assert!(wakes[index].poll(waiters[index].as_mut()).is_pending());
    }
    for index in 0..3 {
        assert!(changed.notify_one());
        assert_eq!(wakes[index].count(), 1);
        drop(ready(wakes[index].poll(waiters[index].as_mut())));
    }
    assert!(!changed.notify_one());
}

#[test]
fn the_notified_are_not_woken_before_the_mutex_is_free_for_them() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = [Counting::default(), Counting::default()];
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[0].poll(first.as_mut()).is_pending());
    let mut second = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[1].poll(second.as_mut()).is_pending());
    let guard = mutex.lock();
    assert_eq!(changed.notify_all(), 2);
    let counts = || (wakes[0].count(), wakes[1].count());
    assert_eq!(counts(), (0, 0));
    drop(guard);
    assert_eq!(counts(), (1, 0));
    let guard = ready(wakes[0].poll(first.as_mut()));
    assert_eq!(counts(), (1, 0));
    drop(guard);
    assert_eq!(counts(), (1, 1));
    drop(ready(wakes[1].poll(second.as_mut())));
}

#[test]
fn a_timeout_is_reported_and_leaves_no_waiter() {
    let mutex = ParkingMutex::<u32>::new(0);
    let changed = Condvar::new();
    let mut guard = mutex.lock();
    assert!(changed.wait_for(&mut guard, Duration::from_millis(1)).timed_out());
    assert!(mutex.try_lock().is_none(), "locked again");
    assert!(!changed.notify_one());
    assert!(changed.wait_while_for(&mut guard, |_| true, Duration::from_millis(1)).timed_out());
    assert!(!changed.wait_while_for(&mut guard, |_| false, Duration::from_millis(1)).timed_out());
    as_cancelled_fiber(|| assert!(changed.wait_cancellable(&mut guard).is_err()));
    assert!(mutex.try_lock().is_none(), "locked again");
}

#[test]
fn every_notification_is_reported_once_however_timeouts_race() {
    struct Tally {
        sent: u64,
        heard: u64,
        working: usize,
    }
    let tally = ParkingMutex::<Tally>::new(Tally { sent: 0, heard: 0, working: 3 });
    let changed = Condvar::new();
    threads(4, |index| {
        if index < 3 {
            for round in 0..2_000_u64 {
                let timeout = Duration::from_nanos((round * 37 + index as u64 * 101) % 30_000);
                let mut guard = tally.lock();
                if !changed.wait_for(&mut guard, timeout).timed_out() {
                    guard.heard += 1;
                }
            }
            tally.lock().working -= 1;
        } else {
            while tally.lock().working > 0 {
                if changed.notify_one() {
                    tally.lock().sent += 1;
                }
            }
        }
    });
    let tally = tally.into_inner();
    assert_eq!(tally.sent, tally.heard);
    assert!(tally.sent > 0);
}

#[test]
fn a_notified_future_that_is_dropped_notifies_another() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = [Counting::default(), Counting::default()];
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[0].poll(first.as_mut()).is_pending());
    let mut second = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[1].poll(second.as_mut()).is_pending());
    assert!(changed.notify_one());
    drop(first);
    assert_eq!(wakes[1].count(), 1);
    drop(ready(wakes[1].poll(second.as_mut())));
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_future_dropped_in_either_queue_leaves_no_trace() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = Counting::default();
    // In the condition variable's queue.
    let mut waiter = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    drop(waiter);
    assert!(!changed.notify_one());
    // Moved to the mutex's queue.
    let mut waiter = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    let guard = mutex.lock();
    assert!(changed.notify_one());
    drop(waiter);
    drop(guard);
    // Never polled: it has the mutex until it is dropped.
    let waiter = changed.wait_async(mutex.lock());
    assert!(mutex.try_lock().is_none());
    drop(waiter);
    assert!(mutex.try_lock().is_some());
    assert_eq!(wakes.count(), 0);
}

#[test]
fn a_dropped_future_that_notify_all_chose_wakes_nobody_else() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = [Counting::default(), Counting::default()];
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[0].poll(first.as_mut()).is_pending());
    let guard = mutex.lock();
    assert_eq!(changed.notify_all(), 1);
    drop(guard);
    let mut second = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[1].poll(second.as_mut()).is_pending());
    drop(first);
    assert_eq!(wakes[1].count(), 0);
}

#[test]
fn a_future_polled_with_a_new_waker_wakes_that_one_in_either_queue() {
    let mutex = ParkingMutex::<()>::new(());
    let changed = Condvar::new();
    let wakes = [Counting::default(), Counting::default(), Counting::default()];
    let mut waiter = Box::pin(changed.wait_async(mutex.lock()));
    assert!(wakes[0].poll(waiter.as_mut()).is_pending());
    assert!(wakes[1].poll(waiter.as_mut()).is_pending());
    let guard = mutex.lock();
    assert!(changed.notify_one());
    assert!(wakes[2].poll(waiter.as_mut()).is_pending());
    drop(guard);
    assert_eq!(wakes.each_ref().map(Counting::count), [0, 0, 1]);
    drop(ready(wakes[2].poll(waiter.as_mut())));
}

#[test]
fn two_mutexes_at_a_time_are_refused() {
    let (one, two) = (ParkingMutex::<()>::new(()), ParkingMutex::<()>::new(()));
    let changed = Condvar::new();
    let wakes = Counting::default();
    let mut waiter = Box::pin(changed.wait_async(one.lock()));
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut guard = two.lock();
        changed.wait(&mut guard);
    }));
    assert!(caught.is_err());
    assert!(two.try_lock().is_some(), "the panic unlocked the mutex");
    assert!(changed.notify_one(), "and left the first waiter alone");
    drop(ready(wakes.poll(waiter.as_mut())));
    // One after the other is fine.
    let mut guard = two.lock();
    assert!(changed.wait_for(&mut guard, Duration::from_nanos(1)).timed_out());
}

#[test]
fn a_condvar_may_be_freed_right_after_its_waiter_returned() {
    type Pair = (ParkingMutex<bool>, Condvar);
    fn wait(pair: &Pair) {
        pair.1.wait_while(&mut pair.0.lock(), |ready| !*ready);
    }
    for _ in 0..1_000 {
        freed_by_the_waiter((ParkingMutex::new(false), Condvar::new()), wait, |pair| {
            // Under the mutex: after an unlock the waiter might return unnotified.
            let mut guard = pair.0.lock();
            *guard = true;
            pair.1.notify_one();
        });
    }
}
