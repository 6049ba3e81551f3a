//! Why an item was not published, or not received.

use core::error::Error;
use core::fmt;

use raddle_ownership::{Arc, unsize};
use raddle_platform::suspend::Interrupted;
use raddle_platform::{Native, Platform};

/// The error with which a stream was closed, shared by all subscribers.
pub struct Failure<P: Platform = Native>(Arc<dyn Error + Send + Sync, P>);

impl<P: Platform> Failure<P> {
    pub(super) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(unsize!(Arc::new_in(error) => dyn Error + Send + Sync))
    }

    /// The error.
    pub fn get(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl<P: Platform> Clone for Failure<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: Platform> fmt::Debug for Failure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.get(), f)
    }
}

impl<P: Platform> fmt::Display for Failure<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.get(), f)
    }
}

/// The error with which a stream is closed that has used up the numbers of its chunks: 2^47 of them. A
/// stream of a capacity below 8, which opens a chunk for each item, gets there in 16 days if it publishes
/// one in every 10 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream has published all that it can number: make a new one")
    }
}

impl Error for Exhausted {}

/// Why there is no item. After [`Lagged`](Self::Lagged) and [`Cancelled`](Self::Cancelled) the next
/// call goes on; the others are final, and every further call returns them again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecvError<P: Platform = Native> {
    /// So many items between the last one received and the next one are lost to this subscriber.
    Lagged(u64),
    /// The subscriber was too slow and its policy is to [disconnect](super::Policy::Disconnect). When it
    /// noticed, so many items that it had not received were given up; others may still have been there.
    CutOff(u64),
    /// All items are received, and there will be no more.
    Closed,
    /// All items are received, and the publisher closed the stream with this error.
    Failed(Failure<P>),
    /// The waiting fiber was cancelled.
    Cancelled,
}

impl<P: Platform> RecvError<P> {
    /// Whether every further call returns the same.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Lagged(_) | Self::Cancelled)
    }
}

impl<P: Platform> fmt::Display for RecvError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(lost) => {
                write!(f, "the subscriber was too slow and has missed {lost} items")
            }
            Self::CutOff(lost) => {
                write!(f, "the subscriber was too slow by {lost} items and is cut off")
            }
            Self::Closed => f.write_str("the stream is closed"),
            Self::Failed(failure) => write!(f, "the stream has failed: {failure}"),
            Self::Cancelled => f.write_str("the waiting fiber was cancelled"),
        }
    }
}

impl<P: Platform> Error for RecvError<P> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure.get()),
            _ => None,
        }
    }
}

/// Why there is no item now.
#[derive(Clone, Debug)]
pub enum TryRecvError<P: Platform = Native> {
    /// All items so far are received.
    Empty,
    /// There is something else to be told.
    Other(RecvError<P>),
}

impl<P: Platform> fmt::Display for TryRecvError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no item is there yet"),
            Self::Other(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<P: Platform> Error for TryRecvError<P> {}

/// Why there was no item before the deadline.
#[derive(Clone, Debug)]
pub enum RecvTimeoutError<P: Platform = Native> {
    /// The deadline came first.
    TimedOut,
    /// There is something else to be told.
    Other(RecvError<P>),
}

impl<P: Platform> From<Interrupted> for RecvTimeoutError<P> {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::TimedOut => Self::TimedOut,
            Interrupted::Cancelled => Self::Other(RecvError::Cancelled),
        }
    }
}

impl<P: Platform> fmt::Display for RecvTimeoutError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no item came in time"),
            Self::Other(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl<P: Platform> Error for RecvTimeoutError<P> {}

/// Why an item was not published. It has the item.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError<T> {
    /// A [blocking](super::Policy::Block) subscriber has not taken what is there.
    Full(T),
    /// Still so when the deadline came.
    TimedOut(T),
    /// The stream is closed.
    Closed(T),
    /// The waiting fiber was cancelled.
    Cancelled(T),
}

impl<T> PublishError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value)
            | Self::TimedOut(value)
            | Self::Closed(value)
            | Self::Cancelled(value) => value,
        }
    }
}

impl<T> fmt::Debug for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::TimedOut(_) => "TimedOut(..)",
            Self::Closed(_) => "Closed(..)",
            Self::Cancelled(_) => "Cancelled(..)",
        })
    }
}

impl<T> fmt::Display for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "a subscriber holds the publishers back",
            Self::TimedOut(_) => "a subscriber held the publishers back until the deadline",
            Self::Closed(_) => "the stream is closed",
            Self::Cancelled(_) => "the waiting fiber was cancelled",
        })
    }
}

impl<T> Error for PublishError<T> {}
