//! Sleeping and deadlines.

use core::future::Future;
use core::time::Duration;

use raddle_platform::{Clock, Native, Platform};
use raddle_runtime::Cancelled;
pub use raddle_runtime::{Elapsed, Instant, Sleep, Timeout};

/// The monotonic clock.
pub fn now() -> Instant {
    <Native as Platform>::Clock::now()
}

/// Suspends the calling fiber or thread. A cancellation point.
///
/// # Errors
/// [`Cancelled`], if the calling fiber is or was cancelled.
pub fn sleep(duration: Duration) -> Result<(), Cancelled> {
    raddle_runtime::sleep::<Native>(duration)
}

/// Suspends the calling fiber or thread until `deadline`. A cancellation point.
///
/// # Errors
/// [`Cancelled`], if the calling fiber is or was cancelled.
pub fn sleep_until(deadline: Instant) -> Result<(), Cancelled> {
    raddle_runtime::sleep_until::<Native>(deadline)
}

/// A future that is ready after `duration`.
pub fn sleep_async(duration: Duration) -> Sleep {
    raddle_runtime::sleep_async::<Native>(duration)
}

/// Drives `future` for at most `duration`.
///
/// ```
/// use raddle::time::{sleep_async, timeout};
/// use std::time::Duration;
///
/// let result = raddle::run(|| {
///     let slow = sleep_async(Duration::from_secs(3600));
///     raddle::block_on(timeout(Duration::from_millis(1), slow))
/// });
/// assert!(result.is_err());
/// ```
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    raddle_runtime::timeout::<F, Native>(duration, future)
}
