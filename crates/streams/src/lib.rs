//! Channels, broadcast and watched values, for threads, fibers and futures alike.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod broadcast;
pub mod channel;
mod spin;
