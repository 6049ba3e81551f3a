//! Mutual exclusion.
//!
//! The word and its protocol are in [`raw`], the waiting in [`acquire`].

mod acquire;
mod guard;
mod raw;

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_platform::suspend::Limits;
use raddle_platform::{Instant, Native, Platform, RaceCell};

pub(crate) use acquire::Acquire;
pub(crate) use guard::Relock;
pub use guard::{MappedMutexGuard, MutexGuard};
pub(crate) use raw::RawMutex;

use crate::Cancelled;
use crate::block::Wait;
use crate::patience::after;

/// Gives one at a time access to a value.
///
/// Whoever waits may be a thread, a fiber or a future; each suspends itself and nothing else. The
/// mutex is one word beside the value, never allocates, is not poisoned by a panic, and keeps no
/// note of its owner.
///
/// A waiter may be overtaken by newcomers, which makes a busy mutex several times faster, but only
/// so often and so long; then it is handed the mutex. [`MutexGuard::unlock_fair`] hands it over at
/// once.
///
/// ```
/// use raddle_parking_lot::ParkingMutex;
/// static TOTAL: ParkingMutex<u64> = ParkingMutex::new(0);
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| *TOTAL.lock() += 1);
///     }
/// });
/// assert_eq!(*TOTAL.lock(), 2);
/// ```
///
/// A reference to the value does not outlive the guard:
///
/// ```compile_fail,E0505
/// use raddle_parking_lot::ParkingMutex;
/// let mutex: ParkingMutex<u64> = ParkingMutex::new(0);
/// let mut guard = mutex.lock();
/// let value = &mut *guard;
/// drop(guard);
/// *value += 1;
/// ```
///
/// Nor does the guard outlive the mutex:
///
/// ```compile_fail,E0505
/// use raddle_parking_lot::ParkingMutex;
/// let mutex: ParkingMutex<u64> = ParkingMutex::new(0);
/// let guard = mutex.lock();
/// drop(mutex);
/// drop(guard);
/// ```
pub struct ParkingMutex<T: ?Sized, P: Platform = Native> {
    raw: RawMutex<P>,
    value: RaceCell<T, P>,
}

const _: () = assert!(size_of::<ParkingMutex<()>>() == 8);

impl<T> ParkingMutex<T> {
    /// A mutex for production, usable in a `static`.
    #[inline]
    pub const fn new(value: T) -> Self {
        Self { raw: RawMutex::new(), value: RaceCell::new(value) }
    }
}

impl<T, P: Platform> ParkingMutex<T, P> {
    /// A mutex in the world `P`.
    #[inline]
    #[track_caller]
    pub fn new_in(value: T) -> Self {
        Self { raw: RawMutex::new_in(), value: RaceCell::new_in(value) }
    }

    /// The value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, P: Platform> ParkingMutex<T, P> {
    /// Locks; the calling fiber or thread is suspended until it can. Not a cancellation point.
    ///
    /// Locking a mutex that the caller has locked already deadlocks.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T, P> {
        let _inside = P::called();
        self.raw.lock();
        // SAFETY: the mutex was just locked.
        unsafe { MutexGuard::new(self) }
    }

    /// Locks if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, P>> {
        let _inside = P::called();
        // SAFETY: the mutex was just locked.
        self.raw.try_lock().then(|| unsafe { MutexGuard::new(self) })
    }

    /// Locks, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T, P>> {
        let _inside = P::called();
        self.try_lock().or_else(|| self.try_lock_until(after::<P>(timeout)))
    }

    /// Locks, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T, P>> {
        let _inside = P::called();
        let locked = self.raw.try_lock() || self.raw.lock_within(Limits::until(deadline)).is_ok();
        // SAFETY: the mutex was just locked.
        locked.then(|| unsafe { MutexGuard::new(self) })
    }

    /// Locks; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn lock_cancellable(&self) -> Result<MutexGuard<'_, T, P>, Cancelled> {
        let _inside = P::called();
        if !self.raw.try_lock() {
            self.raw.lock_within(Limits::CANCELLABLE).map_err(|_| Cancelled)?;
        }
        // SAFETY: the mutex was just locked.
        Ok(unsafe { MutexGuard::new(self) })
    }

    /// Locks; the calling task is suspended until it can. Dropping the future gives up the place
    /// in the queue.
    ///
    /// The guard may be kept over an `.await`. Whoever else wants the mutex waits as long; so do
    /// they if the future was given the mutex and is neither polled nor dropped.
    #[inline]
    pub fn lock_async(&self) -> Lock<'_, T, P> {
        Lock { mutex: self, acquire: Acquire::new(&self.raw) }
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawMutex<P> {
        &self.raw
    }

    /// Whether somebody has the mutex; by the time that the caller looks, it may have changed.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The value, through an exclusive borrow.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default, P: Platform> Default for ParkingMutex<T, P> {
    fn default() -> Self {
        Self::new_in(T::default())
    }
}

impl<T, P: Platform> From<T> for ParkingMutex<T, P> {
    fn from(value: T) -> Self {
        Self::new_in(value)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for ParkingMutex<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("ParkingMutex").field("value", &&*guard).finish(),
            None => {
                f.debug_struct("ParkingMutex").field("value", &format_args!("<locked>")).finish()
            }
        }
    }
}

/// Locks a [`ParkingMutex`]; see [`ParkingMutex::lock_async`].
#[must_use = "futures do nothing unless polled"]
pub struct Lock<'a, T: ?Sized, P: Platform = Native> {
    mutex: &'a ParkingMutex<T, P>,
    acquire: Acquire<'a, P>,
}

impl<'a, T: ?Sized, P: Platform> Future for Lock<'a, T, P> {
    type Output = MutexGuard<'a, T, P>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mutex = self.mutex;
        // SAFETY: `acquire` is pinned as `self` is: it is never moved out.
        let acquire = unsafe { self.map_unchecked_mut(|this| &mut this.acquire) };
        // SAFETY: ready means locked.
        acquire.poll(context, false).map(|()| unsafe { MutexGuard::new(mutex) })
    }
}

impl<T: ?Sized, P: Platform> fmt::Debug for Lock<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}
