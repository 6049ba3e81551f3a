//! The lock of what changes once per chunk.
//!
//! Futures take it inside of `poll`, where a lock that suspends could be handed to a fiber that the
//! polling thread itself would have to run. So who waits spins, and who holds never suspends, and
//! runs no foreign code: values are dropped and wakers woken after the unlocking.
//!
//! | `locked` | meaning | who may change it |
//! |---|---|---|
//! | false | free | anybody, to true |
//! | true | held | the holder, to false |

use core::ops::{Deref, DerefMut};

use raddle_platform::{Atomic, Ordering, Platform, Race, RaceCell, Threads};

pub(super) struct Lock<T, P: Platform> {
    /// Written by swaps only.
    locked: P::AtomicBool,
    value: RaceCell<T, P>,
}

// SAFETY: the lock gives out one reference at a time, so sharing it moves `T` between threads.
unsafe impl<T: Send, P: Platform> Sync for Lock<T, P> {}

impl<T, P: Platform> Lock<T, P> {
    pub(super) fn new(value: T) -> Self {
        Self { locked: P::AtomicBool::new(false), value: RaceCell::new_in(value) }
    }

    #[inline]
    pub(super) fn lock(&self) -> Guard<'_, T, P> {
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
        // HAMMER-WAIT-LOOP: broadcast-lock
        while self.locked.load(Ordering::Relaxed) {
            pause::<P>(&mut spins);
        }
    }
}

/// Waits a little for somebody who is within a few instructions of being done, and may have been
/// preempted there.
pub(super) fn pause<P: Platform>(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(P::BOUNDS.spins) {
        // COVERAGE-EXCLUDE(loom): each spin lets the other thread run; covered by hammer.
        P::Threads::yield_now();
    } else {
        P::spin_loop();
    }
}

/// Access to the value, until dropped. Fields are dropped in order: the access is closed before
/// the lock is opened.
pub(super) struct Guard<'a, T, P: Platform> {
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
