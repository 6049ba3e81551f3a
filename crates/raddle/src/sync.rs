//! Locks that fibers, futures and threads wait for alike, and shared ownership.
//!
//! ```
//! use raddle::sync::{Arc, Mutex};
//!
//! static HITS: Mutex<u64> = Mutex::new(0);
//!
//! let shared = Arc::new(Mutex::new(vec![1]));
//! let other = Arc::clone(&shared);
//! raddle::run(move || other.lock().push(2));
//! *HITS.lock() += 1;
//! assert_eq!(*shared.lock(), [1, 2]);
//! ```

use raddle_platform::Native;

pub use raddle_ownership::{Arc, Weak};
pub use raddle_parking_lot::{
    Condvar, MappedMutexGuard, MutexGuard, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Semaphore, SemaphorePermit, WaitGroup,
};

/// Mutual exclusion; see [`raddle_parking_lot::ParkingMutex`].
pub type Mutex<T> = raddle_parking_lot::ParkingMutex<T, Native>;

/// Many readers or one writer; see [`raddle_parking_lot::ParkingRwLock`].
pub type RwLock<T> = raddle_parking_lot::ParkingRwLock<T, Native>;
