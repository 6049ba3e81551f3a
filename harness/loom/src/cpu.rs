//! Processor time, so that a busy machine changes no verdict.

use core::time::Duration;

/// How long the calling thread has run, not counting the time in which others had the processor.
pub(crate) fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write a timespec to.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the clock exists on every Linux");
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
