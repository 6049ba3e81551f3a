//! io_uring where the kernel allows it, epoll elsewhere.
//!
//! ```text
//! Kind::Uring   io_uring, or an error that says who refuses it and what to do (UringRefused)
//! Kind::Epoll   epoll
//! Kind::Probe   io_uring if it can be had, else epoll
//! ```
//! io_uring is taken from Linux 5.19 on, the first that can cancel everything that is in flight.
//! Whether it can be had is tried out, not read off a version: containers often forbid it.
//!
//! Both drivers give the same completions for the same operations, and one list of tests holds
//! them to it. What differs is when the work is done: io_uring begins an operation at the next
//! `tick` or `wait`, in a batch with others; epoll tries it when it is submitted, and needs a
//! system call for each that has to wait. Sockets, signals and notifiers are the same for both.
//!
//! Files know no readiness. What io_uring cannot do with them (all of it under epoll, one or the
//! other thing on an old kernel) goes to a few threads that may block.

mod epoll;
mod files;
mod notifier;
mod offload;
mod refused;
mod signals;
mod sockets;
mod uring;

use std::io;
use std::net::{Shutdown, SocketAddr};

pub use notifier::NativeNotifier;
pub use refused::UringRefused;

use crate::driver::{
    Completion, Config, Driver, Handle, Interest, Kind, Notify, Op, Signal, Token,
};
use crate::time::Instant;
use epoll::Epoll;
use uring::Uring;

/// The kernel's I/O: an io_uring or an epoll instance of the thread that made it.
///
/// Dropping one ends its operations. With io_uring that takes until the kernel has given back all
/// memory that they name, which is soon: operations on sockets can always be cancelled. Operations
/// on files that have begun are waited for.
#[derive(Debug)]
pub struct NativeDriver(Backend);

#[derive(Debug)]
enum Backend {
    Uring(Box<Uring>),
    Epoll(Box<Epoll>),
}

impl Driver for NativeDriver {
    type Notifier = NativeNotifier;

    fn new(config: &Config) -> io::Result<Self> {
        let uring = || Ok(Backend::Uring(Box::new(Uring::new(config)?)));
        let epoll = || Ok(Backend::Epoll(Box::new(Epoll::new(config)?)));
        let backend = match config.kind {
            Kind::Uring => uring(),
            Kind::Epoll => epoll(),
            Kind::Probe => uring().or_else(|_: io::Error| epoll()),
        }?;
        Ok(Self(backend))
    }

    fn name(&self) -> &'static str {
        match &self.0 {
            Backend::Uring(_) => "io_uring",
            Backend::Epoll(_) => "epoll",
        }
    }

    fn notifier(&self) -> NativeNotifier {
        match &self.0 {
            Backend::Uring(uring) => uring.notifier(),
            Backend::Epoll(epoll) => epoll.notifier(),
        }
    }

    #[inline]
    unsafe fn submit(&mut self, op: Op, token: Token) {
        match &mut self.0 {
            // SAFETY: the caller's promise.
            Backend::Uring(uring) => unsafe { uring.submit(op, token) },
            // SAFETY: the caller's promise.
            Backend::Epoll(epoll) => unsafe { epoll.submit(op, token) },
        }
    }

    fn cancel(&mut self, token: Token) {
        match &mut self.0 {
            Backend::Uring(uring) => uring.cancel(token),
            Backend::Epoll(epoll) => epoll.cancel(token),
        }
    }

    fn notify_other(&mut self, other: &NativeNotifier) {
        match &mut self.0 {
            Backend::Uring(uring) => uring.notify_other(other),
            Backend::Epoll(_) => other.notify(),
        }
    }

    #[inline]
    fn tick(&mut self, completions: &mut Vec<Completion>) {
        match &mut self.0 {
            Backend::Uring(uring) => uring.tick(completions),
            Backend::Epoll(epoll) => epoll.tick(completions),
        }
    }

    fn wait(&mut self, deadline: Option<Instant>, completions: &mut Vec<Completion>) {
        match &mut self.0 {
            Backend::Uring(uring) => uring.wait(deadline, completions),
            Backend::Epoll(epoll) => epoll.wait(deadline, completions),
        }
    }

    fn end(&mut self, completions: &mut Vec<Completion>) {
        match &mut self.0 {
            Backend::Uring(uring) => uring.end(completions),
            Backend::Epoll(epoll) => epoll.end(completions),
        }
    }

    fn in_flight(&self) -> usize {
        match &self.0 {
            Backend::Uring(uring) => uring.in_flight(),
            Backend::Epoll(epoll) => epoll.in_flight(),
        }
    }

    fn listen(addr: SocketAddr, backlog: u32) -> io::Result<Handle> {
        sockets::listen(addr, backlog)
    }

    fn accept(listener: Handle) -> io::Result<(Handle, SocketAddr)> {
        sockets::accept(listener)
    }

    fn connect(addr: SocketAddr) -> io::Result<Handle> {
        sockets::connect(addr)
    }

    fn take_error(handle: Handle) -> io::Result<()> {
        sockets::take_error(handle)
    }

    fn recv(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        sockets::recv(handle, buffer)
    }

    fn peek(handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        sockets::peek(handle, buffer)
    }

    fn send(handle: Handle, buffer: &[u8]) -> io::Result<usize> {
        sockets::send(handle, buffer)
    }

    fn shutdown(handle: Handle, how: Shutdown) -> io::Result<()> {
        sockets::shutdown(handle, how)
    }

    fn local_addr(handle: Handle) -> io::Result<SocketAddr> {
        sockets::local_addr(handle)
    }

    fn peer_addr(handle: Handle) -> io::Result<SocketAddr> {
        sockets::peer_addr(handle)
    }

    fn set_nodelay(handle: Handle, on: bool) -> io::Result<()> {
        sockets::set_nodelay(handle, on)
    }

    fn nodelay(handle: Handle) -> io::Result<bool> {
        sockets::nodelay(handle)
    }

    fn close(handle: Handle) {
        signals::forget(handle);
        sockets::close(handle);
    }

    fn block_until_ready(
        handle: Handle,
        interest: Interest,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        sockets::block_until_ready(handle, interest, deadline)
    }

    unsafe fn block_on(op: Op) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { files::block_on(&op) }
    }

    fn file_length(handle: Handle) -> io::Result<u64> {
        files::length(handle)
    }

    fn signal(signal: Signal) -> io::Result<Handle> {
        signals::open(signal)
    }

    fn take_signal(handle: Handle) -> io::Result<bool> {
        signals::take(handle)
    }
}
