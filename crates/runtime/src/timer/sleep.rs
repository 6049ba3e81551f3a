//! Sleeping, and giving up on a future in time.

use core::fmt;
use core::future::Future;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::suspend::{self, Interrupted, Limits};
use raddle_platform::{Clock, Instant, Native, Platform};

use super::wheel::Entry;
use crate::cancel::Cancelled;
use crate::handle::Handle;
use crate::scheduler::{Shared, Worker};

/// Suspends the calling fiber or thread for `duration`. A cancellation point.
///
/// # Errors
/// [`Cancelled`], if the calling fiber is or was cancelled.
pub fn sleep<P: Platform>(duration: Duration) -> Result<(), Cancelled> {
    sleep_until::<P>(P::Clock::now() + duration)
}

/// Suspends the calling fiber or thread until `deadline`. A cancellation point.
///
/// # Errors
/// [`Cancelled`], if the calling fiber is or was cancelled.
pub fn sleep_until<P: Platform>(deadline: Instant) -> Result<(), Cancelled> {
    let limits = Limits { deadline: Some(deadline), cancellable: true };
    match suspend::wait::<P, ()>(limits, |_| Poll::Pending) {
        Ok(()) | Err(Interrupted::TimedOut) => Ok(()),
        Err(Interrupted::Cancelled) => Err(Cancelled),
    }
}

/// A future that is ready after `duration`.
pub fn sleep_async<P: Platform>(duration: Duration) -> Sleep<P> {
    sleep_until_async(P::Clock::now() + duration)
}

/// A future that is ready at `deadline`.
pub fn sleep_until_async<P: Platform>(deadline: Instant) -> Sleep<P> {
    Sleep { deadline, entry: Entry::new(), set: None, _pinned: PhantomPinned }
}

/// Ready at its deadline; see [`sleep_async`].
///
/// # Panics
/// When polled outside a runtime: it needs a worker's timers. Inside are tasks, and what a
/// runtime's `block_on` drives.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep<P: Platform = Native> {
    deadline: Instant,
    entry: Entry<P>,
    /// Whose timers hold the entry, and the waker that they will call.
    set: Option<(Arc<Shared<P>, P>, usize, Waker)>,
    _pinned: PhantomPinned,
}

impl<P: Platform> fmt::Debug for Sleep<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

// SAFETY: the entry is touched under its wheel's lock, or before it was set.
unsafe impl<P: Platform> Send for Sleep<P> {}

impl<P: Platform> Sleep<P> {
    /// When it will be ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    fn clear(&mut self) {
        if let Some((shared, worker, _)) = self.set.take() {
            // SAFETY: the entry was set there, and has not moved since.
            unsafe { shared.remotes[worker].timers.clear(NonNull::from(&mut self.entry)) };
        }
    }

    fn set(&mut self, waker: &Waker) {
        let (shared, worker, is_own) = match Worker::<P>::current() {
            Some(worker) => (worker.shared.clone(), worker.index, true),
            None => match Handle::<P>::try_current() {
                Some(handle) => (handle.shared, 0, false),
                None => panic!(
                    "a sleep was polled outside a runtime: spawn it, or drive it with \
                     Runtime::block_on"
                ),
            },
        };
        // Foreign code, which may panic: before the entry is linked.
        let (known, called) = (waker.clone(), waker.clone());
        let timers = &shared.remotes[worker].timers;
        // SAFETY: the future is pinned, and clears the entry when it is dropped.
        let earliest = unsafe { timers.set(NonNull::from(&mut self.entry), self.deadline, called) };
        if earliest && !is_own {
            shared.wake_worker(worker);
        }
        self.set = Some((shared, worker, known));
    }
}

impl<P: Platform> Future for Sleep<P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved out of the pin.
        let this = unsafe { self.get_unchecked_mut() };
        if P::Clock::now() >= this.deadline {
            this.clear();
            return Poll::Ready(());
        }
        let waker = context.waker();
        if !this.set.as_ref().is_some_and(|(_, _, known)| known.will_wake(waker)) {
            this.clear();
            this.set(waker);
        }
        Poll::Pending
    }
}

impl<P: Platform> Drop for Sleep<P> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The time was up before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

impl core::error::Error for Elapsed {}

/// Drives `future` for at most `duration`; a future that is not ready by then is dropped.
pub fn timeout<F: Future, P: Platform>(duration: Duration, future: F) -> Timeout<F, P> {
    Timeout { future, sleep: sleep_async(duration) }
}

/// See [`timeout`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F, P: Platform = Native> {
    future: F,
    sleep: Sleep<P>,
}

impl<F: Future, P: Platform> Future for Timeout<F, P> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: both fields are pinned with the whole, and neither is moved.
        let (future, sleep) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), Pin::new_unchecked(&mut this.sleep))
        };
        if let Poll::Ready(output) = future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        sleep.poll(context).map(|()| Err(Elapsed))
    }
}
