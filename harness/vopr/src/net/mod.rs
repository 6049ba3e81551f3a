//! The simulated network: sockets, connections, and the wire between nodes.
//!
//! ```text
//!   driver ─▶ calls ─▶ sockets ─▶ connection ─▶ wire ─▶ agenda
//!                          ▲                      │
//!                          └───── delivery ◀──────┘
//! ```
//!
//! Every node has the loopback addresses (`127.0.0.0/8`, `::1`) and [one of its own](address).
//! Over loopback a segment is there when the call that sends it returns, as on Linux. To a node's
//! own address it goes over the wire, also from the node itself: it takes virtual time, and the
//! [faults](crate::Faults) of the network strike it. In one direction of a connection segments
//! keep their order; across connections they do not.
//!
//! The answers are those of Linux, to the errno. A network carries no happens-before edge between
//! two programs, and here it carries none within one either.

mod calls;
mod connection;
mod lost;
mod ready;
mod socket;
mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use raddle_platform::driver::{Handle, Signal};

use crate::disk::Open;
use crate::world::{self, Failed, World};
use connection::Connection;
pub(crate) use ready::target;
use socket::{Kind, Socket};
use wire::Cut;

/// The first descriptor, as in a process with three standard streams.
const FIRST_DESCRIPTOR: usize = 3;
/// Descriptors that a node can have.
const DESCRIPTORS: usize = 1 << 16;
/// The ports that are given to who asks for none, as on Linux.
const FREE_PORTS: core::ops::Range<u16> = 32_768..61_000;

/// Why a call did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// As the kernel says it.
    Errno(i32),
    /// The execution has failed.
    Failed,
}

impl From<Failed> for Refusal {
    fn from(Failed: Failed) -> Self {
        Self::Failed
    }
}

pub(crate) type Result<T, E = Refusal> = core::result::Result<T, E>;

fn errno<T>(number: i32) -> Result<T> {
    Err(Refusal::Errno(number))
}

/// The address of a node on the wire: `10.0.0.1` for node 0, the one that every simulation has.
pub fn address(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, (node / 255) as u8, (node % 255 + 1) as u8).into()
}

/// Sends a signal to the program on the node that the caller is on.
///
/// # Panics
/// Outside of a simulation.
pub fn raise(signal: Signal) {
    world::with(|world| world.raise(world.net.here, signal));
}

/// Cuts the network between two nodes, in both directions, until [`heal`] or the end of the faults.
/// What is sent meanwhile is lost, and sent again.
///
/// # Panics
/// Outside of a simulation.
pub fn partition(one: usize, other: usize) {
    world::with(|world| world.net.partition([one, other], false));
}

/// As [`partition`], but only for what `from` sends to `to`.
///
/// # Panics
/// Outside of a simulation.
pub fn partition_one_way(from: usize, to: usize) {
    world::with(|world| world.net.partition([from, to], true));
}

/// Gives each direction of the connections that are made from now on room for so many bytes that
/// were sent and not received. Else it is 4 bytes, 64, 4 KiB or 64 KiB, as the log decides.
///
/// # Panics
/// Outside of a simulation; and without room for any.
pub fn set_room(bytes: usize) {
    assert!(bytes > 0, "nothing could ever be sent");
    world::with(|world| world.net.room = Some(bytes));
}

/// Ends all partitions.
///
/// # Panics
/// Outside of a simulation.
pub fn heal() {
    world::with(|world| world.net.heal());
}

/// What one node has.
#[derive(Debug)]
struct Node {
    /// Whether anybody is there to receive anything.
    up: bool,
    /// Which socket each descriptor is.
    descriptors: Vec<Option<u64>>,
    next_port: u16,
}

/// All sockets of all nodes, and what connects them.
#[derive(Debug, Default)]
pub(crate) struct Net {
    nodes: Vec<Node>,
    /// The node of the thread that runs: whoever calls is on it.
    pub(crate) here: usize,
    /// Both by creation number.
    sockets: BTreeMap<u64, Socket>,
    connections: BTreeMap<u64, Connection>,
    created: u64,
    /// Segments that were sent.
    sent: u64,
    cuts: Vec<Cut>,
    /// What a direction of each new connection has room for, if the log is not to decide.
    room: Option<usize>,
    /// What each thread waits with that has no driver, once it did.
    tokens: Vec<Option<u32>>,
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Loopback,
    /// To the node of that number, if there is one.
    Wire(usize),
    Unreachable,
}

fn route(ip: IpAddr) -> Route {
    match ip {
        ip if ip.is_loopback() => Route::Loopback,
        IpAddr::V4(ip) => match ip.octets() {
            [10, 0, high, low] if low > 0 => {
                Route::Wire(usize::from(high) * 255 + usize::from(low) - 1)
            }
            _ => Route::Unreachable,
        },
        IpAddr::V6(_) => Route::Unreachable,
    }
}

/// Whoever connects to no address in particular means his own node.
fn definite(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Whether somebody bound to `one` is in the way of somebody bound to `other`.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && same_family && (any || one.ip() == other.ip())
}

impl Net {
    /// A further node.
    pub(crate) fn add_node(&mut self) {
        self.nodes.push(Node { up: true, descriptors: Vec::new(), next_port: FREE_PORTS.start });
    }

    pub(crate) fn set_up(&mut self, node: usize, up: bool) {
        self.nodes[node].up = up;
    }

    /// Whether anybody is there.
    fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.up)
    }

    fn number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// The socket of a descriptor.
    fn id(&self, handle: Handle) -> Result<u64> {
        let index = usize::try_from(handle.0).ok().and_then(|at| at.checked_sub(FIRST_DESCRIPTOR));
        let found = index.and_then(|index| *self.nodes[self.here].descriptors.get(index)?);
        found.map_or_else(|| errno(libc::EBADF), Ok)
    }

    fn socket(&mut self, handle: Handle) -> Result<&mut Socket> {
        let id = self.id(handle)?;
        self.sockets.get_mut(&id).map_or_else(|| errno(libc::EBADF), Ok)
    }

    /// Gives a socket the lowest descriptor that is free, as Unix does: so numbers come back soon.
    fn open(&mut self, kind: Kind) -> Result<Handle> {
        self.open_on(self.here, kind)
    }

    /// As [`open`](Self::open), for a program on `node`.
    fn open_on(&mut self, node: usize, kind: Kind) -> Result<Handle> {
        let number = self.number();
        let descriptors = &mut self.nodes[node].descriptors;
        let index = descriptors.iter().position(Option::is_none).unwrap_or(descriptors.len());
        if index >= DESCRIPTORS {
            return errno(libc::EMFILE);
        }
        if index == descriptors.len() {
            descriptors.push(None);
        }
        descriptors[index] = Some(number);
        self.sockets.insert(number, Socket::new(kind, node));
        Ok(Handle((index + FIRST_DESCRIPTOR) as i32))
    }

    /// Gives a file a descriptor.
    pub(crate) fn open_file(&mut self, node: usize, open: Open) -> Result<Handle> {
        self.open_on(node, Kind::File(open))
    }

    /// What a descriptor of a file stands for.
    pub(crate) fn opened(&mut self, handle: Handle) -> Result<Open> {
        match &self.socket(handle)?.kind {
            Kind::File(open) => Ok(open.clone()),
            Kind::Listener(_) | Kind::Stream { .. } | Kind::Signal { .. } => errno(libc::ESPIPE),
        }
    }

    /// Takes a descriptor back.
    fn forget(&mut self, handle: Handle) -> Option<Socket> {
        let id = self.id(handle).ok()?;
        let index = handle.0 as usize - FIRST_DESCRIPTOR;
        self.nodes[self.here].descriptors[index] = None;
        self.sockets.remove(&id)
    }

    /// A port that nobody has.
    fn free_port(&mut self, ip: IpAddr) -> Result<u16> {
        for _ in FREE_PORTS {
            let port = self.nodes[self.here].next_port;
            let next = if port + 1 < FREE_PORTS.end { port + 1 } else { FREE_PORTS.start };
            self.nodes[self.here].next_port = next;
            if !self.is_taken(SocketAddr::new(ip, port)) {
                return Ok(port);
            }
        }
        errno(libc::EADDRNOTAVAIL)
    }

    /// Whether a listener or the near end of a connection is in the way.
    fn is_taken(&self, addr: SocketAddr) -> bool {
        let listens = |socket: &Socket| match &socket.kind {
            Kind::Listener(listener) => socket.node == self.here && collide(listener.address, addr),
            _ => false,
        };
        let connects = |connection: &Connection| {
            let end = &connection.ends[connection::CLIENT];
            end.node == self.here && collide(end.address, addr)
        };
        self.sockets.values().any(listens) || self.connections.values().any(connects)
    }

    /// Who listens there.
    fn listener(&self, node: usize, addr: SocketAddr) -> Option<u64> {
        let exact = |socket: &Socket, any: bool| match &socket.kind {
            Kind::Listener(listener) => {
                let ip = listener.address.ip();
                let fits = if any { ip.is_unspecified() } else { ip == addr.ip() };
                fits && !listener.ended && node == socket.node && collide(listener.address, addr)
            }
            _ => false,
        };
        let find = |any| self.sockets.iter().find(|(_, socket)| exact(socket, any));
        find(false).or_else(|| find(true)).map(|(id, _)| *id)
    }
}

impl World {
    pub(crate) fn raise(&mut self, node: usize, raised: Signal) {
        let mut reached = Vec::new();
        for (id, socket) in &mut self.net.sockets {
            if let Kind::Signal { signal, came } = &mut socket.kind
                && socket.node == node
                && *signal == raised
            {
                *came = true;
                reached.push(*id);
            }
        }
        for id in reached {
            self.wake_socket(id, None);
        }
    }
}
