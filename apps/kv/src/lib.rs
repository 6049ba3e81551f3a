//! A Redis-protocol server on Raddle.

mod arc;
pub mod bytes;
pub mod client;
pub mod commands;
pub mod config;
pub mod glob;
pub mod keyspace;
pub mod memory;
pub mod protocol;
pub mod pubsub;
pub mod session;
pub mod shared;
pub mod table;

pub use arc::Arc;
