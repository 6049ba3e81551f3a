//! Runtimes, for programs that want more than [`run`](crate::run).

pub use raddle_platform::driver::Kind as DriverKind;
pub use raddle_runtime::runtime::{Builder, ShutdownError};
pub use raddle_runtime::{Handle, Runtime};
