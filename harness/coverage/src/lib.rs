//! Which platform operations the production code has, and which of them a harness reached.
//!
//! ```text
//! Catalogue   what there is to reach, from the source
//! Hits        what a harness reached, from Location::caller()
//! Lines       what the harness's binary has code for, from its debug information
//! join        the three together: covered, excluded, or a gap and why
//! table, gaps, json, lcov, pages     the result, for readers and for programs
//! Ratchet     what was covered stays covered
//! ```
//!
//! Source and run name the same places because the platform's methods are `#[track_caller]` and the
//! production code calls them openly (`cargo xtask tidy` sees to that). So a hit that the catalogue
//! does not have is an error, not a curiosity.

mod catalogue;
mod exclusion;
mod formats;
mod hits;
mod join;
mod lines;
mod noting;
mod pages;
mod ratchet;
mod subject;
mod table;

pub use catalogue::{Catalogue, Entry, Package, Source};
pub use exclusion::{Exclusion, HARNESSES};
pub use formats::{json, lcov};
pub use hits::{Hit, Hits, Operation, Site};
pub use join::{Arm, Evidence, Point, Report, State, Tally, Why, is_required, join};
pub use lines::Lines;
pub use noting::{AddressHasher, is_production};
pub use pages::{escape, pages};
pub use raddle_source::operations::Category;
pub use ratchet::Ratchet;
pub use subject::Subject;
pub use table::{excluded, gaps, subjects, table};
