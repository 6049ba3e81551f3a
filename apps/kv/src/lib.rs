//! A Redis-protocol server on Raddle.

pub mod glob;
pub mod protocol;
