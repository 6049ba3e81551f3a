//! The read-write lock, seen from outside, on real threads.

mod common;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::{Counting, as_cancelled_fiber, eventually, freed_by_the_waiter, ready, threads};
use raddle_parking_lot::{
    ParkingRwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};
use raddle_platform::{Native, Platform, suspend};

/// A value whose readers notice a writer beside them.
#[derive(Default)]
struct Checked {
    readers: AtomicUsize,
    count: u64,
    copy: u64,
}

impl Checked {
    fn read(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
        assert_eq!(self.count, self.copy, "a writer is half way");
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }
    fn write(&mut self) {
        assert_eq!(*self.readers.get_mut(), 0, "a reader is still here");
        self.count += 1;
        self.copy += 1;
    }
}

#[test]
fn writers_exclude_everybody_in_every_way_of_locking() {
    static LOCK: ParkingRwLock<Checked> =
        ParkingRwLock::new(Checked { readers: AtomicUsize::new(0), count: 0, copy: 0 });
    let written = AtomicUsize::new(0);
    threads(8, |index| {
        for round in 0..1_500 {
            let wrote = match (index + round) % 10 {
                0 => {
                    LOCK.write().write();
                    true
                }
                1 => suspend::block_on::<Native, _>(async {
                    LOCK.write_async().await.write();
                    true
                }),
                2 => {
                    let guard = LOCK.upgradable_read();
                    guard.read();
                    RwLockUpgradableReadGuard::upgrade(guard).write();
                    true
                }
                3 => {
                    let mut guard = LOCK.write();
                    guard.write();
                    RwLockWriteGuard::downgrade(guard).read();
                    true
                }
                4 => match LOCK.try_write_for(Duration::from_micros(5)) {
                    Some(mut guard) => {
                        guard.write();
                        true
                    }
                    None => false,
                },
                5 => match LOCK.try_upgradable_read_for(Duration::from_micros(5)) {
                    Some(guard) => {
                        let timeout = Duration::from_micros(5);
                        match RwLockUpgradableReadGuard::try_upgrade_for(guard, timeout) {
                            Ok(mut guard) => {
                                guard.write();
                                true
                            }
                            Err(guard) => {
                                guard.read();
                                false
                            }
                        }
                    }
                    None => false,
                },
                6 => {
                    suspend::block_on::<Native, _>(async { LOCK.read_async().await.read() });
                    false
                }
                7 => {
                    if let Some(guard) = LOCK.try_read_for(Duration::from_micros(5)) {
                        guard.read();
                        LOCK.read_recursive().read();
                    }
                    false
                }
                _ => {
                    LOCK.read().read();
                    false
                }
            };
            written.fetch_add(usize::from(wrote), Ordering::Relaxed);
        }
    });
    assert_eq!(LOCK.write().count, written.load(Ordering::Relaxed) as u64);
    assert!(!LOCK.is_locked());
}

#[test]
fn readers_share_and_writers_do_not() {
    let lock: ParkingRwLock<u32> = ParkingRwLock::new(1);
    let one = lock.read();
    let two = lock.try_read().expect("readers share");
    assert!(lock.is_locked() && !lock.is_locked_exclusive());
    assert!(lock.try_write().is_none());
    let upgradable = lock.try_upgradable_read().expect("beside readers");
    assert!(lock.try_upgradable_read().is_none(), "alone of its kind");
    let upgradable =
        RwLockUpgradableReadGuard::try_upgrade(upgradable).expect_err("readers are there");
    drop((one, two));
    let mut writer = RwLockUpgradableReadGuard::try_upgrade(upgradable).expect("alone");
    *writer += 1;
    assert!(lock.is_locked_exclusive());
    assert!(lock.try_read().is_none() && lock.try_read_recursive().is_none());
    let upgradable = RwLockWriteGuard::downgrade_to_upgradable(writer);
    let reader = lock.try_read().expect("beside an upgradable reader");
    assert!(lock.try_write().is_none());
    let downgraded = RwLockUpgradableReadGuard::downgrade(upgradable);
    drop(reader);
    drop(downgraded);
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn an_unsized_value_is_locked_as_any_other() {
    let sized: Arc<ParkingRwLock<u32>> = Arc::new(ParkingRwLock::new(7));
    let erased: Arc<ParkingRwLock<dyn Debug + Send + Sync>> = sized.clone();
    assert_eq!(format!("{:?}", &*erased.read()), "7");
    *sized.write() = 8;
    assert_eq!(format!("{erased:?}"), "ParkingRwLock { value: 8 }");
    let guard = sized.write();
    assert_eq!(format!("{erased:?}"), "ParkingRwLock { value: <locked> }");
    drop(guard);
}

#[test]
fn guards_map_to_parts() {
    let pair: ParkingRwLock<(u32, u32)> = ParkingRwLock::new((1, 2));
    let mut part = RwLockWriteGuard::map(pair.write(), |pair| &mut pair.0);
    *part = 5;
    assert!(pair.try_read().is_none());
    drop(part);
    let part = RwLockReadGuard::map(pair.read(), |pair| &pair.0);
    assert_eq!(*part, 5);
    assert!(pair.try_write().is_none());
    drop(part);
    let refused = RwLockReadGuard::try_map(pair.read(), |_| None::<&u32>);
    assert!(pair.try_write().is_none());
    drop(refused);
    let refused = RwLockWriteGuard::try_map(pair.write(), |_| None::<&mut u32>);
    drop(refused);
    assert!(pair.try_write().is_some());
}

#[test]
fn a_waiting_writer_keeps_new_readers_out_but_not_recursive_ones() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = [Counting::default(), Counting::default()];
    let reader = lock.read();
    let mut writer = Box::pin(lock.write_async());
    assert!(wakes[0].poll(writer.as_mut()).is_pending());
    assert!(lock.try_read().is_none());
    let recursive = lock.try_read_recursive().expect("a reader is inside");
    let mut late = Box::pin(lock.read_async());
    assert!(wakes[1].poll(late.as_mut()).is_pending());
    drop(reader);
    assert_eq!(wakes[0].count(), 0);
    drop(recursive);
    assert_eq!((wakes[0].count(), wakes[1].count()), (1, 0));
    let writer = ready(wakes[0].poll(writer.as_mut()));
    drop(writer);
    assert_eq!(wakes[1].count(), 1);
    drop(ready(wakes[1].poll(late.as_mut())));
    assert!(!lock.is_locked());
}

#[test]
fn a_writer_that_gives_up_lets_the_readers_behind_it_in() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = [Counting::default(), Counting::default(), Counting::default()];
    let reader = lock.read();
    let mut writer = Box::pin(lock.write_async());
    let mut behind = [Box::pin(lock.read_async()), Box::pin(lock.read_async())];
    assert!(wakes[0].poll(writer.as_mut()).is_pending());
    for (wakes, behind) in wakes[1..].iter().zip(&mut behind) {
        assert!(wakes.poll(behind.as_mut()).is_pending());
    }
    drop(writer);
    assert_eq!(wakes.each_ref().map(Counting::count), [0, 1, 1], "both at once");
    let guards =
        [ready(wakes[1].poll(behind[0].as_mut())), ready(wakes[2].poll(behind[1].as_mut()))];
    drop(guards);
    drop(reader);
    // The same by a timeout.
    let reader = lock.read();
    assert!(lock.try_write_for(Duration::from_millis(1)).is_none());
    assert!(lock.try_read().is_some());
    as_cancelled_fiber(|| assert!(lock.write_cancellable().is_err()));
    as_cancelled_fiber(|| assert!(lock.read_cancellable().is_ok()));
    drop(reader);
    assert!(!lock.is_locked());
}

#[test]
fn readers_that_queued_together_come_in_together_and_the_writer_behind_them_next() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes: Vec<_> = (0..4).map(|_| Counting::default()).collect();
    let counts = || wakes.iter().map(Counting::count).collect::<Vec<_>>();
    let first = lock.write();
    let mut readers: Vec<_> = (0..3).map(|_| Box::pin(lock.read_async())).collect();
    for (wakes, reader) in wakes.iter().zip(&mut readers) {
        assert!(wakes.poll(reader.as_mut()).is_pending());
    }
    let mut writer = Box::pin(lock.write_async());
    assert!(wakes[3].poll(writer.as_mut()).is_pending());
    drop(first);
    assert_eq!(counts(), [1, 0, 0, 0], "one to try");
    let one = ready(wakes[0].poll(readers[0].as_mut()));
    assert_eq!(counts(), [1, 1, 1, 1], "which lets in the others, and the writer to claim");
    assert!(wakes[3].poll(writer.as_mut()).is_pending());
    assert!(lock.try_read().is_none(), "the claim keeps newcomers out");
    drop(one);
    drop(ready(wakes[1].poll(readers[1].as_mut())));
    assert_eq!(wakes[3].count(), 1);
    drop(ready(wakes[2].poll(readers[2].as_mut())));
    assert_eq!(wakes[3].count(), 2);
    drop(ready(wakes[3].poll(writer.as_mut())));
    assert!(!lock.is_locked());
}

#[test]
fn a_granted_reader_that_is_dropped_leaves() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = [Counting::default(), Counting::default()];
    let writer = lock.write();
    let mut readers = [Box::pin(lock.read_async()), Box::pin(lock.read_async())];
    for (wakes, reader) in wakes.iter().zip(&mut readers) {
        assert!(wakes.poll(reader.as_mut()).is_pending());
    }
    let reader = RwLockWriteGuard::downgrade(writer);
    assert_eq!(wakes.each_ref().map(Counting::count), [1, 1], "granted beside the reader");
    drop(reader);
    assert!(lock.is_locked());
    drop(readers);
    assert!(!lock.is_locked());
}

#[test]
fn a_woken_waiter_that_is_dropped_passes_the_wake_on() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = [Counting::default(), Counting::default()];
    let guard = lock.write();
    let mut first = Box::pin(lock.write_async());
    let mut second = Box::pin(lock.upgradable_read_async());
    assert!(wakes[0].poll(first.as_mut()).is_pending());
    assert!(wakes[1].poll(second.as_mut()).is_pending());
    drop(guard);
    assert_eq!(wakes.each_ref().map(Counting::count), [1, 0]);
    drop(first);
    assert_eq!(wakes[1].count(), 1);
    drop(ready(wakes[1].poll(second.as_mut())));
    assert!(!lock.is_locked());
}

#[test]
fn a_future_polled_with_a_new_waker_wakes_that_one() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let (old, new) = (Counting::default(), Counting::default());
    // In the queue.
    let guard = lock.write();
    let mut waiter = Box::pin(lock.write_async());
    assert!(old.poll(waiter.as_mut()).is_pending());
    assert!(new.poll(waiter.as_mut()).is_pending());
    drop(guard);
    assert_eq!((old.count(), new.count()), (0, 1));
    drop(ready(new.poll(waiter.as_mut())));
    // Draining.
    let guard = lock.read();
    let mut waiter = Box::pin(lock.write_async());
    assert!(old.poll(waiter.as_mut()).is_pending());
    assert!(new.poll(waiter.as_mut()).is_pending());
    drop(guard);
    assert_eq!((old.count(), new.count()), (0, 2));
    drop(ready(new.poll(waiter.as_mut())));
}

#[test]
fn an_upgrade_waits_for_the_readers_and_can_be_given_up() {
    let lock: ParkingRwLock<u32> = ParkingRwLock::new(0);
    let wakes = Counting::default();
    let reader = lock.read();
    let mut upgrade = Box::pin(RwLockUpgradableReadGuard::upgrade_async(lock.upgradable_read()));
    assert!(wakes.poll(upgrade.as_mut()).is_pending());
    assert!(lock.try_read().is_none(), "it has a claim");
    drop(reader);
    assert_eq!(wakes.count(), 1);
    *ready(wakes.poll(upgrade.as_mut())) += 1;
    drop(upgrade);
    assert!(!lock.is_locked());

    let reader = lock.read();
    let mut upgrade = Box::pin(RwLockUpgradableReadGuard::upgrade_async(lock.upgradable_read()));
    assert!(wakes.poll(upgrade.as_mut()).is_pending());
    drop(upgrade);
    assert!(lock.try_upgradable_read().is_some(), "neither claim nor guard is left");
    drop(reader);

    let reader = lock.read();
    let guard = lock.upgradable_read();
    let timeout = Duration::from_millis(1);
    let guard =
        RwLockUpgradableReadGuard::try_upgrade_for(guard, timeout).expect_err("a reader is there");
    assert!(lock.try_read().is_some(), "no claim is left");
    let guard = as_cancelled_fiber(|| RwLockUpgradableReadGuard::upgrade_cancellable(guard));
    let (_, guard) = guard.expect_err("a reader is there");
    drop(reader);
    *RwLockUpgradableReadGuard::upgrade(guard) += 1;
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn a_fair_unlock_lets_the_waiter_go_first() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = [Counting::default(), Counting::default()];
    let guard = lock.write();
    let mut readers = [Box::pin(lock.read_async()), Box::pin(lock.read_async())];
    for (wakes, reader) in wakes.iter().zip(&mut readers) {
        assert!(wakes.poll(reader.as_mut()).is_pending());
    }
    RwLockWriteGuard::unlock_fair(guard);
    assert_eq!(wakes.each_ref().map(Counting::count), [1, 1]);
    assert!(lock.try_write().is_none());
    for (wakes, reader) in wakes.iter().zip(&mut readers) {
        drop(ready(wakes.poll(reader.as_mut())));
    }
    RwLockWriteGuard::unlock_fair(lock.write());
    assert!(!lock.is_locked());
}

#[test]
fn a_waiter_that_loses_often_is_let_in() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    let wakes = Counting::default();
    let mut waiter = Box::pin(lock.read_async());
    let mut guard = Some(lock.write());
    assert!(wakes.poll(waiter.as_mut()).is_pending());
    let bound = Native::BOUNDS.barges + 2;
    for loss in 0.. {
        assert!(loss <= bound, "overtaken {loss} times");
        drop(guard.take());
        match lock.try_write() {
            Some(barger) => guard = Some(barger),
            None => break,
        }
        assert!(wakes.poll(waiter.as_mut()).is_pending());
    }
    assert!(wakes.poll(waiter.as_mut()).is_ready());
}

#[test]
fn neither_readers_nor_writers_starve() {
    let lock: ParkingRwLock<u64> = ParkingRwLock::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for kind in 0..4 {
            let (lock, stop) = (&lock, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if kind == 0 {
                        *lock.write() += 1;
                    } else {
                        std::hint::black_box(*lock.read());
                    }
                }
            });
        }
        let starved: Vec<_> = (0..2)
            .map(|kind| {
                let lock = &lock;
                scope.spawn(move || {
                    for _ in 0..50 {
                        if kind == 0 {
                            *lock.write() += 1;
                        } else {
                            std::hint::black_box(*lock.read());
                        }
                    }
                })
            })
            .collect();
        for thread in starved {
            thread.join().expect("no panic");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn timeouts_lose_no_grant() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    threads(4, |index| {
        for round in 0..2_000_u64 {
            let timeout = Duration::from_nanos((round * 37 + index as u64 * 101) % 20_000);
            if index % 2 == 0 {
                if let Some(guard) = lock.try_write_for(timeout) {
                    RwLockWriteGuard::unlock_fair(guard);
                }
            } else {
                drop(lock.try_read_for(timeout));
            }
        }
    });
    assert!(!lock.is_locked());
}

#[test]
fn futures_dropped_at_random_lose_no_wake() {
    let lock: ParkingRwLock<()> = ParkingRwLock::new(());
    threads(4, |index| {
        let wakes = Counting::default();
        for round in 0..2_000 {
            if (index + round) % 3 == 0 {
                let mut waiter = Box::pin(lock.write_async());
                if wakes.poll(waiter.as_mut()).is_pending() && round % 2 == 0 {
                    drop(suspend::block_on::<Native, _>(waiter));
                }
            } else {
                let mut waiter = Box::pin(lock.read_async());
                if wakes.poll(waiter.as_mut()).is_pending() && round % 2 == 0 {
                    drop(suspend::block_on::<Native, _>(waiter));
                }
            }
        }
    });
    assert!(!lock.is_locked());
}

#[test]
fn a_lock_may_be_freed_right_after_its_waiter_returned() {
    for _ in 0..1_000 {
        let lock: ParkingRwLock<bool> = ParkingRwLock::new(false);
        freed_by_the_waiter(lock, |lock| eventually(|| *lock.read()), |lock| *lock.write() = true);
    }
}

#[test]
fn a_panic_unlocks() {
    let lock: ParkingRwLock<u32> = ParkingRwLock::new(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _guard = lock.write();
        panic!("with the lock held");
    }));
    assert!(caught.is_err());
    assert!(!lock.is_locked());
}
