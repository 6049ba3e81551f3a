//! The Loom platform.
