//! io_uring where the kernel allows it, epoll elsewhere.

use std::io;
use std::net::{Shutdown, SocketAddr};

use crate::driver::{Completion, Config, Driver, Handle, Interest, Notify, Op, Signal, Token};
use crate::time::Instant;

/// The kernel's I/O.
#[derive(Debug)]
pub struct NativeDriver;
/// Wakes a driver.
#[derive(Debug)]
pub struct NativeNotifier;
impl Notify for NativeNotifier {
    fn notify(&self) {}
}
fn no<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}
impl Driver for NativeDriver {
    type Notifier = NativeNotifier;
    fn new(_: &Config) -> io::Result<Self> {
        no()
    }
    fn name(&self) -> &'static str {
        "none"
    }
    fn notifier(&self) -> Self::Notifier {
        NativeNotifier
    }
    unsafe fn submit(&mut self, _: Op, _: Token) {}
    fn cancel(&mut self, _: Token) {}
    fn tick(&mut self, _: &mut Vec<Completion>) {}
    fn wait(&mut self, _: Option<Instant>, _: &mut Vec<Completion>) {}
    fn in_flight(&self) -> usize {
        0
    }
    fn listen(_: SocketAddr, _: u32) -> io::Result<Handle> {
        no()
    }
    fn accept(_: Handle) -> io::Result<(Handle, SocketAddr)> {
        no()
    }
    fn connect(_: SocketAddr) -> io::Result<Handle> {
        no()
    }
    fn take_error(_: Handle) -> io::Result<()> {
        no()
    }
    fn recv(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        no()
    }
    fn peek(_: Handle, _: &mut [u8]) -> io::Result<usize> {
        no()
    }
    fn send(_: Handle, _: &[u8]) -> io::Result<usize> {
        no()
    }
    fn shutdown(_: Handle, _: Shutdown) -> io::Result<()> {
        no()
    }
    fn local_addr(_: Handle) -> io::Result<SocketAddr> {
        no()
    }
    fn peer_addr(_: Handle) -> io::Result<SocketAddr> {
        no()
    }
    fn set_nodelay(_: Handle, _: bool) -> io::Result<()> {
        no()
    }
    fn nodelay(_: Handle) -> io::Result<bool> {
        no()
    }
    fn close(_: Handle) {}
    fn block_until_ready(_: Handle, _: Interest, _: Option<Instant>) -> io::Result<bool> {
        no()
    }
    fn signal(_: Signal) -> io::Result<Handle> {
        no()
    }
    fn take_signal(_: Handle) -> io::Result<bool> {
        no()
    }
}
