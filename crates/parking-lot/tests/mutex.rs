//! The mutex, seen from outside, on real threads.

mod common;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use common::{Counting, as_cancelled_fiber, eventually, freed_by_the_waiter, ready, threads};
use raddle_parking_lot::{MutexGuard, ParkingMutex};
use raddle_platform::{Clock, Native, Platform, suspend};

#[test]
fn no_increment_is_lost() {
    let total: ParkingMutex<u64> = ParkingMutex::new(0);
    threads(8, |_| {
        for _ in 0..5_000 {
            *total.lock() += 1;
        }
    });
    assert_eq!(total.into_inner(), 40_000);
}

#[test]
fn threads_and_futures_and_timeouts_exclude_one_another() {
    let total: ParkingMutex<u64> = ParkingMutex::new(0);
    threads(6, |index| {
        for _ in 0..2_000 {
            match index % 3 {
                0 => *total.lock() += 1,
                1 => suspend::block_on::<Native, _>(async { *total.lock_async().await += 1 }),
                _ => {
                    let timeout = Duration::from_micros(20);
                    while total.try_lock_for(timeout).map(|mut guard| *guard += 1).is_none() {}
                }
            }
        }
    });
    assert_eq!(total.into_inner(), 12_000);
}

#[test]
fn a_const_mutex_is_a_static() {
    static NAMES: ParkingMutex<Vec<&str>> = ParkingMutex::new(Vec::new());
    NAMES.lock().push("a");
    assert_eq!(*NAMES.lock(), ["a"]);
}

#[test]
fn an_unsized_value_is_locked_as_any_other() {
    let sized: Arc<ParkingMutex<u32>> = Arc::new(ParkingMutex::new(7));
    let erased: Arc<ParkingMutex<dyn Debug + Send>> = sized.clone();
    assert_eq!(format!("{:?}", &*erased.lock()), "7");
    *sized.lock() = 8;
    assert_eq!(format!("{erased:?}"), "ParkingMutex { value: 8 }");
    let slice: Box<ParkingMutex<[u8]>> = Box::new(ParkingMutex::new([1, 2, 3]));
    slice.lock()[1] = 9;
    assert_eq!(*slice.lock(), [1, 9, 3]);
}

#[test]
fn try_lock_fails_while_the_mutex_is_held_and_not_after() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    assert!(mutex.is_locked());
    assert!(mutex.try_lock().is_none());
    assert_eq!(format!("{mutex:?}"), "ParkingMutex { value: <locked> }");
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_timeout_comes_after_its_time_and_leaves_no_waiter() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    let start = <Native as Platform>::Clock::now();
    assert!(mutex.try_lock_for(Duration::from_millis(2)).is_none());
    assert!(<Native as Platform>::Clock::now() - start >= Duration::from_millis(2));
    drop(guard);
    assert!(mutex.try_lock().is_some(), "nobody was handed the mutex");
}

#[test]
fn a_deadline_in_the_past_still_takes_a_free_mutex() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    assert!(mutex.try_lock_until(raddle_platform::Instant::ZERO).is_some());
    let _guard = mutex.lock();
    assert!(mutex.try_lock_until(raddle_platform::Instant::ZERO).is_none());
}

#[test]
fn a_panic_unlocks_and_does_not_poison() {
    let mutex: Arc<ParkingMutex<u32>> = Arc::new(ParkingMutex::new(1));
    let other = mutex.clone();
    let panicked = std::thread::spawn(move || {
        let _guard = other.lock();
        panic!("with the mutex held");
    })
    .join();
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock(), 1);
}

#[test]
fn guards_map_to_parts_and_unlock_with_the_part() {
    let pair: ParkingMutex<(u32, String)> = ParkingMutex::new((1, "a".into()));
    let mut part = MutexGuard::map(pair.lock(), |pair| &mut pair.1);
    part.push('b');
    let mut byte = raddle_parking_lot::MappedMutexGuard::map(part, |text| {
        // SAFETY: an ASCII byte replaces an ASCII byte.
        unsafe { &mut text.as_bytes_mut()[0] }
    });
    *byte = b'c';
    assert!(pair.try_lock().is_none());
    drop(byte);
    assert_eq!(*pair.lock(), (1, "cb".into()));
    let refused = MutexGuard::try_map(pair.lock(), |_| None::<&mut u32>);
    assert!(pair.try_lock().is_none(), "the guard came back");
    drop(refused);
    assert!(pair.try_lock().is_some());
}

#[test]
fn a_panic_in_map_unlocks() {
    let mutex: ParkingMutex<u32> = ParkingMutex::new(1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = MutexGuard::map(mutex.lock(), |_| -> &mut u32 { panic!("in map") });
    }));
    assert!(caught.is_err());
    assert!(mutex.try_lock().is_some());
}

#[test]
fn unlocked_gives_the_mutex_away_for_a_while() {
    let mutex: ParkingMutex<u32> = ParkingMutex::new(1);
    let mut guard = mutex.lock();
    MutexGuard::unlocked(&mut guard, || *mutex.lock() += 1);
    assert_eq!(*guard, 2);
    assert!(mutex.try_lock().is_none());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        MutexGuard::unlocked(&mut guard, || panic!("without the mutex"));
    }));
    assert!(caught.is_err());
    assert!(mutex.try_lock().is_none(), "locked again after the panic");
}

#[test]
fn a_fair_unlock_lets_the_waiter_go_first() {
    let order: Arc<ParkingMutex<Vec<&str>>> = Arc::new(ParkingMutex::new(Vec::new()));
    let mut waiter = Box::pin(order.lock_async());
    let mine = order.lock();
    let wakes = Counting::default();
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    MutexGuard::unlock_fair(mine);
    assert_eq!(wakes.count(), 1);
    assert!(order.try_lock().is_none(), "the mutex was handed over, not left open");
    let mut theirs = ready(wakes.poll(waiter.as_mut()));
    theirs.push("waiter");
    drop(theirs);
    order.lock().push("newcomer");
    assert_eq!(*order.lock(), ["waiter", "newcomer"]);
}

#[test]
fn bump_lets_a_waiter_in_between() {
    let log: Arc<ParkingMutex<Vec<&str>>> = Arc::new(ParkingMutex::new(Vec::new()));
    let mut guard = log.lock();
    MutexGuard::bump(&mut guard);
    guard.push("before");
    let other = log.clone();
    let waiter = std::thread::spawn(move || other.lock().push("waiter"));
    // The waiter is queued sooner or later; then a bump lets it in.
    while guard.len() == 1 {
        MutexGuard::bump(&mut guard);
        std::thread::yield_now();
    }
    assert_eq!(*guard, ["before", "waiter"]);
    drop(guard);
    waiter.join().expect("no panic");
}

#[test]
fn a_future_dropped_in_the_queue_leaves_no_trace() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    let wakes = Counting::default();
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    let mut third = Box::pin(mutex.lock_async());
    assert!(wakes.poll(first.as_mut()).is_pending());
    assert!(wakes.poll(second.as_mut()).is_pending());
    assert!(wakes.poll(third.as_mut()).is_pending());
    drop(second);
    drop(first);
    drop(guard);
    assert_eq!(wakes.count(), 1, "the one that is left was woken");
    let guard = ready(wakes.poll(third.as_mut()));
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_woken_future_that_is_dropped_passes_the_wake_on() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    let (one, two) = (Counting::default(), Counting::default());
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    assert!(one.poll(first.as_mut()).is_pending());
    assert!(two.poll(second.as_mut()).is_pending());
    drop(guard);
    assert_eq!((one.count(), two.count()), (1, 0));
    drop(first);
    assert_eq!(two.count(), 1);
    assert!(two.poll(second.as_mut()).is_ready());
}

#[test]
fn a_granted_future_that_is_dropped_passes_the_mutex_on() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    let (one, two) = (Counting::default(), Counting::default());
    let mut first = Box::pin(mutex.lock_async());
    let mut second = Box::pin(mutex.lock_async());
    assert!(one.poll(first.as_mut()).is_pending());
    assert!(two.poll(second.as_mut()).is_pending());
    MutexGuard::unlock_fair(guard);
    assert_eq!((one.count(), two.count()), (1, 0));
    assert!(mutex.try_lock().is_none());
    drop(first);
    assert_eq!(two.count(), 1);
    assert!(two.poll(second.as_mut()).is_ready());
}

#[test]
fn a_future_polled_with_a_new_waker_wakes_that_one() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let guard = mutex.lock();
    let (old, new) = (Counting::default(), Counting::default());
    let mut waiter = Box::pin(mutex.lock_async());
    assert!(old.poll(waiter.as_mut()).is_pending());
    assert!(new.poll(waiter.as_mut()).is_pending());
    drop(guard);
    assert_eq!((old.count(), new.count()), (0, 1));
    assert!(new.poll(waiter.as_mut()).is_ready());
}

#[test]
fn a_waiter_that_loses_often_is_handed_the_mutex() {
    let mutex: ParkingMutex<()> = ParkingMutex::new(());
    let wakes = Counting::default();
    let mut waiter = Box::pin(mutex.lock_async());
    let mut guard = Some(mutex.lock());
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    let bound = Native::BOUNDS.barges + 2;
    for loss in 0.. {
        assert!(loss <= bound, "overtaken {loss} times");
        drop(guard.take());
        // The waiter is on its way; a newcomer is faster.
        match mutex.try_lock() {
            Some(barger) => guard = Some(barger),
            None => break,
        }
        assert!(wakes.poll(waiter.as_mut()).is_pending());
    }
    assert!(wakes.poll(waiter.as_mut()).is_ready());
}

#[test]
fn no_thread_starves() {
    // Two threads keep the mutex almost always locked; the others get it again and again.
    let mutex: ParkingMutex<u64> = ParkingMutex::new(0);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let mut guard = mutex.lock();
                    for _ in 0..1_000 {
                        *guard += 1;
                    }
                }
            });
        }
        let starved: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        *mutex.lock() += 1;
                    }
                })
            })
            .collect();
        for thread in starved {
            thread.join().expect("no panic");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_timeout_never_loses_a_grant() {
    // Timeouts race with fair unlocks. Were a grant lost, the mutex would stay locked for ever.
    let total: ParkingMutex<u64> = ParkingMutex::new(0);
    threads(4, |index| {
        for round in 0..3_000_u64 {
            let timeout = Duration::from_nanos((round * 37 + index as u64 * 101) % 20_000);
            if let Some(mut guard) = total.try_lock_for(timeout) {
                *guard += 1;
                MutexGuard::unlock_fair(guard);
            }
        }
    });
    assert!(total.try_lock().is_some());
}

#[test]
fn many_futures_dropped_at_random_lose_no_wake() {
    let mutex: ParkingMutex<u64> = ParkingMutex::new(0);
    threads(4, |index| {
        let wakes = Counting::default();
        for round in 0..3_000 {
            let mut waiter = Box::pin(mutex.lock_async());
            let ready = wakes.poll(waiter.as_mut());
            if ready.is_pending() && (round + index) % 3 == 0 {
                let mut guard = suspend::block_on::<Native, _>(waiter);
                *guard += 1;
            }
        }
    });
    assert!(mutex.try_lock().is_some(), "nobody is owed the mutex");
}

#[test]
fn a_mutex_may_be_freed_right_after_its_waiter_returned() {
    for _ in 0..2_000 {
        let mutex: ParkingMutex<bool> = ParkingMutex::new(false);
        freed_by_the_waiter(
            mutex,
            |mutex| eventually(|| *mutex.lock()),
            |mutex| *mutex.lock() = true,
        );
    }
}

#[test]
fn a_guard_may_go_to_another_thread() {
    let mutex: ParkingMutex<u32> = ParkingMutex::new(0);
    let guard = mutex.lock();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(guard));
    });
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_cancellable_lock_is_a_plain_one_on_a_thread() {
    let mutex: ParkingMutex<u32> = ParkingMutex::new(0);
    *mutex.lock_cancellable().expect("threads are not cancelled") += 1;
    assert_eq!(*mutex.lock(), 1);
}

#[test]
fn a_lock_in_a_cancelled_fiber_ends_and_leaves_no_waiter() {
    let mutex: ParkingMutex<u32> = ParkingMutex::new(0);
    let guard = mutex.lock();
    as_cancelled_fiber(|| {
        assert!(mutex.lock_cancellable().is_err());
    });
    drop(guard);
    as_cancelled_fiber(|| {
        assert!(mutex.lock_cancellable().is_ok(), "a free mutex needs no waiting");
    });
    assert!(mutex.try_lock().is_some());
}
