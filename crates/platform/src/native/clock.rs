//! CLOCK_MONOTONIC and CLOCK_REALTIME, read through the vDSO.

use core::time::Duration;

use crate::time::{Clock, Instant};

/// The kernel's clocks. [`Instant`]s count from CLOCK_MONOTONIC's zero, so a deadline goes to the
/// kernel as it is.
#[derive(Debug)]
pub struct NativeClock;

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write a timespec to.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    debug_assert_eq!(status, 0, "both clocks exist on every Linux");
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec as u32)
}

impl Clock for NativeClock {
    #[inline]
    fn now() -> Instant {
        Instant::ZERO + read(libc::CLOCK_MONOTONIC)
    }
    #[inline]
    fn wall() -> Duration {
        read(libc::CLOCK_REALTIME)
    }
}

/// `deadline` as the kernel wants an absolute CLOCK_MONOTONIC time.
pub(crate) fn timespec(deadline: Instant) -> libc::timespec {
    let ns = deadline.as_nanos();
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
