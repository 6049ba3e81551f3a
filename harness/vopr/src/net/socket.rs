//! What a descriptor stands for.

use std::collections::VecDeque;
use std::net::SocketAddr;

use raddle_platform::driver::{Interest, Signal};

use crate::disk::Open;

/// A socket, or something that behaves as one.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) kind: Kind,
    /// Whose it is.
    pub(super) node: usize,
    /// Operations that drivers have and have not completed.
    pub(super) in_flight: usize,
    /// Tokens of those who wait.
    pub(super) waiting: Vec<(Interest, u32)>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Listener(Listener),
    /// One end of a connection.
    Stream {
        connection: u64,
        end: usize,
    },
    Signal {
        signal: Signal,
        came: bool,
    },
    File(Open),
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// Connections to be accepted, the oldest first.
    pub(super) backlog: VecDeque<u64>,
    /// Those that will be in the backlog when the client's last word in the handshake comes.
    pub(super) begun: usize,
    /// How many there can be of both.
    pub(super) room: usize,
    /// It was shut down, and listens no longer.
    pub(super) ended: bool,
}

impl Listener {
    pub(super) fn is_full(&self) -> bool {
        self.backlog.len() + self.begun >= self.room
    }
}

impl Socket {
    pub(super) fn new(kind: Kind, node: usize) -> Self {
        Self { kind, node, in_flight: 0, waiting: Vec::new() }
    }

    /// Takes out who waits for `interest`, or for anything.
    pub(super) fn take_waiting(&mut self, interest: Option<Interest>) -> Vec<u32> {
        let wanted = |waiting: &(Interest, u32)| interest.is_none_or(|what| what == waiting.0);
        let woken = self.waiting.iter().filter(|waiting| wanted(waiting)).map(|(_, token)| *token);
        let woken = woken.collect();
        self.waiting.retain(|waiting| !wanted(waiting));
        woken
    }
}
