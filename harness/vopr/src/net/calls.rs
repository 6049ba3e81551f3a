//! What a program asks of its sockets, without waiting.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};

use raddle_platform::driver::{Handle, Interest, Signal};

use super::connection::{CLIENT, Connection, End, SERVER, Stage};
use super::socket::{Kind as What, Listener, Socket};
use super::wire::Payload;
use super::{Net, Refusal, Result, Route, address, definite, errno, route};
use crate::decisions::Kind;
use crate::faults::FaultKind;
use crate::report::FailureKind;
use crate::world::World;

/// Bytes that an end of a connection keeps until they are received: each connection draws one. The
/// small ones make writers wait.
const ROOMS: [usize; 4] = [1 << 16, 1 << 12, 64, 4];
/// The longest backlog that a listener gets, as on Linux.
const BACKLOG_MAX: u32 = 4096;

impl Net {
    /// The connection and the end that a handle names.
    pub(super) fn stream(&mut self, handle: Handle) -> Result<(u64, usize, &mut Connection)> {
        match self.socket(handle)?.kind {
            What::Stream { connection: id, end } => match self.connections.get_mut(&id) {
                Some(connection) => Ok((id, end, connection)),
                None => errno(libc::ENOTCONN),
            },
            What::Listener(_) => errno(libc::ENOTCONN),
            What::Signal { .. } | What::File(_) => errno(libc::ENOTSOCK),
        }
    }

    /// Both ends' addresses.
    pub(crate) fn addresses(&mut self, handle: Handle) -> Result<(SocketAddr, Option<SocketAddr>)> {
        if let What::Listener(listener) = &self.socket(handle)?.kind {
            return Ok((listener.address, None));
        }
        let (_, end, connection) = self.stream(handle)?;
        let connected = connection.ends[end].stage == Stage::Open;
        let far = connection.ends[1 - end].address;
        Ok((connection.ends[end].address, connected.then_some(far)))
    }

    /// Whether Nagle's algorithm is off, after `change`.
    pub(crate) fn nodelay(&mut self, handle: Handle, change: Option<bool>) -> Result<bool> {
        let (_, end, connection) = self.stream(handle)?;
        let end = &mut connection.ends[end];
        end.nodelay = change.unwrap_or(end.nodelay);
        Ok(end.nodelay)
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> Result<Handle> {
        self.open(What::Signal { signal, came: false })
    }

    pub(crate) fn take_signal(&mut self, handle: Handle) -> Result<bool> {
        match &mut self.socket(handle)?.kind {
            What::Signal { came, .. } => Ok(core::mem::take(came)),
            _ => errno(libc::EINVAL),
        }
    }

    pub(crate) fn take_error(&mut self, handle: Handle) -> Result<()> {
        let (_, end, connection) = match self.stream(handle) {
            Err(Refusal::Errno(libc::ENOTCONN)) => return Ok(()),
            found => found?,
        };
        connection.ends[end].error.take().map_or(Ok(()), errno)
    }

    pub(crate) fn listen(&mut self, mut addr: SocketAddr, backlog: u32) -> Result<Handle> {
        let ours = addr.ip().is_unspecified() || addr.ip() == address(self.here);
        if !ours && route(addr.ip()) != Route::Loopback {
            return errno(libc::EADDRNOTAVAIL);
        }
        if addr.port() == 0 {
            addr.set_port(self.free_port(addr.ip())?);
        } else if self.is_taken(addr) {
            return errno(libc::EADDRINUSE);
        }
        self.open(What::Listener(Listener {
            address: addr,
            backlog: VecDeque::new(),
            begun: 0,
            room: backlog.min(BACKLOG_MAX) as usize + 1,
            ended: false,
        }))
    }
}

impl World {
    pub(crate) fn connect(&mut self, addr: SocketAddr) -> Result<Handle> {
        let (addr, here) = (definite(addr), self.net.here);
        let (from, node, wire) = match route(addr.ip()) {
            Route::Loopback if addr.is_ipv4() => (Ipv4Addr::LOCALHOST.into(), here, false),
            Route::Loopback => (Ipv6Addr::LOCALHOST.into(), here, false),
            Route::Wire(node) => (address(here), node, true),
            Route::Unreachable => return errno(libc::ENETUNREACH),
        };
        let near = SocketAddr::new(from, self.net.free_port(from)?);
        let mut ends =
            [End::new(here, near, Stage::Connecting), End::new(node, addr, Stage::Absent)];
        let room = match self.net.room {
            Some(room) => room,
            None => ROOMS[self.choose(Kind::Network, ROOMS.len())?],
        };
        let id = self.net.number();
        let handle = self.net.open(What::Stream { connection: id, end: CLIENT })?;
        ends[CLIENT].socket = self.net.id(handle).ok();
        // Where there is no node, nobody ever answers.
        let dead = node >= self.hosts.len();
        let lanes = Default::default();
        let connection = Connection { ends, lanes, room, wire, dead, listener: None };
        self.net.connections.insert(id, connection);
        self.send_segment(id, CLIENT, Payload::Hello)?;
        Ok(handle)
    }

    pub(crate) fn accept(&mut self, handle: Handle) -> Result<(Handle, SocketAddr)> {
        let id = match &self.net.socket(handle)?.kind {
            What::Listener(listener) if listener.ended => return errno(libc::EINVAL),
            What::Listener(listener) => match listener.backlog.front() {
                Some(id) => *id,
                None => return errno(libc::EAGAIN),
            },
            What::Stream { .. } => return errno(libc::EINVAL),
            What::Signal { .. } | What::File(_) => return errno(libc::ENOTSOCK),
        };
        if self.strikes(FaultKind::WouldBlock, 2)? > 0 {
            return errno(libc::EAGAIN);
        }
        match self.strikes(FaultKind::AcceptFails, 3)? {
            0 => {}
            1 => return errno(libc::EMFILE),
            _ => {
                self.dequeue(handle);
                self.abandon(id)?;
                return errno(libc::ECONNABORTED);
            }
        }
        let accepted = self.net.open(What::Stream { connection: id, end: SERVER })?;
        self.dequeue(handle);
        let socket = self.net.id(accepted).ok();
        let Some(connection) = self.net.connections.get_mut(&id) else {
            return errno(libc::ECONNABORTED);
        };
        connection.ends[SERVER].socket = socket;
        Ok((accepted, connection.ends[CLIENT].address))
    }

    fn dequeue(&mut self, listener: Handle) {
        if let Ok(Socket { kind: What::Listener(listener), .. }) = self.net.socket(listener) {
            listener.backlog.pop_front();
        }
    }

    /// Ends a connection that nobody accepts.
    pub(super) fn abandon(&mut self, id: u64) -> Result<()> {
        if let Some(connection) = self.net.connections.get_mut(&id) {
            let stage = core::mem::replace(&mut connection.ends[SERVER].stage, Stage::Closed);
            if stage == Stage::Open {
                self.send_segment(id, SERVER, Payload::Reset)?;
            }
            self.bury(id);
        }
        Ok(())
    }

    /// Receives what is there; leaves it there unless it is to be taken.
    pub(crate) fn receive(
        &mut self,
        handle: Handle,
        buffer: &mut [u8],
        take: bool,
    ) -> Result<usize> {
        let (id, number, connection) = self.net.stream(handle)?;
        let end = &mut connection.ends[number];
        if end.received.is_empty() {
            if let Some(error) = end.error.take() {
                return errno(error);
            }
            let ended = end.peer_ended || end.reads_ended || end.stage == Stage::Broken;
            return if ended { Ok(0) } else { errno(libc::EAGAIN) };
        }
        let count = end.received.len().min(buffer.len());
        let count = self.shorten(FaultKind::ShortRead, count)?;
        let (_, _, connection) = self.net.stream(handle)?;
        let end = &mut connection.ends[number];
        for (to, from) in buffer.iter_mut().zip(end.received.iter().take(count)) {
            *to = *from;
        }
        if take && count > 0 {
            end.received.drain(..count);
            if end.stage == Stage::Open {
                self.send_segment(id, number, Payload::Room(count))?;
            }
        }
        Ok(count)
    }

    /// Sends what there is room for.
    pub(crate) fn transmit(&mut self, handle: Handle, bytes: &[u8]) -> Result<usize> {
        let (id, number, connection) = self.net.stream(handle)?;
        let room = connection.room;
        let end = &mut connection.ends[number];
        if let Some(error) = end.error.take() {
            return errno(error);
        }
        match end.stage {
            Stage::Broken => return errno(libc::EPIPE),
            _ if end.writes_ended => return errno(libc::EPIPE),
            Stage::Open => {}
            _ => return errno(libc::EAGAIN),
        }
        let count = bytes.len().min(room.saturating_sub(end.outstanding));
        if count == 0 {
            return if bytes.is_empty() { Ok(0) } else { errno(libc::EAGAIN) };
        }
        let count = self.shorten(FaultKind::ShortWrite, count)?;
        let (_, _, connection) = self.net.stream(handle)?;
        connection.ends[number].outstanding += count;
        self.send_segment(id, number, Payload::Data(bytes[..count].to_vec()))?;
        Ok(count)
    }

    /// Perhaps fewer, but one at least.
    pub(crate) fn shorten(&mut self, kind: FaultKind, count: usize) -> Result<usize> {
        if count <= 1 || self.strikes(kind, 2)? == 0 {
            return Ok(count);
        }
        self.fewer(count)
    }

    /// Fewer than so many, which are two at least; and one at least.
    pub(crate) fn fewer(&mut self, count: usize) -> Result<usize> {
        let most = (count - 1).min(crate::decisions::MAX_OPTIONS);
        Ok(1 + self.choose(Kind::Network, most)?)
    }

    pub(crate) fn shut_down(&mut self, handle: Handle, how: Shutdown) -> Result<()> {
        let id = self.net.id(handle)?;
        if let What::Listener(listener) = &mut self.net.socket(handle)?.kind {
            if how != Shutdown::Write && !listener.ended {
                listener.ended = true;
                let backlog = core::mem::take(&mut listener.backlog);
                for connection in backlog {
                    self.abandon(connection)?;
                }
                self.wake_socket(id, None);
            }
            return Ok(());
        }
        let (connection_id, number, connection) = self.net.stream(handle)?;
        let end = &mut connection.ends[number];
        if end.stage != Stage::Open {
            return errno(libc::ENOTCONN);
        }
        end.reads_ended |= how != Shutdown::Write;
        let last = how != Shutdown::Read && !end.writes_ended;
        end.writes_ended |= last;
        self.wake_socket(id, None);
        if last {
            self.send_segment(connection_id, number, Payload::End)?;
        }
        Ok(())
    }

    /// Gives a socket back. That it is none, or has operations in flight, is a bug of the program.
    pub(crate) fn close(&mut self, handle: Handle) -> Result<()> {
        match self.net.socket(handle) {
            Ok(socket) if socket.in_flight == 0 => {}
            Ok(socket) => {
                let count = socket.in_flight;
                let message = format!("{handle:?} is closed with {count} operations in flight");
                return Err(self.fail(FailureKind::Misuse, message).into());
            }
            Err(_) => {
                let message = format!("{handle:?} is closed, which is no open socket");
                return Err(self.fail(FailureKind::Misuse, message).into());
            }
        }
        let Some(mut socket) = self.net.forget(handle) else { return Ok(()) };
        // Who still polls finds that it is gone.
        for token in socket.take_waiting(None) {
            self.ring(token);
        }
        match socket.kind {
            What::Signal { .. } => {}
            What::File(open) => self.close_file(self.net.here, &open),
            What::Listener(listener) => {
                for id in listener.backlog {
                    self.abandon(id)?;
                }
            }
            What::Stream { connection: id, end } => self.close_end(id, end)?,
        }
        Ok(())
    }

    pub(super) fn close_end(&mut self, id: u64, number: usize) -> Result<()> {
        let Some(connection) = self.net.connections.get_mut(&id) else { return Ok(()) };
        let end = &mut connection.ends[number];
        let stage = core::mem::replace(&mut end.stage, Stage::Closed);
        end.socket = None;
        if stage == Stage::Open {
            // What was never received is told to the sender.
            if !end.received.is_empty() {
                self.send_segment(id, number, Payload::Reset)?;
            } else if !end.writes_ended {
                self.send_segment(id, number, Payload::End)?;
            }
        }
        self.bury(id);
        Ok(())
    }

    /// Somebody who waits with `token` is to look again. That carries no happens-before edge.
    pub(crate) fn ring(&mut self, token: u32) {
        let token = &mut self.tokens[token as usize];
        token.set = true;
        if let Some(thread) = token.waiter {
            self.threads[thread as usize].woken = crate::world::Woken::Token;
            self.set_runnable(thread);
        }
    }

    /// Wakes who waits for `interest` at a socket, or for anything.
    pub(super) fn wake_socket(&mut self, id: u64, interest: Option<Interest>) {
        let Some(socket) = self.net.sockets.get_mut(&id) else { return };
        for token in socket.take_waiting(interest) {
            self.ring(token);
        }
    }
}
