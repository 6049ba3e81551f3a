//! `ParkingRwLock`: threads and futures as waiters.

use core::pin::pin;

use raddle_parking_lot::{ParkingRwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::{Needs, Scenario, polled, scope};

type RwLock<P> = ParkingRwLock<u32, P>;

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

fn writers_exclude<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.write() += 1);
        *lock.write() += 1;
    });
    assert_eq!(*lock.read(), 2);
}

fn a_writer_comes_after_the_readers<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.read());
        threads.spawn(|| *lock.read());
        *lock.write() += 1;
    });
    assert_eq!(lock.into_inner(), 1);
}

/// Both readers are inside; the writer claims, and the last of them tells it.
fn the_last_reader_wakes_the_writer<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let mine = lock.read();
    let theirs = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.write() += 1);
        threads.spawn(move || drop(theirs));
        drop(mine);
    });
    assert_eq!(lock.into_inner(), 1);
}

fn readers_and_writers_mixed<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.write() += 1);
        threads.spawn(|| suspend::block_on::<P, _>(async { *lock.read_async().await }));
        suspend::block_on::<P, _>(async { *lock.write_async().await += 1 });
    });
    assert_eq!(lock.into_inner(), 2);
}

/// Two readers queue behind a writer. The first to come in lets in the other.
fn readers_come_in_together<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let mut guard = lock.write();
    scope::<P, _>(|threads| {
        threads.spawn(|| assert_eq!(*lock.read(), 1));
        threads.spawn(|| assert_eq!(*lock.read(), 1));
        *guard = 1;
        drop(guard);
    });
    assert!(!lock.is_locked());
}

fn downgrade_lets_readers_in<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let mut guard = lock.write();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| *lock.read());
        *guard = 1;
        let guard = RwLockWriteGuard::downgrade(guard);
        assert_eq!(reader.join(), 1, "the reader comes in beside the downgraded writer");
        drop(guard);
    });
    assert!(!lock.is_locked());
}

fn upgrade_against_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.read());
        let guard = lock.upgradable_read();
        *RwLockUpgradableReadGuard::upgrade(guard) += 1;
    });
    assert_eq!(lock.into_inner(), 1);
}

/// As soon as nobody else reads, the upgradable reader writes.
fn try_upgrade_against_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(move || assert_eq!(*reader, 0));
        match RwLockUpgradableReadGuard::try_upgrade(lock.upgradable_read()) {
            Ok(mut guard) => *guard += 1,
            Err(guard) => assert_eq!(*guard, 0),
        }
    });
}

fn a_writer_comes_after_the_upgradable_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.upgradable_read());
        *lock.write() += 1;
    });
    assert_eq!(lock.into_inner(), 1);
}

/// A recursive reader comes in while a writer has a claim, but not while it writes.
fn recursive_reader_against_writer<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| *lock.write() += 1);
        let first = lock.read_recursive();
        let second = lock.read_recursive();
        assert_eq!(*first, *second);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// No writer gets in between the upgradable reader's look and its change.
fn two_upgrades<P: Platform>() {
    fn increment<P: Platform>(lock: &RwLock<P>) {
        let guard = lock.upgradable_read();
        let seen = *guard;
        let mut guard = RwLockUpgradableReadGuard::upgrade(guard);
        assert_eq!(*guard, seen);
        *guard += 1;
    }
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| increment::<P>(&lock));
        increment::<P>(&lock);
    });
    assert_eq!(lock.into_inner(), 2);
}

/// A writer claims while a reader is inside, and gives up; a second reader queued behind it.
fn writer_timeout_wakes_the_readers<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(lock.try_write_until(SOON)));
        threads.spawn(|| drop(lock.read())).join();
        drop(reader);
    });
    assert!(!lock.is_locked());
}

/// The first in the queue was woken, but somebody else was faster; then it is dropped. Whoever is
/// behind it must be woken instead.
fn woken_future_dropped_against_unlock<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let mut first = Box::pin(lock.write_async());
    let mut second = Box::pin(lock.read_async());
    let guard = lock.write();
    assert!(polled::once(first.as_mut()).is_pending());
    assert!(polled::once(second.as_mut()).is_pending());
    drop(guard);
    let Some(barger) = lock.try_write() else { unreachable!("the woken one was not polled") };
    scope::<P, _>(|threads| {
        threads.spawn(move || drop(first));
        threads.spawn(|| drop(suspend::block_on::<P, _>(second)));
        drop(barger);
    });
    assert!(!lock.is_locked());
}

fn writer_timeout_against_the_last_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    let wrote = scope::<P, _>(|threads| {
        let writer = threads.spawn(|| lock.try_write_until(SOON).map(|mut guard| *guard += 1));
        drop(reader);
        writer.join().is_some()
    });
    assert_eq!(lock.try_read().map(|guard| *guard), Some(u32::from(wrote)));
    assert!(lock.try_write().is_some(), "left locked");
}

fn reader_timeout_against_grant<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let guard = lock.write();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| lock.try_read_until(SOON).is_some());
        RwLockWriteGuard::unlock_fair(guard);
        reader.join();
    });
    assert!(lock.try_write().is_some(), "a granted reader that had timed out has left");
}

fn upgrade_timeout_against_the_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            match RwLockUpgradableReadGuard::try_upgrade_until(lock.upgradable_read(), SOON) {
                Ok(mut guard) => *guard += 1,
                Err(guard) => assert_eq!(*guard, 0),
            }
        });
        drop(reader);
    });
    assert!(lock.try_write().is_some(), "left locked");
}

fn future_dropped_while_draining<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(lock.write_async()))));
        threads.spawn(|| *lock.read());
        drop(reader);
    });
    assert!(lock.try_write().is_some(), "left locked");
}

fn freed_right_after<P: Platform>() {
    let lock = Freed::new(RwLock::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { lock.get() }.write();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let lock = lock;
            // SAFETY: freed below.
            drop(unsafe { lock.get() }.read());
            // SAFETY: who unlocked is done with the lock.
            unsafe { lock.free() };
        });
        drop(guard);
    });
}

fn freed_right_after_a_drain<P: Platform>() {
    let lock = Freed::new(RwLock::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { lock.get() }.read();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let lock = lock;
            // SAFETY: freed below.
            drop(unsafe { lock.get() }.write());
            // SAFETY: who unlocked is done with the lock.
            unsafe { lock.free() };
        });
        drop(guard);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    let scenario = Scenario::new;
    vec![
        scenario(
            "rwlock/writers_exclude",
            "what one writer did, the next one sees",
            writers_exclude::<P>,
        )
        .needs(one),
        scenario(
            "rwlock/a_writer_comes_after_the_readers",
            "a writer does not overwrite what a reader still reads",
            a_writer_comes_after_the_readers::<P>,
        )
        .needs(two)
        .bound(2),
        scenario(
            "rwlock/the_last_reader_wakes_the_writer",
            "a writer that waits for two readers learns of the last one",
            the_last_reader_wakes_the_writer::<P>,
        )
        .needs(two)
        .bound(4),
        scenario(
            "rwlock/readers_and_writers_mixed",
            "threads and futures, readers and writers all get the lock",
            readers_and_writers_mixed::<P>,
        )
        .needs(two)
        .bound(2),
        scenario(
            "rwlock/readers_come_in_together",
            "readers that queued behind a writer all come in after it",
            readers_come_in_together::<P>,
        )
        .needs(two)
        .bound(2),
        scenario(
            "rwlock/downgrade_lets_readers_in",
            "a writer that becomes a reader lets in a reader that waits",
            downgrade_lets_readers_in::<P>,
        )
        .needs(one),
        scenario(
            "rwlock/upgrade_against_reader",
            "an upgradable reader becomes the writer when the reader has left",
            upgrade_against_reader::<P>,
        )
        .needs(one)
        .bound(4),
        scenario(
            "rwlock/try_upgrade_against_reader",
            "an upgrade without a wait succeeds only after the reader has left",
            try_upgrade_against_reader::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        scenario(
            "rwlock/a_writer_comes_after_the_upgradable_reader",
            "a writer does not overwrite what an upgradable reader still reads",
            a_writer_comes_after_the_upgradable_reader::<P>,
        )
        .needs(one)
        .bound(4),
        scenario(
            "rwlock/recursive_reader_against_writer",
            "a recursive reader neither waits for a writer that waits for it, nor meets one",
            recursive_reader_against_writer::<P>,
        )
        .needs(one)
        .bound(4),
        scenario(
            "rwlock/two_upgrades",
            "nobody writes between an upgradable reader's look and its change",
            two_upgrades::<P>,
        )
        .needs(one)
        .bound(5),
        scenario(
            "rwlock/writer_timeout_wakes_the_readers",
            "a writer that gives up its claim lets in the readers behind it",
            writer_timeout_wakes_the_readers::<P>,
        )
        .needs(two.clock())
        .bound(3),
        scenario(
            "rwlock/woken_future_dropped_against_unlock",
            "a woken waiter that is dropped does not keep the next one waiting",
            woken_future_dropped_against_unlock::<P>,
        )
        .needs(two)
        .bound(3),
        scenario(
            "rwlock/writer_timeout_against_the_last_reader",
            "a lock given to a writer whose time is over is neither lost nor leaked",
            writer_timeout_against_the_last_reader::<P>,
        )
        .needs(one.clock()),
        scenario(
            "rwlock/reader_timeout_against_grant",
            "a lock granted to a reader whose time is over is neither lost nor leaked",
            reader_timeout_against_grant::<P>,
        )
        .needs(one.clock())
        .bound(4),
        scenario(
            "rwlock/upgrade_timeout_against_the_reader",
            "an upgrade whose time is over leaves an upgradable reader, or a writer",
            upgrade_timeout_against_the_reader::<P>,
        )
        .needs(one.clock()),
        scenario(
            "rwlock/future_dropped_while_draining",
            "a future that is dropped while it waits for readers keeps nobody waiting",
            future_dropped_while_draining::<P>,
        )
        .needs(two)
        .bound(3),
        scenario(
            "rwlock/freed_right_after",
            "a writer does not touch the lock after the reader it let in has it",
            freed_right_after::<P>,
        )
        .needs(one),
        scenario(
            "rwlock/freed_right_after_a_drain",
            "the last reader does not touch the lock after the writer has it",
            freed_right_after_a_drain::<P>,
        )
        .needs(one),
    ]
}
