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
mod ready;
mod socket;
mod wire;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use raddle_platform::driver::{Handle, Signal};

use crate::world::{self, Failed, World};
use connection::Connection;
pub(crate) use ready::target;
use socket::{Kind, Socket};
use wire::Cut;

/// The node that the caller is on: the only one.
pub(crate) const HERE: usize = 0;
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

pub(crate) type Result<T> = core::result::Result<T, Refusal>;

fn errno<T>(number: i32) -> Result<T> {
    Err(Refusal::Errno(number))
}

/// The address of a node on the wire: `10.0.0.1` for node 0, the only one.
pub fn address(node: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, (node / 255) as u8, (node % 255 + 1) as u8).into()
}

/// Sends a signal to the program in the simulation that the caller is in.
///
/// # Panics
/// Outside of a simulation.
pub fn raise(signal: Signal) {
    world::with(|world| world.raise(signal));
}

/// What one node has.
#[derive(Debug)]
struct Node {
    /// Which socket each descriptor is.
    descriptors: Vec<Option<u64>>,
    next_port: u16,
}

/// All sockets of all nodes, and what connects them.
#[derive(Debug)]
pub(crate) struct Net {
    nodes: Vec<Node>,
    /// Both by creation number.
    sockets: BTreeMap<u64, Socket>,
    connections: BTreeMap<u64, Connection>,
    created: u64,
    /// Segments that were sent.
    sent: u64,
    cuts: Vec<Cut>,
    /// What each thread waits with that has no driver, once it did.
    tokens: Vec<Option<u32>>,
}

impl Default for Net {
    fn default() -> Self {
        let node = Node { descriptors: Vec::new(), next_port: FREE_PORTS.start };
        Self {
            nodes: vec![node],
            sockets: BTreeMap::new(),
            connections: BTreeMap::new(),
            created: 0,
            sent: 0,
            cuts: Vec::new(),
            tokens: Vec::new(),
        }
    }
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
    fn number(&mut self) -> u64 {
        self.created += 1;
        self.created
    }

    /// The socket of a descriptor.
    fn id(&self, handle: Handle) -> Result<u64> {
        let index = usize::try_from(handle.0).ok().and_then(|at| at.checked_sub(FIRST_DESCRIPTOR));
        let found = index.and_then(|index| *self.nodes[HERE].descriptors.get(index)?);
        found.map_or_else(|| errno(libc::EBADF), Ok)
    }

    fn socket(&mut self, handle: Handle) -> Result<&mut Socket> {
        let id = self.id(handle)?;
        self.sockets.get_mut(&id).map_or_else(|| errno(libc::EBADF), Ok)
    }

    /// Gives a socket the lowest descriptor that is free, as Unix does: so numbers come back soon.
    fn open(&mut self, kind: Kind) -> Result<Handle> {
        let number = self.number();
        let descriptors = &mut self.nodes[HERE].descriptors;
        let index = descriptors.iter().position(Option::is_none).unwrap_or(descriptors.len());
        if index >= DESCRIPTORS {
            return errno(libc::EMFILE);
        }
        if index == descriptors.len() {
            descriptors.push(None);
        }
        descriptors[index] = Some(number);
        self.sockets.insert(number, Socket::new(kind));
        Ok(Handle((index + FIRST_DESCRIPTOR) as i32))
    }

    /// Takes a descriptor back.
    fn forget(&mut self, handle: Handle) -> Option<Socket> {
        let id = self.id(handle).ok()?;
        let index = handle.0 as usize - FIRST_DESCRIPTOR;
        self.nodes[HERE].descriptors[index] = None;
        self.sockets.remove(&id)
    }

    /// A port that nobody has.
    fn free_port(&mut self, ip: IpAddr) -> Result<u16> {
        for _ in FREE_PORTS {
            let port = self.nodes[HERE].next_port;
            let next = if port + 1 < FREE_PORTS.end { port + 1 } else { FREE_PORTS.start };
            self.nodes[HERE].next_port = next;
            if !self.is_taken(SocketAddr::new(ip, port)) {
                return Ok(port);
            }
        }
        errno(libc::EADDRNOTAVAIL)
    }

    /// Whether a listener or the near end of a connection is in the way.
    fn is_taken(&self, addr: SocketAddr) -> bool {
        let listens = |socket: &Socket| match &socket.kind {
            Kind::Listener(listener) => collide(listener.address, addr),
            _ => false,
        };
        let connects =
            |connection: &Connection| collide(connection.ends[connection::CLIENT].address, addr);
        self.sockets.values().any(listens) || self.connections.values().any(connects)
    }

    /// Who listens there.
    fn listener(&self, node: usize, addr: SocketAddr) -> Option<u64> {
        let exact = |socket: &Socket, any: bool| match &socket.kind {
            Kind::Listener(listener) => {
                let ip = listener.address.ip();
                let fits = if any { ip.is_unspecified() } else { ip == addr.ip() };
                fits && !listener.ended && node == HERE && collide(listener.address, addr)
            }
            _ => false,
        };
        let find = |any| self.sockets.iter().find(|(_, socket)| exact(socket, any));
        find(false).or_else(|| find(true)).map(|(id, _)| *id)
    }
}

impl World {
    fn raise(&mut self, raised: Signal) {
        let mut reached = Vec::new();
        for (id, socket) in &mut self.net.sockets {
            if let Kind::Signal { signal, came } = &mut socket.kind
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
