//! [`ArcCell`]: a shared pointer that is replaced while others read it.
//!
//! The cell owns one strong reference to its value, as a raw pointer in an atomic word. Readers are
//! [pinned](crate::epoch), so they may read what the pointer leads to without counting a reference;
//! a writer swaps the pointer and retires the reference that it took out. Whoever wants to keep the
//! value counts one more while it is pinned: until the retired reference is freed the count cannot
//! be 0.
//!
//! | ordering | with | without it |
//! |---|---|---|
//! | pointer load: Acquire | the Release of who wrote it | `cells/read_against_store` reports a race on the value |
//! | swap and compare-exchange: Release | the Acquire of the load | the same; `pinned/pointer_stored`, `pinned/pointer_compared` |
//! | swap: Acquire | the Release of the write before | `cells/swap_against_swap` |
//!
//! A value that is compared with cannot be freed and its address be used again meanwhile, since who
//! compares holds a reference or a guard: there is no ABA.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;

use raddle_ownership::Arc;
use raddle_parking_lot::spin::Backoff;
use raddle_platform::{Atomic, Native, Ordering, Platform};

use crate::epoch::{Guard, pin_in};
use crate::error::Conflict;

/// A cell that holds an `Arc<T>`, to be read without waiting and without counting while others
/// replace it: configuration, routing tables, whatever is read often and changed seldom.
///
/// ```
/// use raddle_ownership::Arc;
/// use raddle_versioned::ArcCell;
///
/// let limits: ArcCell<Vec<u32>> = ArcCell::new(Arc::new(vec![1, 2]));
/// let before = limits.load();
/// limits.store(Arc::new(vec![3]));
/// assert_eq!(*before, [1, 2]); // a guard sees what it has loaded
/// assert_eq!(*limits.load(), [3]);
/// # drop(before);
/// limits.rcu(|old| old.iter().map(|limit| limit * 2).collect::<Vec<_>>())?;
/// assert_eq!(*limits.load_full(), [6]);
/// # Ok::<(), raddle_versioned::Conflict>(())
/// ```
///
/// Several cells do not change together; for that there is
/// [`transaction`](crate::transaction()).
pub struct ArcCell<T: Send + Sync + 'static, P: Platform = Native> {
    pointer: P::AtomicPtr<T>,
    owns: PhantomData<Arc<T, P>>,
}

impl<T: Send + Sync + 'static> ArcCell<T> {
    /// A cell with this value.
    pub fn new(value: Arc<T>) -> Self {
        Self::new_in(value)
    }
}

impl<T: Send + Sync + 'static, P: Platform> ArcCell<T, P> {
    /// [`new`](ArcCell::new) in the world `P`.
    #[track_caller]
    pub fn new_in(value: Arc<T, P>) -> Self {
        Self { pointer: P::AtomicPtr::new(Arc::into_raw(value).cast_mut()), owns: PhantomData }
    }

    /// The value now, without counting a reference. Waits for nobody.
    ///
    /// The guard [pins](crate::epoch) the thread: keep it short, and drop it before anything that
    /// may block; [`load_full`](Self::load_full) is for the rest.
    #[inline]
    #[track_caller]
    pub fn load(&self) -> ArcGuard<'_, T, P> {
        let _inside = P::called();
        self.load_pinned(pin_in::<P>())
    }

    #[inline(always)]
    fn load_pinned(&self, guard: Guard<P>) -> ArcGuard<'_, T, P> {
        ArcGuard { pointer: self.current(), guard, cell: PhantomData }
    }

    #[inline(always)]
    fn current(&self) -> *const T {
        // ORDERING: pairs with the releasing `replace` and `exchange`, for the value.
        self.pointer.load(Ordering::Acquire)
    }

    /// The value now, as a reference of one's own.
    #[inline]
    #[track_caller]
    pub fn load_full(&self) -> Arc<T, P> {
        let _inside = P::called();
        self.load_pinned(pin_in::<P>()).to_arc()
    }

    /// Replaces the value. The cell's reference to the old one is given up when everybody who may be
    /// reading it has gone.
    #[track_caller]
    pub fn store(&self, value: Arc<T, P>) {
        let _inside = P::called();
        let guard = pin_in::<P>();
        let old = self.replace(value);
        // SAFETY: taken out of the cell just now, and of no other.
        unsafe { retire(&guard, old) };
    }

    /// Replaces the value, and returns the old one.
    #[track_caller]
    pub fn swap(&self, value: Arc<T, P>) -> Arc<T, P> {
        let _inside = P::called();
        let guard = pin_in::<P>();
        let old = self.replace(value);
        // The cell's reference may be in use by readers who count none, so the caller gets another.
        // SAFETY: the cell's reference is not given up yet.
        let kept = unsafe { borrow::<T, P>(old) }.deref().clone();
        // SAFETY: taken out of the cell just now.
        unsafe { retire(&guard, old) };
        kept
    }

    fn replace(&self, value: Arc<T, P>) -> *const T {
        // ORDERING: releases the value to the load; acquires the old one, which is dropped some day.
        self.pointer.swap(Arc::into_raw(value).cast_mut(), Ordering::AcqRel)
    }

    /// Replaces the value if it is still `current`.
    ///
    /// ```
    /// use raddle_ownership::Arc;
    /// use raddle_versioned::ArcCell;
    ///
    /// let cell: ArcCell<i32> = ArcCell::new(Arc::new(1));
    /// let seen = cell.load_full();
    /// assert!(cell.compare_and_publish(&seen, Arc::new(2)).is_ok());
    /// let refused = cell.compare_and_publish(&seen, Arc::new(3));
    /// assert_eq!(*refused.unwrap_err(), 3);
    /// ```
    ///
    /// # Errors
    /// The new value, if somebody was faster.
    #[track_caller]
    pub fn compare_and_publish(
        &self,
        current: &Arc<T, P>,
        new: Arc<T, P>,
    ) -> Result<(), Arc<T, P>> {
        let _inside = P::called();
        self.exchange(&pin_in::<P>(), Arc::as_ptr(current), new)
    }

    /// `current` is alive, so its address is not used again.
    fn exchange(
        &self,
        guard: &Guard<P>,
        current: *const T,
        new: Arc<T, P>,
    ) -> Result<(), Arc<T, P>> {
        let new = Arc::into_raw(new);
        // ORDERING: releases the value to the load. The old one is `current`, of which the caller has a
        // reference.
        match self.pointer.compare_exchange(
            current.cast_mut(),
            new.cast_mut(),
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            Ok(old) => {
                // SAFETY: taken out of the cell just now.
                unsafe { retire::<T, P>(guard, old) };
                Ok(())
            }
            Err(_) => {
                P::retry("arc cell");
                // SAFETY: the reference that was given away above.
                Err(unsafe { Arc::from_raw(new) })
            }
        }
    }

    /// Replaces the value by what `update` makes of it, and returns the old one. `update` runs again
    /// if somebody else was faster.
    ///
    /// # Errors
    /// [`Conflict`] if others were faster [`update_retries`](raddle_platform::CellBounds::update_retries)
    /// times; nothing has changed then.
    #[track_caller]
    pub fn rcu<R: Into<Arc<T, P>>>(
        &self,
        update: impl FnMut(&T) -> R,
    ) -> Result<Arc<T, P>, Conflict> {
        let _inside = P::called();
        self.update_bounded(update)
    }

    fn update_bounded<R: Into<Arc<T, P>>>(
        &self,
        mut update: impl FnMut(&T) -> R,
    ) -> Result<Arc<T, P>, Conflict> {
        let mut backoff = Backoff::new();
        for _ in 0..P::CELL_BOUNDS.update_retries {
            // Counted, so that `update` may block.
            let old = self.load_pinned(pin_in::<P>()).to_arc();
            let new = update(&old).into();
            if self.exchange(&pin_in::<P>(), Arc::as_ptr(&old), new).is_ok() {
                return Ok(old);
            }
            backoff.pause::<P>();
        }
        Err(Conflict)
    }

    /// The value. Nobody can read the cell any more, so nothing is retired.
    pub fn into_inner(self) -> Arc<T, P> {
        ManuallyDrop::new(self).take()
    }

    fn take(&mut self) -> Arc<T, P> {
        let mut pointer = core::ptr::null_mut();
        self.pointer.with_mut(|current| pointer = *current);
        // SAFETY: the reference that the cell owns; the cell is given up.
        unsafe { Arc::from_raw(pointer) }
    }
}

impl<T: Send + Sync + 'static, P: Platform> Drop for ArcCell<T, P> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T: Send + Sync + 'static, P: Platform> From<Arc<T, P>> for ArcCell<T, P> {
    fn from(value: Arc<T, P>) -> Self {
        Self::new_in(value)
    }
}

impl<T: Send + Sync + fmt::Debug + 'static, P: Platform> fmt::Debug for ArcCell<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ArcCell").field(&*self.load()).finish()
    }
}

/// An Arc that owns no reference.
///
/// # Safety
/// `pointer` came from `Arc::into_raw`, and somebody's reference outlives the result.
unsafe fn borrow<T, P: Platform>(pointer: *const T) -> ManuallyDrop<Arc<T, P>> {
    // SAFETY: the caller's promise; the count is not touched.
    ManuallyDrop::new(unsafe { Arc::from_raw(pointer) })
}

/// Gives up a reference when nobody is pinned any more that could use it.
///
/// # Safety
/// The reference was a cell's, and was taken out just now.
unsafe fn retire<T: Send + Sync + 'static, P: Platform>(guard: &Guard<P>, pointer: *const T) {
    /// # Safety
    /// As `Arc::from_raw`.
    unsafe fn give_up<T, P: Platform>(pointer: *mut ()) {
        // SAFETY: the reference was a cell's, and is given up once.
        drop(unsafe { Arc::<T, P>::from_raw(pointer.cast_const().cast()) });
    }
    let pointer = pointer.cast_mut().cast();
    // SAFETY: an Arc of what is Send and Sync may be dropped anywhere, and nobody new can find it.
    unsafe { guard.retire_raw(pointer, give_up::<T, P>, size_of::<T>()) };
}

/// What an [`ArcCell`] held when it was loaded.
pub struct ArcGuard<'a, T, P: Platform = Native> {
    pointer: *const T,
    guard: Guard<P>,
    cell: PhantomData<&'a T>,
}

impl<T, P: Platform> ArcGuard<'_, T, P> {
    /// A reference of one's own, which may outlive the guard.
    #[inline]
    pub fn to_arc(&self) -> Arc<T, P> {
        // SAFETY: the cell's reference is not given up while we are pinned.
        unsafe { borrow::<T, P>(self.pointer) }.deref().clone()
    }
}

impl<T, P: Platform> Deref for ArcGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        let _pinned = &self.guard;
        // SAFETY: as in `to_arc`. The reference lives as long as the guard.
        let value: *const T = unsafe { &**borrow::<T, P>(self.pointer) };
        // SAFETY: alive as long as the guard.
        unsafe { &*value }
    }
}

impl<T: fmt::Debug, P: Platform> fmt::Debug for ArcGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
