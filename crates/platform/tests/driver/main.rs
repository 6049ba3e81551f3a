//! The drivers of production: one list of properties over all of them, signals, and kernels that
//! refuse.

mod operations;
mod refused;
mod signals;
mod support;
mod waiting;
