//! Values that are read without waiting while others replace them.
//!
//! | | holds | read by | changed by |
//! |---|---|---|---|
//! | [`ArcCell`] | an `Arc`, replaced as a whole | [`load`](ArcCell::load), which counts no reference; [`load_full`](ArcCell::load_full) | [`store`](ArcCell::store), [`swap`](ArcCell::swap), [`rcu`](ArcCell::rcu) |
//! | [`Versioned`] | a value, and its older versions for who still looks for them | [`read`](Versioned::read), [`Snapshot::read`] | [`update`](Versioned::update), [`transaction`](transaction()) |
//!
//! A reader of either takes no lock and writes nothing that another thread reads often, so readers on
//! different processors do not slow each other down; and a writer never makes one wait. A
//! [`Snapshot`] sees any number of versioned cells as they were at one moment, and a transaction
//! changes them together.
//!
//! ```
//! use raddle_versioned::{Snapshot, Versioned, transaction};
//!
//! let stock: Vec<Versioned<u32>> = (0..8).map(|_| Versioned::new(100)).collect();
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         for item in 0..7 {
//!             let moved = transaction(|tx| {
//!                 tx.update(&stock[item], |count| count - 10);
//!                 tx.update(&stock[item + 1], |count| count + 10);
//!                 Ok::<(), ()>(())
//!             });
//!             moved.expect("nobody else writes");
//!         }
//!     });
//!     let now = Snapshot::new();
//!     assert_eq!(stock.iter().map(|count| *now.read(count)).sum::<u32>(), 800);
//! });
//! ```
//!
//! What was replaced is freed when nobody can read it any more: [`epoch`] says by whom and when. (A
//! version that a snapshot has kept is looked at again when the cell is written next.)
//!
//! **Architecture Invariant:** nothing here parks but a writer whose garbage is over its bound, and
//! no reader waits for anybody: one that meets a transaction which is about to commit looks a few times,
//! and then ends it.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod arc_cell;
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
