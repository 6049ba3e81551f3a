//! Values that are read without waiting while others replace them; see [`raddle_versioned`].
//!
//! ```
//! use raddle::versioned::{Snapshot, Versioned, transaction};
//!
//! let (left, right): (Versioned<u32>, Versioned<u32>) = (Versioned::new(7), Versioned::new(0));
//! let before = Snapshot::new();
//! transaction(|tx| {
//!     tx.update(&left, |value| value - 1);
//!     tx.update(&right, |value| value + 1);
//!     Ok::<(), ()>(())
//! })?;
//! assert_eq!((*left.read(), *right.read()), (6, 1));
//! assert_eq!((*before.read(&left), *before.read(&right)), (7, 0));
//! # Ok::<(), raddle::versioned::TransactionError<()>>(())
//! ```

pub use raddle_versioned::{
    ArcCell, ArcGuard, Conflict, Snapshot, SnapshotRef, Transaction, TransactionError, UpdateError,
    VersionGuard, Versioned, epoch, transaction,
};
