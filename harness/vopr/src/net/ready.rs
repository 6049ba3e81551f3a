//! Readiness, and the operations that wait for it.

use raddle_platform::driver::{Handle, Interest, Op};

use super::socket::Kind as What;
use super::{Net, Refusal, Result};
use crate::faults::FaultKind;
use crate::world::{Failed, World};

/// What an operation is on, and what it waits for. It is no operation on files.
pub(crate) fn target(op: &Op) -> (Handle, Interest) {
    match *op {
        Op::Poll { handle, interest } => (handle, interest),
        Op::Recv { handle, .. } => (handle, Interest::Readable),
        Op::Send { handle, .. } => (handle, Interest::Writable),
        _ => unreachable!("the operation is on a socket"),
    }
}

impl Net {
    /// Whether `interest` is there, an error or an end included.
    pub(crate) fn is_ready(&mut self, handle: Handle, interest: Interest) -> Result<bool> {
        let ready = match &self.socket(handle)?.kind {
            What::Listener(listener) => {
                let waiting = !listener.backlog.is_empty() && interest == Interest::Readable;
                waiting || listener.ended
            }
            What::Signal { came, .. } => *came && interest == Interest::Readable,
            What::File(_) => true,
            What::Stream { .. } => {
                let (_, end, connection) = self.stream(handle)?;
                let end = &connection.ends[end];
                match interest {
                    Interest::Readable => end.is_readable(),
                    Interest::Writable => end.is_writable(connection.room),
                }
            }
        };
        Ok(ready)
    }

    /// The change that makes it ready wakes `token`.
    pub(crate) fn wait_for(&mut self, handle: Handle, interest: Interest, token: u32) {
        if let Ok(socket) = self.socket(handle) {
            socket.waiting.push((interest, token));
        }
    }

    /// Nobody waits there with `token` any more.
    pub(crate) fn wait_no_more(&mut self, handle: Handle, token: u32) {
        if let Ok(socket) = self.socket(handle) {
            socket.waiting.retain(|(_, waiting)| *waiting != token);
        }
    }

    /// A driver has got an operation, or completed one.
    pub(crate) fn count_in_flight(&mut self, op: &Op, more: isize) {
        self.count_on_handle(target(op).0, more);
    }

    /// As [`count_in_flight`](Self::count_in_flight), for any operation on that handle.
    pub(crate) fn count_on_handle(&mut self, handle: Handle, more: isize) {
        if let Ok(socket) = self.socket(handle) {
            socket.in_flight = socket.in_flight.saturating_add_signed(more);
        }
    }

    /// Whether an operation has a result by now.
    pub(crate) fn is_possible(&mut self, op: &Op) -> bool {
        let (handle, interest) = target(op);
        // What is no stream refuses to move bytes, and does not wait.
        let refuses = !matches!(op, Op::Poll { .. }) && self.stream(handle).is_err();
        refuses || self.is_ready(handle, interest).unwrap_or(true)
    }

    /// What the thread waits with that has no driver.
    pub(crate) fn token_of(&mut self, thread: u32) -> &mut Option<u32> {
        let index = thread as usize;
        if index >= self.tokens.len() {
            self.tokens.resize(index + 1, None);
        }
        &mut self.tokens[index]
    }
}

impl World {
    /// What the current thread waits with that has no driver.
    pub(crate) fn waiting_token(&mut self) -> u32 {
        let thread = self.current;
        if let Some(token) = *self.net.token_of(thread) {
            return token;
        }
        let token = self.add_token();
        *self.net.token_of(thread).insert(token)
    }

    /// Does an operation that is [possible](Net::is_possible): its result, as a completion has it.
    ///
    /// # Safety
    /// The memory that `op` names is valid, and nobody else uses it.
    pub(crate) unsafe fn operate_on_socket(
        &mut self,
        op: &Op,
    ) -> core::result::Result<i32, Failed> {
        let done = match *op {
            Op::Poll { handle, .. } => self.net.socket(handle).map(|_| 0),
            _ if self.strikes(FaultKind::Interrupted, 2)? > 0 => super::errno(libc::EINTR),
            Op::Recv { handle, buffer, length } => {
                // SAFETY: by the caller's promise.
                let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, length as usize) };
                self.receive(handle, buffer, true)
            }
            Op::Send { handle, buffer, length } => {
                // SAFETY: by the caller's promise.
                let bytes = unsafe { core::slice::from_raw_parts(buffer, length as usize) };
                self.transmit(handle, bytes)
            }
            _ => unreachable!("the operation is on a socket"),
        };
        match done {
            Ok(count) => Ok(count as i32),
            Err(Refusal::Errno(number)) => Ok(-number),
            Err(Refusal::Failed) => Err(Failed),
        }
    }
}
