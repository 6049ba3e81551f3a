//! Permits.
//!
//! The word and its protocol are in [`raw`].

mod raw;

use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_platform::suspend::Limits;
use raddle_platform::{Instant, Native, Platform};

use crate::Cancelled;
use crate::block::Wait;
use crate::patience::after;
use crate::queue::Waiter;
use raw::RawSemaphore;

/// Permits that are taken and given back: at most so many at a time.
///
/// Strictly first come, first served: while somebody waits no newcomer is served, even if the
/// first in the queue wants more permits than there are.
///
/// ```
/// use raddle_parking_lot::Semaphore;
/// let connections = Semaphore::new(2);
/// let first = connections.acquire();
/// let second = connections.acquire();
/// assert!(connections.try_acquire().is_none());
/// drop(first);
/// assert_eq!(connections.available_permits(), 1);
/// # drop(second);
/// ```
pub struct Semaphore<P: Platform = Native> {
    raw: RawSemaphore<P>,
}

impl Semaphore {
    /// A semaphore for production with so many permits, usable in a `static`.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub const fn new(permits: usize) -> Self {
        Self { raw: RawSemaphore::new(permits) }
    }
}

impl<P: Platform> Semaphore<P> {
    /// The most permits that there can be at a time.
    pub const MAX_PERMITS: usize = raw::MAX_PERMITS;

    /// A semaphore in the world `P`.
    ///
    /// # Panics
    /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new_in(permits: usize) -> Self {
        Self { raw: RawSemaphore::new_in(permits) }
    }

    /// Permits that nobody has; by the time that the caller looks, it may have changed.
    pub fn available_permits(&self) -> usize {
        self.raw.available()
    }

    /// Adds permits, and serves whoever waits for them.
    ///
    /// # Panics
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[inline]
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let _inside = P::called();
        self.raw.release(count);
    }

    /// Takes up to `count` permits away for good, and returns how many there were.
    #[track_caller]
    pub fn forget_permits(&self, count: usize) -> usize {
        let _inside = P::called();
        self.raw.forget(count)
    }

    /// Takes a permit; the calling fiber or thread is suspended until it can. Not a cancellation
    /// point.
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> SemaphorePermit<'_, P> {
        let _inside = P::called();
        self.acquire_many(1)
    }

    /// Takes `count` permits at once; the calling fiber or thread is suspended until it can.
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> SemaphorePermit<'_, P> {
        let _inside = P::called();
        match self.raw.acquire(count as usize, Limits::NONE) {
            Ok(()) => self.permit(count),
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    /// Takes a permit if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.try_acquire_many(1)
    }

    /// Takes `count` permits if that is possible at once.
    #[inline]
    #[track_caller]
    pub fn try_acquire_many(&self, count: u32) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.raw.try_acquire(count as usize).then(|| self.permit(count))
    }

    /// Takes a permit, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_acquire_for(&self, timeout: Duration) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.try_acquire_many_for(1, timeout)
    }

    /// Takes a permit, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_acquire_until(&self, deadline: Instant) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.try_acquire_many_until(1, deadline)
    }

    /// Takes `count` permits, waiting for `timeout` at most.
    #[track_caller]
    pub fn try_acquire_many_for(
        &self,
        count: u32,
        timeout: Duration,
    ) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.try_acquire_many(count)
            .or_else(|| self.try_acquire_many_until(count, after::<P>(timeout)))
    }

    /// Takes `count` permits, waiting until `deadline` at most.
    #[track_caller]
    pub fn try_acquire_many_until(
        &self,
        count: u32,
        deadline: Instant,
    ) -> Option<SemaphorePermit<'_, P>> {
        let _inside = P::called();
        self.raw.acquire(count as usize, Limits::until(deadline)).ok().map(|()| self.permit(count))
    }

    /// Takes a permit; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn acquire_cancellable(&self) -> Result<SemaphorePermit<'_, P>, Cancelled> {
        let _inside = P::called();
        self.acquire_many_cancellable(1)
    }

    /// Takes `count` permits; the wait ends when the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn acquire_many_cancellable(
        &self,
        count: u32,
    ) -> Result<SemaphorePermit<'_, P>, Cancelled> {
        let _inside = P::called();
        self.raw.acquire(count as usize, Limits::CANCELLABLE).map_err(|_| Cancelled)?;
        Ok(self.permit(count))
    }

    /// Takes a permit; the calling task is suspended until it can. Dropping the future gives up
    /// the place in the queue.
    pub fn acquire_async(&self) -> AcquirePermits<'_, P> {
        self.acquire_many_async(1)
    }

    /// Takes `count` permits at once; the calling task is suspended until it can. Dropping the
    /// future gives up the place in the queue.
    pub fn acquire_many_async(&self, count: u32) -> AcquirePermits<'_, P> {
        AcquirePermits { semaphore: self, count, waiter: Waiter::new(&self.raw, count as usize) }
    }

    #[inline]
    fn permit(&self, count: u32) -> SemaphorePermit<'_, P> {
        SemaphorePermit { semaphore: self, count }
    }
}

impl<P: Platform> fmt::Debug for Semaphore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available_permits", &self.available_permits()).finish()
    }
}

/// Takes permits of a [`Semaphore`]; see [`Semaphore::acquire_async`].
#[must_use = "futures do nothing unless polled"]
pub struct AcquirePermits<'a, P: Platform = Native> {
    semaphore: &'a Semaphore<P>,
    count: u32,
    waiter: Waiter<'a, P, RawSemaphore<P>>,
}

impl<'a, P: Platform> Future for AcquirePermits<'a, P> {
    type Output = SemaphorePermit<'a, P>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (semaphore, count) = (self.semaphore, self.count);
        // SAFETY: `waiter` is pinned as `self` is: it is never moved out.
        let waiter = unsafe { self.map_unchecked_mut(|this| &mut this.waiter) };
        waiter.poll(context, false).map(|()| semaphore.permit(count))
    }
}

impl<P: Platform> fmt::Debug for AcquirePermits<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquirePermits").field("count", &self.count).finish_non_exhaustive()
    }
}

/// Permits of a [`Semaphore`], which dropping them gives back.
#[must_use = "if unused the permits are given back at once"]
#[derive(Debug)]
pub struct SemaphorePermit<'a, P: Platform = Native> {
    semaphore: &'a Semaphore<P>,
    count: u32,
}

impl<P: Platform> SemaphorePermit<'_, P> {
    /// How many permits.
    pub fn num_permits(&self) -> usize {
        self.count as usize
    }

    /// Keeps the permits for ever, or until [`Semaphore::add_permits`] replaces them.
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Joins the permits of `other` to these.
    ///
    /// # Panics
    /// If they are of another semaphore.
    pub fn merge(&mut self, other: Self) {
        assert!(
            core::ptr::eq(self.semaphore, other.semaphore),
            "permits of different semaphores cannot be merged"
        );
        self.count = self.count.checked_add(other.count).expect("fewer than 2^32 permits");
        other.forget();
    }

    /// Parts `count` permits off; `None` if there are fewer.
    pub fn split(&mut self, count: u32) -> Option<Self> {
        self.count = self.count.checked_sub(count)?;
        Some(Self { semaphore: self.semaphore, count })
    }
}

impl<P: Platform> Drop for SemaphorePermit<'_, P> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.add_permits(self.count as usize);
    }
}
