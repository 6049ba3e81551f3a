//! Values that are read without waiting while others replace them.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]
