//! Channels, broadcast and watched values, for threads, fibers and futures alike.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod broadcast;
pub mod channel;
pub mod combinators;
pub mod observable;
pub mod oneshot;
pub mod select;
pub mod watch;
