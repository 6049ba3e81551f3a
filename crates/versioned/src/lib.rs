//! Values that are read without waiting while others replace them.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod arc_cell;
mod backoff;
mod cell;
mod clock;
pub mod epoch;
mod error;
#[doc(hidden)]
pub mod internals;
mod snapshot;
mod transaction;
mod world;

pub use arc_cell::{ArcCell, ArcGuard};
pub use cell::{VersionGuard, Versioned};
pub use error::{Conflict, TransactionError, UpdateError};
pub use raddle_platform::{Native, Platform};
pub use snapshot::{Snapshot, SnapshotRef, snapshots};
pub use transaction::{Transaction, transaction, transaction_in};
