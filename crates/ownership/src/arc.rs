//! [`Arc`]: making, cloning, dropping, counting.

use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop, MaybeUninit};
use core::ops::Deref;
use core::pin::Pin;
use core::ptr::NonNull;

use raddle_platform::{Atomic, AtomicInt, Native, Ordering, Platform, Race};

use crate::inner::{Inner, LOCKED};
use crate::weak::Weak;

/// A pointer to a value that several owners share. The last one to go drops it.
///
/// All of its own operations are associated functions, so that they do not hide the value's
/// methods: `Arc::downgrade(&arc)`.
///
/// ```
/// use raddle_ownership::Arc;
/// let first = Arc::new(vec![1, 2, 3]);
/// let second = Arc::clone(&first);
/// assert_eq!(second.len(), 3);
/// assert_eq!(Arc::strong_count(&first), 2);
/// ```
///
/// As std's, it is `Send` and `Sync` only if its value is both:
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// send(raddle_ownership::Arc::new(core::cell::Cell::new(0)));
/// ```
pub struct Arc<T: ?Sized, P: Platform = Native> {
    pub(crate) inner: NonNull<Inner<T, P>>,
    owns: PhantomData<Inner<T, P>>,
}

// SAFETY: as std's Arc: sharing gives `&T` to several threads (Sync), and any of them may be the
// one that drops or takes out the value (Send). The counts are atomic.
unsafe impl<T: ?Sized + Sync + Send, P: Platform> Send for Arc<T, P> {}
// SAFETY: as above, for `&Arc<T>` can be cloned.
unsafe impl<T: ?Sized + Sync + Send, P: Platform> Sync for Arc<T, P> {}

impl<T> Arc<T> {
    /// Shares `value`.
    #[inline]
    pub fn new(value: T) -> Self {
        Self::new_in(value)
    }

    /// Shares a value that holds a [`Weak`] to itself. `make` gets the Weak while the value is not
    /// there yet: upgrading it gives `None` until `new_cyclic` returns.
    ///
    /// ```
    /// use raddle_ownership::{Arc, Weak};
    /// struct Actor {
    ///     me: Weak<Actor>,
    /// }
    /// let actor = Arc::new_cyclic(|me| Actor { me: me.clone() });
    /// assert!(Arc::ptr_eq(&actor, &actor.me.upgrade().unwrap()));
    /// ```
    #[inline]
    pub fn new_cyclic(make: impl FnOnce(&Weak<T>) -> T) -> Self {
        Self::new_cyclic_in(make)
    }

    /// Shares `value` at an address that never changes.
    #[inline]
    pub fn pin(value: T) -> Pin<Self> {
        Self::pin_in(value)
    }
}

impl<T, P: Platform> Arc<T, P> {
    /// [`new`](Arc::new) in the world `P`.
    #[inline]
    pub fn new_in(value: T) -> Self {
        // SAFETY: a fresh allocation that counts one strong reference.
        unsafe { Self::from_inner(Inner::allocate(1, 1, value)) }
    }

    /// [`new_cyclic`](Arc::new_cyclic) in the world `P`.
    pub fn new_cyclic_in(make: impl FnOnce(&Weak<T, P>) -> T) -> Self {
        let unmade = Inner::<MaybeUninit<T>, P>::allocate(0, 1, MaybeUninit::uninit());
        let inner: NonNull<Inner<T, P>> = unmade.cast();
        // If `make` panics this frees the memory, or whichever clone of it is the last. It is the
        // weak reference that all strong ones own together, once there is one.
        // SAFETY: the allocation counts one weak reference.
        let weak = unsafe { Weak::from_inner(inner) };
        let value = make(&weak);
        // SAFETY: the weak reference keeps the memory.
        let shared = unsafe { inner.as_ref() };
        let open = shared.header.race.write();
        // SAFETY: nobody reads the value while the strong count is 0.
        unsafe { shared.value.get().write(value) };
        drop(open);
        // ORDERING: Release pairs with the acquiring increment in `upgrade`, by whoever got a clone
        // of the Weak.
        let old = shared.header.strong.fetch_add(1, Ordering::Release);
        debug_assert_eq!(old, 0, "nobody can have got a strong reference");
        mem::forget(weak);
        // SAFETY: the strong count just became 1, and its weak reference was not given up.
        unsafe { Self::from_inner(inner) }
    }

    /// [`pin`](Arc::pin) in the world `P`.
    #[inline]
    pub fn pin_in(value: T) -> Pin<Self> {
        // SAFETY: the value never moves while it is shared, and neither `Deref` nor `Clone` nor
        // `Drop` moves it.
        unsafe { Pin::new_unchecked(Self::new_in(value)) }
    }
}

impl<T: ?Sized, P: Platform> Arc<T, P> {
    /// # Safety
    /// The caller owns a strong reference that is counted in `inner`, and gives it to the result.
    #[inline]
    pub(crate) unsafe fn from_inner(inner: NonNull<Inner<T, P>>) -> Self {
        Self { inner, owns: PhantomData }
    }

    /// The allocation; the caller takes over the strong reference.
    #[inline]
    pub(crate) fn into_inner_pointer(this: Self) -> NonNull<Inner<T, P>> {
        ManuallyDrop::new(this).inner
    }

    #[inline]
    pub(crate) fn inner(&self) -> &Inner<T, P> {
        // SAFETY: our strong reference keeps the allocation and the value.
        unsafe { self.inner.as_ref() }
    }

    /// A pointer that does not keep the value alive.
    #[inline]
    pub fn downgrade(this: &Self) -> Weak<T, P> {
        this.inner().header.downgrade();
        // SAFETY: counted just now.
        unsafe { Weak::from_inner(this.inner) }
    }

    /// How many Arcs share the value. Others may change it at any moment.
    #[inline]
    pub fn strong_count(this: &Self) -> usize {
        this.inner().header.strong.load(Ordering::Relaxed)
    }

    /// How many Weaks point to the value. Others may change it at any moment.
    #[inline]
    pub fn weak_count(this: &Self) -> usize {
        match this.inner().header.weak.load(Ordering::Relaxed) {
            // `get_mut` in another thread locks it only where there is no Weak.
            LOCKED => 0,
            // Less the one of all Arcs.
            weak => weak - 1,
        }
    }

    /// Whether both share one value.
    #[inline]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        core::ptr::addr_eq(this.inner.as_ptr(), other.inner.as_ptr())
    }

    /// Destroys the value and gives up the weak reference of all strong ones.
    #[cold]
    #[inline(never)]
    fn last(&mut self) {
        // Dropped also if the destructor panics.
        // SAFETY: the strong references own one weak reference, and are no more.
        let _weak = unsafe { Weak::from_inner(self.inner) };
        // SAFETY: no strong reference is left, and all uses have happened.
        unsafe { Inner::destroy_value(self.inner) };
    }
}

impl<T: ?Sized, P: Platform> Clone for Arc<T, P> {
    /// Another pointer to the same value.
    #[inline]
    fn clone(&self) -> Self {
        self.inner().header.increment_strong();
        // SAFETY: counted just now.
        unsafe { Self::from_inner(self.inner) }
    }
}

impl<T: ?Sized, P: Platform> Drop for Arc<T, P> {
    #[inline]
    fn drop(&mut self) {
        if self.inner().header.decrement_strong() {
            self.last();
        }
    }
}

impl<T: ?Sized, P: Platform> Deref for Arc<T, P> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        let inner = self.inner();
        // A checked read at this moment. The reference outlives the check; but as long as it is
        // there, so is this Arc, whose own drop is what later accesses must be ordered after.
        drop(inner.header.race.read());
        // SAFETY: our strong reference keeps the value, and it is mutated only while unique.
        unsafe { &*inner.value.get() }
    }
}
