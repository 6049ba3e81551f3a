//! Listening.

use core::fmt;
use std::io;

use raddle_ownership::Arc;
use raddle_platform::driver::Interest;
use raddle_platform::{Driver, Native, Platform};

use super::{Address, SocketAddr, TcpStream};
use crate::io::{Readiness, Socket, retry_blocking};

/// Connections that the kernel keeps until they are accepted: what std asks for.
const BACKLOG: u32 = 4096;

/// Accepts connections.
///
/// ```
/// use raddle_runtime::{Native, Runtime, net::{TcpListener, TcpStream}, spawn};
/// use std::io::{Read, Write};
///
/// let runtime: Runtime = Runtime::new()?;
/// let echoed = runtime.run(|| -> std::io::Result<String> {
///     let listener = TcpListener::<Native>::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     spawn::<Native, _, _>(move || -> std::io::Result<u64> {
///         let (stream, _) = listener.accept()?;
///         std::io::copy(&mut &stream, &mut &stream)
///     });
///     let mut stream = TcpStream::<Native>::connect(address)?;
///     stream.write_all(b"warp")?;
///     stream.shutdown(raddle_runtime::net::Shutdown::Write)?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text)?;
///     Ok(text)
/// });
/// assert_eq!(echoed.unwrap()?, "warp");
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener<P: Platform = Native> {
    socket: Arc<Socket<P>, P>,
}

impl<P: Platform> fmt::Debug for TcpListener<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("local_addr", &self.local_addr().ok()).finish()
    }
}

impl<P: Platform> TcpListener<P> {
    /// Listens on `address`; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput` for text that is no address.
    pub fn bind(address: impl Address) -> io::Result<Self> {
        let handle = P::Driver::listen(address.socket_addr()?, BACKLOG)?;
        Ok(Self { socket: Socket::new(handle) })
    }

    /// Waits for a connection, suspending the calling fiber or thread. A cancellation point.
    ///
    /// # Errors
    /// The kernel's (running out of descriptors is one: wait a little and go on), and
    /// [cancellation](crate::is_cancelled_error).
    pub fn accept(&self) -> io::Result<(TcpStream<P>, SocketAddr)> {
        let handle = self.socket.handle;
        let (stream, peer) =
            retry_blocking::<P, _>(handle, Interest::Readable, None, || P::Driver::accept(handle))?;
        Ok((TcpStream::from_handle(stream), peer))
    }

    /// Waits for a connection without blocking.
    ///
    /// # Errors
    /// As [`accept`](TcpListener::accept).
    pub async fn accept_async(&self) -> io::Result<(TcpStream<P>, SocketAddr)> {
        loop {
            match P::Driver::accept(self.socket.handle) {
                Ok((stream, peer)) => return Ok((TcpStream::from_handle(stream), peer)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            Readiness::new(&self.socket, Interest::Readable).await?;
        }
    }

    /// An endless iterator over [`accept`](TcpListener::accept).
    pub fn incoming(&self) -> Incoming<'_, P> {
        Incoming { listener: self }
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        P::Driver::local_addr(self.socket.handle)
    }
}

impl<P: Platform> Drop for TcpListener<P> {
    fn drop(&mut self) {
        self.socket.cancel_all();
    }
}

/// See [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a, P: Platform = Native> {
    listener: &'a TcpListener<P>,
}

impl<P: Platform> Iterator for Incoming<'_, P> {
    type Item = io::Result<TcpStream<P>>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
