//! The futures that lock.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Native, Platform};

use super::acquire::{Acquire, Upgrade};
use super::raw::Mode;
use super::{ParkingRwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
use crate::block::Wait;

macro_rules! locking_future {
    ($(#[$doc:meta])* $name:ident, $mode:ident, $guard:ident) => {
        $(#[$doc])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<'a, T: ?Sized, P: Platform = Native> {
            lock: &'a ParkingRwLock<T, P>,
            acquire: Acquire<'a, P>,
        }

        impl<'a, T: ?Sized, P: Platform> $name<'a, T, P> {
            #[inline]
            pub(super) fn new(lock: &'a ParkingRwLock<T, P>) -> Self {
                Self { lock, acquire: Acquire::new(&lock.raw, Mode::$mode) }
            }
        }

        impl<'a, T: ?Sized, P: Platform> Future for $name<'a, T, P> {
            type Output = $guard<'a, T, P>;

            fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
                let lock = self.lock;
                // SAFETY: `acquire` is pinned as `self` is: it is never moved out.
                let acquire = unsafe { self.map_unchecked_mut(|this| &mut this.acquire) };
                // SAFETY: ready means locked.
                acquire.poll(context, false).map(|()| unsafe { $guard::new(lock) })
            }
        }

        impl<T: ?Sized, P: Platform> fmt::Debug for $name<'_, T, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

locking_future!(
    /// Locks for reading; see [`ParkingRwLock::read_async`].
    ReadLock, Read, RwLockReadGuard
);
locking_future!(
    /// Locks for writing; see [`ParkingRwLock::write_async`].
    WriteLock, Write, RwLockWriteGuard
);
locking_future!(
    /// Locks for upgradable reading; see [`ParkingRwLock::upgradable_read_async`].
    UpgradableReadLock, Upgradable, RwLockUpgradableReadGuard
);

/// Makes an upgradable reader the writer; see [`RwLockUpgradableReadGuard::upgrade_async`].
#[must_use = "futures do nothing unless polled"]
pub struct UpgradeLock<'a, T: ?Sized, P: Platform = Native> {
    // Before the guard: what is dropped first gives the claim up, and then the guard unlocks.
    upgrade: Upgrade<'a, P>,
    guard: Option<RwLockUpgradableReadGuard<'a, T, P>>,
}

impl<'a, T: ?Sized, P: Platform> UpgradeLock<'a, T, P> {
    pub(super) fn new(guard: RwLockUpgradableReadGuard<'a, T, P>) -> Self {
        let lock = RwLockUpgradableReadGuard::rwlock(&guard);
        Self { upgrade: Upgrade::new(&lock.raw), guard: Some(guard) }
    }
}

impl<'a, T: ?Sized, P: Platform> Future for UpgradeLock<'a, T, P> {
    type Output = RwLockWriteGuard<'a, T, P>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `upgrade` stays where it is; the guard may move.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(guard) = this.guard.take() else { panic!("polled after it was ready") };
        // SAFETY: pinned as `self` is.
        match unsafe { Pin::new_unchecked(&mut this.upgrade) }.poll(context, false) {
            // SAFETY: ready means that the reader has become the writer.
            Poll::Ready(()) => Poll::Ready(unsafe { guard.upgraded() }),
            Poll::Pending => {
                this.guard = Some(guard);
                Poll::Pending
            }
        }
    }
}

impl<T: ?Sized, P: Platform> fmt::Debug for UpgradeLock<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeLock").finish_non_exhaustive()
    }
}
