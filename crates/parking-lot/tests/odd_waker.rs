//! A waker's clone need not look like the waker: the address of a vtable may differ from one use
//! of a constant to the next, and an executor may hand out wakers that are clones of another.
//! Whoever waits with such a waker is polled again and again, never in an endless loop, and woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};

use raddle_parking_lot::{Condvar, ParkingMutex, ParkingRwLock, Semaphore, WaitGroup};

static WAKES: AtomicUsize = AtomicUsize::new(0);

fn clone(_: *const ()) -> RawWaker {
    RawWaker::new(std::ptr::null(), &CLONED)
}
fn wake(_: *const ()) {
    WAKES.fetch_add(1, Ordering::SeqCst);
}
fn nothing(_: *const ()) {}

static POLLED: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, nothing);
static CLONED: RawWakerVTable = RawWakerVTable::new(clone, wake, nothing, nothing);

/// Polls three times, which must be pending, then `release`s, which must wake.
fn waits(future: impl Future, release: impl FnOnce()) {
    // SAFETY: the functions touch no data, and a static vtable lives for ever.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &POLLED)) };
    let mut context = Context::from_waker(&waker);
    let mut future: Pin<Box<_>> = Box::pin(future);
    for _ in 0..3 {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    let before = WAKES.load(Ordering::SeqCst);
    release();
    assert!(WAKES.load(Ordering::SeqCst) > before, "the release wakes");
    assert!(future.as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_clone_that_looks_different_is_no_endless_loop() {
    let mutex = ParkingMutex::new(());
    let guard = mutex.lock();
    waits(mutex.lock_async(), || drop(guard));

    let rwlock = ParkingRwLock::new(());
    let guard = rwlock.write();
    waits(rwlock.read_async(), || drop(guard));
    let guard = rwlock.read();
    waits(rwlock.write_async(), || drop(guard));
    let guard = rwlock.write();
    waits(rwlock.write_async(), || drop(guard));

    let semaphore = Semaphore::new(0);
    waits(semaphore.acquire_async(), || semaphore.add_permits(1));

    let group = WaitGroup::new();
    group.add(1);
    waits(group.wait_async(), || group.done());

    let condvar = Condvar::new();
    waits(condvar.wait_async(mutex.lock()), || {
        condvar.notify_one();
    });
}
