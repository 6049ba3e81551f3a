//! What needs no waiting: making, asking and closing sockets, and I/O that must not block.
//!
//! **Modes.** A stream socket is in blocking mode: `recv` and `send` here pass MSG_DONTWAIT, and
//! a ring waits for readiness by itself (with O_NONBLOCK, what it does depends on the kernel's
//! age). A listener is non-blocking, because accept4(2) has no such flag; a connecting socket is
//! non-blocking for the length of the connect(2) call. All descriptors are close-on-exec.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use crate::driver::{Handle, Interest};
use crate::native::clock::NativeClock;
use crate::time::{Clock, Instant};

/// The result of a system call: -1 stands for errno.
pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_size(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Repeats a call that a signal interrupted. It ends because a signal comes only so often.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A socket address as the kernel has it.
struct RawAddr {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddr {
    fn empty() -> Self {
        Self {
            // SAFETY: a sockaddr_storage of zeros is valid, and says AF_UNSPEC.
            storage: unsafe { MaybeUninit::zeroed().assume_init() },
            length: size_of::<libc::sockaddr_storage>() as libc::socklen_t,
        }
    }

    fn new(addr: SocketAddr) -> Self {
        let mut raw = Self::empty();
        match addr {
            SocketAddr::V4(addr) => {
                let value = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: addr.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.ip().octets()) },
                    sin_zero: [0; 8],
                };
                // SAFETY: a sockaddr_storage has room and alignment for every address family.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in>().write(value) };
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(addr) => {
                let value = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: addr.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                    sin6_scope_id: addr.scope_id(),
                };
                // SAFETY: as above.
                unsafe { (&raw mut raw.storage).cast::<libc::sockaddr_in6>().write(value) };
                raw.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            }
        }
        raw
    }

    fn family(&self) -> libc::c_int {
        libc::c_int::from(self.storage.ss_family)
    }

    fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    fn get(&self) -> io::Result<SocketAddr> {
        match self.family() {
            libc::AF_INET => {
                // SAFETY: the family says what the kernel wrote.
                let value = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(value.sin_addr.s_addr.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(value.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: the family says what the kernel wrote.
                let value =
                    unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(value.sin6_addr.s6_addr);
                let port = u16::from_be(value.sin6_port);
                Ok(SocketAddrV6::new(ip, port, value.sin6_flowinfo, value.sin6_scope_id).into())
            }
            _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        }
    }
}

fn stream(family: libc::c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel just made `fd`, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option(
    fd: RawFd,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is `size` readable bytes.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), size) }).map(drop)
}

fn option(fd: RawFd, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` is `size` writable bytes.
    check(unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut size) })?;
    Ok(value)
}

pub(super) fn listen(addr: SocketAddr, backlog: u32) -> io::Result<Handle> {
    let raw = RawAddr::new(addr);
    let socket = stream(raw.family())?;
    let fd = socket.as_raw_fd();
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    // SAFETY: the address is valid for its length.
    check(unsafe { libc::bind(fd, raw.as_ptr(), raw.length) })?;
    let backlog = libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX);
    // SAFETY: takes no pointers.
    check(unsafe { libc::listen(fd, backlog) })?;
    Ok(Handle(socket.into_raw_fd()))
}

pub(super) fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)> {
    let mut raw = RawAddr::empty();
    let fd = uninterrupted(|| {
        raw.length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let length = &raw mut raw.length;
        // SAFETY: the address has `length` writable bytes.
        check(unsafe { libc::accept4(listener.0, raw.as_mut_ptr(), length, libc::SOCK_CLOEXEC) })
    })?;
    // SAFETY: the kernel just made `fd`, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let addr = raw.get()?;
    Ok((Handle(socket.into_raw_fd()), addr))
}

pub(super) fn connect(addr: SocketAddr) -> io::Result<Handle> {
    let raw = RawAddr::new(addr);
    let socket = stream(raw.family())?;
    let fd = socket.as_raw_fd();
    // SAFETY: the address is valid for its length.
    if let Err(error) = check(unsafe { libc::connect(fd, raw.as_ptr(), raw.length) }) {
        // After EINTR the connection goes on being made, as after EINPROGRESS.
        if !matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) {
            return Err(error);
        }
    }
    // SAFETY: takes no pointers. A new socket has no other file status flag to keep.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, 0) })?;
    Ok(Handle(socket.into_raw_fd()))
}

pub(super) fn take_error(handle: Handle) -> io::Result<()> {
    match option(handle.0, libc::SOL_SOCKET, libc::SO_ERROR)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Receives at once or not at all, into `length` bytes from `buffer`.
///
/// # Safety
/// The buffer is writable and nobody else uses it.
pub(super) unsafe fn recv_raw(
    fd: RawFd,
    buffer: *mut u8,
    length: usize,
    flags: libc::c_int,
) -> io::Result<usize> {
    uninterrupted(|| {
        // SAFETY: the caller's promise.
        check_size(unsafe { libc::recv(fd, buffer.cast(), length, flags | libc::MSG_DONTWAIT) })
    })
}

/// Sends at once or not at all, `length` bytes from `buffer`.
///
/// # Safety
/// The buffer is readable and nobody writes to it.
pub(super) unsafe fn send_raw(fd: RawFd, buffer: *const u8, length: usize) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the caller's promise.
    uninterrupted(|| check_size(unsafe { libc::send(fd, buffer.cast(), length, flags) }))
}

pub(super) fn recv(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is borrowed exclusively.
    unsafe { recv_raw(handle.0, buffer.as_mut_ptr(), buffer.len(), 0) }
}

pub(super) fn peek(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is borrowed exclusively.
    unsafe { recv_raw(handle.0, buffer.as_mut_ptr(), buffer.len(), libc::MSG_PEEK) }
}

pub(super) fn send(handle: Handle, buffer: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is borrowed.
    unsafe { send_raw(handle.0, buffer.as_ptr(), buffer.len()) }
}

pub(super) fn shutdown(handle: Handle, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: takes no pointers.
    check(unsafe { libc::shutdown(handle.0, how) }).map(drop)
}

pub(super) fn local_addr(handle: Handle) -> io::Result<SocketAddr> {
    let mut raw = RawAddr::empty();
    let length = &raw mut raw.length;
    // SAFETY: the address has `length` writable bytes.
    check(unsafe { libc::getsockname(handle.0, raw.as_mut_ptr(), length) })?;
    raw.get()
}

pub(super) fn peer_addr(handle: Handle) -> io::Result<SocketAddr> {
    let mut raw = RawAddr::empty();
    let length = &raw mut raw.length;
    // SAFETY: the address has `length` writable bytes.
    check(unsafe { libc::getpeername(handle.0, raw.as_mut_ptr(), length) })?;
    raw.get()
}

pub(super) fn set_nodelay(handle: Handle, on: bool) -> io::Result<()> {
    set_option(handle.0, libc::IPPROTO_TCP, libc::TCP_NODELAY, libc::c_int::from(on))
}

pub(super) fn nodelay(handle: Handle) -> io::Result<bool> {
    Ok(option(handle.0, libc::IPPROTO_TCP, libc::TCP_NODELAY)? != 0)
}

pub(super) fn close(handle: Handle) {
    // SAFETY: the caller gives up the descriptor. On Linux it is gone whatever close(2) returns.
    unsafe { libc::close(handle.0) };
}

pub(super) fn block_until_ready(
    handle: Handle,
    interest: Interest,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let events = match interest {
        Interest::Readable => libc::POLLIN,
        Interest::Writable => libc::POLLOUT,
    };
    let mut poll = libc::pollfd { fd: handle.0, events, revents: 0 };
    let ready = uninterrupted(|| {
        let timeout = deadline.map(time_until);
        let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: one pollfd, a timespec or null, and no signal mask.
        check(unsafe { libc::ppoll(&raw mut poll, 1, timeout, core::ptr::null()) })
    })?;
    if poll.revents & libc::POLLNVAL != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    Ok(ready != 0)
}

/// The time from now to `deadline`, as the kernel wants a relative timeout.
pub(super) fn time_until(deadline: Instant) -> libc::timespec {
    let left = deadline - NativeClock::now();
    libc::timespec {
        tv_sec: left.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(left.subsec_nanos() as i32),
    }
}
