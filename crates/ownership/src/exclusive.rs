//! Getting the value back: to mutate it in place, or to move it out.

use core::mem::MaybeUninit;
use core::ptr;

use raddle_platform::{Atomic, Ordering, Platform, Race};

use crate::arc::Arc;
use crate::inner::Inner;
use crate::weak::Weak;

impl<T: ?Sized, P: Platform> Arc<T, P> {
    /// The value, if there is no other Arc and no Weak.
    ///
    /// ```
    /// use raddle_ownership::Arc;
    /// let mut only = Arc::new(1);
    /// *Arc::get_mut(&mut only).unwrap() += 1;
    /// let other = Arc::clone(&only);
    /// assert!(Arc::get_mut(&mut only).is_none());
    /// assert_eq!(*other, 2);
    /// ```
    #[inline]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        if !this.inner().header.is_unique() {
            return None;
        }
        // SAFETY: unique, and `this` stays borrowed for as long as the result is used.
        Some(unsafe { Self::exclusive(this) })
    }

    /// # Safety
    /// `this` is the only reference of any kind.
    #[inline]
    unsafe fn exclusive(this: &mut Self) -> &mut T {
        let inner = this.inner();
        // A checked write at this moment: what others did with the value must have happened.
        drop(inner.header.race.write());
        // SAFETY: the caller promises that nobody else has a way to the value.
        unsafe { &mut *inner.value.get() }
    }
}

impl<T, P: Platform> Arc<T, P> {
    /// Moves the value out, if there is no other Arc. Weaks are no hindrance; they are empty then.
    ///
    /// Of several threads that call this at once, none may get the value; use
    /// [`into_inner`](Arc::into_inner) if one must.
    ///
    /// # Errors
    /// The Arc itself, if it is shared.
    #[inline]
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        let strong = &this.inner().header.strong;
        if strong.compare_exchange(1, 0, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Err(this);
        }
        this.inner().header.acquire_strong();
        // SAFETY: we took the count to 0 and have seen all uses.
        Ok(unsafe { Self::take(this) })
    }

    /// Moves the value out if this is the last Arc, and drops the Arc otherwise. Of several
    /// threads that give up their Arcs in this way, exactly one gets the value.
    #[inline]
    pub fn into_inner(this: Self) -> Option<T> {
        if !this.inner().header.decrement_strong() {
            // Given up already.
            Self::into_inner_pointer(this);
            return None;
        }
        // SAFETY: we took the count to 0 and have seen all uses.
        Some(unsafe { Self::take(this) })
    }

    /// Moves the value out if this is the last Arc, and clones it otherwise.
    #[inline]
    pub fn unwrap_or_clone(this: Self) -> T
    where
        T: Clone,
    {
        Self::try_unwrap(this).unwrap_or_else(|shared| (*shared).clone())
    }

    /// # Safety
    /// The strong count is 0, `this` took it there, and all uses of the value have happened.
    unsafe fn take(this: Self) -> T {
        let inner = Self::into_inner_pointer(this);
        // SAFETY: the weak reference of all strong ones, which are no more.
        let weak = unsafe { Weak::from_inner(inner) };
        // SAFETY: the weak reference keeps the memory.
        let shared = unsafe { inner.as_ref() };
        let open = shared.header.race.write();
        // SAFETY: the value is alive and nobody's but ours; it is not used again.
        let value = unsafe { ptr::read(shared.value.get()) };
        drop(open);
        drop(weak);
        value
    }
}

impl<T: Clone, P: Platform> Arc<T, P> {
    /// The value, for mutation: a clone of it in a new allocation if other Arcs share it; the
    /// value itself, moved to a new allocation, if only Weaks point to it, which are empty then.
    ///
    /// ```
    /// use raddle_ownership::Arc;
    /// let mut mine = Arc::new(1);
    /// let theirs = Arc::clone(&mine);
    /// *Arc::make_mut(&mut mine) += 1;
    /// assert_eq!((*mine, *theirs), (2, 1));
    /// ```
    pub fn make_mut(this: &mut Self) -> &mut T {
        let header = &this.inner().header;
        // The count is 0 while we look further, so no Weak can become an Arc meanwhile.
        // ORDERING: Acquire pairs with the releasing decrements in `decrement_strong`.
        let sole =
            header.strong.compare_exchange(1, 0, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !sole {
            *this = Self::new_in((**this).clone());
        } else if header.weak.load(Ordering::Relaxed) != 1 {
            // Weaks point here, or did a moment ago, which costs one needless move.
            this.leave_to_weaks();
        } else {
            // There is nobody, and nobody can come. (A swap, because others read-modify-write the
            // word.)
            header.strong.swap(1, Ordering::Relaxed);
        }
        // SAFETY: a new allocation, or one that nobody else points to.
        unsafe { Self::exclusive(this) }
    }

    /// Moves the value to an allocation of its own. The strong count here is 0 already.
    fn leave_to_weaks(&mut self) {
        let fresh = Inner::<MaybeUninit<T>, P>::allocate(1, 1, MaybeUninit::uninit());
        // From here on nothing panics until `self` is whole again.
        // SAFETY: `self` has become the weak reference of all strong ones, which are no more. Its
        // Arc is overwritten below without being dropped.
        let _weak = unsafe { Weak::from_inner(self.inner) };
        let old = self.inner();
        let open = old.header.race.write();
        // SAFETY: the value is alive, and ours alone: moved, and not used here again.
        unsafe { ptr::copy_nonoverlapping(old.value.get(), fresh.as_ref().value.get().cast(), 1) };
        drop(open);
        // SAFETY: the fresh allocation holds the value now and counts one strong reference.
        let fresh = unsafe { Self::from_inner(fresh.cast()) };
        core::mem::forget(core::mem::replace(self, fresh));
    }
}
