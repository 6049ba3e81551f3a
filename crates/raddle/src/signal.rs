//! Waiting for signals.

use std::io;

use raddle_platform::Native;
pub use raddle_runtime::signal::{Signal, SignalStream};

/// Catches ctrl-C (SIGINT) from now on, instead of its default effect.
///
/// ```no_run
/// raddle::run(|| raddle::signal::ctrl_c()?.wait())?; // serves nobody until ctrl-C
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The kernel's.
pub fn ctrl_c() -> io::Result<SignalStream> {
    raddle_runtime::signal::ctrl_c::<Native>()
}

/// Catches the polite request to end (SIGTERM) from now on.
///
/// # Errors
/// The kernel's.
pub fn terminate() -> io::Result<SignalStream> {
    raddle_runtime::signal::terminate::<Native>()
}
