//! std's mutex and condition variable, in a form that ThreadSanitizer follows.
//!
//! std is compiled before a sanitizer is chosen: of a lock that was waited for, ThreadSanitizer sees
//! neither the taking nor the giving, and would call everything behind it a race. Here whoever has
//! the lock also hands over a word of its own. It costs two plain accesses beside a lock that is
//! taken for something slow anyway.

use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A value behind a lock. Nothing panics while it holds one, so there is no poison.
#[derive(Debug)]
pub(super) struct Lock<T> {
    /// Written under the lock.
    handed_over: AtomicU32,
    mutex: Mutex<T>,
}

/// The lock is held.
pub(super) struct Guard<'a, T> {
    handed_over: &'a AtomicU32,
    held: ManuallyDrop<MutexGuard<'a, T>>,
}

impl<T> Lock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { handed_over: AtomicU32::new(0), mutex: Mutex::new(value) }
    }

    pub(super) fn lock(&self) -> Guard<'_, T> {
        let held = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        Guard::new(&self.handed_over, held)
    }
}

impl<'a, T> Guard<'a, T> {
    fn new(handed_over: &'a AtomicU32, held: MutexGuard<'a, T>) -> Self {
        // ORDERING: pairs with the releasing store in `hand_over`.
        handed_over.load(Ordering::Acquire);
        Self { handed_over, held: ManuallyDrop::new(held) }
    }

    fn hand_over(&self) {
        // ORDERING: pairs with the acquiring load in `new`.
        self.handed_over.store(1, Ordering::Release);
    }

    /// Gives the lock away, waits until `condvar` is notified (or for no reason, or for as long as
    /// `at_most`), and takes it again. Returns whether the time was over.
    pub(super) fn wait(mut self, condvar: &Condvar, at_most: Option<Duration>) -> (Self, bool) {
        self.hand_over();
        let handed_over = self.handed_over;
        // SAFETY: taken out once: `self` is forgotten.
        let held = unsafe { ManuallyDrop::take(&mut self.held) };
        core::mem::forget(self);
        let (held, over) = match at_most {
            None => (condvar.wait(held).unwrap_or_else(PoisonError::into_inner), false),
            Some(time) => {
                let waited = condvar.wait_timeout(held, time);
                let (held, result) = waited.unwrap_or_else(PoisonError::into_inner);
                (held, result.timed_out())
            }
        };
        (Self::new(handed_over, held), over)
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.hand_over();
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.held) };
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_behind_the_lock_all_count() {
        static LOCK: Lock<u32> = Lock::new(0);
        static ALL: Condvar = Condvar::new();
        let adders: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    for _ in 0..1_000 {
                        *LOCK.lock() += 1;
                    }
                    ALL.notify_all();
                })
            })
            .collect();
        let mut guard = LOCK.lock();
        while *guard < 4_000 {
            guard = guard.wait(&ALL, None).0;
        }
        drop(guard);
        adders.into_iter().for_each(|adder| adder.join().expect("no panic"));
        let (_, over) = LOCK.lock().wait(&ALL, Some(Duration::from_millis(1)));
        assert!(over, "nobody notifies");
    }
}
