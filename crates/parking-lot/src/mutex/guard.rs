//! What a locked mutex gives access through.
//!
//! Guards are `Send` if the value is: the mutex has no notion of an owning thread, a future that
//! holds a guard over an `.await` may go on elsewhere, and unlocking from there is sound. They are
//! `Sync` only if the value is.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use raddle_platform::{Native, Platform, Race, Threads};

use super::{ParkingMutex, RawMutex};

/// Access to the value of a locked [`ParkingMutex`], which dropping it unlocks.
#[must_use = "if unused the mutex is unlocked at once"]
pub struct MutexGuard<'a, T: ?Sized, P: Platform = Native> {
    mutex: &'a ParkingMutex<T, P>,
    open: ManuallyDrop<<P::Race as Race>::Write>,
    // The guard is as good as a `&mut T`, not as a `&ParkingMutex<T>`.
    value: PhantomData<&'a mut T>,
}

// SAFETY: see the module's head: any thread may unlock. The checker's token is a note about the
// access, which the platform's harness accepts from any thread.
unsafe impl<T: ?Sized + Send, P: Platform> Send for MutexGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for MutexGuard<'_, T, P> {}

impl<'a, T: ?Sized, P: Platform> MutexGuard<'a, T, P> {
    /// # Safety
    /// The caller has locked `mutex`, and leaves the unlocking to the guard.
    #[inline]
    pub(crate) unsafe fn new(mutex: &'a ParkingMutex<T, P>) -> Self {
        mutex.raw.tell_acquired();
        let (_, open) = mutex.value.open_mut();
        Self { mutex, open: ManuallyDrop::new(open), value: PhantomData }
    }

    /// Ends the access without unlocking.
    fn close(self) -> &'a ParkingMutex<T, P> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the token is not used again, as `this` is not dropped.
        unsafe { ManuallyDrop::drop(&mut this.open) };
        this.mutex.raw.tell_released();
        this.mutex
    }

    /// The mutex that the guard is of.
    pub fn mutex(this: &Self) -> &'a ParkingMutex<T, P> {
        this.mutex
    }

    /// A guard of a part of the value.
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, P> {
        let value = NonNull::from(part(&mut this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedMutexGuard {
            raw: &this.mutex.raw,
            value,
            open: ManuallyDrop::new(open),
            borrow: PhantomData,
        }
    }

    /// A guard of a part of the value, if `part` finds it.
    ///
    /// # Errors
    /// The guard itself, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U, P>, Self> {
        let Some(value) = part(&mut this).map(NonNull::from) else { return Err(this) };
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        Ok(MappedMutexGuard {
            raw: &this.mutex.raw,
            value,
            open: ManuallyDrop::new(open),
            borrow: PhantomData,
        })
    }

    /// Unlocks, and hands the mutex to whoever has waited longest, so that no newcomer overtakes.
    pub fn unlock_fair(this: Self) {
        this.close().raw.unlock_fair();
    }

    /// Lets whoever waits have the mutex in between; does nothing if nobody does.
    pub fn bump(this: &mut Self) {
        if this.mutex.raw.has_queue() {
            Self::unlocked_fair(this, || {});
        }
    }

    /// Runs `f` with the mutex unlocked.
    pub fn unlocked<R>(this: &mut Self, f: impl FnOnce() -> R) -> R {
        let _relock = Relock::unlock(this);
        f()
    }

    /// Runs `f` with the mutex unlocked, after it was handed to whoever has waited longest.
    pub fn unlocked_fair<R>(this: &mut Self, f: impl FnOnce() -> R) -> R {
        let _relock = Relock::unlock_fair(this);
        f()
    }
}

/// Locks a guard's mutex again when the time without it is over, also when that ends in a panic.
pub(crate) struct Relock<'g, 'a, T: ?Sized, P: Platform>(&'g mut MutexGuard<'a, T, P>);

impl<'g, 'a, T: ?Sized, P: Platform> Relock<'g, 'a, T, P> {
    pub(crate) fn unlock(guard: &'g mut MutexGuard<'a, T, P>) -> Self {
        // SAFETY: the token is replaced by `reopen` before anybody uses it again.
        unsafe { ManuallyDrop::drop(&mut guard.open) };
        guard.mutex.raw.tell_released();
        guard.mutex.raw.unlock();
        Self(guard)
    }

    fn unlock_fair(guard: &'g mut MutexGuard<'a, T, P>) -> Self {
        // SAFETY: the token is replaced by `reopen` before anybody uses it again.
        unsafe { ManuallyDrop::drop(&mut guard.open) };
        guard.mutex.raw.tell_released();
        guard.mutex.raw.unlock_fair();
        Self(guard)
    }

    /// # Safety
    /// The mutex was locked again, on behalf of the guard.
    pub(crate) unsafe fn locked(self) {
        // SAFETY: the guard's access begins again; `drop`, which would lock, does not run.
        unsafe { ManuallyDrop::new(self).reopen() };
    }

    /// # Safety
    /// The mutex is locked on behalf of the guard, whose access is closed.
    unsafe fn reopen(&mut self) {
        self.0.mutex.raw.tell_acquired();
        let (_, open) = self.0.mutex.value.open_mut();
        self.0.open = ManuallyDrop::new(open);
    }
}

impl<T: ?Sized, P: Platform> Drop for Relock<'_, '_, T, P> {
    fn drop(&mut self) {
        // When the world is torn down its mutexes may have lost their owners: no waiting for them.
        // The guard then unlocks what it may not have, in a world that nobody uses any more.
        if P::Threads::tearing_down() {
            self.0.mutex.raw.try_lock();
        } else {
            self.0.mutex.raw.lock();
        }
        // SAFETY: the mutex is locked.
        unsafe { self.reopen() };
    }
}

impl<T: ?Sized, P: Platform> Deref for MutexGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the mutex is locked, and the guard borrowed.
        unsafe { &*self.mutex.value.as_ptr() }
    }
}

impl<T: ?Sized, P: Platform> DerefMut for MutexGuard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is locked, and the guard borrowed exclusively.
        unsafe { &mut *self.mutex.value.as_ptr() }
    }
}

impl<T: ?Sized, P: Platform> Drop for MutexGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.mutex.raw.tell_released();
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for MutexGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display, P: Platform> fmt::Display for MutexGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Access to a part of the value of a locked [`ParkingMutex`]; made by [`MutexGuard::map`].
#[must_use = "if unused the mutex is unlocked at once"]
pub struct MappedMutexGuard<'a, T: ?Sized, P: Platform = Native> {
    raw: &'a RawMutex<P>,
    value: NonNull<T>,
    open: ManuallyDrop<<P::Race as Race>::Write>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: as for `MutexGuard`.
unsafe impl<T: ?Sized + Send, P: Platform> Send for MappedMutexGuard<'_, T, P> {}
// SAFETY: as for `MutexGuard`.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for MappedMutexGuard<'_, T, P> {}

impl<'a, T: ?Sized, P: Platform> MappedMutexGuard<'a, T, P> {
    /// A guard of a part of the part.
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, P> {
        let value = NonNull::from(part(&mut this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedMutexGuard {
            raw: this.raw,
            value,
            open: ManuallyDrop::new(open),
            borrow: PhantomData,
        }
    }

    /// Unlocks, and hands the mutex to whoever has waited longest.
    pub fn unlock_fair(this: Self) {
        let mut this = ManuallyDrop::new(this);
        // SAFETY: `this` is not dropped, and the token not used again.
        unsafe { ManuallyDrop::drop(&mut this.open) };
        this.raw.tell_released();
        this.raw.unlock_fair();
    }
}

impl<T: ?Sized, P: Platform> Deref for MappedMutexGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the mutex is locked, and the guard borrowed.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, P: Platform> DerefMut for MappedMutexGuard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is locked, and the guard borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized, P: Platform> Drop for MappedMutexGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.raw.tell_released();
        self.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for MappedMutexGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
