//! The two ends of a connection.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::wire::Lane;

/// The end that connected, and the one that accepted.
pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

/// A connection, from the call that begins it until nobody at either end can tell that it was.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    /// What each end has sent and has not arrived.
    pub(super) lanes: [Lane; 2],
    /// Bytes that each end can have outstanding.
    pub(super) room: usize,
    /// It goes over the wire; if not, over loopback.
    pub(super) wire: bool,
    /// Nothing comes through any more, and nobody is told.
    pub(super) dead: bool,
    /// Who listened when the connection began.
    pub(super) listener: Option<u64>,
}

/// How far an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server's before it has heard of the connection.
    Absent,
    /// Waits for the other's word in the handshake.
    Connecting,
    /// Can send and receive; the server's perhaps before it was accepted.
    Open,
    /// Has failed: each further call says so.
    Broken,
    /// Nobody has it any more.
    Closed,
    /// Its node has crashed, and whoever is there now has never heard of it.
    Forgotten,
}

/// One end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: usize,
    pub(super) address: SocketAddr,
    pub(super) stage: Stage,
    /// The socket, once there is one.
    pub(super) socket: Option<u64>,
    /// Arrived, and not received by the program.
    pub(super) received: VecDeque<u8>,
    /// Sent by this end, and not known to be received by the other's program.
    pub(super) outstanding: usize,
    /// The other end has said its last word.
    pub(super) peer_ended: bool,
    pub(super) reads_ended: bool,
    pub(super) writes_ended: bool,
    /// The pending error, told once.
    pub(super) error: Option<i32>,
    pub(super) nodelay: bool,
}

impl End {
    pub(super) fn new(node: usize, address: SocketAddr, stage: Stage) -> Self {
        Self {
            node,
            address,
            stage,
            socket: None,
            received: VecDeque::new(),
            outstanding: 0,
            peer_ended: false,
            reads_ended: false,
            writes_ended: false,
            error: None,
            nodelay: false,
        }
    }

    /// The connection has failed at this end.
    pub(super) fn break_down(&mut self, error: i32) {
        self.error = Some(error);
        self.stage = Stage::Broken;
    }

    pub(super) fn is_readable(&self) -> bool {
        let ended = self.peer_ended || self.reads_ended || self.stage == Stage::Broken;
        !self.received.is_empty() || self.error.is_some() || ended
    }

    pub(super) fn is_writable(&self, room: usize) -> bool {
        match self.stage {
            Stage::Open => self.writes_ended || self.outstanding < room,
            Stage::Absent | Stage::Connecting => false,
            Stage::Broken | Stage::Closed | Stage::Forgotten => true,
        }
    }
}

impl Connection {
    /// Whether nobody can tell any more that it was.
    pub(super) fn is_over(&self) -> bool {
        let over =
            |end: &End| matches!(end.stage, Stage::Absent | Stage::Closed | Stage::Forgotten);
        self.ends.iter().all(over) && self.lanes.iter().all(Lane::is_empty)
    }
}
