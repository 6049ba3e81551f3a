//! Which platform operations the production code has, and which of them a harness reached.

mod hits;

pub use hits::{Hit, Hits, Operation, Site};
