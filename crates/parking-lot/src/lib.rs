//! Locks whose waiters are threads, fibers or futures.
//!
//! A lock of the standard library blocks the thread, and with it every fiber and task that the
//! thread would run. A lock of an async library can be waited for by tasks only. Here one lock
//! serves all three: each way of waiting is a [`Waker`](core::task::Waker) in the same queue.
//!
//! | | blocking: fiber or thread | async | at once |
//! |---|---|---|---|
//! | [`ParkingMutex`] | `lock` | `lock_async` | `try_lock` |
//! | [`ParkingRwLock`] | `read`, `write`, `upgradable_read` | `read_async`, … | `try_read`, … |
//! | [`Condvar`] | `wait`, `wait_while` | `wait_async` | |
//! | [`Semaphore`] | `acquire`, `acquire_many` | `acquire_async`, … | `try_acquire`, … |
//! | [`WaitGroup`] | `wait` | `wait_async` | |
//! | [`EventCount`] | `wait` | `wait_async`, [`EventWaiter`] | |
//!
//! Each blocking form has one that ends at a deadline (`try_lock_for`, `try_lock_until`,
//! `wait_for`, …) and one that ends when the calling fiber is cancelled (`lock_cancellable`, …).
//! The others are not cancellation points. A future may be dropped at any time: it leaves the
//! queue, and what it was given in that moment goes to the next one.
//!
//! ```
//! use raddle_parking_lot::{ParkingMutex, Semaphore};
//! use raddle_platform::{Native, suspend};
//!
//! let log: ParkingMutex<Vec<&str>> = ParkingMutex::new(Vec::new());
//! let done = Semaphore::new(0);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         log.lock().push("from a thread"); // would park a fiber, if this were one
//!         done.add_permits(1);
//!     });
//!     suspend::block_on::<Native, _>(async {
//!         done.acquire_async().await.forget();
//!         log.lock_async().await.push("from a future");
//!     });
//! });
//! assert_eq!(*log.lock(), ["from a thread", "from a future"]);
//! ```
//!
//! Names and guards are those of `parking_lot`, and of tokio for the semaphore. There is no
//! poisoning: a panic unlocks. Nothing allocates: who waits lends the queue a node on its own
//! stack, or in its future. No lock keeps a note of its owner. How the queue works is told in the
//! source of `queue`, and each state word is drawn at the head of the module that changes it.
//!
//! **Architecture Invariant:** nothing here knows a runtime. What suspends a fiber is asked of
//! [`raddle_platform::suspend`], so the locks work on plain threads as well.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod block;
mod condvar;
mod event_count;
mod mutex;
mod patience;
mod queue;
mod rwlock;
mod semaphore;
mod spinlock;
mod wait_group;

/// What the crates above share with this one: waiting for a few instructions of somebody else.
#[doc(hidden)]
pub mod spin {
    pub use crate::patience::{Backoff, look_until};
    pub use crate::spinlock::{SpinGuard, Spinlock};
}

pub use condvar::{Condvar, WaitNotified, WaitTimeoutResult};
pub use event_count::{EventCount, EventWait, EventWaiter};
pub use mutex::{Lock, MappedMutexGuard, MutexGuard, ParkingMutex};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, ParkingRwLock, ReadLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, UpgradableReadLock, UpgradeLock, WriteLock,
};
pub use semaphore::{AcquirePermits, Semaphore, SemaphorePermit};
pub use wait_group::{WaitDone, WaitGroup};

/// The waiting fiber was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl core::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the waiting fiber was cancelled")
    }
}

impl core::error::Error for Cancelled {}
