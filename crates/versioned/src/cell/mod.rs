//! [`Versioned`]: a value with versions.
//!
//! ```text
//! head ──▶ version, stamp 9 ──▶ version, stamp 5 ──▶ version, stamp 1
//! ```
//!
//! A cell is a chain of versions, from the newest. Versions do not change; who writes publishes a new
//! one by one compare-exchange of the head, and only on top of one that is committed and has its
//! stamp. So at most the newest can be without: it has just been published by an update, or belongs
//! to a transaction that is not committed, or has just become so.
//!
//! * *A read* takes the head if that has a stamp. If not: an update's version is committed by being
//!   there, and the reader stamps it; a transaction's is what its [record](crate::transaction) says
//!   or is made to say, and if it is not committed then the version before is the newest.
//! * *An update* makes a version of what it has read, publishes it, stamps it, and prunes.
//! * *Pruning* unlinks what no snapshot may look for ([`clock`](crate::clock)) and retires it
//!   ([`epoch`](crate::epoch)). One thread at a time does it for a cell; the others go on. It leaves
//!   the newest version with a stamp, so what is before an uncommitted one stays there.
//!
//! Links are read before stamps and states: as long as a version is not committed the link to the
//! one before leads to the newest that is.
//!
//! | ordering | with | without it |
//! |---|---|---|
//! | head load: Acquire | publish: Release | `versioned/read_against_update` |
//! | stamp load: Acquire | stamp compare-exchange: Release | `transaction/snapshot_against_pruning` |
//! | link load: Acquire, as links come before stamps and states | link store of pruning: Release | `transaction/read_is_never_mixed` |
//! | AGAIN cleared: Acquire | PRUNING given up: Release | `pinned/two_that_prune` |
//! | AGAIN set: Release | AGAIN cleared: Acquire | the same |

mod raw;
pub(crate) mod version;

use core::fmt;
use core::marker::PhantomData;
use core::ops::{ControlFlow, Deref};

use raddle_parking_lot::spin::Backoff;
use raddle_platform::{Native, Platform, Race};

pub(crate) use raw::{RawCell, Room};
pub(crate) use version::Header;
use version::{Owned, Version, free};

use crate::UpdateError;
use crate::epoch::{Guard, pin_in};

/// A value that is read without waiting while others replace it, of which a
/// [`Snapshot`](crate::Snapshot) sees how it was, and which changes together with others in a
/// [`transaction`](crate::transaction()).
///
/// ```
/// use raddle_versioned::{Snapshot, Versioned};
///
/// let balance: Versioned<i64> = Versioned::new(100);
/// let before = Snapshot::new();
/// balance.update(|balance| balance - 30)?;
/// assert_eq!(*balance.read(), 70);
/// assert_eq!(*before.read(&balance), 100);
/// # Ok::<(), raddle_versioned::UpdateError>(())
/// ```
///
/// A read is wait-free but where it meets a transaction that is about to commit; then it finishes
/// what that one has begun or looks past it, and still waits for nobody. Each write allocates.
pub struct Versioned<T: Send + Sync + 'static, P: Platform = Native> {
    raw: RawCell<P>,
    value: PhantomData<T>,
}

// SAFETY: the versions hold `T`s, which are read by many threads and dropped by any of them.
unsafe impl<T: Send + Sync + 'static, P: Platform> Send for Versioned<T, P> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync + 'static, P: Platform> Sync for Versioned<T, P> {}

impl<T: Send + Sync + 'static> Versioned<T> {
    /// A cell with this value, which it has always had as far as snapshots see.
    pub fn new(value: T) -> Self {
        Self::new_in(value)
    }
}

impl<T: Send + Sync + 'static, P: Platform> Versioned<T, P> {
    /// [`new`](Versioned::new) in the world `P`.
    #[track_caller]
    pub fn new_in(value: T) -> Self {
        let first = Version::<T, P>::allocate(value, core::ptr::null());
        Self { raw: RawCell::new(first.share()), value: PhantomData }
    }

    pub(crate) fn raw(&self) -> &RawCell<P> {
        &self.raw
    }

    /// The value now. Never blocks, and never waits for a writer.
    ///
    /// The guard [pins](crate::epoch) the thread: keep it short, and drop it before anything that may
    /// block.
    #[inline(always)]
    #[track_caller]
    pub fn read(&self) -> VersionGuard<'_, T, P> {
        let _inside = P::called();
        self.read_pinned(pin_in::<P>())
    }

    #[inline(always)]
    fn read_pinned(&self, guard: Guard<P>) -> VersionGuard<'_, T, P> {
        let version = self.raw.newest(&guard).as_ptr();
        // SAFETY: a version of this cell, which is not freed while we are pinned.
        let (value, open) = unsafe { Version::<T, P>::value(version) }.open();
        VersionGuard { value, open, guard, cell: PhantomData }
    }

    /// Replaces the value by what `update` makes of it. `update` runs again if somebody else was
    /// faster; it runs pinned, so it must not block. If it panics nothing has changed.
    ///
    /// # Errors
    /// See [`UpdateError`]; nothing has changed then.
    #[track_caller]
    pub fn update(&self, mut update: impl FnMut(&T) -> T) -> Result<(), UpdateError> {
        let _inside = P::called();
        let commit = |value: &T| ControlFlow::<(), T>::Continue(update(value));
        self.update_bounded(commit).map(|_| ())
    }

    /// As [`update`](Self::update), but may leave the value as it is: `Continue` has the next value,
    /// `Break` ends without one.
    ///
    /// ```
    /// use core::ops::ControlFlow;
    /// use raddle_versioned::Versioned;
    ///
    /// let seats: Versioned<u32> = Versioned::new(1);
    /// let book = || {
    ///     seats.try_update(|&seats| match seats.checked_sub(1) {
    ///         Some(left) => ControlFlow::Continue(left),
    ///         None => ControlFlow::Break("sold out"),
    ///     })
    /// };
    /// assert_eq!(book(), Ok(ControlFlow::Continue(())));
    /// assert_eq!(book(), Ok(ControlFlow::Break("sold out")));
    /// ```
    ///
    /// # Errors
    /// See [`UpdateError`]; nothing has changed then.
    #[track_caller]
    pub fn try_update<B>(
        &self,
        update: impl FnMut(&T) -> ControlFlow<B, T>,
    ) -> Result<ControlFlow<B>, UpdateError> {
        let _inside = P::called();
        self.update_bounded(update)
    }

    fn update_bounded<B>(
        &self,
        mut update: impl FnMut(&T) -> ControlFlow<B, T>,
    ) -> Result<ControlFlow<B>, UpdateError> {
        let mut backoff = Backoff::new();
        for attempt in 0..P::CELL_BOUNDS.update_retries {
            if let Some(result) = self.try_once(attempt, &mut update) {
                return result;
            }
            backoff.pause::<P>();
        }
        Err(UpdateError::Conflict)
    }

    /// `None` if somebody was faster, or is in the way.
    fn try_once<B>(
        &self,
        attempt: u32,
        update: &mut impl FnMut(&T) -> ControlFlow<B, T>,
    ) -> Option<Result<ControlFlow<B>, UpdateError>> {
        // Dropped after the guard: its destructor is foreign code.
        let new: Owned<P>;
        let guard = pin_in::<P>();
        match self.raw.room(&guard) {
            Room::Yes => {}
            Room::Soon => return None,
            Room::No => return Some(Err(UpdateError::TooManyVersions)),
        }
        let current = self.raw.ready(attempt, &guard)?;
        // SAFETY: a version of this cell, which is not freed while we are pinned; versions are
        // written by their destructors only.
        let value = unsafe { Version::<T, P>::value(current.as_ptr()) };
        // SAFETY: as above.
        let next = match unsafe { value.with(update) } {
            ControlFlow::Continue(next) => next,
            ControlFlow::Break(reason) => return Some(Ok(ControlFlow::Break(reason))),
        };
        new = Version::<T, P>::allocate(next, current.as_ptr());
        if !self.raw.publish(current, new.as_ptr()) {
            return None;
        }
        // SAFETY: shared, and freed when nobody is pinned any more.
        unsafe { (*new.share()).stamp_now(guard.participant().world()) };
        self.raw.prune(&guard);
        Some(Ok(ControlFlow::Continue(())))
    }

    /// How many versions there are: 1, as many as snapshots needed when somebody wrote last, and those
    /// of transactions that are about to commit.
    pub fn versions(&self) -> usize {
        self.raw.versions() as usize
    }

    /// The value, through an exclusive borrow. It is changed in place: a snapshot that was at this
    /// version sees the change.
    pub fn get_mut(&mut self) -> &mut T {
        let newest = self.raw.get_mut();
        // SAFETY: nobody else has the cell, so its newest version is committed, and its own.
        unsafe { &mut *Version::<T, P>::value(newest).as_ptr() }
    }

    /// The value. Nobody can read the cell any more, so nothing is retired.
    pub fn into_inner(mut self) -> T {
        let newest = self.raw.take();
        // SAFETY: nobody else has the cell and its versions.
        unsafe {
            free_chain((*newest).prev().cast_mut());
            Version::<T, P>::take(newest)
        }
    }
}

/// Frees a version and all that were before it.
///
/// # Safety
/// They are the caller's alone.
unsafe fn free_chain<P: Platform>(mut version: *mut Header<P>) {
    while !version.is_null() {
        // SAFETY: the caller's promise.
        unsafe {
            let prev = (*version).prev().cast_mut();
            free::<P>(version);
            version = prev;
        }
    }
}

impl<T: Send + Sync + 'static, P: Platform> Drop for Versioned<T, P> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the cell and its versions.
        unsafe { free_chain::<P>(self.raw.take()) };
    }
}

impl<T: Send + Sync + Default + 'static, P: Platform> Default for Versioned<T, P> {
    fn default() -> Self {
        Self::new_in(T::default())
    }
}

impl<T: Send + Sync + fmt::Debug + 'static, P: Platform> fmt::Debug for Versioned<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Versioned").field(&*self.read()).finish()
    }
}

/// The value of a [`Versioned`] when it was read.
pub struct VersionGuard<'a, T, P: Platform = Native> {
    value: *const T,
    open: <P::Race as Race>::Read,
    guard: Guard<P>,
    cell: PhantomData<&'a T>,
}

impl<T, P: Platform> Deref for VersionGuard<'_, T, P> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        let _open = (&self.open, &self.guard);
        // SAFETY: not freed while we are pinned, and written by its destructor only.
        unsafe { &*self.value }
    }
}

impl<T: fmt::Debug, P: Platform> fmt::Debug for VersionGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
