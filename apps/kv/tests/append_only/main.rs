//! The append-only file: what is written down is there after the next start, what is damaged is told,
//! and what was acknowledged is never lost without a word.

mod damage;
mod failure;
mod kept;
mod kill;
#[path = "../process/mod.rs"]
mod process;
mod rewrite;
mod support;
