//! The side that gives.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::EventWaiter;
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Clock, Instant, Native, Platform};

use super::error::{Failure, PublishError};
use super::shared::{Refusal, Shared, Spare, Start};
use super::{Policy, Subscriber};

/// Publishes items to all [`Subscriber`]s. Clones publish to the same stream, which is closed when the
/// last one is dropped.
///
/// While nobody sleeps, publishing costs the same for any number of subscribers: one read-modify-write and
/// one fence. It wakes those that sleep, one after the other. Whoever opens a chunk (as many items as [the
/// module](super) says) allocates it, takes the stream's lock, and gives a share of the chunk to each
/// subscriber with [`Policy::DropNewest`] that has room for it; no other policy costs it anything.
pub struct Publisher<T, P: Platform = Native> {
    shared: Arc<Shared<T, P>, P>,
}

impl<T> Publisher<T> {
    /// A publisher of a new stream, in production, with no subscriber yet.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn new(capacity: usize) -> Self {
        Self::new_in(capacity)
    }
}

impl<T, P: Platform> Publisher<T, P> {
    /// A publisher of a new stream in the world `P`, with no subscriber yet.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn new_in(capacity: usize) -> Self {
        Self { shared: Arc::new_in(Shared::new(capacity)) }
    }

    /// A publisher of a new stream whose first chunk has the number `first`.
    pub(super) fn starting_with(capacity: usize, first: u64) -> Self {
        Self { shared: Arc::new_in(Shared::starting_with(capacity, first)) }
    }

    /// Subscribes from now on, with [`Policy::DropOldest`].
    pub fn subscribe(&self) -> Subscriber<T, P> {
        self.subscribe_with(Policy::DropOldest, Start::Now)
    }

    /// Subscribes.
    pub fn subscribe_with(&self, policy: Policy, start: Start) -> Subscriber<T, P> {
        let _inside = P::called();
        Subscriber::new(Arc::clone(&self.shared), policy, start)
    }

    /// Publishes `value`. It is visible when this returns; subscribers that sleep are woken.
    ///
    /// Waits for subscribers with [`Policy::Block`] that have not taken what is there, and for no others.
    /// If there is no subscriber, the item is dropped with those around it.
    ///
    /// # Errors
    /// [`Closed`](PublishError::Closed), or [`Cancelled`](PublishError::Cancelled) if it would have to
    /// wait and the fiber is cancelled.
    #[inline]
    #[track_caller]
    pub fn publish(&self, value: T) -> Result<(), PublishError<T>> {
        let _inside = P::called();
        self.publish_within(value, Limits::CANCELLABLE)
    }

    /// As [`publish`](Self::publish), until `deadline`.
    ///
    /// # Errors
    /// As there, and [`TimedOut`](PublishError::TimedOut).
    #[track_caller]
    pub fn publish_deadline(&self, value: T, deadline: Instant) -> Result<(), PublishError<T>> {
        let _inside = P::called();
        let limits = Limits { deadline: Some(deadline), cancellable: true };
        self.publish_within(value, limits)
    }

    /// As [`publish`](Self::publish), for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`TimedOut`](PublishError::TimedOut).
    #[track_caller]
    pub fn publish_timeout(&self, value: T, timeout: Duration) -> Result<(), PublishError<T>> {
        let _inside = P::called();
        self.publish_for(value, timeout)
    }

    /// Publishes `value` without waiting.
    ///
    /// # Errors
    /// [`Full`](PublishError::Full) where [`publish`](Self::publish) would wait, and
    /// [`Closed`](PublishError::Closed).
    #[inline]
    #[track_caller]
    pub fn try_publish(&self, value: T) -> Result<(), PublishError<T>> {
        let _inside = P::called();
        self.publish_at_once(value)
    }

    /// Publishes `value`; the task is suspended where [`publish`](Self::publish) would wait. If the
    /// future is dropped before it is ready, the value is dropped and was not published.
    pub fn publish_async(&self, value: T) -> Publish<'_, T, P> {
        Publish {
            publisher: self,
            value: Some(value),
            spare: None,
            waiter: EventWaiter::new(&self.shared.space),
        }
    }

    /// Closes the stream: subscribers receive what is published, and then
    /// [`Closed`](super::RecvError::Closed). Returns whether it was open.
    pub fn close(&self) -> bool {
        let _inside = P::called();
        self.shared.close(None)
    }

    /// Closes the stream: subscribers receive what is published, and then `error`. Returns whether it
    /// was open.
    pub fn close_with_error(&self, error: impl Error + Send + Sync + 'static) -> bool {
        let _inside = P::called();
        self.shared.close(Some(Failure::new(error)))
    }

    /// Whether the stream is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// How many subscribers there are.
    pub fn subscriber_count(&self) -> usize {
        self.shared.lock().subscribers
    }

    /// Whether `other` publishes to the same stream.
    pub fn same_stream(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    #[inline]
    fn publish_at_once(&self, value: T) -> Result<(), PublishError<T>> {
        self.shared.publish(value, &mut None).map_err(|(refusal, value)| match refusal {
            Refusal::Full => PublishError::Full(value),
            Refusal::Closed => PublishError::Closed(value),
        })
    }

    fn publish_for(&self, value: T, timeout: Duration) -> Result<(), PublishError<T>> {
        let limits = Limits { deadline: Some(P::Clock::now() + timeout), cancellable: true };
        self.publish_within(value, limits)
    }

    #[inline]
    fn publish_within(&self, value: T, limits: Limits) -> Result<(), PublishError<T>> {
        match self.publish_at_once(value) {
            Err(PublishError::Full(value)) => self.publish_later(value, limits),
            result => result,
        }
    }

    #[cold]
    fn publish_later(&self, value: T, limits: Limits) -> Result<(), PublishError<T>> {
        let (mut value, mut spare) = (Some(value), None);
        let result = self.shared.space.wait(limits, || self.shared.attempt(&mut value, &mut spare));
        match (result, value) {
            (Ok(result), _) => result,
            (Err(Interrupted::TimedOut), Some(value)) => Err(PublishError::TimedOut(value)),
            (Err(Interrupted::Cancelled), Some(value)) => Err(PublishError::Cancelled(value)),
            (Err(_), None) => unreachable!("an attempt that fails gives the value back"),
        }
    }
}

impl<T, P: Platform> Shared<T, P> {
    /// Publishes the value if nobody holds the publishers back.
    fn attempt(
        &self,
        value: &mut Option<T>,
        spare: &mut Spare<T, P>,
    ) -> Option<Result<(), PublishError<T>>> {
        match self.publish(value.take()?, spare) {
            Ok(()) => Some(Ok(())),
            Err((Refusal::Closed, back)) => Some(Err(PublishError::Closed(back))),
            Err((Refusal::Full, back)) => {
                *value = Some(back);
                None
            }
        }
    }
}

impl<T, P: Platform> Clone for Publisher<T, P> {
    fn clone(&self) -> Self {
        let _inside = P::called();
        self.shared.lock().publishers += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T, P: Platform> Drop for Publisher<T, P> {
    fn drop(&mut self) {
        let _inside = P::called();
        self.shared.drop_publisher();
    }
}

impl<T, P: Platform> fmt::Debug for Publisher<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// Publishes an item; see [`Publisher::publish_async`].
#[must_use = "futures do nothing unless polled"]
pub struct Publish<'a, T, P: Platform = Native> {
    publisher: &'a Publisher<T, P>,
    value: Option<T>,
    spare: Spare<T, P>,
    waiter: EventWaiter<'a, P>,
}

impl<T, P: Platform> Future for Publish<'_, T, P> {
    type Output = Result<(), PublishError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `waiter` is pinned as `self` is; the other fields never are.
        let (waiter, value, spare, shared) = unsafe {
            let this = self.get_unchecked_mut();
            let waiter = Pin::new_unchecked(&mut this.waiter);
            (waiter, &mut this.value, &mut this.spare, &this.publisher.shared)
        };
        assert!(value.is_some(), "polled after it was ready");
        waiter.poll(context, || shared.attempt(value, spare))
    }
}

impl<T, P: Platform> fmt::Debug for Publish<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").finish_non_exhaustive()
    }
}
