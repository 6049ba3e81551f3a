//! Guards of a part of the value.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use raddle_platform::{Native, Platform, Race};

use super::raw::RawRwLock;

/// Shared access to a part of the value of a [`ParkingRwLock`](super::ParkingRwLock); made by
/// [`RwLockReadGuard::map`](super::RwLockReadGuard::map).
#[must_use = "if unused the lock is unlocked at once"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized, P: Platform = Native> {
    raw: &'a RawRwLock<P>,
    value: NonNull<T>,
    open: ManuallyDrop<<P::Race as Race>::Read>,
    borrow: PhantomData<&'a T>,
}

/// Exclusive access to a part of the value of a [`ParkingRwLock`](super::ParkingRwLock); made by
/// [`RwLockWriteGuard::map`](super::RwLockWriteGuard::map).
#[must_use = "if unused the lock is unlocked at once"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized, P: Platform = Native> {
    raw: &'a RawRwLock<P>,
    value: NonNull<T>,
    open: ManuallyDrop<<P::Race as Race>::Write>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: any thread may unlock; the guard gives shared access only.
unsafe impl<T: ?Sized + Sync, P: Platform> Send for MappedRwLockReadGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for MappedRwLockReadGuard<'_, T, P> {}
// SAFETY: any thread may unlock, and may use the value exclusively.
unsafe impl<T: ?Sized + Send, P: Platform> Send for MappedRwLockWriteGuard<'_, T, P> {}
// SAFETY: a shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync, P: Platform> Sync for MappedRwLockWriteGuard<'_, T, P> {}

impl<'a, T: ?Sized, P: Platform> MappedRwLockReadGuard<'a, T, P> {
    /// The caller has locked for reading, and leaves the unlocking to the guard.
    pub(super) fn new(
        raw: &'a RawRwLock<P>,
        value: NonNull<T>,
        open: <P::Race as Race>::Read,
    ) -> Self {
        Self { raw, value, open: ManuallyDrop::new(open), borrow: PhantomData }
    }

    /// A guard of a part of the part.
    pub fn map<U: ?Sized>(
        this: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P> {
        let value = NonNull::from(part(&this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedRwLockReadGuard::new(this.raw, value, open)
    }
}

impl<'a, T: ?Sized, P: Platform> MappedRwLockWriteGuard<'a, T, P> {
    /// The caller has locked for writing, and leaves the unlocking to the guard.
    pub(super) fn new(
        raw: &'a RawRwLock<P>,
        value: NonNull<T>,
        open: <P::Race as Race>::Write,
    ) -> Self {
        Self { raw, value, open: ManuallyDrop::new(open), borrow: PhantomData }
    }

    /// A guard of a part of the part.
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P> {
        let value = NonNull::from(part(&mut this));
        let mut this = ManuallyDrop::new(this);
        // SAFETY: the token moves to the new guard; `this` is not dropped.
        let open = unsafe { ManuallyDrop::take(&mut this.open) };
        MappedRwLockWriteGuard::new(this.raw, value, open)
    }
}

impl<T: ?Sized, P: Platform> Deref for MappedRwLockReadGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for reading.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, P: Platform> Deref for MappedRwLockWriteGuard<'_, T, P> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: locked for writing, and the guard borrowed.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, P: Platform> DerefMut for MappedRwLockWriteGuard<'_, T, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked for writing, and the guard borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized, P: Platform> Drop for MappedRwLockReadGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.raw.tell_released();
        self.raw.unlock_read();
    }
}

impl<T: ?Sized, P: Platform> Drop for MappedRwLockWriteGuard<'_, T, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the guard goes; the token is not used again. The access ends before the unlock.
        unsafe { ManuallyDrop::drop(&mut self.open) };
        self.raw.tell_released();
        self.raw.unlock_write();
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for MappedRwLockReadGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug, P: Platform> fmt::Debug for MappedRwLockWriteGuard<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
