//! Arc and Weak, over the platform's atomics.
