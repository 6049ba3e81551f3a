//! What the driver tests share: sockets that close themselves, and a driver that is waited for. Over
//! whatever driver [`world`](crate::world) has: the simulator's tests include this file, and the
//! lists of properties, with a world of their own.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use raddle_platform::driver::{Completion, Config, Handle, Interest, Kind, Op, Token};
use raddle_platform::{Clock, Driver, Instant, Platform};

pub(crate) use crate::world::{Io, World};

/// A hang becomes a failed test after this time; nothing else depends on it.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn now() -> Instant {
    <World as Platform>::Clock::now()
}

pub(crate) fn patience() -> Instant {
    now() + PATIENCE
}

/// A socket, closed at the end of its scope.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) Handle);

impl Drop for Socket {
    fn drop(&mut self) {
        Io::close(self.0);
    }
}

pub(crate) fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn listener() -> (Socket, SocketAddr) {
    let socket = Socket(Io::listen(local(), 128).expect("a listener"));
    let addr = Io::local_addr(socket.0).expect("it has an address");
    (socket, addr)
}

pub(crate) fn ready(handle: Handle, interest: Interest) {
    let ready =
        Io::block_until_ready(handle, interest, Some(patience())).expect("it can be polled");
    assert!(ready, "{handle:?} never became ready");
}

/// The two ends of a connection.
pub(crate) fn pair() -> (Socket, Socket) {
    let (listener, addr) = listener();
    let near = Socket(Io::connect(addr).expect("it begins to connect"));
    ready(listener.0, Interest::Readable);
    let (far, _) = Io::accept(listener.0).expect("the connection is there");
    ready(near.0, Interest::Writable);
    Io::take_error(near.0).expect("it is connected");
    (near, Socket(far))
}

/// Sends until there is no room for a long time; the count of bytes. The loopback device moves
/// bytes from one end to the other while it is filled, so "full" means full at both ends.
pub(crate) fn fill(handle: Handle) -> usize {
    let block = [0x5a; 1 << 16];
    let mut sent = 0;
    loop {
        match Io::send(handle, &block) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                return sent;
            }
        }
    }
}

/// Receives `count` bytes, waiting for them.
pub(crate) fn receive(handle: Handle, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        ready(handle, Interest::Readable);
        match Io::recv(handle, &mut bytes[filled..]) {
            Ok(0) => panic!("the stream ended after {filled} of {count} bytes"),
            Ok(count) => filled += count,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
    bytes
}

pub(crate) fn send_all(handle: Handle, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        ready(handle, Interest::Writable);
        match Io::send(handle, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

/// A driver that checks that each operation completes exactly once.
pub(crate) struct Rig {
    pub(crate) driver: Io,
    in_flight: HashSet<u64>,
    completions: Vec<Completion>,
}

impl Rig {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with_entries(kind, Config::default().entries)
    }

    pub(crate) fn with_entries(kind: Kind, entries: u32) -> Self {
        let driver = Io::new(&Config { kind, entries }).expect("the driver is available");
        Self { driver, in_flight: HashSet::new(), completions: Vec::new() }
    }

    pub(crate) fn submit(&mut self, op: Op, token: u64) {
        assert!(self.in_flight.insert(token), "the test uses {token} twice");
        // SAFETY: the tests keep their buffers until the completion, or until the driver is gone.
        unsafe { self.driver.submit(op, Token(token)) };
        assert_eq!(self.driver.in_flight(), self.in_flight.len() + self.completions.len());
    }

    pub(crate) fn poll(&mut self, socket: &Socket, interest: Interest, token: u64) {
        self.poll_handle(socket.0, interest, token);
    }

    pub(crate) fn poll_handle(&mut self, handle: Handle, interest: Interest, token: u64) {
        self.submit(Op::Poll { handle, interest }, token);
    }

    pub(crate) fn recv(&mut self, socket: &Socket, buffer: &mut [u8], token: u64) {
        let length = buffer.len() as u32;
        self.submit(Op::Recv { handle: socket.0, buffer: buffer.as_mut_ptr(), length }, token);
    }

    pub(crate) fn send(&mut self, socket: &Socket, buffer: &[u8], token: u64) {
        let length = buffer.len() as u32;
        self.submit(Op::Send { handle: socket.0, buffer: buffer.as_ptr(), length }, token);
    }

    pub(crate) fn cancel(&mut self, token: u64) {
        self.driver.cancel(Token(token));
    }

    /// Looks without waiting; what completed.
    pub(crate) fn tick(&mut self) -> Vec<(u64, i32)> {
        self.driver.tick(&mut self.completions);
        self.take()
    }

    /// Waits once, until `deadline` if nothing comes; what completed.
    pub(crate) fn wait(&mut self, deadline: Option<Instant>) -> Vec<(u64, i32)> {
        self.driver.wait(deadline, &mut self.completions);
        self.take()
    }

    fn take(&mut self) -> Vec<(u64, i32)> {
        let taken = self.completions.drain(..).map(|done| (done.token.0, done.result));
        let taken: Vec<_> = taken.collect();
        for (token, _) in &taken {
            assert!(self.in_flight.remove(token), "{token} completed, but is not in flight");
        }
        assert_eq!(self.driver.in_flight(), self.in_flight.len());
        taken
    }

    /// Waits until all operations have completed; their results in the order of the tokens.
    pub(crate) fn finish(&mut self) -> Vec<(u64, i32)> {
        let deadline = patience();
        let mut all = Vec::new();
        while !self.in_flight.is_empty() {
            all.extend(self.wait(Some(deadline)));
            assert!(now() < deadline, "never completed: {:?}", self.in_flight);
        }
        all.sort_unstable();
        all
    }

    /// Waits for the only operation in flight.
    pub(crate) fn result(&mut self) -> i32 {
        assert_eq!(self.in_flight.len(), 1);
        self.finish()[0].1
    }
}

/// Closes `far` in a way that resets the connection: with a byte that it has not read.
pub(crate) fn reset(near: &Socket, far: Socket) {
    send_all(near.0, b"x");
    ready(far.0, Interest::Readable);
    drop(far);
}
