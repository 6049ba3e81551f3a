//! Lines on standard error.

use core::fmt;

use crate::config::Log;

/// Writes one line if `level` is wanted.
pub(crate) fn log(wanted: Log, level: Log, message: fmt::Arguments<'_>) {
    if level <= wanted {
        let name = match level {
            Log::Off | Log::Error => "error",
            Log::Warn => "warning",
            Log::Info => "info",
            Log::Debug => "debug",
        };
        eprintln!("raddle-kv: {name}: {message}");
    }
}
