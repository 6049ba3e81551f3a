//! Benchmarks against rivals.
