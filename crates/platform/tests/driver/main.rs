//! The drivers of production: one list of properties over all of them, what needs no driver,
//! signals, and kernels that refuse.

mod files;
mod kernel;
mod operations;
mod refused;
mod signals;
mod sockets;
mod support;
mod waiting;
mod world;
