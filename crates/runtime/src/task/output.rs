//! How a task ends.

use core::any::Any;
use core::fmt;
use std::io;

/// Why a task has no result.
#[non_exhaustive]
pub enum JoinError {
    /// It panicked; the payload is what it panicked with.
    Panicked(Box<dyn Any + Send>),
    /// It was cancelled before it could start (a fiber), or before it was ready (a future); or it
    /// was spawned on a runtime that is shutting down.
    Cancelled,
    /// There was no memory for the fiber's stack.
    NoStack(io::Error),
    /// The fiber that joined was cancelled. The task goes on, detached.
    Interrupted,
}

impl JoinError {
    /// Goes on with the panic of the task in the calling fiber or thread.
    ///
    /// # Panics
    /// Always: with the task's payload if it panicked, otherwise with a message of what happened.
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked(payload) => std::panic::resume_unwind(payload),
            other => panic!("{other}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => {
                let message = payload
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
                write!(f, "the task panicked: {}", message.unwrap_or("with a payload of its own"))
            }
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::NoStack(error) => write!(f, "no stack for the fiber: {error}"),
            Self::Interrupted => f.write_str("the joining fiber was cancelled"),
        }
    }
}

impl core::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NoStack(error) => Some(error),
            _ => None,
        }
    }
}

/// Runs `body` and tells how it ended. A world that is being torn down unwinds every stack, and
/// that unwinding must go on: it is no panic of the task.
pub(crate) fn catch<P: raddle_platform::Platform, T>(
    body: impl FnOnce() -> T,
) -> Result<T, JoinError> {
    use raddle_platform::Threads as _;
    match std::panic::catch_unwind(core::panic::AssertUnwindSafe(body)) {
        Ok(value) => Ok(value),
        Err(payload) if P::Threads::tearing_down() => std::panic::resume_unwind(payload),
        Err(payload) => Err(JoinError::Panicked(payload)),
    }
}
