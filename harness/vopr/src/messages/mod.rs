//! What subscribers may rely on, checked on a log of what clients asked for, were told and received.
//!
//! A [`Log`] is kept by the clients of a server that publishes and subscribes. [`check`] finds what
//! such a server must never do, whatever goes wrong between it and them:
//!
//! * a message that nobody published, or that comes by a topic that nobody asked for;
//! * a message that comes twice by one topic;
//! * messages in an order that contradicts another subscriber's, or that of their publications;
//! * a message that is missing although the connection lives: one that was published after the
//!   subscription was confirmed, and before another that came, or before a request of the subscriber
//!   that was answered;
//! * a number of receivers that is not that of those who got it, or whose connections have ended.
//!
//! The end of a connection is the report of a loss. There is no other: a server that drops messages
//! and answers on is found. Of one that says how many it drops, [`check_dropping`] finds what is missing
//! and was not counted, and all else that is above.

mod check;
#[cfg(test)]
mod tests;

use core::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use check::{Drops, Rule, Tally, Unsound, check, check_dropping};

/// What a client listens to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The channel of this name.
    Channel(String),
    /// All channels whose names begin so: the pattern of Redis without the star at its end.
    Prefix(String),
}

impl Topic {
    /// Whether what is published to `channel` is of this topic.
    pub fn covers(&self, channel: &str) -> bool {
        match self {
            Self::Channel(name) => name == channel,
            Self::Prefix(prefix) => channel.starts_with(prefix),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// A message: the connection that published it, and the how manieth of that connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    /// Each connection has a number of its own.
    pub publisher: u32,
    /// Growing.
    pub number: u32,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} of connection {}", self.number, self.publisher)
    }
}

/// What happens to a client. `by` is the number of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum Event {
    /// It is about to ask for a topic that it has not.
    Subscribes { by: u32, topic: Topic },
    /// It is told that it has it.
    Subscribed { by: u32, topic: Topic },
    /// It is about to give a topic up.
    Unsubscribes { by: u32, topic: Topic },
    /// It is told that it has it no more.
    Unsubscribed { by: u32, topic: Topic },
    /// It is about to publish.
    Publishes { channel: String, message: Message },
    /// It is told how many have it: whoever listens in two ways counts twice.
    Published { message: Message, receivers: usize },
    /// It got a message by a topic.
    Receives { by: u32, topic: Topic, channel: String, message: Message },
    /// It is about to ask for something else.
    Asks { by: u32 },
    /// It got the answer.
    Answered { by: u32 },
    /// Its connection was closed, or has failed, or it waits no longer: whatever may be missing, it
    /// knows.
    Ended { by: u32 },
}

/// What happened to all clients, in its order.
///
/// It is no operation of the platform: with and without it the same seed gives the same execution.
#[derive(Debug, Default)]
pub struct Log {
    // The simulated threads share one thread of the operating system, and none switches while it
    // holds this.
    events: Mutex<Vec<Event>>,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub fn note(&self, event: Event) {
        self.lock().push(event);
    }

    /// All so far.
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }
}
