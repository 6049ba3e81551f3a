//! One value, from one sender to one receiver.
//!
//! ```
//! use raddle_streams::oneshot;
//! let (sender, receiver) = oneshot::channel();
//! std::thread::spawn(move || sender.send(42));
//! assert_eq!(receiver.recv(), Ok(42));
//! ```
//!
//! # The protocol
//!
//! | bit   | set by                | meaning                                              |
//! |-------|-----------------------|------------------------------------------------------|
//! | SENT  | `send`                | the value was there before, and nobody will write it |
//! | GONE  | the sender's end      | there will be no value, unless SENT is there, too    |
//! | SHUT  | the receiver's end    | the receiver takes nothing that is not there yet     |
//!
//! All are set by a `fetch_or` of the one word, and never cleared. Whose the value is follows from which of
//! SENT and SHUT came first: if SENT, the receiver's, also if it is dropped; if SHUT, the sender's, who
//! finds it in what its `fetch_or` returns and takes the value back. So it is given out or given back
//! once (`oneshot/send_against_drop`, `oneshot/close_against_send`).
//!
//! # Orderings
//!
//! Both `fetch_or`s release what their side did and acquire what the other did: the value, and that it
//! was left alone. Relaxed, and `oneshot/send_against_recv` reports a data race. Sleeping is the event
//! counts' part.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::{EventCount, EventWaiter};
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Atomic, AtomicInt, Clock, Instant, Native, Ordering, Platform, RaceCell};

pub use crate::channel::{RecvError, RecvTimeoutError, TryRecvError};

const SENT: u32 = 1;
const GONE: u32 = 2;
const SHUT: u32 = 4;

struct Shared<T, P: Platform> {
    word: P::AtomicU32,
    value: RaceCell<Option<T>, P>,
    /// The receiver, for the value.
    arrival: EventCount<P>,
    /// The sender, for the end of the receiver.
    shut: EventCount<P>,
}

impl<T, P: Platform> Shared<T, P> {
    fn take(&self) -> Option<T> {
        // SAFETY: the caller knows by the word that the value is its own.
        unsafe { self.value.with_mut(Option::take) }
    }

    fn seen(&self) -> u32 {
        // ORDERING: pairs with the releasing fetch_ors of the other side.
        self.word.load(Ordering::Acquire)
    }
}

/// A oneshot channel for production.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    channel_in()
}

/// [`channel`] in the world `P`.
pub fn channel_in<T, P: Platform>() -> (Sender<T, P>, Receiver<T, P>) {
    let shared = Arc::new_in(Shared {
        word: P::AtomicU32::new(0),
        value: RaceCell::new_in(None),
        arrival: EventCount::new_in(),
        shut: EventCount::new_in(),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, end: None })
}

/// Sends the value; see [`channel`].
pub struct Sender<T, P: Platform = Native> {
    shared: Arc<Shared<T, P>, P>,
}

impl<T, P: Platform> Sender<T, P> {
    /// Sends; never waits.
    ///
    /// # Errors
    /// The value, if the receiver is gone or closed.
    #[track_caller]
    pub fn send(self, value: T) -> Result<(), T> {
        let _inside = P::called();
        self.put(value)
    }

    fn put(&self, value: T) -> Result<(), T> {
        // SAFETY: the receiver touches the value only after SENT.
        unsafe { self.shared.value.with_mut(|slot| *slot = Some(value)) };
        // ORDERING: releases the value to the receiver; acquires that a receiver that is shut will not
        // touch it.
        let before = self.shared.word.fetch_or(SENT | GONE, Ordering::AcqRel);
        if before & SHUT == 0 {
            // All: a future that was polled and then forgotten may be one of them.
            self.shared.arrival.notify_all();
            return Ok(());
        }
        match self.shared.take() {
            Some(value) => Err(value),
            None => unreachable!("a receiver that was shut before takes nothing"),
        }
    }

    /// Whether the receiver is gone or closed.
    pub fn is_closed(&self) -> bool {
        self.shared.seen() & SHUT != 0
    }

    /// Suspends the calling fiber or thread until the receiver is gone or closed. A cancellation point.
    ///
    /// # Errors
    /// [`Interrupted::Cancelled`], if the fiber was cancelled.
    #[track_caller]
    pub fn closed(&self) -> Result<(), Interrupted> {
        let _inside = P::called();
        self.shared.shut.wait(Limits::CANCELLABLE, || self.is_closed().then_some(()))
    }

    /// Suspends the calling task until the receiver is gone or closed.
    pub async fn closed_async(&self) {
        self.shared.shut.wait_async(|| self.is_closed().then_some(())).await;
    }
}

impl<T, P: Platform> Drop for Sender<T, P> {
    fn drop(&mut self) {
        if self.shared.word.load(Ordering::Relaxed) & GONE == 0 {
            // ORDERING: pairs with the receiver's acquiring load: what came before the end.
            self.shared.word.fetch_or(GONE, Ordering::Release);
            // All: a future that was polled and then forgotten may be one of them.
            self.shared.arrival.notify_all();
        }
    }
}

/// Receives the value; see [`channel`].
pub struct Receiver<T, P: Platform = Native> {
    shared: Arc<Shared<T, P>, P>,
    /// What the word was when this side shut it: what was not there then never comes.
    end: Option<u32>,
}

impl<T, P: Platform> Receiver<T, P> {
    fn look(&self) -> Result<T, TryRecvError> {
        let word = self.end.unwrap_or_else(|| self.shared.seen());
        if word & SENT != 0 {
            return self.shared.take().ok_or(TryRecvError::Disconnected);
        }
        let ended = word & GONE != 0 || self.end.is_some();
        Err(if ended { TryRecvError::Disconnected } else { TryRecvError::Empty })
    }

    fn attempt(&self) -> Option<Result<T, RecvError>> {
        match self.look() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(RecvError::Disconnected)),
        }
    }

    /// The value, if it is there.
    ///
    /// # Errors
    /// If it is not, with whether it may come later.
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let _inside = P::called();
        self.look()
    }

    /// Suspends the calling fiber or thread until the value is there. A cancellation point.
    ///
    /// # Errors
    /// If there will be none, or the fiber was cancelled.
    #[track_caller]
    pub fn recv(mut self) -> Result<T, RecvError> {
        let _inside = P::called();
        self.recv_within(Limits::CANCELLABLE).map_err(|error| match error {
            RecvTimeoutError::Disconnected => RecvError::Disconnected,
            RecvTimeoutError::Cancelled => RecvError::Cancelled,
            RecvTimeoutError::Timeout => unreachable!("there is no deadline"),
        })
    }

    /// Waits for the value for `timeout` at most. A cancellation point.
    ///
    /// # Errors
    /// If it is not there in time, there will be none, or the fiber was cancelled.
    #[track_caller]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let _inside = P::called();
        self.recv_deadline(after::<P>(timeout))
    }

    /// Waits for the value until `deadline` at most. A cancellation point.
    ///
    /// # Errors
    /// As [`recv_timeout`](Self::recv_timeout).
    #[track_caller]
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        let _inside = P::called();
        self.recv_within(Limits { deadline: Some(deadline), cancellable: true })
    }

    fn recv_within(&mut self, limits: Limits) -> Result<T, RecvTimeoutError> {
        match self.shared.arrival.wait(limits, || self.attempt()) {
            Ok(received) => received.map_err(|_| RecvTimeoutError::Disconnected),
            Err(Interrupted::TimedOut) => Err(RecvTimeoutError::Timeout),
            Err(Interrupted::Cancelled) => Err(RecvTimeoutError::Cancelled),
        }
    }

    /// Suspends the calling task until the value is there. A dropped future has taken nothing.
    pub fn recv_async(&mut self) -> RecvAsync<'_, T, P> {
        RecvAsync { waiter: EventWaiter::new(&self.shared.arrival), receiver: self }
    }

    /// Takes nothing that is not there yet: the sender gets it back. What was sent before can still be
    /// received.
    #[track_caller]
    pub fn close(&mut self) {
        let _inside = P::called();
        self.shut();
    }

    fn shut(&mut self) {
        if self.end.is_none() {
            // ORDERING: acquires a value that is there; releases that another will not be touched.
            // ORDERING-AUDIT: the fence of the notification that follows acquires it as well.
            self.end = Some(self.shared.word.fetch_or(SHUT, Ordering::AcqRel));
            self.shared.shut.notify_all();
        }
    }
}

fn after<P: Platform>(timeout: Duration) -> Instant {
    P::Clock::now() + timeout
}

impl<T, P: Platform> Drop for Receiver<T, P> {
    fn drop(&mut self) {
        self.shut();
        if self.end.is_some_and(|word| word & SENT != 0) {
            drop(self.shared.take());
        }
    }
}

/// Receives the value; see [`Receiver::recv_async`].
#[must_use = "futures do nothing unless polled"]
pub struct RecvAsync<'a, T, P: Platform = Native> {
    waiter: EventWaiter<'a, P>,
    receiver: &'a Receiver<T, P>,
}

impl<T, P: Platform> Future for RecvAsync<'_, T, P> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.receiver;
        // SAFETY: `waiter` is pinned as `self` is.
        let waiter = unsafe { self.map_unchecked_mut(|this| &mut this.waiter) };
        waiter.poll(context, || receiver.attempt())
    }
}

impl<T, P: Platform> fmt::Debug for RecvAsync<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvAsync").field("waiter", &self.waiter).finish_non_exhaustive()
    }
}

impl<T, P: Platform> fmt::Debug for Sender<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}

impl<T, P: Platform> fmt::Debug for Receiver<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("is_closed", &self.end.is_some()).finish_non_exhaustive()
    }
}
