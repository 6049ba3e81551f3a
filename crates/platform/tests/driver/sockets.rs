//! The associated functions, which need no driver.

use std::io;
use std::net::{Shutdown, SocketAddr};

use crate::support::{Io, Socket, fill, listener, now, pair, patience, ready, receive, send_all};
use raddle_platform::Driver;
use raddle_platform::driver::{Handle, Interest, Signal};

fn flags(handle: Handle, call: libc::c_int) -> libc::c_int {
    // SAFETY: takes no pointers.
    let flags = unsafe { libc::fcntl(handle.0, call) };
    assert!(flags >= 0, "{handle:?} is open");
    flags
}

fn option(socket: &Socket, name: libc::c_int) -> libc::c_int {
    let mut value: libc::c_int = 0;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    let (place, level) = ((&raw mut value).cast(), libc::SOL_SOCKET);
    // SAFETY: `value` is `size` writable bytes.
    let status = unsafe { libc::getsockopt(socket.0.0, level, name, place, &raw mut size) };
    assert_eq!(status, 0);
    value
}

#[test]
fn descriptors_have_their_modes() {
    let (listener, _) = listener();
    let (near, far) = pair();
    let signal = Socket(Io::signal(Signal::Terminate).expect("a free slot"));
    for handle in [listener.0, near.0, far.0, signal.0] {
        assert_ne!(flags(handle, libc::F_GETFD) & libc::FD_CLOEXEC, 0, "{handle:?} is inherited");
    }
    let non_blocking = |socket: &Socket| flags(socket.0, libc::F_GETFL) & libc::O_NONBLOCK != 0;
    assert!(non_blocking(&listener));
    assert!(!non_blocking(&near), "a connected socket");
    assert!(!non_blocking(&far), "an accepted socket");
    assert_eq!(option(&listener, libc::SO_REUSEADDR), 1);
}

#[test]
fn nothing_blocks_though_streams_are_in_blocking_mode() {
    let (near, far) = pair();
    let mut buffer = [0; 4];
    for error in [
        Io::recv(near.0, &mut buffer).expect_err("nothing is there"),
        Io::peek(near.0, &mut buffer).expect_err("nothing is there"),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    let sent = fill(near.0);
    assert!(sent > 0);
    assert_eq!(receive(far.0, sent).len(), sent);
}

#[test]
fn a_peek_takes_nothing() {
    let (near, far) = pair();
    send_all(far.0, b"weft");
    ready(near.0, Interest::Readable);
    let mut buffer = [0; 8];
    assert_eq!(Io::peek(near.0, &mut buffer).expect("bytes are there"), 4);
    assert_eq!(&buffer[..4], b"weft");
    assert_eq!(receive(near.0, 4), b"weft");
}

#[test]
fn a_half_closed_stream_still_carries_the_other_half() {
    let (near, far) = pair();
    Io::shutdown(near.0, Shutdown::Write).expect("it is connected");
    ready(far.0, Interest::Readable);
    assert_eq!(Io::recv(far.0, &mut [0; 4]).expect("the end"), 0);
    send_all(far.0, b"weft");
    assert_eq!(receive(near.0, 4), b"weft");
    let error = Io::send(near.0, b"x").expect_err("this half is closed");
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
}

#[test]
fn addresses_of_both_families_come_back_as_they_went() {
    for addr in ["127.0.0.1:0", "[::1]:0"] {
        let addr: SocketAddr = addr.parse().expect("an address");
        let listener = match Io::listen(addr, 4) {
            Ok(listener) => Socket(listener),
            Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => continue,
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => continue,
            Err(error) => panic!("{addr}: {error}"),
        };
        let bound = Io::local_addr(listener.0).expect("it is bound");
        assert_eq!(bound.ip(), addr.ip());
        assert_ne!(bound.port(), 0);
        // std reads the same bytes independently.
        let caller = std::net::TcpStream::connect(bound).expect("somebody listens");
        ready(listener.0, Interest::Readable);
        let (accepted, peer) = Io::accept(listener.0).expect("somebody has come");
        let accepted = Socket(accepted);
        assert_eq!(peer, caller.local_addr().expect("an address"));
        assert_eq!(Io::peer_addr(accepted.0).expect("an address"), peer);
        assert_eq!(Io::local_addr(accepted.0).expect("an address"), bound);
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let (_listener, addr) = listener();
    let error = Io::listen(addr, 4).expect_err("two cannot listen");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn nodelay_is_kept() {
    let (near, _far) = pair();
    assert!(!Io::nodelay(near.0).expect("a TCP socket"));
    Io::set_nodelay(near.0, true).expect("a TCP socket");
    assert!(Io::nodelay(near.0).expect("a TCP socket"));
    Io::set_nodelay(near.0, false).expect("a TCP socket");
    assert!(!Io::nodelay(near.0).expect("a TCP socket"));
}

#[test]
fn blocking_until_ready_ends_with_readiness_or_deadline() {
    let (near, far) = pair();
    let deadline = now() + std::time::Duration::from_millis(2);
    let came = Io::block_until_ready(near.0, Interest::Readable, Some(deadline));
    assert!(!came.expect("an open socket"));
    assert!(now() >= deadline);
    let came = Io::block_until_ready(near.0, Interest::Writable, None);
    assert!(came.expect("an open socket"));
    std::thread::scope(|scope| {
        scope.spawn(|| send_all(far.0, b"x"));
        let came = Io::block_until_ready(near.0, Interest::Readable, Some(patience()));
        assert!(came.expect("an open socket"));
    });
    let nobody = Io::block_until_ready(Handle(1 << 30), Interest::Readable, None);
    assert_eq!(nobody.expect_err("not open").raw_os_error(), Some(libc::EBADF));
}
