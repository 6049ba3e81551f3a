//! What may go to other threads, and what may be shared between them.

use std::cell::Cell;

use raddle_parking_lot::{
    AcquirePermits, Condvar, Lock, MappedMutexGuard, MappedRwLockReadGuard, MappedRwLockWriteGuard,
    MutexGuard, ParkingMutex, ParkingRwLock, ReadLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Semaphore, SemaphorePermit, UpgradableReadLock, UpgradeLock, WaitDone,
    WaitGroup, WaitNotified, WriteLock,
};

/// `$type: !$trait`, by an ambiguity that exists only if it is implemented.
macro_rules! is_not {
    ($type:ty, $trait:ident) => {{
        trait Ambiguous<A> {
            fn check() {}
        }
        struct Implements;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Implements> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

fn sends<T: Send>() {}
fn shares<T: Sync>() {}

#[test]
fn all_of_a_sendable_value_goes_to_other_threads() {
    sends::<ParkingMutex<Cell<u32>>>();
    shares::<ParkingMutex<Cell<u32>>>();
    sends::<MutexGuard<'_, Cell<u32>>>();
    sends::<MappedMutexGuard<'_, Cell<u32>>>();
    sends::<Lock<'_, Cell<u32>>>();
    sends::<WaitNotified<'_, Cell<u32>>>();
    sends::<ParkingRwLock<Cell<u32>>>();
    sends::<MappedRwLockWriteGuard<'_, Cell<u32>>>();
    is_not!(MutexGuard<'_, Cell<u32>>, Sync);
    is_not!(MappedMutexGuard<'_, Cell<u32>>, Sync);
    is_not!(ParkingRwLock<Cell<u32>>, Sync);
    // It could be downgraded on one thread while another one reads.
    is_not!(RwLockWriteGuard<'_, Cell<u32>>, Send);
    is_not!(RwLockUpgradableReadGuard<'_, Cell<u32>>, Send);
    is_not!(RwLockReadGuard<'_, Cell<u32>>, Send);
    is_not!(MappedRwLockReadGuard<'_, Cell<u32>>, Send);
}

#[test]
fn all_of_a_shareable_value_is_shared() {
    shares::<MutexGuard<'_, u32>>();
    shares::<ParkingRwLock<u32>>();
    sends::<RwLockReadGuard<'_, u32>>();
    shares::<RwLockReadGuard<'_, u32>>();
    sends::<RwLockWriteGuard<'_, u32>>();
    shares::<RwLockWriteGuard<'_, u32>>();
    sends::<RwLockUpgradableReadGuard<'_, u32>>();
    sends::<MappedRwLockReadGuard<'_, u32>>();
    sends::<ReadLock<'_, u32>>();
    sends::<WriteLock<'_, u32>>();
    sends::<UpgradableReadLock<'_, u32>>();
    sends::<UpgradeLock<'_, u32>>();
    shares::<Condvar>();
    shares::<Semaphore>();
    shares::<WaitGroup>();
    sends::<SemaphorePermit<'_>>();
    sends::<AcquirePermits<'_>>();
    sends::<WaitDone<'_>>();
}

#[test]
fn nothing_of_a_value_that_is_neither_leaves_its_thread() {
    is_not!(ParkingMutex<*const u32>, Sync);
    is_not!(ParkingMutex<*const u32>, Send);
    is_not!(MutexGuard<'_, *const u32>, Send);
    is_not!(Lock<'_, *const u32>, Send);
    is_not!(RwLockReadGuard<'_, *const u32>, Send);
    is_not!(WriteLock<'_, *const u32>, Send);
}
