//! A Redis-protocol server on Raddle.

pub mod bytes;
pub mod client;
pub mod commands;
pub mod config;
pub mod connection;
pub mod glob;
pub mod input;
pub mod keyspace;
mod log;
pub mod memory;
pub mod protocol;
pub mod pubsub;
pub mod server;
pub mod session;
pub mod shared;
pub mod start;
pub mod table;
