//! Many readers or one writer.
//!
//! The word and its protocol are in [`raw`], the waiting in [`acquire`].

mod acquire;
mod future;
mod guard;
mod mapped;
mod raw;

use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use raddle_platform::suspend::{Interrupted, Limits, assert_unpinned};
use raddle_platform::{Instant, Native, Platform, RaceCell};

pub use future::{ReadLock, UpgradableReadLock, UpgradeLock, WriteLock};
pub use guard::{RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
pub use mapped::{MappedRwLockReadGuard, MappedRwLockWriteGuard};

use crate::Cancelled;
use crate::block::block;
use crate::patience::after;
use acquire::Acquire;
use raw::{Mode, READER, RawRwLock, UPGRADABLE, WRITER};

/// Gives many at a time shared access to a value, or one exclusive access.
///
/// A writer that waits for the readers to leave keeps new ones out, so a thread that reads and
/// calls [`read`](Self::read) again may deadlock; [`read_recursive`](Self::read_recursive) does
/// not. An *upgradable* reader stands beside readers, but alone of its kind, and can become the
/// writer without anybody writing in between.
///
/// Whoever waits may be a thread, a fiber or a future. As with the mutex a waiter may be overtaken,
/// but only so often and so long, and there is no poisoning.
///
/// ```
/// use raddle_parking_lot::ParkingRwLock;
/// let words: ParkingRwLock<Vec<&str>> = ParkingRwLock::new(vec!["a"]);
/// {
///     let (one, two) = (words.read(), words.read());
///     assert_eq!(one.len(), two.len());
///     assert!(words.try_write().is_none());
/// }
/// words.write().push("b");
/// assert_eq!(*words.read(), ["a", "b"]);
/// ```
///
/// A reference to the value does not outlive the guard:
///
/// ```compile_fail,E0505
/// use raddle_parking_lot::ParkingRwLock;
/// let lock: ParkingRwLock<u64> = ParkingRwLock::new(0);
/// let guard = lock.read();
/// let value = &*guard;
/// drop(guard);
/// assert_eq!(*value, 0);
/// ```
///
/// A value that may not be shared between threads may not be in a shared lock:
///
/// ```compile_fail,E0277
/// use raddle_parking_lot::ParkingRwLock;
/// fn shared<T: Sync>(_: T) {}
/// shared(ParkingRwLock::<_>::new(std::cell::Cell::new(0)));
/// ```
pub struct ParkingRwLock<T: ?Sized, P: Platform = Native> {
    raw: RawRwLock<P>,
    // A `RaceCell` is `Sync` if the value is `Send`; here readers share it.
    not_sync: PhantomData<Cell<()>>,
    value: RaceCell<T, P>,
}

const _: () = assert!(size_of::<ParkingRwLock<()>>() == 24);

// SAFETY: readers on several threads share the value, a writer on any thread has it alone.
unsafe impl<T: ?Sized + Send + Sync, P: Platform> Sync for ParkingRwLock<T, P> {}

impl<T> ParkingRwLock<T> {
    /// A lock for production, usable in a `static`.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { raw: RawRwLock::new(), not_sync: PhantomData, value: RaceCell::new(value) }
    }
}

impl<T, P: Platform> ParkingRwLock<T, P> {
    /// A lock in the world `P`.
    #[inline]
    #[track_caller]
    pub fn new_in(value: T) -> Self {
        Self { raw: RawRwLock::new_in(), not_sync: PhantomData, value: RaceCell::new_in(value) }
    }

    /// The value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

/// Shared access.
impl<T: ?Sized, P: Platform> ParkingRwLock<T, P> {
    /// Locks for reading; the calling fiber or thread is suspended until it can. Not a
    /// cancellation point.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T, P> {
        let _inside = P::called();
        self.must(Mode::Read);
        // SAFETY: locked just now.
        unsafe { RwLockReadGuard::new(self) }
    }

    /// Locks for reading if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: locked just now.
        self.raw.try_now(Mode::Read, 0).then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Locks for reading, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T, P>> {
        let _inside = P::called();
        self.try_read().or_else(|| self.try_read_until(after::<P>(timeout)))
    }

    /// Locks for reading, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_read_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: locked just now.
        self.until(Mode::Read, deadline).then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Locks for reading; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn read_cancellable(&self) -> Result<RwLockReadGuard<'_, T, P>, Cancelled> {
        let _inside = P::called();
        self.cancellable(Mode::Read)?;
        // SAFETY: locked just now.
        Ok(unsafe { RwLockReadGuard::new(self) })
    }

    /// Locks for reading; the calling task is suspended until it can. Dropping the future gives up
    /// the place in the queue.
    #[inline]
    pub fn read_async(&self) -> ReadLock<'_, T, P> {
        ReadLock::new(self)
    }

    /// Locks for reading, also if a writer waits. A caller that has locked for reading already
    /// does not deadlock.
    #[track_caller]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T, P> {
        let _inside = P::called();
        assert_unpinned::<P>();
        if !self.raw.try_read_recursive() {
            // A writer is inside, so the caller does not read.
            self.must(Mode::Read);
        }
        // SAFETY: locked just now.
        unsafe { RwLockReadGuard::new(self) }
    }

    /// As [`read_recursive`](Self::read_recursive), if that is possible at once.
    #[track_caller]
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: locked just now.
        self.raw.try_read_recursive().then(|| unsafe { RwLockReadGuard::new(self) })
    }
}

/// Exclusive access.
impl<T: ?Sized, P: Platform> ParkingRwLock<T, P> {
    /// Locks for writing; the calling fiber or thread is suspended until it can. Not a
    /// cancellation point.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T, P> {
        let _inside = P::called();
        assert_unpinned::<P>();
        if !self.raw.try_write_idle() {
            self.must(Mode::Write);
        }
        // SAFETY: locked just now.
        unsafe { RwLockWriteGuard::new(self) }
    }

    /// Locks for writing if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: locked just now.
        self.raw.try_now(Mode::Write, 0).then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Locks for writing, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_write_for(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T, P>> {
        let _inside = P::called();
        self.try_write().or_else(|| self.try_write_until(after::<P>(timeout)))
    }

    /// Locks for writing, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_write_until(&self, deadline: Instant) -> Option<RwLockWriteGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: locked just now.
        self.until(Mode::Write, deadline).then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Locks for writing; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn write_cancellable(&self) -> Result<RwLockWriteGuard<'_, T, P>, Cancelled> {
        let _inside = P::called();
        self.cancellable(Mode::Write)?;
        // SAFETY: locked just now.
        Ok(unsafe { RwLockWriteGuard::new(self) })
    }

    /// Locks for writing; the calling task is suspended until it can. Dropping the future gives up
    /// the place in the queue.
    #[inline]
    pub fn write_async(&self) -> WriteLock<'_, T, P> {
        WriteLock::new(self)
    }
}

/// Shared access that can become exclusive.
impl<T: ?Sized, P: Platform> ParkingRwLock<T, P> {
    /// Locks for upgradable reading; the calling fiber or thread is suspended until it can. Not a
    /// cancellation point.
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T, P> {
        let _inside = P::called();
        self.must(Mode::Upgradable);
        // SAFETY: locked just now.
        unsafe { RwLockUpgradableReadGuard::new(self) }
    }

    /// Locks for upgradable reading if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T, P>> {
        let _inside = P::called();
        let locked = self.raw.try_now(Mode::Upgradable, 0);
        // SAFETY: locked just now.
        locked.then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Locks for upgradable reading, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_upgradable_read_for(
        &self,
        timeout: Duration,
    ) -> Option<RwLockUpgradableReadGuard<'_, T, P>> {
        let _inside = P::called();
        self.try_upgradable_read().or_else(|| self.try_upgradable_read_until(after::<P>(timeout)))
    }

    /// Locks for upgradable reading, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_upgradable_read_until(
        &self,
        deadline: Instant,
    ) -> Option<RwLockUpgradableReadGuard<'_, T, P>> {
        let _inside = P::called();
        let locked = self.until(Mode::Upgradable, deadline);
        // SAFETY: locked just now.
        locked.then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Locks for upgradable reading; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn upgradable_read_cancellable(
        &self,
    ) -> Result<RwLockUpgradableReadGuard<'_, T, P>, Cancelled> {
        let _inside = P::called();
        self.cancellable(Mode::Upgradable)?;
        // SAFETY: locked just now.
        Ok(unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Locks for upgradable reading; the calling task is suspended until it can. Dropping the
    /// future gives up the place in the queue.
    #[inline]
    pub fn upgradable_read_async(&self) -> UpgradableReadLock<'_, T, P> {
        UpgradableReadLock::new(self)
    }
}

impl<T: ?Sized, P: Platform> ParkingRwLock<T, P> {
    /// Whether anybody has the lock; by the time that the caller looks, it may have changed.
    pub fn is_locked(&self) -> bool {
        let word = self.raw.peek();
        word & (WRITER | UPGRADABLE) != 0 || word >= READER
    }

    /// Whether a writer has the lock, or has made its claim.
    pub fn is_locked_exclusive(&self) -> bool {
        self.raw.peek() & WRITER != 0
    }

    /// The value, through an exclusive borrow.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    #[inline]
    fn must(&self, mode: Mode) {
        assert_unpinned::<P>();
        if !self.raw.try_now(mode, 0) {
            self.must_slow(mode);
        }
    }

    #[cold]
    #[inline(never)]
    fn must_slow(&self, mode: Mode) {
        match self.within(mode, Limits::NONE) {
            Ok(()) => {}
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    fn until(&self, mode: Mode, deadline: Instant) -> bool {
        self.raw.try_now(mode, 0) || self.within(mode, Limits::until(deadline)).is_ok()
    }

    fn cancellable(&self, mode: Mode) -> Result<(), Cancelled> {
        if self.raw.try_now(mode, 0) {
            return Ok(());
        }
        self.within(mode, Limits::CANCELLABLE).map_err(|_| Cancelled)
    }

    fn within(&self, mode: Mode, limits: Limits) -> Result<(), Interrupted> {
        block::<P>(limits, Acquire::new(&self.raw, mode))
    }
}

impl<T: Default, P: Platform> Default for ParkingRwLock<T, P> {
    fn default() -> Self {
        Self::new_in(T::default())
    }
}

impl<T, P: Platform> From<T> for ParkingRwLock<T, P> {
    fn from(value: T) -> Self {
        Self::new_in(value)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for ParkingRwLock<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("ParkingRwLock");
        match self.try_read() {
            Some(guard) => f.field("value", &&*guard),
            None => f.field("value", &format_args!("<locked>")),
        };
        f.finish()
    }
}
