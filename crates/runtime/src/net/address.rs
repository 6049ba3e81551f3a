//! What can be connected to and listened on.

use std::io;

use super::{IpAddr, Ipv4Addr, SocketAddr};

/// Something that names a socket address: a [`SocketAddr`], an address and a port, or text like
/// `"127.0.0.1:80"`, `"[::1]:80"` or `"localhost:80"`.
///
/// Host names other than `localhost` are refused instead of looked up: a lookup would block the
/// worker, and a simulation has no name service.
pub trait Address {
    /// The address.
    ///
    /// # Errors
    /// `InvalidInput` if the text is none.
    fn socket_addr(&self) -> io::Result<SocketAddr>;
}

impl Address for SocketAddr {
    fn socket_addr(&self) -> io::Result<SocketAddr> {
        Ok(*self)
    }
}

impl<A: Into<IpAddr> + Copy> Address for (A, u16) {
    fn socket_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::new(self.0.into(), self.1))
    }
}

impl Address for str {
    fn socket_addr(&self) -> io::Result<SocketAddr> {
        if let Ok(address) = self.parse() {
            return Ok(address);
        }
        if let Some(port) = self.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{self}` is no socket address: give IP:PORT, as 127.0.0.1:8080 or [::1]:8080"),
        ))
    }
}

impl Address for String {
    fn socket_addr(&self) -> io::Result<SocketAddr> {
        self.as_str().socket_addr()
    }
}

impl<A: Address + ?Sized> Address for &A {
    fn socket_addr(&self) -> io::Result<SocketAddr> {
        (**self).socket_addr()
    }
}
