//! [`Weak`]: a pointer that does not keep its value.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::num::NonZeroUsize;
use core::ptr::NonNull;

use raddle_platform::{Atomic, Native, Ordering, Platform};

use crate::arc::Arc;
use crate::inner::{Inner, LOCKED};

/// A pointer to a value that others own. It gives an [`Arc`] as long as one of them is there.
///
/// ```
/// use raddle_ownership::Arc;
/// let owner = Arc::new(5);
/// let watcher = Arc::downgrade(&owner);
/// assert_eq!(watcher.upgrade().as_deref(), Some(&5));
/// drop(owner);
/// assert_eq!(watcher.upgrade(), None);
/// ```
pub struct Weak<T: ?Sized, P: Platform = Native> {
    /// The allocation, whose weak count counts us; or [`NOWHERE`].
    inner: NonNull<Inner<T, P>>,
    owns: PhantomData<Inner<T, P>>,
}

/// The address of a Weak that never pointed anywhere. No allocation begins at the last byte.
const NOWHERE: NonZeroUsize = NonZeroUsize::MAX;

// SAFETY: as std's Weak: it can become an Arc, so the bounds are those of Arc.
unsafe impl<T: ?Sized + Sync + Send, P: Platform> Send for Weak<T, P> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync + Send, P: Platform> Sync for Weak<T, P> {}

impl<T> Weak<T> {
    /// Points nowhere, and never did: upgrading it always gives `None`. Allocates nothing.
    #[inline]
    pub const fn new() -> Self {
        Self::new_in()
    }
}

impl<T, P: Platform> Weak<T, P> {
    /// [`new`](Weak::new) in the world `P`.
    #[inline]
    pub const fn new_in() -> Self {
        Self { inner: NonNull::without_provenance(NOWHERE), owns: PhantomData }
    }

    /// Gives the pointer away as a raw one, to be taken back by [`from_raw`](Weak::from_raw).
    #[inline]
    pub fn into_raw(self) -> *const T {
        ManuallyDrop::new(self).as_ptr()
    }

    /// Takes back what [`into_raw`](Weak::into_raw) gave away.
    ///
    /// # Safety
    /// `pointer` came from `Weak::<T, P>::into_raw`, and is taken back once for each time.
    #[inline]
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        // Wrapping, since a Weak that points nowhere has gone round the end of memory.
        let inner = pointer.cast_mut().wrapping_byte_sub(Inner::<T, P>::VALUE_OFFSET);
        // SAFETY: what `into_raw` started from was not null; the reference is the one it gave away.
        unsafe { Self::from_inner(NonNull::new_unchecked(inner.cast())) }
    }

    /// The address of the value. It may be gone, or never have been: look before you leap.
    #[inline]
    pub fn as_ptr(&self) -> *const T {
        let inner: *const T = self.inner.as_ptr().cast();
        inner.wrapping_byte_add(Inner::<T, P>::VALUE_OFFSET)
    }
}

impl<T: ?Sized, P: Platform> Weak<T, P> {
    /// # Safety
    /// The caller owns a weak reference that is counted in `inner`, and gives it to the result.
    #[inline]
    pub(crate) unsafe fn from_inner(inner: NonNull<Inner<T, P>>) -> Self {
        Self { inner, owns: PhantomData }
    }

    /// The allocation, unless we point nowhere.
    #[inline]
    fn inner(&self) -> Option<&Inner<T, P>> {
        if self.inner.cast::<()>().addr() == NOWHERE {
            return None;
        }
        // SAFETY: our weak reference keeps the allocation. The value, which may be gone, is in an
        // UnsafeCell, so the reference asserts nothing about it.
        Some(unsafe { self.inner.as_ref() })
    }

    /// The value's [`Arc`], if there is another one.
    ///
    /// `None` also while [`make_mut`](Arc::make_mut) looks around in the thread that has the only
    /// Arc.
    #[inline]
    pub fn upgrade(&self) -> Option<Arc<T, P>> {
        if !self.inner()?.header.upgrade() {
            return None;
        }
        // SAFETY: counted just now.
        Some(unsafe { Arc::from_inner(self.inner) })
    }

    /// How many Arcs share the value. Others may change it at any moment.
    #[inline]
    pub fn strong_count(&self) -> usize {
        self.inner().map_or(0, |inner| inner.header.strong.load(Ordering::Relaxed))
    }

    /// How many Weaks point to the value while it is there; 0 when it is gone. Others may change
    /// it at any moment.
    #[inline]
    pub fn weak_count(&self) -> usize {
        let Some(inner) = self.inner() else { return 0 };
        let weak = inner.header.weak.load(Ordering::Relaxed);
        debug_assert_ne!(weak, LOCKED, "only where there is no Weak, and we are one");
        // Less the one of all Arcs, which is there as long as they are. If the last Arc goes
        // between the two loads the answer is that of a moment ago.
        if inner.header.strong.load(Ordering::Relaxed) == 0 { 0 } else { weak.saturating_sub(1) }
    }

    /// Whether both point to one allocation, or both nowhere.
    #[inline]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        core::ptr::addr_eq(self.inner.as_ptr(), other.inner.as_ptr())
    }
}

impl<T: ?Sized, P: Platform> Clone for Weak<T, P> {
    /// Another pointer to the same allocation.
    #[inline]
    fn clone(&self) -> Self {
        if let Some(inner) = self.inner() {
            inner.header.increment_weak();
        }
        // SAFETY: counted just now, if there is anything to count.
        unsafe { Self::from_inner(self.inner) }
    }
}

impl<T: ?Sized, P: Platform> Drop for Weak<T, P> {
    #[inline]
    fn drop(&mut self) {
        if self.inner().is_some() {
            // SAFETY: our own reference. While other Weaks or Arcs are there, the memory stays;
            // if we are the last of all, the value is gone.
            unsafe { Inner::release_weak(self.inner) };
        }
    }
}

impl<T, P: Platform> Default for Weak<T, P> {
    /// Points nowhere.
    fn default() -> Self {
        Self::new_in()
    }
}

impl<T: ?Sized, P: Platform> fmt::Debug for Weak<T, P> {
    /// `(Weak)`: the value may contain the Weak.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(Weak)")
    }
}
