//! The side that receives.

use core::fmt;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::suspend::Limits;
use raddle_platform::{Instant, Native, Platform};

use super::{
    Channel, IntoIter, Iter, RecvAsync, RecvError, RecvStream, RecvTimeoutError, TryIter,
    TryRecvError, after, until,
};

/// Receives from a channel; see [`bounded`](super::bounded). Cloned, it is one more receiver of the
/// same channel: each message goes to one of them.
///
/// ```
/// use raddle_streams::channel::{self, RecvError, TryRecvError};
/// let (sender, receiver) = channel::bounded(2);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// sender.send('a').unwrap();
/// drop(sender);
/// assert_eq!(receiver.recv(), Ok('a'));
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// ```
pub struct Receiver<T, P: Platform = Native> {
    channel: Arc<Channel<T, P>, P>,
}

impl<T, P: Platform> Receiver<T, P> {
    pub(super) fn new(channel: Arc<Channel<T, P>, P>) -> Self {
        Self { channel }
    }

    pub(super) fn channel(&self) -> &Channel<T, P> {
        &self.channel
    }

    /// Receives; the calling fiber or thread is suspended while the channel is empty. A cancellation
    /// point.
    ///
    /// # Errors
    /// If the channel is empty and has ended, or the fiber was cancelled.
    #[inline]
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let _inside = P::called();
        self.channel.recv(Limits::CANCELLABLE).map_err(|error| match error {
            RecvTimeoutError::Disconnected => RecvError::Disconnected,
            RecvTimeoutError::Cancelled => RecvError::Cancelled,
            RecvTimeoutError::Timeout => unreachable!("there is no deadline"),
        })
    }

    /// Receives what is there. At capacity 0, from a sender that waits.
    ///
    /// # Errors
    /// If there is nothing, with whether there may be something later.
    #[inline]
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let _inside = P::called();
        self.channel.try_recv()
    }

    /// Receives, waiting for `timeout` at most. A cancellation point.
    ///
    /// # Errors
    /// If the time is over, the channel is empty and has ended, or the fiber was cancelled.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let _inside = P::called();
        match self.channel.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => self.channel.recv(after::<P>(timeout)),
        }
    }

    /// Receives, waiting until `deadline` at most. A cancellation point.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let _inside = P::called();
        self.channel.recv(until(deadline))
    }

    /// Receives; the calling task is suspended while the channel is empty. A dropped future has taken
    /// nothing.
    ///
    /// The future's error is [`Disconnected`](RecvError::Disconnected), never
    /// [`Cancelled`](RecvError::Cancelled).
    pub fn recv_async(&self) -> RecvAsync<'_, T, P> {
        RecvAsync::new(&self.channel)
    }

    /// The messages, until the channel has ended (or the calling fiber is cancelled).
    pub fn iter(&self) -> Iter<'_, T, P> {
        Iter::new(self)
    }

    /// The messages that are there.
    pub fn try_iter(&self) -> TryIter<'_, T, P> {
        TryIter::new(self)
    }

    /// The messages as a stream, until the channel has ended.
    pub fn stream(&self) -> RecvStream<'_, T, P> {
        RecvStream::borrowed(self)
    }

    /// As [`stream`](Self::stream), with the receiver in it.
    pub fn into_stream(self) -> RecvStream<'static, T, P>
    where
        T: 'static,
    {
        RecvStream::owned(self)
    }

    /// Ends the channel behind what was sent so far, which can still be received. Returns whether it
    /// had not ended before.
    #[track_caller]
    pub fn close(&self) -> bool {
        let _inside = P::called();
        self.channel.close()
    }

    /// Whether the channel has ended. There may still be messages.
    pub fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    /// How many messages there are, or were a moment ago.
    pub fn len(&self) -> usize {
        self.channel.len()
    }

    /// Whether there are no messages. Always so at capacity 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there are as many messages as the channel holds. Always so at capacity 0.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// How many messages the channel holds.
    pub fn capacity(&self) -> usize {
        self.channel.capacity()
    }

    /// Whether `other` receives from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T, P: Platform> Clone for Receiver<T, P> {
    fn clone(&self) -> Self {
        self.channel.add_receiver();
        Self { channel: self.channel.clone() }
    }
}

impl<T, P: Platform> Drop for Receiver<T, P> {
    fn drop(&mut self) {
        self.channel.remove_receiver();
    }
}

impl<'a, T, P: Platform> IntoIterator for &'a Receiver<T, P> {
    type Item = T;
    type IntoIter = Iter<'a, T, P>;
    fn into_iter(self) -> Iter<'a, T, P> {
        self.iter()
    }
}

impl<T, P: Platform> IntoIterator for Receiver<T, P> {
    type Item = T;
    type IntoIter = IntoIter<T, P>;
    fn into_iter(self) -> IntoIter<T, P> {
        IntoIter::new(self)
    }
}

impl<T, P: Platform> fmt::Debug for Receiver<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).finish_non_exhaustive()
    }
}
