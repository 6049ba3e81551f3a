//! Sockets in the memory of an execution.
//!
//! A connection is two ends, each with a few bytes of room; a listener is a queue of ends. What a
//! socket answers depends on what its peer did before, so loom must try both orders; but a network
//! carries no happens-before edge between two programs. As in [`clock`](crate::clock), each
//! operation therefore marks a point of dependence that has no effect on memory: one for each
//! connection and each listener.
//!
//! Who waits leaves a [token](crate::token) with the socket, which the next change that helps
//! wakes. Between the look that found nothing and the leaving there is no point at which loom
//! switches, so no wake is lost.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use loom::sync::Condvar;
use raddle_platform::driver::{Handle, Interest, Op};

use crate::files;
use crate::token::Token;
use crate::world::{World, with};

/// Bytes that an end of a connection keeps until they are received: few, so that writers wait.
const ROOM: usize = 4;
/// The first port that is given to who asks for none.
const FIRST_PORT: u16 = 40_000;
/// The number of the first socket, as in a process with three standard streams.
const FIRST_HANDLE: i32 = 3;

/// All sockets of an execution.
#[derive(Default)]
pub(crate) struct Net {
    /// The index of a socket is its handle's number less the first's. None is used twice.
    sockets: Vec<Socket>,
    ports: u16,
    /// For threads without a driver to wait with. Made with the first socket, because loom wants
    /// to see the making of a token before its use, and kept to the end, because it wants to see
    /// all uses before the end; sockets show it neither.
    tokens: Vec<Arc<Token>>,
}

struct Socket {
    kind: Kind,
    /// What its operations touch; the two ends of a connection share one.
    order: Rc<Condvar>,
    local: SocketAddr,
    open: bool,
    /// Operations that drivers have and have not completed.
    in_flight: usize,
    waiting: Vec<(Interest, Arc<Token>)>,
}

enum Kind {
    Listener { backlog: VecDeque<usize> },
    Stream(Stream),
    Signal { came: bool },
}

struct Stream {
    /// The other end; none if nobody listened.
    peer: Option<usize>,
    remote: SocketAddr,
    received: VecDeque<u8>,
    reads_ended: bool,
    writes_ended: bool,
    error: Option<i32>,
    nodelay: bool,
}

fn errno<T>(number: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(number))
}

fn index(handle: Handle) -> usize {
    usize::try_from(handle.0 - FIRST_HANDLE).unwrap_or(usize::MAX)
}

fn handle(index: usize) -> Handle {
    Handle(FIRST_HANDLE + index as i32)
}

/// The state of all sockets, for as long as `f` runs; no loom operation may be in it.
fn net<R>(f: impl FnOnce(&mut Net) -> R) -> R {
    with(|world| f(&mut world.net.borrow_mut()))
}

/// A point at which loom may switch to others that use the same connection.
fn touch(of: Handle) -> io::Result<()> {
    let order = net(|net| net.open(of).map(|socket| Rc::clone(&socket.order)))?;
    order.notify_one();
    Ok(())
}

/// Wakes who was found waiting.
fn wake(tokens: Vec<Arc<Token>>) {
    tokens.iter().for_each(|token| token.wake());
}

impl Net {
    fn open(&mut self, of: Handle) -> io::Result<&mut Socket> {
        match self.sockets.get_mut(index(of)) {
            Some(socket) if socket.open => Ok(socket),
            _ => errno(libc::EBADF),
        }
    }

    fn stream(&mut self, of: Handle) -> io::Result<&mut Stream> {
        match &mut self.open(of)?.kind {
            Kind::Stream(stream) => Ok(stream),
            _ => errno(libc::ENOTCONN),
        }
    }

    /// The other end's state, if there is one and it is open.
    fn peer(&mut self, of: Handle) -> io::Result<Option<(usize, &mut Stream)>> {
        let Some(peer) = self.stream(of)?.peer else { return Ok(None) };
        Ok(match self.sockets.get_mut(peer) {
            Some(Socket { open: true, kind: Kind::Stream(stream), .. }) => Some((peer, stream)),
            _ => None,
        })
    }

    fn add(&mut self, kind: Kind, local: SocketAddr, order: Rc<Condvar>) -> usize {
        let socket = Socket { kind, order, local, open: true, in_flight: 0, waiting: Vec::new() };
        self.sockets.push(socket);
        self.sockets.len() - 1
    }

    fn free_address(&mut self) -> SocketAddr {
        self.ports += 1;
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), FIRST_PORT + self.ports)
    }

    /// Whether `interest` is there, an error or an end included.
    fn is_ready(&mut self, of: Handle, interest: Interest) -> io::Result<bool> {
        let peer = match self.open(of)?.kind {
            Kind::Stream(_) => self.peer(of)?,
            _ => None,
        };
        let there = peer.map(|(_, peer)| (peer.received.len() < ROOM, peer.writes_ended));
        Ok(match (&mut self.open(of)?.kind, interest) {
            (Kind::Listener { backlog }, Interest::Readable) => !backlog.is_empty(),
            (Kind::Listener { .. }, Interest::Writable) => false,
            // The signal comes as soon as somebody waits for it.
            (Kind::Signal { came }, _) => {
                *came = true;
                true
            }
            (Kind::Stream(stream), Interest::Readable) => {
                let ended = stream.reads_ended || there.is_none_or(|(_, ended)| ended);
                !stream.received.is_empty() || ended
            }
            (Kind::Stream(stream), Interest::Writable) => {
                stream.writes_ended || there.is_none_or(|(room, _)| room)
            }
        })
    }

    /// Takes out who waits for `interest` at the socket with that index.
    fn waiters(&mut self, index: usize, interest: Interest) -> Vec<Arc<Token>> {
        let Some(socket) = self.sockets.get_mut(index) else { return Vec::new() };
        let (ready, still) = socket.waiting.drain(..).partition(|waiter| waiter.0 == interest);
        socket.waiting = still;
        let ready: Vec<(Interest, Arc<Token>)> = ready;
        ready.into_iter().map(|(_, token)| token).collect()
    }

    fn receive(
        &mut self,
        of: Handle,
        buffer: &mut [u8],
        take: bool,
    ) -> io::Result<(usize, Vec<Arc<Token>>)> {
        let peer = self.peer(of)?.map(|(peer, stream)| (peer, stream.writes_ended));
        let stream = self.stream(of)?;
        let count = stream.received.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(&stream.received) {
            *to = *from;
        }
        if count > 0 && take {
            stream.received.drain(..count);
            let peer = peer.map_or(usize::MAX, |(peer, _)| peer);
            return Ok((count, self.waiters(peer, Interest::Writable)));
        }
        if let Some(error) = stream.error.take() {
            return errno(error);
        }
        if count > 0 || stream.reads_ended || peer.is_none_or(|(_, ended)| ended) {
            return Ok((count, Vec::new()));
        }
        errno(libc::EAGAIN)
    }

    fn transmit(&mut self, of: Handle, bytes: &[u8]) -> io::Result<(usize, Vec<Arc<Token>>)> {
        if self.stream(of)?.writes_ended {
            return errno(libc::EPIPE);
        }
        let Some((index, peer)) = self.peer(of)? else { return errno(libc::EPIPE) };
        let count = bytes.len().min(ROOM - peer.received.len());
        if count == 0 && !bytes.is_empty() {
            return errno(libc::EAGAIN);
        }
        peer.received.extend(&bytes[..count]);
        Ok((count, self.waiters(index, Interest::Readable)))
    }
}

/// Before a socket is made: its first use of the network gives an execution its tokens.
fn prepare() -> Rc<Condvar> {
    if net(|net| net.tokens.is_empty()) {
        let tokens = (0..loom::MAX_THREADS).map(|_| Arc::new(Token::new())).collect();
        net(|net| net.tokens = tokens);
    }
    Rc::new(Condvar::new())
}

/// What the calling thread waits with for sockets. Its own parking token may be owed to somebody
/// else.
pub(crate) fn token() -> io::Result<Arc<Token>> {
    let thread = with(World::current);
    net(|net| net.tokens.get(thread).cloned()).map_or_else(|| errno(libc::EBADF), Ok)
}

/// A socket that listens.
pub(crate) fn listen(address: SocketAddr) -> io::Result<Handle> {
    let order = prepare();
    net(|net| {
        let address = if address.port() == 0 { net.free_address() } else { address };
        if net.listener(address).is_some() {
            return errno(libc::EADDRINUSE);
        }
        Ok(handle(net.add(Kind::Listener { backlog: VecDeque::new() }, address, order)))
    })
}

impl Net {
    fn listener(&self, address: SocketAddr) -> Option<usize> {
        self.sockets.iter().position(|socket| {
            socket.open && matches!(socket.kind, Kind::Listener { .. }) && socket.local == address
        })
    }

    fn connect(&mut self, listener: usize, order: &Rc<Condvar>) -> (Handle, Vec<Arc<Token>>) {
        let (server, client) = (self.sockets[listener].local, self.free_address());
        let near = self.add(stream(None, server), client, Rc::clone(order));
        let far = self.add(stream(Some(near), client), server, Rc::clone(order));
        if let Kind::Stream(stream) = &mut self.sockets[near].kind {
            stream.peer = Some(far);
        }
        if let Kind::Listener { backlog } = &mut self.sockets[listener].kind {
            backlog.push_back(far);
        }
        (handle(near), self.waiters(listener, Interest::Readable))
    }
}

fn stream(peer: Option<usize>, remote: SocketAddr) -> Kind {
    Kind::Stream(Stream {
        peer,
        remote,
        received: VecDeque::new(),
        reads_ended: false,
        writes_ended: false,
        error: None,
        nodelay: false,
    })
}

/// A connection to whoever listens there now; where nobody does, one that was refused.
pub(crate) fn connect(address: SocketAddr) -> io::Result<Handle> {
    let order = prepare();
    if let Some(listener) = net(|net| net.listener(address)) {
        touch(handle(listener))?;
    }
    let (connected, waiting) = net(|net| match net.listener(address) {
        Some(listener) => net.connect(listener, &order),
        None => {
            let local = net.free_address();
            let mut refused = stream(None, address);
            if let Kind::Stream(stream) = &mut refused {
                stream.error = Some(libc::ECONNREFUSED);
            }
            (handle(net.add(refused, local, order)), Vec::new())
        }
    });
    wake(waiting);
    Ok(connected)
}

/// The oldest connection that nobody has accepted.
pub(crate) fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)> {
    touch(listener)?;
    net(|net| match &mut net.open(listener)?.kind {
        Kind::Listener { backlog } => match backlog.pop_front() {
            Some(far) => Ok((handle(far), net.stream(handle(far))?.remote)),
            None => errno(libc::EAGAIN),
        },
        _ => errno(libc::EINVAL),
    })
}

/// The error that a connection has, once.
pub(crate) fn take_error(of: Handle) -> io::Result<()> {
    touch(of)?;
    match net(|net| Ok::<_, io::Error>(net.stream(of)?.error.take()))? {
        None => Ok(()),
        Some(error) => errno(error),
    }
}

/// Receives what is there; leaves it there unless it is to be taken.
pub(crate) fn receive(of: Handle, buffer: &mut [u8], take: bool) -> io::Result<usize> {
    touch(of)?;
    let (count, waiting) = net(|net| net.receive(of, buffer, take))?;
    wake(waiting);
    Ok(count)
}

/// Sends what there is room for.
pub(crate) fn transmit(of: Handle, bytes: &[u8]) -> io::Result<usize> {
    touch(of)?;
    let (count, waiting) = net(|net| net.transmit(of, bytes))?;
    wake(waiting);
    Ok(count)
}

/// Ends one direction or both.
pub(crate) fn shutdown(of: Handle, how: Shutdown) -> io::Result<()> {
    touch(of)?;
    let waiting = net(|net| {
        let stream = net.stream(of)?;
        stream.reads_ended |= how != Shutdown::Write;
        stream.writes_ended |= how != Shutdown::Read;
        let peer = stream.peer.unwrap_or(usize::MAX);
        Ok::<_, io::Error>(net.everybody(index(of), peer))
    })?;
    wake(waiting);
    Ok(())
}

impl Net {
    /// Takes out everybody who waits at one end or the other.
    fn everybody(&mut self, near: usize, far: usize) -> Vec<Arc<Token>> {
        let ends = [near, far]
            .into_iter()
            .flat_map(|end| [(end, Interest::Readable), (end, Interest::Writable)]);
        ends.flat_map(|(end, interest)| self.waiters(end, interest)).collect()
    }
}

/// Gives a socket back.
///
/// # Panics
/// If it is none, or an operation on it is in flight: its owner has to wait for that.
pub(crate) fn close(of: Handle) {
    if touch(of).is_err() {
        panic!("{of:?} is closed, which is no open socket");
    }
    let waiting = net(|net| {
        let peer = net.stream(of).ok().and_then(|stream| stream.peer);
        let socket = &mut net.sockets[index(of)];
        assert_eq!(socket.in_flight, 0, "{of:?} is closed with operations in flight");
        socket.open = false;
        net.everybody(index(of), peer.unwrap_or(usize::MAX))
    });
    wake(waiting);
}

/// A handle that waits for a signal.
pub(crate) fn signal() -> Handle {
    let order = prepare();
    net(|net| {
        let local = net.free_address();
        handle(net.add(Kind::Signal { came: false }, local, order))
    })
}

/// Whether the signal has come.
pub(crate) fn take_signal(of: Handle) -> io::Result<bool> {
    touch(of)?;
    net(|net| match &mut net.open(of)?.kind {
        Kind::Signal { came } => Ok(core::mem::take(came)),
        _ => errno(libc::EINVAL),
    })
}

/// Both ends' addresses.
pub(crate) fn addresses(of: Handle) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
    net(|net| {
        let local = net.open(of)?.local;
        Ok((local, net.stream(of).ok().map(|stream| stream.remote)))
    })
}

/// Whether Nagle's algorithm is off, after `change`.
pub(crate) fn nodelay(of: Handle, change: Option<bool>) -> io::Result<bool> {
    net(|net| {
        let stream = net.stream(of)?;
        stream.nodelay = change.unwrap_or(stream.nodelay);
        Ok(stream.nodelay)
    })
}

/// Counts an operation that a driver got, or completed.
pub(crate) fn count_in_flight(op: &Op, more: isize) {
    let (Op::Poll { handle, .. } | Op::Recv { handle, .. } | Op::Send { handle, .. }) = *op else {
        return;
    };
    net(|net| {
        if let Ok(socket) = net.open(handle) {
            socket.in_flight = socket.in_flight.saturating_add_signed(more);
        }
    });
}

/// Whether a socket is ready now. If not, and a token is given, the change that makes it ready
/// wakes it.
pub(crate) fn ready(
    of: Handle,
    interest: Interest,
    waiter: Option<&Arc<Token>>,
) -> io::Result<bool> {
    touch(of)?;
    net(|net| {
        let ready = net.is_ready(of, interest)?;
        if !ready && let Some(waiter) = waiter {
            net.open(of)?.waiting.push((interest, Arc::clone(waiter)));
        }
        Ok(ready)
    })
}

/// Does an operation, if it is possible now: its result, as a completion carries it. If it is not,
/// and a token is given, the change that makes it possible wakes it.
pub(crate) fn attempt(op: &Op, waiter: Option<&Arc<Token>>) -> Option<i32> {
    let (handle, interest) = match *op {
        Op::Poll { handle, interest } => (handle, interest),
        Op::Recv { handle, .. } => (handle, Interest::Readable),
        Op::Send { handle, .. } => (handle, Interest::Writable),
        // SAFETY: the submitter keeps the memory valid and unused until the completion.
        _ => return Some(unsafe { files::perform(op) }),
    };
    match ready(handle, interest, waiter) {
        Ok(false) => return None,
        Ok(true) => {}
        Err(error) => return error.raw_os_error().map(|number| -number),
    }
    let done = net(|net| match *op {
        Op::Poll { .. } => Ok((0, Vec::new())),
        Op::Recv { buffer, length, .. } => {
            // SAFETY: the submitter keeps the memory valid and unused until the completion.
            let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, length as usize) };
            net.receive(handle, buffer, true)
        }
        Op::Send { buffer, length, .. } => {
            // SAFETY: as above.
            net.transmit(handle, unsafe { core::slice::from_raw_parts(buffer, length as usize) })
        }
        _ => unreachable!("the operation is on a socket"),
    });
    Some(match done {
        Ok((count, waiting)) => {
            wake(waiting);
            count as i32
        }
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    })
}

/// Nobody waits with that token any more.
pub(crate) fn forget(token: &Arc<Token>) {
    net(|net| {
        for socket in &mut net.sockets {
            socket.waiting.retain(|(_, waiting)| !Arc::ptr_eq(waiting, token));
        }
    });
}
