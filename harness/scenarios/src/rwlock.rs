//! `ParkingRwLock`: threads, fibers and futures as waiters.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use raddle_parking_lot::{
    ParkingRwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};
use raddle_platform::{Instant, Platform, suspend};

use crate::freed::Freed;
use crate::waiters::{Blocking, Waiter, each_blocking, each_blocking_pair, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

type RwLock<P> = ParkingRwLock<u32, P>;

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

fn writers_exclude<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::write(&lock) += 1));
        B::run(|| *B::write(&lock) += 1);
    });
    assert_eq!(*lock.read(), 2);
}

fn a_writer_comes_after_the_readers<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::read(&lock)));
        threads.spawn(|| A::run(|| *A::read(&lock)));
        B::run(|| *B::write(&lock) += 1);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// Both readers are inside; the writer claims, and the last of them tells it.
fn the_last_reader_wakes_the_writer<P: Platform, W: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let mine = lock.read();
    let theirs = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| *W::write(&lock) += 1));
        threads.spawn(move || drop(theirs));
        drop(mine);
    });
    assert_eq!(lock.into_inner(), 1);
}

fn two_writers_and_a_reader<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::write(&lock) += 1));
        threads.spawn(|| B::run(|| *B::read(&lock)));
        B::run(|| *B::write(&lock) += 1);
    });
    assert_eq!(lock.into_inner(), 2);
}

/// Two readers queue behind a writer. The first to come in lets in the other.
fn readers_come_in_together<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let mut guard = lock.write();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| assert_eq!(*A::read(&lock), 1)));
        threads.spawn(|| B::run(|| assert_eq!(*B::read(&lock), 1)));
        *guard = 1;
        drop(guard);
    });
    assert!(!lock.is_locked());
}

fn downgrade_lets_readers_in<P: Platform, W: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let mut guard = lock.write();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| W::run(|| *W::read(&lock)));
        *guard = 1;
        let guard = RwLockWriteGuard::downgrade(guard);
        assert_eq!(reader.join(), 1, "the reader comes in beside the downgraded writer");
        drop(guard);
    });
    assert!(!lock.is_locked());
}

fn upgrade_against_reader<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::read(&lock)));
        B::run(|| *B::upgrade(B::upgradable_read(&lock)) += 1);
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

fn a_writer_comes_after_the_upgradable_reader<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| *A::upgradable_read(&lock)));
        B::run(|| *B::write(&lock) += 1);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// A recursive reader comes in while a writer has a claim, but not while it writes.
fn recursive_reader_against_writer<P: Platform, W: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| *W::write(&lock) += 1));
        let first = lock.read_recursive();
        let second = lock.read_recursive();
        assert_eq!(*first, *second);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// No writer gets in between the upgradable reader's look and its change.
fn two_upgrades<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    fn increment<P: Platform, W: Waiter<P>>(lock: &RwLock<P>) {
        let guard = W::upgradable_read(lock);
        let seen = *guard;
        let mut guard = W::upgrade(guard);
        assert_eq!(*guard, seen);
        *guard += 1;
    }
    let lock = RwLock::<P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| increment::<P, A>(&lock)));
        B::run(|| increment::<P, B>(&lock));
    });
    assert_eq!(lock.into_inner(), 2);
}

/// A writer claims while a reader is inside, and gives up; a second reader queued behind it.
fn writer_timeout_wakes_the_readers<P: Platform, A: Blocking<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| drop(lock.try_write_until(SOON))));
        threads.spawn(|| B::run(|| drop(B::read(&lock)))).join();
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

fn writer_timeout_against_the_last_reader<P: Platform, W: Blocking<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    let wrote = scope::<P, _>(|threads| {
        let writer =
            threads.spawn(|| W::run(|| lock.try_write_until(SOON).map(|mut guard| *guard += 1)));
        drop(reader);
        writer.join().is_some()
    });
    assert_eq!(lock.try_read().map(|guard| *guard), Some(u32::from(wrote)));
    assert!(lock.try_write().is_some(), "left locked");
}

fn reader_timeout_against_grant<P: Platform, W: Blocking<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let guard = lock.write();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| W::run(|| lock.try_read_until(SOON).is_some()));
        RwLockWriteGuard::unlock_fair(guard);
        reader.join();
    });
    assert!(lock.try_write().is_some(), "a granted reader that had timed out has left");
}

fn upgrade_timeout_against_the_reader<P: Platform, W: Blocking<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| {
                let guard = lock.upgradable_read();
                match RwLockUpgradableReadGuard::try_upgrade_until(guard, SOON) {
                    Ok(mut guard) => *guard += 1,
                    Err(guard) => assert_eq!(*guard, 0),
                }
            });
        });
        drop(reader);
    });
    assert!(lock.try_write().is_some(), "left locked");
}

fn future_dropped_while_draining<P: Platform, W: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(polled::once(pin!(lock.write_async()))));
        threads.spawn(|| W::run(|| *W::read(&lock)));
        drop(reader);
    });
    assert!(lock.try_write().is_some(), "left locked");
}

fn freed_right_after<P: Platform, W: Waiter<P>>() {
    let lock = Freed::new(RwLock::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { lock.get() }.write();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let lock = lock;
            // SAFETY: freed below.
            W::run(|| drop(W::read(unsafe { lock.get() })));
            // SAFETY: who unlocked is done with the lock.
            unsafe { lock.free() };
        });
        drop(guard);
    });
}

fn freed_right_after_a_drain<P: Platform, W: Waiter<P>>() {
    let lock = Freed::new(RwLock::<P>::new_in(0));
    // SAFETY: freed by the other thread, after this one has unlocked.
    let guard = unsafe { lock.get() }.read();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let lock = lock;
            // SAFETY: freed below.
            W::run(|| drop(W::write(unsafe { lock.get() })));
            // SAFETY: who unlocked is done with the lock.
            unsafe { lock.free() };
        });
        drop(guard);
    });
}

/// The reader that times out was first in the queue, and woken. The writer behind it must be woken
/// then.
fn reader_timeout_passes_the_wake_on<P: Platform, A: Blocking<P>, B: Waiter<P>>() {
    let lock = RwLock::<P>::new_in(0);
    let guard = lock.write();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| drop(lock.try_read_until(SOON))));
        threads.spawn(|| B::run(|| *B::write(&lock) += 1));
        drop(guard);
    });
    assert_eq!(lock.try_read().map(|guard| *guard), Some(1));
}

/// The writers of a part and the readers of a part unlock the whole.
fn mapped_guards<P: Platform, W: Waiter<P>>() {
    let lock = ParkingRwLock::<(u32, u32), P>::new_in((0, 0));
    let part = RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1);
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| W::write(&lock).0 += 1));
        let mut part = part;
        *part += 1;
        drop(part);
        let part = RwLockReadGuard::map(lock.read(), |pair| &pair.1);
        assert_eq!(*part, 1);
    });
    assert_eq!(lock.into_inner(), (1, 1));
}

/// A queued future gets another waker while it is woken by the old one.
fn waker_replaced_against_unlock<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let guard = lock.write();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut write = pin!(lock.write_async());
            match polled::once(write.as_mut()) {
                Poll::Ready(mut guard) => *guard += 1,
                Poll::Pending => *suspend::block_on::<P, _>(write) += 1,
            }
        });
        drop(guard);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// A draining future gets another waker while the last reader grants by the old one.
fn waker_replaced_against_the_last_reader<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut write = pin!(lock.write_async());
            match polled::once(write.as_mut()) {
                Poll::Ready(mut guard) => *guard += 1,
                Poll::Pending => *suspend::block_on::<P, _>(write) += 1,
            }
        });
        drop(reader);
    });
    assert_eq!(lock.into_inner(), 1);
}

/// Nobody will unlock.
fn a_duration_ends<P: Platform>() {
    let lock = RwLock::<P>::new_in(0);
    let reader = lock.read();
    assert!(lock.try_write_for(SOME_TIME).is_none());
    let upgradable = lock.upgradable_read();
    assert!(lock.try_upgradable_read_for(SOME_TIME).is_none());
    let Err(upgradable) = RwLockUpgradableReadGuard::try_upgrade_for(upgradable, SOME_TIME) else {
        panic!("a writer beside a reader")
    };
    drop((reader, upgradable));
    let _writer = lock.write();
    assert!(lock.try_read_for(SOME_TIME).is_none());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    let mut list = vec![
        Scenario::new(
            "rwlock/a_duration_ends",
            "waits for some time end when the time is over",
            a_duration_ends::<P>,
        )
        .needs(Needs::ATOMICS.parker().clock()),
        Scenario::new(
            "rwlock/try_upgrade_against_reader",
            "an upgrade without a wait succeeds only after the reader has left",
            try_upgrade_against_reader::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "rwlock/woken_future_dropped_against_unlock",
            "a woken waiter that is dropped does not keep the next one waiting",
            woken_future_dropped_against_unlock::<P>,
        )
        .needs(two)
        .bound(3),
        Scenario::new(
            "rwlock/waker_replaced_against_unlock",
            "a queued future that is polled with a new waker while it is woken is woken",
            waker_replaced_against_unlock::<P>,
        )
        .needs(one)
        .bound(4),
        Scenario::new(
            "rwlock/waker_replaced_against_the_last_reader",
            "a draining future that is polled with a new waker learns of the last reader",
            waker_replaced_against_the_last_reader::<P>,
        )
        .needs(one),
    ];
    list.extend(contended::<P>(one, two));
    list.extend(given_up::<P>(one, two));
    list
}

/// Waiters that all get the lock.
fn contended<P: Platform>(one: Needs, two: Needs) -> Vec<Scenario> {
    [
        each_pair!(
            "rwlock/writers_exclude",
            "what one writer did, the next one sees",
            writers_exclude,
            P
        )
        .map(|each| each.needs(one).bound(5))
        .to_vec(),
        each_pair!(
            "rwlock/a_writer_comes_after_the_readers",
            "a writer does not overwrite what a reader still reads",
            a_writer_comes_after_the_readers,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "rwlock/the_last_reader_wakes_the_writer",
            "a writer that waits for two readers learns of the last one",
            the_last_reader_wakes_the_writer,
            P
        )
        .map(|each| each.needs(two).bound(4))
        .to_vec(),
        each_pair!(
            "rwlock/two_writers_and_a_reader",
            "two writers and a reader all get the lock",
            two_writers_and_a_reader,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_pair!(
            "rwlock/readers_come_in_together",
            "readers that queued behind a writer all come in after it",
            readers_come_in_together,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "rwlock/downgrade_lets_readers_in",
            "a writer that becomes a reader lets in a reader that waits",
            downgrade_lets_readers_in,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_pair!(
            "rwlock/upgrade_against_reader",
            "an upgradable reader becomes the writer when the reader has left",
            upgrade_against_reader,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_pair!(
            "rwlock/a_writer_comes_after_the_upgradable_reader",
            "a writer does not overwrite what an upgradable reader still reads",
            a_writer_comes_after_the_upgradable_reader,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "rwlock/recursive_reader_against_writer",
            "a recursive reader neither waits for a writer that waits for it, nor meets one",
            recursive_reader_against_writer,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_pair!(
            "rwlock/two_upgrades",
            "nobody writes between an upgradable reader's look and its change",
            two_upgrades,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "rwlock/mapped_guards",
            "guards of a part lock and unlock the whole",
            mapped_guards,
            P
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
    ]
    .concat()
}

/// Waiters that give up, and locks that go.
fn given_up<P: Platform>(one: Needs, two: Needs) -> Vec<Scenario> {
    [
        each_blocking_pair!(
            "rwlock/writer_timeout_wakes_the_readers",
            "a writer that gives up its claim lets in the readers behind it",
            writer_timeout_wakes_the_readers,
            P
        )
        .map(|each| each.needs(two.clock()).bound(2))
        .to_vec(),
        each_blocking_pair!(
            "rwlock/reader_timeout_passes_the_wake_on",
            "a woken reader whose time is over does not keep the writer behind it waiting",
            reader_timeout_passes_the_wake_on,
            P
        )
        .map(|each| each.needs(two.clock()).bound(2))
        .to_vec(),
        each_blocking!(
            "rwlock/writer_timeout_against_the_last_reader",
            "a lock given to a writer whose time is over is neither lost nor leaked",
            writer_timeout_against_the_last_reader,
            P
        )
        .map(|each| each.needs(one.clock()))
        .to_vec(),
        each_blocking!(
            "rwlock/reader_timeout_against_grant",
            "a lock granted to a reader whose time is over is neither lost nor leaked",
            reader_timeout_against_grant,
            P
        )
        .map(|each| each.needs(one.clock()).bound(4))
        .to_vec(),
        each_blocking!(
            "rwlock/upgrade_timeout_against_the_reader",
            "an upgrade whose time is over leaves an upgradable reader, or a writer",
            upgrade_timeout_against_the_reader,
            P
        )
        .map(|each| each.needs(one.clock()))
        .to_vec(),
        each_waiter!(
            "rwlock/future_dropped_while_draining",
            "a future that is dropped while it waits for readers keeps nobody waiting",
            future_dropped_while_draining,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "rwlock/freed_right_after",
            "a writer does not touch the lock after the reader it let in has it",
            freed_right_after,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_waiter!(
            "rwlock/freed_right_after_a_drain",
            "the last reader does not touch the lock after the writer has it",
            freed_right_after_a_drain,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
    ]
    .concat()
}
