//! A value with a counted owner.
//!
//! As `std::sync::Arc`, without weak references; but the last owner acquires by a load and not by a
//! fence. The machine does not care. ThreadSanitizer does not understand fences, and std is compiled
//! before it is chosen, so with std's each last owner would be a false alarm.

use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Far from an overflow, as std has it.
const MAX_COUNT: usize = isize::MAX as usize;

struct Inner<T> {
    /// Owners. Each decrement releases; the load of whoever took it to 0 acquires from all.
    count: AtomicUsize,
    value: T,
}

/// Owns the value together with its clones.
pub(super) struct Counted<T>(NonNull<Inner<T>>);

// SAFETY: as for `std::sync::Arc`: owners share the value, and the last one destroys it.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T> Counted<T> {
    pub(super) fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(Inner { count: AtomicUsize::new(1), value }))))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// Its reference, as a pointer.
    pub(super) fn into_raw(self) -> *const () {
        core::mem::ManuallyDrop::new(self).0.as_ptr().cast_const().cast()
    }

    /// The owner whose reference the pointer is.
    ///
    /// # Safety
    /// The pointer is from [`into_raw`](Self::into_raw) of this type, and its reference is given
    /// away.
    pub(super) unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: made from a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(raw.cast_mut().cast()) })
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: this owner keeps it.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        if self.inner().count.fetch_add(1, Ordering::Relaxed) > MAX_COUNT {
            std::process::abort();
        }
        Self(self.0)
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        // ORDERING: pairs with the load below, in whoever takes the count to 0.
        if self.inner().count.fetch_sub(1, Ordering::Release) == 1 {
            // ORDERING: pairs with the releasing decrements of all other owners.
            self.inner().count.load(Ordering::Acquire);
            // SAFETY: made by `new`, and this was the last owner.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counts<'a>(&'a AtomicUsize);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_last_owner_destroys_the_value_once() {
        let destroyed = AtomicUsize::new(0);
        let first = Counted::new(Counts(&destroyed));
        let second = first.clone();
        assert!(first.is(&second));
        let raw = second.into_raw();
        drop(first);
        assert_eq!(destroyed.load(Ordering::Relaxed), 0);
        // SAFETY: from `into_raw` above.
        drop(unsafe { Counted::<Counts<'_>>::from_raw(raw) });
        assert_eq!(destroyed.load(Ordering::Relaxed), 1);
    }
}
