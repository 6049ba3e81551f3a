//! The side that sends.

use core::fmt;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::suspend::Limits;
use raddle_platform::{Instant, Native, Platform};

use super::{
    Channel, SendAsync, SendError, SendSink, SendTimeoutError, TrySendError, after, until,
};

/// Sends into a channel; see [`bounded`](super::bounded). Cloned, it is one more sender of the same
/// channel.
///
/// ```
/// use raddle_streams::channel::{self, TrySendError};
/// let (sender, receiver) = channel::bounded(1);
/// sender.send('a').unwrap();
/// assert_eq!(sender.try_send('b'), Err(TrySendError::Full('b')));
/// drop(receiver);
/// assert_eq!(sender.send('c').unwrap_err().into_inner(), 'c');
/// ```
pub struct Sender<T, P: Platform = Native> {
    channel: Arc<Channel<T, P>, P>,
}

impl<T, P: Platform> Sender<T, P> {
    pub(super) fn new(channel: Arc<Channel<T, P>, P>) -> Self {
        Self { channel }
    }

    pub(super) fn shared(&self) -> &Arc<Channel<T, P>, P> {
        &self.channel
    }

    pub(super) fn channel(&self) -> &Channel<T, P> {
        &self.channel
    }

    /// Sends; the calling fiber or thread is suspended while the channel is full. At capacity 0 it
    /// returns when a receiver has the message. A cancellation point.
    ///
    /// # Errors
    /// The message, if the channel has ended or the fiber was cancelled.
    #[inline]
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let _inside = P::called();
        self.channel.send(value, Limits::CANCELLABLE).map_err(|error| match error {
            SendTimeoutError::Disconnected(value) => SendError::Disconnected(value),
            SendTimeoutError::Cancelled(value) => SendError::Cancelled(value),
            SendTimeoutError::Timeout(_) => unreachable!("there is no deadline"),
        })
    }

    /// Sends if there is room. At capacity 0, if a receiver waits in a blocking call; a receiving
    /// *future* takes only what is sent by a call that waits, because it may be dropped.
    ///
    /// # Errors
    /// The message, if there is no room or the channel has ended.
    #[inline]
    #[track_caller]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let _inside = P::called();
        self.channel.try_send(value)
    }

    /// Sends, waiting for `timeout` at most. A cancellation point.
    ///
    /// # Errors
    /// The message, if the time is over, the channel has ended, or the fiber was cancelled.
    #[track_caller]
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let _inside = P::called();
        match self.channel.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendTimeoutError::Disconnected(value)),
            Err(TrySendError::Full(value)) => self.channel.send(value, after::<P>(timeout)),
        }
    }

    /// Sends, waiting until `deadline` at most. A cancellation point.
    ///
    /// # Errors
    /// As [`send_timeout`](Self::send_timeout).
    #[track_caller]
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        let _inside = P::called();
        self.channel.send(value, until(deadline))
    }

    /// Sends; the calling task is suspended while the channel is full. Dropped before it is ready, the
    /// future drops the message, unless that is sent.
    ///
    /// The result of the future is the message, if the channel has ended; never
    /// [`Cancelled`](SendError::Cancelled).
    pub fn send_async(&self, value: T) -> SendAsync<'_, T, P> {
        SendAsync::new(&self.channel, Some(value))
    }

    /// Sends one message after the other, by the methods of a `Sink`.
    pub fn sink(&self) -> SendSink<'_, T, P> {
        SendSink::borrowed(self)
    }

    /// As [`sink`](Self::sink), with the sender in it.
    pub fn into_sink(self) -> SendSink<'static, T, P>
    where
        T: 'static,
    {
        SendSink::owned(self)
    }

    /// Ends the channel behind what was sent so far. Returns whether it had not ended before.
    #[track_caller]
    pub fn close(&self) -> bool {
        let _inside = P::called();
        self.channel.close()
    }

    /// Whether the channel has ended, so that nothing can be sent.
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

    /// Whether `other` sends into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T, P: Platform> Clone for Sender<T, P> {
    fn clone(&self) -> Self {
        self.channel.add_sender();
        Self { channel: self.channel.clone() }
    }
}

impl<T, P: Platform> Drop for Sender<T, P> {
    fn drop(&mut self) {
        self.channel.remove_sender();
    }
}

impl<T, P: Platform> fmt::Debug for Sender<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).finish_non_exhaustive()
    }
}
