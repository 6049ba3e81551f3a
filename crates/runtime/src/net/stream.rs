//! Connections.

use core::fmt;
use core::time::Duration;
use std::io::{self, Read, Write};

use raddle_ownership::Arc;
use raddle_platform::driver::{Handle, Interest, Op};
use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Atomic, Clock, Driver, Instant, Native, Ordering, Platform};

use super::{Address, Shutdown, SocketAddr};
use crate::io::{Readiness, Socket, interrupted_io, perform, retry_blocking};

/// A TCP connection.
///
/// Reading and writing are std's [`Read`] and [`Write`], for the stream and for references to it:
/// one fiber may read while another writes. Dropping it closes it.
pub struct TcpStream<P: Platform = Native> {
    socket: Arc<Socket<P>, P>,
    /// Nanoseconds; 0 for none. Options like std's, so that they can be set through `&self`.
    read_timeout: P::AtomicU64,
    write_timeout: P::AtomicU64,
}

impl<P: Platform> fmt::Debug for TcpStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local_addr", &self.local_addr().ok())
            .field("peer_addr", &self.peer_addr().ok())
            .finish()
    }
}

impl<P: Platform> TcpStream<P> {
    pub(super) fn from_handle(handle: Handle) -> Self {
        Self {
            socket: Socket::new(handle),
            read_timeout: P::AtomicU64::new(0),
            write_timeout: P::AtomicU64::new(0),
        }
    }

    /// Connects, suspending the calling fiber or thread. A cancellation point.
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput` for text that is no address.
    pub fn connect(address: impl Address) -> io::Result<Self> {
        Self::connect_by(address, None)
    }

    /// As [`connect`](TcpStream::connect), for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut` besides.
    pub fn connect_timeout(address: impl Address, timeout: Duration) -> io::Result<Self> {
        Self::connect_by(address, Some(P::Clock::now() + timeout))
    }

    fn connect_by(address: impl Address, deadline: Option<Instant>) -> io::Result<Self> {
        let stream = Self::from_handle(P::Driver::connect(address.socket_addr()?)?);
        let handle = stream.socket.handle;
        let mut begun = false;
        retry_blocking::<P, _>(handle, Interest::Writable, deadline, || {
            if core::mem::replace(&mut begun, true) {
                return P::Driver::take_error(handle);
            }
            Err(io::ErrorKind::WouldBlock.into())
        })?;
        Ok(stream)
    }

    /// Connects without blocking.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect).
    pub async fn connect_async(address: impl Address) -> io::Result<Self> {
        let stream = Self::from_handle(P::Driver::connect(address.socket_addr()?)?);
        Readiness::new(&stream.socket, Interest::Writable).await?;
        P::Driver::take_error(stream.socket.handle)?;
        Ok(stream)
    }

    /// Receives into `buffer` without blocking: the number of bytes, 0 at the end of the stream.
    /// The future may be dropped at any time: bytes are taken only when it is ready.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn read_async(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match P::Driver::recv(self.socket.handle, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => return done,
            }
            Readiness::new(&self.socket, Interest::Readable).await?;
        }
    }

    /// Sends some of `buffer` without blocking: the number of bytes taken.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn write_async(&self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            match P::Driver::send(self.socket.handle, buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => return done,
            }
            Readiness::new(&self.socket, Interest::Writable).await?;
        }
    }

    /// Sends all of `buffer` without blocking. Dropped in the middle, it has sent a part.
    ///
    /// # Errors
    /// The kernel's; `WriteZero` if it takes nothing.
    pub async fn write_all_async(&self, mut buffer: &[u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.write_async(buffer).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => buffer = &buffer[count..],
            }
        }
        Ok(())
    }

    /// Waits until a read would not block, suspending the calling fiber or thread, or until
    /// `condition` holds. The condition is looked at first, and again whenever the calling fiber
    /// is woken: whoever makes it true then wakes the fiber (see
    /// [`task::current_waker`](crate::task::current_waker)). Returns whether the stream is
    /// readable. A cancellation point.
    ///
    /// # Errors
    /// The kernel's, and [cancellation](crate::is_cancelled_error).
    pub fn readable_or(&self, mut condition: impl FnMut() -> bool) -> io::Result<bool> {
        let mut readiness = core::pin::pin!(Readiness::new(&self.socket, Interest::Readable));
        suspend::wait::<P, _>(Limits::CANCELLABLE, |context| {
            use core::task::Poll;
            if condition() {
                return Poll::Ready(Ok(false));
            }
            readiness.as_mut().poll(context).map(|ready| ready.map(|()| true))
        })
        .map_err(interrupted_io)?
    }

    /// Looks at what was received without taking it, suspending the caller until something is
    /// there.
    ///
    /// # Errors
    /// As [`read`](Read::read).
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let handle = self.socket.handle;
        let deadline = deadline::<P>(&self.read_timeout);
        retry_blocking::<P, _>(handle, Interest::Readable, deadline, || {
            P::Driver::peek(handle, buffer)
        })
    }

    /// Receives what is there, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        P::Driver::recv(self.socket.handle, buffer)
    }

    /// Sends what there is room for, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` if there is none.
    pub fn try_write(&self, buffer: &[u8]) -> io::Result<usize> {
        P::Driver::send(self.socket.handle, buffer)
    }

    /// Ends one direction or both; whoever waits in it is woken.
    ///
    /// # Errors
    /// The kernel's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        P::Driver::shutdown(self.socket.handle, how)
    }

    /// This end's address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        P::Driver::local_addr(self.socket.handle)
    }

    /// The other end's address.
    ///
    /// # Errors
    /// The kernel's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        P::Driver::peer_addr(self.socket.handle)
    }

    /// Turns Nagle's algorithm off or on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        P::Driver::set_nodelay(self.socket.handle, nodelay)
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// The kernel's.
    pub fn nodelay(&self) -> io::Result<bool> {
        P::Driver::nodelay(self.socket.handle)
    }

    /// How long a blocking read waits; `None` for ever. Then it fails with `TimedOut`.
    ///
    /// # Errors
    /// `InvalidInput` for zero, as in std.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout::<P>(&self.read_timeout, timeout)
    }

    /// How long a blocking write waits; `None` for ever. Then it fails with `TimedOut`.
    ///
    /// # Errors
    /// `InvalidInput` for zero, as in std.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        set_timeout::<P>(&self.write_timeout, timeout)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let handle = self.socket.handle;
        let deadline = deadline::<P>(&self.read_timeout);
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let op = Op::Recv { handle, buffer: buffer.as_mut_ptr(), length };
        // SAFETY: the buffer is borrowed for the length of the call.
        match unsafe { perform::<P>(op, Limits { deadline, cancellable: true }) } {
            Some(Ok(result)) => result.map(|count| count as usize),
            Some(Err(interrupted)) => Err(interrupted_io(interrupted)),
            None => retry_blocking::<P, _>(handle, Interest::Readable, deadline, || {
                P::Driver::recv(handle, buffer)
            }),
        }
    }

    fn transmit(&self, buffer: &[u8]) -> io::Result<usize> {
        let handle = self.socket.handle;
        let deadline = deadline::<P>(&self.write_timeout);
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let op = Op::Send { handle, buffer: buffer.as_ptr(), length };
        // SAFETY: the buffer is borrowed for the length of the call.
        match unsafe { perform::<P>(op, Limits { deadline, cancellable: true }) } {
            Some(Ok(result)) => result.map(|count| count as usize),
            Some(Err(interrupted)) => Err(interrupted_io(interrupted)),
            None => retry_blocking::<P, _>(handle, Interest::Writable, deadline, || {
                P::Driver::send(handle, buffer)
            }),
        }
    }
}

fn deadline<P: Platform>(timeout: &P::AtomicU64) -> Option<Instant> {
    match timeout.load(Ordering::Relaxed) {
        0 => None,
        ns => Some(P::Clock::now() + Duration::from_nanos(ns)),
    }
}

fn set_timeout<P: Platform>(place: &P::AtomicU64, timeout: Option<Duration>) -> io::Result<()> {
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        let message = "a timeout of zero: give None to wait for ever";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let ns = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
    place.store(ns, Ordering::Relaxed);
    Ok(())
}

impl<P: Platform> Drop for TcpStream<P> {
    fn drop(&mut self) {
        self.socket.cancel_all();
    }
}

impl<P: Platform> Read for &TcpStream<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer)
    }
}

impl<P: Platform> Write for &TcpStream<P> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.transmit(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<P: Platform> Read for TcpStream<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer)
    }
}

impl<P: Platform> Write for TcpStream<P> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.transmit(buffer)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
