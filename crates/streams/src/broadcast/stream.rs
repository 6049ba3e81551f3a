//! Futures, streams and iterators over a subscriber.

use core::fmt;
use core::future::Future;
use core::iter::FusedIterator;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use raddle_ownership::Arc;
use raddle_parking_lot::EventWaiter;
use raddle_platform::{Native, Platform};

use super::Subscriber;
use super::error::RecvError;

impl<T, P: Platform> Subscriber<T, P> {
    /// Receives the next item; the calling task is suspended until there is one. The future may be
    /// dropped at any time: no item is lost with it.
    ///
    /// The first of a subscriber's futures that has to wait allocates what it waits with.
    ///
    /// # Errors
    /// The output's: what else is to be told.
    pub fn recv_async(&mut self) -> Recv<'_, T, P>
    where
        T: Clone,
    {
        Recv { subscriber: self }
    }

    /// The items as an iterator that waits for each. It ends when the stream is closed; what else is to
    /// be told it yields as errors, and ends after those that are final.
    pub fn iter(&mut self) -> Iter<'_, T, P>
    where
        T: Clone,
    {
        Iter { subscriber: self, over: false }
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<T, RecvError<P>>>
    where
        T: Clone,
    {
        let mut waiter = match self.waiter.take() {
            Some(waiter) => waiter,
            None => {
                if let Some(found) = self.look_for_waiter() {
                    return Poll::Ready(found.map(|()| self.take(T::clone)));
                }
                // SAFETY: `self` keeps what is borrowed, and drops the waiter first.
                let shared = unsafe { &*Arc::as_ptr(&self.shared) };
                Box::pin(EventWaiter::new(&shared.items))
            }
        };
        let poll = waiter.as_mut().poll(context, || self.look_for_waiter());
        self.waiter = Some(waiter);
        poll.map(|found| found.map(|()| self.take(T::clone)))
    }
}

/// Receives an item; see [`Subscriber::recv_async`].
#[must_use = "futures do nothing unless polled"]
pub struct Recv<'a, T, P: Platform = Native> {
    subscriber: &'a mut Subscriber<T, P>,
}

impl<T: Clone, P: Platform> Future for Recv<'_, T, P> {
    type Output = Result<T, RecvError<P>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().subscriber.poll_item(context)
    }
}

impl<T, P: Platform> Drop for Recv<'_, T, P> {
    fn drop(&mut self) {
        if let Some(waiter) = &mut self.subscriber.waiter {
            waiter.as_mut().leave();
        }
    }
}

impl<T, P: Platform> fmt::Debug for Recv<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("subscriber", &self.subscriber).finish()
    }
}

/// Ends when the stream is closed. What else is to be told it yields as an error: after those that are
/// [final](RecvError::is_final) it ends.
impl<T: Clone, P: Platform> Stream for Subscriber<T, P> {
    type Item = Result<T, RecvError<P>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        this.poll_item(context).map(|item| until_closed(item, &mut this.ended))
    }
}

/// What an iterator yields for `item`; sets `over` if it ends with that.
#[inline]
fn until_closed<T, P: Platform>(
    item: Result<T, RecvError<P>>,
    over: &mut bool,
) -> Option<Result<T, RecvError<P>>> {
    *over = matches!(&item, Err(error) if error.is_final());
    match item {
        Err(RecvError::Closed) => None,
        item => Some(item),
    }
}

/// Waits for items; see [`Subscriber::iter`].
pub struct Iter<'a, T, P: Platform = Native> {
    subscriber: &'a mut Subscriber<T, P>,
    over: bool,
}

impl<T: Clone, P: Platform> Iterator for Iter<'_, T, P> {
    type Item = Result<T, RecvError<P>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        until_closed(self.subscriber.recv(), &mut self.over)
    }
}

impl<T: Clone, P: Platform> FusedIterator for Iter<'_, T, P> {}

impl<T, P: Platform> fmt::Debug for Iter<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("subscriber", &self.subscriber).finish_non_exhaustive()
    }
}

/// Waits for items, and owns the subscriber: as [`Iter`].
pub struct IntoIter<T, P: Platform = Native> {
    subscriber: Subscriber<T, P>,
    over: bool,
}

impl<T: Clone, P: Platform> IntoIterator for Subscriber<T, P> {
    type Item = Result<T, RecvError<P>>;
    type IntoIter = IntoIter<T, P>;

    fn into_iter(self) -> IntoIter<T, P> {
        IntoIter { subscriber: self, over: false }
    }
}

impl<T: Clone, P: Platform> Iterator for IntoIter<T, P> {
    type Item = Result<T, RecvError<P>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        until_closed(self.subscriber.recv(), &mut self.over)
    }
}

impl<T: Clone, P: Platform> FusedIterator for IntoIter<T, P> {}

impl<T, P: Platform> fmt::Debug for IntoIter<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter").field("subscriber", &self.subscriber).finish_non_exhaustive()
    }
}
