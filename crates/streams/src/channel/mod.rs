//! Bounded channels: each message goes to one receiver, in the order in which they were sent.
//!
//! A channel connects any number of senders with any number of receivers, and holds up to a number of
//! messages. Whoever finds it full or empty waits: a thread or a fiber in `send` and `recv`, a future in
//! `send_async` and `recv_async`, on either side of the same channel.
//!
//! ```
//! use raddle_streams::channel;
//!
//! let (sender, receiver) = channel::bounded(2);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || {
//!         for number in 0..5 {
//!             sender.send(number).unwrap(); // waits while two are in the channel
//!         }
//!     }); // the last sender goes, which ends the channel
//!     assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
//! });
//! ```
//!
//! # Capacity 0
//!
//! Such a channel holds nothing: a message goes from hand to hand, and `send` returns exactly when a
//! receiver has it.
//!
//! # The end
//!
//! A channel ends when its last sender or its last receiver is dropped, or by `close`. Nothing is sent
//! any more then; what is in the buffer is still received, and then `Disconnected`. What was not sent is
//! given back with the error. When the last receiver goes, what is in the buffer is dropped.
//!
//! # Cancellation
//!
//! Blocking calls that would have to wait are cancellation points: they end with `Cancelled` when the
//! calling fiber is cancelled. A future may be dropped at any time. A dropped `recv_async` has taken
//! nothing, so no message is lost; a dropped `send_async` has sent its message or drops it.
//!
//! # How it works
//!
//! The buffer is a ring whose slots say whose turn it is (Dmitry Vyukov's bounded queue), and who waits
//! leaves a mark in the word that the other side changes anyway, so that a message costs one
//! compare-exchange on each side and no fence. The source of `channel::array` and
//! `channel::rendezvous` tells both protocols.

mod array;
mod error;
mod future;
mod iter;
mod receiver;
mod rendezvous;
mod sender;

use core::pin::pin;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_platform::suspend::{self, Interrupted, Limits};
use raddle_platform::{Atomic, AtomicInt, Clock, Instant, Ordering, Platform};

use array::Array;
use rendezvous::{Giving, Rendezvous, Taking};

pub use error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use future::{RecvAsync, RecvStream, SendAsync, SendSink};
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
pub use sender::Sender;

/// A channel for production that holds up to `capacity` messages; 0 makes it a rendezvous.
///
/// # Panics
/// If `capacity` is more than `usize::MAX / 256`, or more than there is memory for.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    bounded_in(capacity)
}

/// [`bounded`] in the world `P`.
///
/// # Panics
/// As [`bounded`].
pub fn bounded_in<T, P: Platform>(capacity: usize) -> (Sender<T, P>, Receiver<T, P>) {
    let channel = Arc::new_in(Channel::new(capacity));
    (Sender::new(channel.clone()), Receiver::new(channel))
}

/// Why there was no room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Full,
    Disconnected,
}

/// Why there was no message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Empty,
    Disconnected,
}

enum Flavor<T, P: Platform> {
    Array(Array<T, P>),
    Rendezvous(Rendezvous<T, P>),
}

/// What both sides share.
struct Channel<T, P: Platform> {
    flavor: Flavor<T, P>,
    senders: P::AtomicUsize,
    receivers: P::AtomicUsize,
}

/// The wait of a blocking call that ends with the time `timeout`.
fn after<P: Platform>(timeout: Duration) -> Limits {
    until(P::Clock::now() + timeout)
}

fn until(deadline: Instant) -> Limits {
    Limits { deadline: Some(deadline), cancellable: true }
}

/// The message that is to be sent.
#[inline]
fn taken<T>(value: &mut Option<T>) -> T {
    match value.take() {
        Some(value) => value,
        None => unreachable!("a message is sent once"),
    }
}

impl<T, P: Platform> Channel<T, P> {
    fn new(capacity: usize) -> Self {
        Self {
            flavor: match capacity {
                0 => Flavor::Rendezvous(Rendezvous::new()),
                _ => Flavor::Array(Array::new(capacity)),
            },
            senders: P::AtomicUsize::new(1),
            receivers: P::AtomicUsize::new(1),
        }
    }

    #[inline]
    fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut value = Some(value);
        let take = || taken(&mut value);
        let sent = match &self.flavor {
            Flavor::Array(array) => array.try_send(take),
            Flavor::Rendezvous(rendezvous) => rendezvous.try_send(take),
        };
        sent.map_err(|full| match full {
            Full::Full => TrySendError::Full(taken(&mut value)),
            Full::Disconnected => TrySendError::Disconnected(taken(&mut value)),
        })
    }

    #[inline]
    fn send(&self, value: T, limits: Limits) -> Result<(), SendTimeoutError<T>> {
        let mut value = Some(value);
        match &self.flavor {
            Flavor::Array(array) => match array.try_send(|| taken(&mut value)) {
                Ok(()) => Ok(()),
                Err(Full::Full) => Self::send_array(array, value, limits),
                Err(Full::Disconnected) => Err(SendTimeoutError::Disconnected(taken(&mut value))),
            },
            Flavor::Rendezvous(rendezvous) => Self::send_rendezvous(rendezvous, value, limits),
        }
    }

    #[cold]
    #[inline(never)]
    fn send_array(
        array: &Array<T, P>,
        mut value: Option<T>,
        limits: Limits,
    ) -> Result<(), SendTimeoutError<T>> {
        let attempt = || match array.try_send(|| taken(&mut value)) {
            Err(Full::Full) => None,
            sent => Some(sent),
        };
        match array.senders.wait_marked(limits, attempt, || array.mark_sender()) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendTimeoutError::Disconnected(taken(&mut value))),
            Err(why) => Err(given_back(why, taken(&mut value))),
        }
    }

    fn send_rendezvous(
        rendezvous: &Rendezvous<T, P>,
        mut value: Option<T>,
        limits: Limits,
    ) -> Result<(), SendTimeoutError<T>> {
        let mut giving = pin!(Giving::new(rendezvous));
        let sent = suspend::wait::<P, _>(limits, |context| {
            let poll = giving.as_mut().poll(&mut value, context);
            if poll.is_pending() && giving.look() {
                return giving.as_mut().poll(&mut value, context);
            }
            poll
        });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(value)) => Err(SendTimeoutError::Disconnected(value)),
            Err(why) => match giving.leave() {
                Some(value) => Err(given_back(why, value)),
                None => Ok(()),
            },
        }
    }

    #[inline]
    fn try_recv(&self) -> Result<T, TryRecvError> {
        let received = match &self.flavor {
            Flavor::Array(array) => array.try_recv(),
            Flavor::Rendezvous(rendezvous) => rendezvous.try_recv(),
        };
        received.map_err(|empty| match empty {
            Empty::Empty => TryRecvError::Empty,
            Empty::Disconnected => TryRecvError::Disconnected,
        })
    }

    #[inline]
    fn recv(&self, limits: Limits) -> Result<T, RecvTimeoutError> {
        match &self.flavor {
            Flavor::Array(array) => match array.try_recv() {
                Ok(value) => Ok(value),
                Err(Empty::Empty) => Self::recv_array(array, limits),
                Err(Empty::Disconnected) => Err(RecvTimeoutError::Disconnected),
            },
            Flavor::Rendezvous(rendezvous) => Self::recv_rendezvous(rendezvous, limits),
        }
    }

    #[cold]
    #[inline(never)]
    fn recv_array(array: &Array<T, P>, limits: Limits) -> Result<T, RecvTimeoutError> {
        let attempt = || match array.try_recv() {
            Err(Empty::Empty) => None,
            received => Some(received),
        };
        match array.receivers.wait_marked(limits, attempt, || array.mark_receiver()) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(RecvTimeoutError::Disconnected),
            Err(why) => Err(not_received(why)),
        }
    }

    fn recv_rendezvous(
        rendezvous: &Rendezvous<T, P>,
        limits: Limits,
    ) -> Result<T, RecvTimeoutError> {
        let mut taking = pin!(Taking::new(rendezvous));
        let received = suspend::wait::<P, _>(limits, |context| {
            let poll = taking.as_mut().poll(context);
            if poll.is_pending() && taking.look() {
                return taking.as_mut().poll(context);
            }
            poll
        });
        match received {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(RecvTimeoutError::Disconnected),
            Err(why) => taking.leave().ok_or(not_received(why)),
        }
    }

    fn close(&self) -> bool {
        match &self.flavor {
            Flavor::Array(array) => array.close(),
            Flavor::Rendezvous(rendezvous) => rendezvous.close(),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.flavor {
            Flavor::Array(array) => array.is_closed(),
            Flavor::Rendezvous(rendezvous) => rendezvous.is_closed(),
        }
    }

    fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Array(array) => array.len(),
            Flavor::Rendezvous(_) => 0,
        }
    }

    fn capacity(&self) -> usize {
        match &self.flavor {
            Flavor::Array(array) => array.capacity(),
            Flavor::Rendezvous(_) => 0,
        }
    }

    fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    fn add_receiver(&self) {
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    fn remove_sender(&self) {
        // ORDERING: pairs with itself: what each sender did comes before the end.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    fn remove_receiver(&self) {
        // ORDERING: pairs with itself, as above.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
            // Nobody will take these, and senders may wait for what their drop does.
            while self.try_recv().is_ok() {}
        }
    }
}

fn given_back<T>(why: Interrupted, value: T) -> SendTimeoutError<T> {
    match why {
        Interrupted::TimedOut => SendTimeoutError::Timeout(value),
        Interrupted::Cancelled => SendTimeoutError::Cancelled(value),
    }
}

fn not_received(why: Interrupted) -> RecvTimeoutError {
    match why {
        Interrupted::TimedOut => RecvTimeoutError::Timeout,
        Interrupted::Cancelled => RecvTimeoutError::Cancelled,
    }
}
