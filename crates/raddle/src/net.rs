//! TCP: [`raddle_runtime::net`] in production.

pub use raddle_runtime::net::{
    Address, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream,
};
