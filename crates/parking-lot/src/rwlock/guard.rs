//! What a locked read-write lock gives access through.
//!
//! The guards may go to other threads, as the mutex's may. A writer and an upgradable reader can
//! become readers there, so the value must be `Sync` besides.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::time::Duration;

use raddle_platform::suspend::Limits;
use raddle_platform::{Clock, Instant, Native, Platform, Race};

use super::ParkingRwLock;
use super::acquire::Upgrade;
use super::future::UpgradeLock;
use super::mapped::{MappedRwLockReadGuard, MappedRwLockWriteGuard};
use super::raw::{READER, UPGRADABLE, WRITER};
use crate::Cancelled;
use crate::block::block;

/// Shared access to the value of a locked [`ParkingRwLock`], which dropping it unlocks.
#[must_use = "if unused the lock is unlocked at once"]
pub struct RwLockReadGuard<'a, T: ?Sized, P: Platform = Native> {
    lock: &'a ParkingRwLock<T, P>,
    open: ManuallyDrop<<P::Race as Race>::Read>,
    value: PhantomData<&'a T>,
}

/// Exclusive access to the value of a locked [`ParkingRwLock`], which dropping it unlocks.
#[must_use = "if unused the lock is unlocked at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized, P: Platform = Native> {
    lock: &'a ParkingRwLock<T, P>,
    open: ManuallyDrop<<P::Race as Race>::Write>,
    value: PhantomData<&'a mut T>,
}

/// Shared access to the value of a locked [`ParkingRwLock`], which can become exclusive. Dropping
/// it unlocks.
#[must_use = "if unused the lock is unlocked at once"]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized, P: Platform = Native> {
    lock: &'a ParkingRwLock<T, P>,
    open: ManuallyDrop<<P::Race as Race>::Read>,
    value: PhantomData<&'a T>,
}

// SAFETY: any thread may unlock; the guard gives shared access only. The checker's token is a note
// about the access, which the platform's harness accepts from any thread.
unsafe impl<T: ?Sized + Sync, P: Platform> Send for RwLockReadGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for RwLockReadGuard<'_, T, P> {}
// SAFETY: any thread may unlock, and may use the value exclusively, or share it after `downgrade`.
unsafe impl<T: ?Sized + Send + Sync, P: Platform> Send for RwLockWriteGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for RwLockWriteGuard<'_, T, P> {}
// SAFETY: as for the write guard, which it can become.
unsafe impl<T: ?Sized + Send + Sync, P: Platform> Send for RwLockUpgradableReadGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for RwLockUpgradableReadGuard<'_, T, P> {}

impl<'a, T: ?Sized, P: Platform> RwLockReadGuard<'a, T, P> {
    /// # Safety
    /// The caller has locked for reading, and leaves the unlocking to the guard.
    #[inline]
    pub(super) unsafe fn new(lock: &'a ParkingRwLock<T, P>) -> Self {
        lock.raw.tell_acquired(true);
        let (_, open) = lock.value.open();
        Self { lock, open: ManuallyDrop::new(open), value: PhantomData }
    }

    /// The lock that the guard is of.
    pub fn rwlock(this: &Self) -> &'a ParkingRwLock<T, P> {
        this.lock
    }

    /// A guard of a part of the value.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P> {
        let value = NonNull::from(part(&this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedRwLockReadGuard::new(&this.lock.raw, value, open)
    }

    /// A guard of a part of the value, if `part` finds it.
    ///
    /// # Errors
    /// The guard itself, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, P>, Self> {
        let Some(value) = part(&this).map(NonNull::from) else { return Err(this) };
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        Ok(MappedRwLockReadGuard::new(&this.lock.raw, value, open))
    }
}

impl<'a, T: ?Sized, P: Platform> RwLockWriteGuard<'a, T, P> {
    /// # Safety
    /// The caller has locked for writing, and leaves the unlocking to the guard.
    #[inline]
    pub(super) unsafe fn new(lock: &'a ParkingRwLock<T, P>) -> Self {
        lock.raw.tell_acquired(false);
        let (_, open) = lock.value.open_mut();
        Self { lock, open: ManuallyDrop::new(open), value: PhantomData }
    }

    /// Ends the access without unlocking.
    fn close(self) -> &'a ParkingRwLock<T, P> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the token is not used again, as `this` is not dropped.
        unsafe { ManuallyDrop::drop(&mut this.open) };
        this.lock.raw.tell_released();
        this.lock
    }

    /// The lock that the guard is of.
    pub fn rwlock(this: &Self) -> &'a ParkingRwLock<T, P> {
        this.lock
    }

    /// Becomes a reader, with no writer in between. Readers that wait come in as well.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T, P> {
        let lock = this.close();
        lock.raw.release(WRITER, READER);
        // SAFETY: the caller is a reader now.
        unsafe { RwLockReadGuard::new(lock) }
    }

    /// Becomes an upgradable reader, with no writer in between. Readers that wait come in as well.
    pub fn downgrade_to_upgradable(this: Self) -> RwLockUpgradableReadGuard<'a, T, P> {
        let lock = this.close();
        lock.raw.release(WRITER, UPGRADABLE);
        // SAFETY: the caller is an upgradable reader now.
        unsafe { RwLockUpgradableReadGuard::new(lock) }
    }

    /// Unlocks, and hands the lock to whoever has waited longest, so that no newcomer overtakes.
    pub fn unlock_fair(this: Self) {
        this.close().raw.unlock_write_fair();
    }

    /// A guard of a part of the value.
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P> {
        let value = NonNull::from(part(&mut this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedRwLockWriteGuard::new(&this.lock.raw, value, open)
    }

    /// A guard of a part of the value, if `part` finds it.
    ///
    /// # Errors
    /// The guard itself, if `part` returns `None`.
    pub fn try_map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedRwLockWriteGuard<'a, U, P>, Self> {
        let Some(value) = part(&mut this).map(NonNull::from) else { return Err(this) };
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        Ok(MappedRwLockWriteGuard::new(&this.lock.raw, value, open))
    }
}

impl<'a, T: ?Sized, P: Platform> RwLockUpgradableReadGuard<'a, T, P> {
    /// # Safety
    /// The caller has locked for upgradable reading, and leaves the unlocking to the guard.
    #[inline]
    pub(super) unsafe fn new(lock: &'a ParkingRwLock<T, P>) -> Self {
        lock.raw.tell_acquired(true);
        let (_, open) = lock.value.open();
        Self { lock, open: ManuallyDrop::new(open), value: PhantomData }
    }

    /// Ends the access without unlocking.
    fn close(self) -> &'a ParkingRwLock<T, P> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the token is not used again, as `this` is not dropped.
        unsafe { ManuallyDrop::drop(&mut this.open) };
        this.lock.raw.tell_released();
        this.lock
    }

    /// # Safety
    /// The reader has become the writer.
    pub(super) unsafe fn upgraded(self) -> RwLockWriteGuard<'a, T, P> {
        // SAFETY: the caller's promise.
        unsafe { RwLockWriteGuard::new(self.close()) }
    }

    /// The lock that the guard is of.
    pub fn rwlock(this: &Self) -> &'a ParkingRwLock<T, P> {
        this.lock
    }

    /// Becomes the writer, with no other writer in between; the calling fiber or thread is
    /// suspended until the other readers have left. Not a cancellation point.
    pub fn upgrade(this: Self) -> RwLockWriteGuard<'a, T, P> {
        match Self::upgrade_within(this, Limits::NONE) {
            Ok(guard) => guard,
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    /// Becomes the writer if there are no other readers.
    ///
    /// # Errors
    /// The guard itself, if there are.
    pub fn try_upgrade(this: Self) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        if this.lock.raw.upgrade(true) {
            // SAFETY: upgraded just now.
            Ok(unsafe { this.upgraded() })
        } else {
            Err(this)
        }
    }

    /// Becomes the writer, waiting for `timeout` at most for the other readers.
    ///
    /// # Errors
    /// The guard itself, if they have not left in time.
    pub fn try_upgrade_for(
        this: Self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        Self::try_upgrade(this)
            .or_else(|this| Self::try_upgrade_until(this, P::Clock::now() + timeout))
    }

    /// Becomes the writer, waiting until `deadline` at most for the other readers.
    ///
    /// # Errors
    /// The guard itself, if they have not left in time.
    pub fn try_upgrade_until(
        this: Self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        Self::upgrade_within(this, Limits::until(deadline))
    }

    /// Becomes the writer; the wait for the other readers ends when the calling fiber is
    /// cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] and the guard itself, if it would have to wait and the fiber is cancelled.
    pub fn upgrade_cancellable(
        this: Self,
    ) -> Result<RwLockWriteGuard<'a, T, P>, (Cancelled, Self)> {
        Self::upgrade_within(this, Limits::CANCELLABLE).map_err(|this| (Cancelled, this))
    }

    /// Becomes the writer; the calling task is suspended until the other readers have left.
    /// Dropping the future unlocks.
    pub fn upgrade_async(this: Self) -> UpgradeLock<'a, T, P> {
        UpgradeLock::new(this)
    }

    fn upgrade_within(this: Self, limits: Limits) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        match block::<P>(limits, Upgrade::new(&this.lock.raw)) {
            // SAFETY: upgraded just now.
            Ok(()) => Ok(unsafe { this.upgraded() }),
            Err(_) => Err(this),
        }
    }

    /// Becomes a plain reader.
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T, P> {
        let lock = this.close();
        lock.raw.release(UPGRADABLE, READER);
        // SAFETY: the caller is a reader now.
        unsafe { RwLockReadGuard::new(lock) }
    }
}

impl<T: ?Sized, P: Platform> Drop for RwLockReadGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.lock.raw.tell_released();
        self.lock.raw.unlock_read();
    }
}

impl<T: ?Sized, P: Platform> Drop for RwLockWriteGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.lock.raw.tell_released();
        self.lock.raw.unlock_write();
    }
}

impl<T: ?Sized, P: Platform> Drop for RwLockUpgradableReadGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.lock.raw.tell_released();
        self.lock.raw.unlock_upgradable();
    }
}

impl<T: ?Sized, P: Platform> Deref for RwLockReadGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for reading.
        unsafe { &*self.lock.value.as_ptr() }
    }
}

impl<T: ?Sized, P: Platform> Deref for RwLockUpgradableReadGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for reading.
        unsafe { &*self.lock.value.as_ptr() }
    }
}

impl<T: ?Sized, P: Platform> Deref for RwLockWriteGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for writing, and the guard borrowed.
        unsafe { &*self.lock.value.as_ptr() }
    }
}

impl<T: ?Sized, P: Platform> DerefMut for RwLockWriteGuard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked for writing, and the guard borrowed exclusively.
        unsafe { &mut *self.lock.value.as_ptr() }
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for RwLockReadGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for RwLockWriteGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for RwLockUpgradableReadGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
