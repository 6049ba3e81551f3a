//! A Redis-protocol server on Raddle, and the program on which Raddle is proved.
//!
//! Any Redis client can talk to it: strings with expiry, scans, publish and subscribe, in both
//! versions of the protocol. Each connection is a fiber that reads, runs and writes in blocking
//! style. Commands are atomic, whichever workers run them and however many keys they have.
//!
//! ```text
//!   connection ─▶ input ─▶ protocol ─▶ commands ─▶ keyspace ─▶ table
//!       │                                  │
//!       └── memory ◀── client ◀── pubsub ◀─┘
//! ```
//!
//! - [`server`] listens and gives every connection to a worker. [`connection`] is the fiber
//!   between a socket and a [`session`]; [`input`] is its buffer.
//! - [`protocol`] parses requests in place and encodes replies. It knows no sockets and no
//!   commands.
//! - [`commands`] act on a session; they know no sockets.
//! - [`keyspace`] holds all keys in locked shards, each of them a [`table`] that is resized a
//!   little at a time and can be scanned meanwhile. [`glob`] matches names, [`bytes`] stores them.
//! - [`aof`] writes down what changes, and reads it at the next start.
//! - [`pubsub`] knows who listens to what and puts messages into the [`outbox`] of each
//!   [`client`]; [`memory`] is the account of what all clients' buffers take.
//!
//! **Architecture Invariant:** everything is generic over the
//! [`Platform`](raddle::on::Platform). No lock is held across I/O or any other suspension.
//!
//! ```no_run
//! use raddle_kv::{config::Config, start::start};
//! use raddle::on::Native;
//!
//! // Serves on port 6380 until ctrl-C.
//! start::<Native>(Config::default())?;
//! # Ok::<(), raddle_kv::start::StartError>(())
//! ```

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod aof;
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
pub mod outbox;
pub mod protocol;
pub mod pubsub;
pub mod server;
pub mod session;
pub mod shared;
pub mod start;
pub mod table;
