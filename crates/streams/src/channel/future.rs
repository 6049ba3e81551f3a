//! Sending and receiving as futures, a stream and a sink.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use raddle_ownership::Arc;
use raddle_parking_lot::{EventCount, EventWaiter};
use raddle_platform::{Native, Platform};

use super::rendezvous::Giving;
use super::{
    Channel, Flavor, Full, Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError,
    taken,
};

/// How a sending future waits.
enum Wait<'a, T, P: Platform> {
    Room(EventWaiter<'a, P>),
    Taker(Giving<'a, T, P>),
}

/// Sends a message; see [`Sender::send_async`].
#[must_use = "futures do nothing unless polled"]
pub struct SendAsync<'a, T, P: Platform = Native> {
    channel: &'a Channel<T, P>,
    /// Not sent yet, and not in the queue of a rendezvous.
    value: Option<T>,
    wait: Wait<'a, T, P>,
}

impl<'a, T, P: Platform> SendAsync<'a, T, P> {
    pub(super) fn new(channel: &'a Channel<T, P>, value: Option<T>) -> Self {
        let wait = match &channel.flavor {
            Flavor::Array(array) => Wait::Room(EventWaiter::new(&array.senders)),
            Flavor::Rendezvous(rendezvous) => Wait::Taker(Giving::new(rendezvous)),
        };
        Self { channel, value, wait }
    }

    /// Whether there is something that is not sent yet.
    fn is_sending(&self) -> bool {
        self.value.is_some() || matches!(&self.wait, Wait::Taker(giving) if giving.is_queued())
    }
}

impl<T, P: Platform> Future for SendAsync<'_, T, P> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `wait` is not moved; the value is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(this.is_sending(), "a future was polled after it was ready");
        let value = &mut this.value;
        match (&this.channel.flavor, &mut this.wait) {
            (Flavor::Array(array), Wait::Room(waiter)) => {
                // SAFETY: pinned as `self` is.
                let waiter = unsafe { Pin::new_unchecked(waiter) };
                let attempt = || match array.try_send(|| taken(value)) {
                    Err(Full::Full) => None,
                    sent => Some(sent),
                };
                waiter
                    .poll_marked(context, attempt, || array.mark_sender())
                    .map(|sent| sent.map_err(|_| SendError::Disconnected(taken(&mut this.value))))
            }
            (Flavor::Rendezvous(_), Wait::Taker(giving)) => {
                // SAFETY: pinned as `self` is.
                let giving = unsafe { Pin::new_unchecked(giving) };
                giving.poll(value, context).map(|sent| sent.map_err(SendError::Disconnected))
            }
            _ => unreachable!("the flavor of a channel does not change"),
        }
    }
}

impl<T, P: Platform> fmt::Debug for SendAsync<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendAsync").field("sending", &self.is_sending()).finish_non_exhaustive()
    }
}

impl<T, P: Platform> Channel<T, P> {
    /// What receiving futures wait for.
    fn arrivals(&self) -> &EventCount<P> {
        match &self.flavor {
            Flavor::Array(array) => &array.receivers,
            Flavor::Rendezvous(rendezvous) => &rendezvous.receivers,
        }
    }

    fn poll_recv(
        &self,
        waiter: Pin<&mut EventWaiter<'_, P>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, RecvError>> {
        let attempt = || match self.try_recv() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(RecvError::Disconnected)),
        };
        match &self.flavor {
            Flavor::Array(array) => waiter.poll_marked(context, attempt, || array.mark_receiver()),
            Flavor::Rendezvous(_) => waiter.poll(context, attempt),
        }
    }
}

/// Receives a message; see [`Receiver::recv_async`].
#[must_use = "futures do nothing unless polled"]
pub struct RecvAsync<'a, T, P: Platform = Native> {
    channel: &'a Channel<T, P>,
    waiter: EventWaiter<'a, P>,
}

impl<'a, T, P: Platform> RecvAsync<'a, T, P> {
    pub(super) fn new(channel: &'a Channel<T, P>) -> Self {
        Self { channel, waiter: EventWaiter::new(channel.arrivals()) }
    }
}

impl<T, P: Platform> Future for RecvAsync<'_, T, P> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let channel = self.channel;
        // SAFETY: `waiter` is pinned as `self` is.
        channel.poll_recv(unsafe { self.map_unchecked_mut(|this| &mut this.waiter) }, context)
    }
}

impl<T, P: Platform> fmt::Debug for RecvAsync<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvAsync").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

/// Receives messages until the channel has ended; see [`Receiver::stream`].
///
/// ```
/// use raddle_platform::{Native, suspend};
/// use raddle_streams::channel;
/// # use std::{future::poll_fn, pin::pin};
/// use futures_core::Stream;
///
/// let (sender, receiver) = channel::bounded(2);
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// drop(sender);
/// suspend::block_on::<Native, _>(async {
///     let mut stream = pin!(receiver.into_stream());
///     let mut sum = 0;
///     while let Some(number) = poll_fn(|context| stream.as_mut().poll_next(context)).await {
///         sum += number;
///     }
///     assert_eq!(sum, 3);
/// });
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<'a, T, P: Platform = Native> {
    // Dropped before the owner, which it refers to.
    recv: RecvAsync<'a, T, P>,
    ended: bool,
    _owner: Option<Receiver<T, P>>,
}

impl<'a, T, P: Platform> RecvStream<'a, T, P> {
    pub(super) fn borrowed(receiver: &'a Receiver<T, P>) -> Self {
        Self { recv: RecvAsync::new(receiver.channel()), ended: false, _owner: None }
    }

    pub(super) fn owned(receiver: Receiver<T, P>) -> RecvStream<'static, T, P>
    where
        T: 'static,
    {
        // SAFETY: the receiver keeps the channel, whose address does not change, until after `recv`.
        let channel = unsafe { &*core::ptr::from_ref(receiver.channel()) };
        RecvStream { recv: RecvAsync::new(channel), ended: false, _owner: Some(receiver) }
    }
}

impl<T, P: Platform> Stream for RecvStream<'_, T, P> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: `recv` is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        if this.ended {
            return Poll::Ready(None);
        }
        // SAFETY: pinned as `self` is.
        let recv = unsafe { Pin::new_unchecked(&mut this.recv) };
        recv.poll(context).map(|received| {
            this.ended = received.is_err();
            received.ok()
        })
    }
}

impl<T, P: Platform> FusedStream for RecvStream<'_, T, P> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T, P: Platform> fmt::Debug for RecvStream<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Sends one message after the other; see [`Sender::sink`].
///
/// The methods are those of a `Sink`: [`poll_ready`](Self::poll_ready) until there is room for a
/// message, [`start_send`](Self::start_send) it, and [`poll_flush`](Self::poll_flush) until it is sent.
/// A message for which the channel has no room waits in the sink; it is dropped with it.
///
/// ```
/// use std::{future::poll_fn, pin::pin};
/// use raddle_platform::{Native, suspend};
/// use raddle_streams::channel;
///
/// let (sender, receiver) = channel::bounded(1);
/// suspend::block_on::<Native, _>(async {
///     let mut sink = pin!(sender.into_sink());
///     poll_fn(|context| sink.as_mut().poll_ready(context)).await.unwrap();
///     sink.as_mut().start_send('a').unwrap();
///     poll_fn(|context| sink.as_mut().poll_close(context)).await.unwrap();
/// });
/// assert_eq!(receiver.iter().collect::<String>(), "a");
/// ```
#[must_use = "sinks do nothing unless polled"]
pub struct SendSink<'a, T, P: Platform = Native> {
    // Dropped before the owner, which it refers to.
    sending: SendAsync<'a, T, P>,
    closed: bool,
    /// Until it is closed.
    owner: Option<Sender<T, P>>,
    _channel: Option<Arc<Channel<T, P>, P>>,
}

impl<'a, T, P: Platform> SendSink<'a, T, P> {
    pub(super) fn borrowed(sender: &'a Sender<T, P>) -> Self {
        let sending = SendAsync::new(sender.channel(), None);
        Self { sending, closed: false, owner: None, _channel: None }
    }

    pub(super) fn owned(sender: Sender<T, P>) -> SendSink<'static, T, P>
    where
        T: 'static,
    {
        let kept = sender.shared().clone();
        // SAFETY: the sink keeps the channel, whose address does not change, until after `sending`.
        let channel = unsafe { &*core::ptr::from_ref(sender.channel()) };
        let sending = SendAsync::new(channel, None);
        SendSink { sending, closed: false, owner: Some(sender), _channel: Some(kept) }
    }

    /// Ready when a message can be handed over.
    ///
    /// # Errors
    /// The message before, if the channel has ended without it.
    pub fn poll_ready(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        self.poll_flush(context)
    }

    /// Hands a message over. It is sent at once if there is room.
    ///
    /// # Errors
    /// The message, if the channel has ended.
    ///
    /// # Panics
    /// If [`poll_ready`](Self::poll_ready) was not ready, or the sink is closed.
    pub fn start_send(self: Pin<&mut Self>, value: T) -> Result<(), SendError<T>> {
        assert!(!self.closed, "a message was handed to a closed sink");
        // SAFETY: `sending` is not moved; the value is not pinned.
        let sending = unsafe { &mut self.get_unchecked_mut().sending };
        assert!(!sending.is_sending(), "a message was handed to a sink that is not ready");
        match sending.channel.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendError::Disconnected(value)),
            Err(TrySendError::Full(value)) => {
                sending.value = Some(value);
                Ok(())
            }
        }
    }

    /// Ready when all that was handed over is sent.
    ///
    /// # Errors
    /// The last message, if the channel has ended without it.
    pub fn poll_flush(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        if !self.sending.is_sending() {
            return Poll::Ready(Ok(()));
        }
        // SAFETY: `sending` is pinned as `self` is.
        unsafe { self.map_unchecked_mut(|this| &mut this.sending) }.poll(context)
    }

    /// As [`poll_flush`](Self::poll_flush); then a sink that owns its sender drops that.
    ///
    /// # Errors
    /// The last message, if the channel has ended without it.
    pub fn poll_close(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<T>>> {
        let flushed = self.as_mut().poll_flush(context);
        if flushed.is_ready() && !self.closed {
            // SAFETY: neither field is pinned.
            let this = unsafe { self.get_unchecked_mut() };
            this.closed = true;
            this.owner = None;
        }
        flushed
    }
}

impl<T, P: Platform> fmt::Debug for SendSink<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink").field("sending", &self.sending).finish_non_exhaustive()
    }
}
