//! The lock of short lists, for the crates above.
//!
//! Why not [`ParkingMutex`](crate::ParkingMutex)? Because these lists are touched by fibers *and* by
//! what must not wait for a fiber: a worker's run loop, a future's `poll`, somebody who is pinned. A
//! `ParkingMutex` may be handed over to a fiber that waits for it; the fiber then owns it while it
//! stands in a run queue, and if its worker needs the lock before it runs the fiber, the worker waits
//! for itself. Here who waits never gives up the thread's stack to another fiber, and who holds never
//! suspends and runs no foreign code: critical sections are a few dozen instructions without any wait,
//! allocation of unbounded size, or wake.
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

/// A value behind a spinning lock; see the source for when.
pub struct Spinlock<T, P: Platform> {
    /// Written by swaps only.
    locked: P::AtomicBool,
    value: RaceCell<T, P>,
}

// SAFETY: the lock gives out one reference at a time, so sharing it moves `T` between threads.
unsafe impl<T: Send, P: Platform> Sync for Spinlock<T, P> {}
// SAFETY: the lock owns its value.
unsafe impl<T: Send, P: Platform> Send for Spinlock<T, P> {}

impl<T, P: Platform> Spinlock<T, P> {
    /// A lock that nobody holds.
    pub fn new(value: T) -> Self {
        Self { locked: P::AtomicBool::new(false), value: RaceCell::new_in(value) }
    }

    /// The number by which reports name what the lock is a part of.
    pub fn number(&self) -> u64 {
        self.locked.number()
    }

    /// Waits for the lock, without ever suspending a fiber.
    #[inline]
    pub fn lock(&self) -> SpinGuard<'_, T, P> {
        // ORDERING: pairs with the releasing swap in the guard's drop.
        while self.locked.swap(true, Ordering::Acquire) {
            self.wait();
        }
        let (value, open) = self.value.open_mut();
        SpinGuard { value, _open: open, _unlock: Unlock(&self.locked) }
    }

    /// Calls `f` with the value, while nobody else has it.
    #[inline]
    pub fn locked<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
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

    /// The value, for who has the lock alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Access to the value, until dropped. Fields are dropped in order: the access is closed before
/// the lock is opened.
pub struct SpinGuard<'a, T, P: Platform> {
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

impl<T, P: Platform> Deref for SpinGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard holds the lock.
        unsafe { &*self.value }
    }
}

impl<T, P: Platform> DerefMut for SpinGuard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard holds the lock, and is borrowed exclusively.
        unsafe { &mut *self.value }
    }
}
