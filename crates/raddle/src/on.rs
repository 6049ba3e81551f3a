//! The same items for code that is also to be tested: everything takes its world as a parameter.
//!
//! ```
//! use raddle::on::{Mutex, Native, Platform};
//!
//! struct Counter<P: Platform = Native> {
//!     count: Mutex<u64, P>,
//! }
//!
//! impl<P: Platform> Counter<P> {
//!     fn new() -> Self {
//!         Self { count: Mutex::new_in(0) }
//!     }
//!     fn increment(&self) -> u64 {
//!         let mut count = self.count.lock();
//!         *count += 1;
//!         *count
//!     }
//! }
//!
//! let counter: Counter = Counter::new();
//! assert_eq!(counter.increment(), 1);
//! ```

pub use raddle_ownership::{Arc, Weak};
pub use raddle_parking_lot::{
    Condvar, MappedMutexGuard, MutexGuard, ParkingMutex as Mutex, ParkingRwLock as RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit,
    WaitGroup,
};
pub use raddle_platform::driver::Kind as DriverKind;
pub use raddle_platform::{
    Atomic, AtomicInt, Clock, Instant, Native, Ordering, Platform, RaceCell, Rng,
};
pub use raddle_runtime::cancel::is_cancelled;
pub use raddle_runtime::{
    CancellationToken, Cancelled, Elapsed, Handle, JoinError, JoinHandle, Runtime, Scope,
    ScopedJoinHandle, Sleep, Timeout, block_on, checkpoint, fs, net, runtime, scope, signal, sleep,
    sleep_async, sleep_until, sleep_until_async, spawn, spawn_async, spawn_local, spawn_on, task,
    timeout, yield_async, yield_now,
};
pub use raddle_streams as stream;
pub use raddle_versioned::{ArcCell, Snapshot, Transaction, Versioned, epoch, transaction_in};
