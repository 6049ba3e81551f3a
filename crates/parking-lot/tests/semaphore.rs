//! The semaphore, seen from outside, on real threads.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counting, as_cancelled_fiber, freed_by_the_waiter, ready, threads};
use raddle_parking_lot::Semaphore;
use raddle_platform::{Native, suspend};

#[test]
fn no_more_than_the_permits_are_inside() {
    static PERMITS: Semaphore = Semaphore::new(3);
    let inside = AtomicUsize::new(0);
    threads(8, |index| {
        for round in 0..2_000 {
            let count = 1 + (round + index) as u32 % 3;
            let permit = if round % 2 == 0 {
                PERMITS.acquire_many(count)
            } else {
                suspend::block_on::<Native, _>(PERMITS.acquire_many_async(count))
            };
            let now = inside.fetch_add(count as usize, Ordering::SeqCst) + count as usize;
            assert!(now <= 3, "{now} permits are in use");
            inside.fetch_sub(count as usize, Ordering::SeqCst);
            drop(permit);
        }
    });
    assert_eq!(PERMITS.available_permits(), 3);
}

#[test]
fn two_threads_play_ping_pong() {
    let (ping, pong) = (Semaphore::new(0), Semaphore::new(0));
    threads(2, |index| {
        for _ in 0..5_000 {
            if index == 0 {
                ping.add_permits(1);
                pong.acquire().forget();
            } else {
                ping.acquire().forget();
                pong.add_permits(1);
            }
        }
    });
    assert_eq!((ping.available_permits(), pong.available_permits()), (0, 0));
}

#[test]
fn permits_are_counted() {
    let semaphore = Semaphore::new(5);
    let mut two = semaphore.try_acquire_many(2).expect("five are there");
    assert_eq!((two.num_permits(), semaphore.available_permits()), (2, 3));
    assert!(semaphore.try_acquire_many(4).is_none());
    let one = two.split(1).expect("two can be split");
    assert!(two.split(2).is_none());
    drop(one);
    two.merge(semaphore.acquire_many(3));
    assert_eq!((two.num_permits(), semaphore.available_permits()), (4, 1));
    two.forget();
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.forget_permits(3), 1);
    semaphore.add_permits(2);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
#[should_panic(expected = "different semaphores")]
fn permits_of_two_semaphores_do_not_merge() {
    let (one, two) = (Semaphore::new(1), Semaphore::new(1));
    one.acquire().merge(two.acquire());
}

#[test]
#[should_panic(expected = "MAX_PERMITS")]
fn too_many_permits_are_refused() {
    Semaphore::new(Semaphore::<Native>::MAX_PERMITS).add_permits(1);
}

#[test]
fn the_queue_is_first_come_first_served() {
    let semaphore = Semaphore::new(1);
    let (one, two) = (Counting::default(), Counting::default());
    let mut big = Box::pin(semaphore.acquire_many_async(3));
    let mut small = Box::pin(semaphore.acquire_async());
    assert!(one.poll(big.as_mut()).is_pending());
    assert!(two.poll(small.as_mut()).is_pending(), "a permit is there, but not for the second");
    assert!(semaphore.try_acquire().is_none(), "nor for a newcomer");
    semaphore.add_permits(1);
    assert_eq!((one.count(), two.count()), (0, 0));
    semaphore.add_permits(2);
    assert_eq!((one.count(), two.count()), (1, 1));
    assert_eq!(ready(one.poll(big.as_mut())).num_permits(), 3);
    assert_eq!(ready(two.poll(small.as_mut())).num_permits(), 1);
    assert_eq!(semaphore.available_permits(), 4);
}

#[test]
fn one_release_serves_as_many_as_it_can() {
    let semaphore = Semaphore::new(0);
    let wakes = Counting::default();
    // More than one batch of wakes.
    let mut waiters: Vec<_> = (0..50).map(|_| Box::pin(semaphore.acquire_async())).collect();
    for waiter in &mut waiters {
        assert!(wakes.poll(waiter.as_mut()).is_pending());
    }
    semaphore.add_permits(45);
    assert_eq!(wakes.count(), 45);
    for waiter in &mut waiters[..45] {
        ready(wakes.poll(waiter.as_mut())).forget();
    }
    assert!(wakes.poll(waiters[45].as_mut()).is_pending());
}

#[test]
fn a_dropped_waiter_lets_those_behind_it_go() {
    let semaphore = Semaphore::new(1);
    let wakes = Counting::default();
    let mut big = Box::pin(semaphore.acquire_many_async(3));
    let mut small = Box::pin(semaphore.acquire_async());
    assert!(wakes.poll(big.as_mut()).is_pending());
    assert!(wakes.poll(small.as_mut()).is_pending());
    drop(big);
    assert_eq!(wakes.count(), 1);
    ready(wakes.poll(small.as_mut())).forget();
    assert_eq!(semaphore.available_permits(), 0);
}

#[test]
fn a_granted_waiter_that_is_dropped_gives_its_permits_back() {
    let semaphore = Semaphore::new(0);
    let wakes = Counting::default();
    let mut waiter = Box::pin(semaphore.acquire_many_async(2));
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    semaphore.add_permits(2);
    assert_eq!((wakes.count(), semaphore.available_permits()), (1, 0));
    drop(waiter);
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn a_future_polled_with_a_new_waker_wakes_that_one() {
    let semaphore = Semaphore::new(0);
    let (old, new) = (Counting::default(), Counting::default());
    let mut waiter = Box::pin(semaphore.acquire_async());
    assert!(old.poll(waiter.as_mut()).is_pending());
    assert!(new.poll(waiter.as_mut()).is_pending());
    semaphore.add_permits(1);
    assert_eq!((old.count(), new.count()), (0, 1));
    assert!(new.poll(waiter.as_mut()).is_ready());
}

#[test]
fn timeouts_lose_no_permit() {
    let semaphore = Semaphore::new(1);
    threads(4, |index| {
        for round in 0..3_000_u64 {
            let timeout = Duration::from_nanos((round * 37 + index as u64 * 101) % 20_000);
            drop(semaphore.try_acquire_for(timeout));
        }
    });
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn a_timeout_leaves_no_waiter() {
    let semaphore = Semaphore::new(0);
    assert!(semaphore.try_acquire_for(Duration::from_millis(1)).is_none());
    as_cancelled_fiber(|| assert!(semaphore.acquire_cancellable().is_err()));
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 1);
    assert!(semaphore.acquire_cancellable().is_ok());
}

#[test]
fn a_semaphore_may_be_freed_right_after_its_waiter_returned() {
    for _ in 0..2_000 {
        freed_by_the_waiter(
            Semaphore::new(0),
            |semaphore| semaphore.acquire().forget(),
            |semaphore| semaphore.add_permits(1),
        );
    }
}
