//! Lines on standard error.

use core::fmt;
use std::io::{self, Write as _};

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
        // There is nowhere to complain that nobody listens to complaints.
        let _ = writeln!(io::stderr(), "raddle-kv: {name}: {message}");
    }
}
