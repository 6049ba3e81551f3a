//! The lock of the scheduler's own lists.
//!
//! Why not [`ParkingMutex`](raddle_parking_lot::ParkingMutex)? Because these lists are touched by
//! fibers *and* by their worker's run loop. A `ParkingMutex` may be handed over to a fiber that
//! waits for it; the fiber then owns it while it stands in a run queue, and if its worker needs the
//! lock before it runs the fiber, the worker waits for itself. Here who waits never gives up the
//! thread's stack to another fiber, and who holds never suspends: critical sections are a few
//! dozen instructions without any wait, allocation of unbounded size, or wake.
//!
//! | `locked` | meaning | who may change it |
//! |---|---|---|
//! | false | free | anybody, to true |
//! | true | held | the holder, to false |
//!
//! The holder may be preempted by the operating system, so after a few rounds the waiting thread
//! yields to it.

use core::ops::{Deref, DerefMut};

use raddle_platform::{Atomic, Ordering, Platform, Race, RaceCell, Threads};

/// A value behind a spinning lock.
pub(crate) struct Spinlock<T, P: Platform> {
    /// Written by swaps only.
    locked: P::AtomicBool,
    value: RaceCell<T, P>,
}

// SAFETY: the lock gives out one reference at a time, so sharing it moves `T` between threads.
unsafe impl<T: Send, P: Platform> Sync for Spinlock<T, P> {}
// SAFETY: the lock owns its value.
unsafe impl<T: Send, P: Platform> Send for Spinlock<T, P> {}

impl<T, P: Platform> Spinlock<T, P> {
    pub(crate) fn new(value: T) -> Self {
        Self { locked: P::AtomicBool::new(false), value: RaceCell::new_in(value) }
    }

    /// The number by which reports name what the lock is a part of.
    pub(crate) fn number(&self) -> u64 {
        self.locked.number()
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, T, P> {
        // ORDERING: pairs with the releasing swap in the guard's drop.
        while self.locked.swap(true, Ordering::Acquire) {
            self.wait();
        }
        let (value, open) = self.value.open_mut();
        Guard { value, _open: open, _unlock: Unlock(&self.locked) }
    }

    #[cold]
    fn wait(&self) {
        let mut spins = 0;
        // HAMMER-WAIT-LOOP: spinlock
        while self.locked.load(Ordering::Relaxed) {
            spins += 1;
            if spins % P::BOUNDS.spins == 0 {
                P::Threads::yield_now();
            } else {
                P::spin_loop();
            }
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Access to the value, until dropped. Fields are dropped in order: the access is closed before
/// the lock is opened.
pub(crate) struct Guard<'a, T, P: Platform> {
    value: *mut T,
    _open: <P::Race as Race>::Write,
    _unlock: Unlock<'a, P>,
}

struct Unlock<'a, P: Platform>(&'a P::AtomicBool);

impl<P: Platform> Drop for Unlock<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: pairs with the acquiring swap in `lock`.
        self.0.swap(false, Ordering::Release);
    }
}

impl<T, P: Platform> Deref for Guard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.value }
    }
}

impl<T, P: Platform> DerefMut for Guard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed exclusively.
        unsafe { &mut *self.value }
    }
}
