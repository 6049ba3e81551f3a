//! Time, in nanoseconds of the platform's clock.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// A point of the platform's monotonic clock, in nanoseconds since a start that only the platform
/// knows. Comparable within one world.
///
/// ```
/// use core::time::Duration;
/// use raddle_platform::{Clock, Instant, Native, Platform};
/// let start = <Native as Platform>::Clock::now();
/// let later = start + Duration::from_millis(5);
/// assert_eq!(later - start, Duration::from_millis(5));
/// assert!(<Native as Platform>::Clock::now() >= start);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's start.
    pub const ZERO: Self = Self(0);
    /// Later than every deadline.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant `ns` nanoseconds after the clock's start.
    #[inline]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's start.
    #[inline]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    #[inline]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved by `duration`, at most to [`FAR_FUTURE`](Self::FAR_FUTURE).
    #[inline]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ns))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    /// Saturates at [`Instant::FAR_FUTURE`], so that "in 10,000 years" is a usable deadline.
    #[inline]
    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl Sub for Instant {
    type Output = Duration;
    /// Zero if `earlier` is later, as std's does.
    #[inline]
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({}.{:09})", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Where the time comes from.
pub trait Clock {
    /// The monotonic clock.
    #[track_caller]
    fn now() -> Instant;
    /// The wall clock: time since 1970-01-01 00:00 UTC. May jump.
    #[track_caller]
    fn wall() -> Duration;
}
