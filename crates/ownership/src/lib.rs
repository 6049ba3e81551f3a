//! Shared ownership: [`Arc`] and [`Weak`], over the platform's atomics.
//!
//! They are `std::sync::Arc` and `std::sync::Weak` in everything that a program can observe: the
//! same operations under the same names, one allocation, two counts. They exist because std's
//! counts are invisible to a model checker and to a simulator: a value that is dropped too early,
//! or by a thread that has not seen the last write to it, would pass every test. Here the counts
//! are atomics of the platform, and a checker stands beside the value, so that loom reports an
//! access that races the drop.
//!
//! ```
//! use raddle_ownership::{Arc, Weak};
//!
//! struct Node {
//!     parent: Weak<Node>,
//!     name: &'static str,
//! }
//!
//! let root: Arc<Node> = Arc::new(Node { parent: Weak::new(), name: "root" });
//! let leaf: Arc<Node> = Arc::new(Node { parent: Arc::downgrade(&root), name: "leaf" });
//! assert_eq!(leaf.parent.upgrade().map(|parent| parent.name), Some("root"));
//! drop(root);
//! assert!(leaf.parent.upgrade().is_none());
//! ```
//!
//! # Where they differ from std's
//!
//! - Stable Rust gives unsizing to std's pointers only: `Arc<T>` does not become `Arc<dyn Trait>`
//!   by itself. [`unsize!`] does it.
//! - They cannot be the type of `self`.
//! - Dropping one counts as a use of `T`, so `T` may not borrow from something that is dropped in
//!   the same moment.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod arc;
mod exclusive;
mod inner;
mod raw;
mod traits;
mod weak;

pub use arc::Arc;
pub use weak::Weak;
