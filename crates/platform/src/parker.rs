//! Blocking and waking operating-system threads.

use core::task::Waker;

use crate::time::Instant;

/// Blocks the calling operating-system thread until it is woken.
///
/// Each thread has one token. [`Waker::wake`] sets it; [`park`](Parker::park) waits for it and
/// takes it away. A wake that comes first is kept, so it is never lost; several count as one. The
/// token is shared by everything that blocks on this thread: **every caller re-checks its own
/// condition in a loop**, and may return from a park that somebody else's wake ended.
///
/// Everything that happens before a wake happens before the return of the park that takes it.
pub trait Parker {
    /// A handle that wakes the calling thread, valid on every thread and for ever: waking a thread
    /// that has ended does nothing.
    #[track_caller]
    fn waker() -> Waker;
    /// Blocks until the token is there, and takes it.
    #[track_caller]
    fn park();
    /// Blocks until the token is there, or the clock shows `deadline`.
    #[track_caller]
    fn park_until(deadline: Instant);
}
