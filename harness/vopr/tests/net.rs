//! The network without faults: what sockets answer, and how long segments take.

use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};

use raddle_platform::driver::{Completion, Config, Handle, Interest, Notify, Op, Signal, Token};
use raddle_platform::{Clock, Driver, Instant, Platform, Threads};
use raddle_scenarios::scope;
use raddle_vopr::{FailureKind, Report, Sim, Simulation, Strategy, net};

type D = <Sim as Platform>::Driver;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SEEDS: u64 = 50;

/// Runs `program` under some seeds, none of which may fail.
fn sweep(program: impl Fn()) {
    for seed in 0..SEEDS {
        Simulation::new().seed(seed).run(&program).unwrap();
    }
}

/// Runs `program` once so that time advances only when nobody can run.
fn without_haste(program: impl Fn()) {
    Simulation::new().strategy(Strategy::RoundRobin).run(program).unwrap();
}

fn now() -> Instant {
    <Sim as Platform>::Clock::now()
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

#[track_caller]
fn errno<T: core::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.expect_err("refused").raw_os_error().expect("an errno")
}

#[track_caller]
fn wait(handle: Handle, interest: Interest) {
    assert!(D::block_until_ready(handle, interest, None).expect("ready"));
}

/// Begins a connection and waits for its end.
fn connect(addr: SocketAddr) -> io::Result<Handle> {
    let handle = D::connect(addr)?;
    wait(handle, Interest::Writable);
    let error = D::take_error(handle);
    error.map(|()| handle).inspect_err(|_| D::close(handle))
}

/// A listener and both ends of a connection to it.
fn pair(ip: IpAddr) -> (Handle, Handle, Handle) {
    let listener = D::listen(at(ip, 0), 8).expect("a port");
    let near = connect(D::local_addr(listener).expect("an address")).expect("a connection");
    wait(listener, Interest::Readable);
    let (far, peer) = D::accept(listener).expect("it was ready");
    assert_eq!(peer, D::local_addr(near).expect("an address"));
    assert_eq!(D::peer_addr(near).expect("connected"), D::local_addr(far).expect("an address"));
    (listener, near, far)
}

/// Sends and receives everything, waiting where it must.
fn send_all(handle: Handle, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        wait(handle, Interest::Writable);
        let sent = D::send(handle, bytes).expect("writable");
        bytes = &bytes[sent..];
    }
}

fn receive(handle: Handle, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        wait(handle, Interest::Readable);
        let mut buffer = [0; 16];
        let most = buffer.len().min(count - bytes.len());
        let received = D::recv(handle, &mut buffer[..most]).expect("readable");
        assert!(received > 0, "the end of the stream");
        bytes.extend(&buffer[..received]);
    }
    bytes
}

fn close(handles: impl IntoIterator<Item = Handle>) {
    handles.into_iter().for_each(D::close);
}

#[test]
fn addresses_are_refused_as_linux_does() {
    sweep(|| {
        let listener = D::listen(at(LOOPBACK, 80), 8).expect("nobody has it");
        assert_eq!(errno(D::listen(at(LOOPBACK, 80), 8)), libc::EADDRINUSE);
        assert_eq!(errno(D::listen(at(Ipv4Addr::UNSPECIFIED.into(), 80), 8)), libc::EADDRINUSE);
        let other = D::listen(at(net::address(0), 80), 8).expect("another address");
        assert_eq!(errno(D::listen(at(net::address(1), 80), 8)), libc::EADDRNOTAVAIL);
        assert_eq!(errno(D::connect("1.2.3.4:80".parse().expect("one"))), libc::ENETUNREACH);
        assert_eq!(errno(connect(at(LOOPBACK, 81))), libc::ECONNREFUSED);
        assert_eq!(errno(connect(at(net::address(0), 81))), libc::ECONNREFUSED);
        let near = connect(at(Ipv4Addr::UNSPECIFIED.into(), 80)).expect("it means this machine");
        close([listener, other, near]);
        D::close(D::listen(at(LOOPBACK, 80), 8).expect("it is free again"));
    });
}

#[test]
fn free_ports_and_descriptors() {
    sweep(|| {
        let listen = || D::listen(at(LOOPBACK, 0), 1).expect("a port");
        let handles = [listen(), listen(), listen()];
        let ports = handles.map(|handle| D::local_addr(handle).expect("an address").port());
        assert_eq!(BTreeSet::from(ports).len(), 3, "each has another port");
        assert!(ports.iter().all(|port| *port >= 32_768));
        D::close(handles[1]);
        assert_eq!(listen(), handles[1], "the lowest that is free");
        assert_eq!(errno(D::local_addr(Handle(99))), libc::EBADF);
        assert_eq!(errno(D::recv(Handle(-1), &mut [0])), libc::EBADF);
        assert_eq!(errno(D::accept(Handle(2))), libc::EBADF);
        assert_eq!(errno(D::recv(handles[0], &mut [0])), libc::ENOTCONN);
        close(handles);
    });
}

/// What sockets answer at the end of a connection, over loopback and over the wire.
#[test]
fn ends_of_connections() {
    sweep(|| {
        for ip in [LOOPBACK, net::address(0)] {
            let (listener, near, far) = pair(ip);
            assert_eq!(errno(D::accept(near)), libc::EINVAL);
            assert_eq!(errno(D::accept(listener)), libc::EAGAIN);
            assert_eq!(errno(D::recv(far, &mut [0])), libc::EAGAIN);
            send_all(near, b"ab");
            D::shutdown(near, Shutdown::Write).expect("connected");
            assert_eq!(errno(D::send(near, b"c")), libc::EPIPE);
            assert_eq!(receive(far, 2), b"ab");
            wait(far, Interest::Readable);
            assert_eq!(D::recv(far, &mut [0]).expect("the end"), 0);
            // The other direction goes on.
            send_all(far, b"d");
            assert_eq!(receive(near, 1), b"d");

            // Bytes that nobody received reset the connection.
            send_all(far, b"e");
            wait(near, Interest::Readable);
            D::close(near);
            while D::peer_addr(far).is_ok() {
                assert!(!D::block_until_ready(near, Interest::Readable, None).unwrap_or(false));
                <Sim as Platform>::Threads::yield_now();
            }
            assert_eq!(errno(D::recv(far, &mut [0])), libc::EPIPE, "after the peer's last word");
            assert_eq!(D::recv(far, &mut [0]).expect("told once"), 0);
            assert_eq!(errno(D::send(far, b"f")), libc::EPIPE);
            assert_eq!(errno(D::shutdown(far, Shutdown::Both)), libc::ENOTCONN);
            close([listener, far]);
        }
    });
}

#[test]
fn a_reset_comes_behind_the_bytes() {
    sweep(|| {
        let (listener, near, far) = pair(net::address(0));
        send_all(near, b"x");
        send_all(far, b"y");
        wait(near, Interest::Readable);
        D::close(near);
        // The byte that was sent before the reset is there, then the reset, then the end.
        assert_eq!(receive(far, 1), b"x");
        wait(far, Interest::Readable);
        assert_eq!(errno(D::recv(far, &mut [0])), libc::ECONNRESET);
        assert_eq!(D::recv(far, &mut [0]).expect("told once"), 0);
        close([listener, far]);
    });
}

#[test]
fn a_listener_that_goes_resets_who_was_not_accepted() {
    sweep(|| {
        let listener = D::listen(at(net::address(0), 0), 8).expect("a port");
        let near = connect(D::local_addr(listener).expect("an address")).expect("connected");
        wait(listener, Interest::Readable);
        D::close(listener);
        wait(near, Interest::Readable);
        assert_eq!(errno(D::recv(near, &mut [0])), libc::ECONNRESET);
        D::close(near);
    });
}

/// A full backlog drops the first segment of a handshake, which is sent again after one second,
/// after two, after four, and given up after 127.
#[test]
fn a_full_backlog() {
    without_haste(|| {
        for ip in [LOOPBACK, net::address(0)] {
            let begin = now();
            let listener = D::listen(at(ip, 0), 1).expect("a port");
            let addr = D::local_addr(listener).expect("an address");
            let near = [addr, addr].map(|addr| connect(addr).expect("one, and one more"));
            assert!(now() - begin < Duration::from_millis(10));
            let third = D::connect(addr).expect("begun");
            let soon = Some(now() + Duration::from_millis(900));
            assert!(!D::block_until_ready(third, Interest::Writable, soon).expect("no error"));
            wait(listener, Interest::Readable);
            let (far, _) = D::accept(listener).expect("there");
            wait(third, Interest::Writable);
            D::take_error(third).expect("now it stands");
            assert!(now() - begin >= Duration::from_secs(1));
            let fourth = connect(addr);
            assert_eq!(errno(fourth), libc::ETIMEDOUT);
            assert!(now() - begin >= Duration::from_secs(127));
            close(near.into_iter().chain([third, far, listener]));
        }
    });
}

#[test]
fn a_segment_takes_time_on_the_wire_and_none_over_loopback() {
    without_haste(|| {
        let (listener, near, far) = pair(LOOPBACK);
        assert_eq!(now(), Instant::from_nanos(0));
        assert_eq!(D::send(near, b"now").expect("room"), 3);
        assert_eq!(D::peek(far, &mut [0; 8]).expect("there already"), 3);
        close([listener, near, far]);

        let (listener, near, far) = pair(net::address(0));
        let begin = now();
        D::send(near, b"later").expect("room");
        let soon = Some(begin + Duration::from_micros(10));
        assert!(!D::block_until_ready(far, Interest::Readable, soon).expect("no error"));
        assert_eq!(now(), begin + Duration::from_micros(10));
        let late = Some(begin + Duration::from_micros(300));
        assert!(D::block_until_ready(far, Interest::Readable, late).expect("no error"));
        assert_eq!(now(), begin + Duration::from_micros(20));
        close([listener, near, far]);
    });
}

/// In one connection bytes keep their order and none is lost, whatever the room is.
#[test]
fn bytes_keep_their_order() {
    sweep(|| {
        let (listener, near, far) = pair(net::address(0));
        let bytes: Vec<_> = (0..100).collect();
        scope::<Sim, _>(|threads| {
            threads.spawn(|| send_all(near, &bytes));
            assert_eq!(receive(far, 100), bytes);
        });
        close([listener, near, far]);
    });
}

/// Across connections they do not: two are sent one after the other, and either comes first.
#[test]
fn segments_overtake_those_of_other_connections() {
    let overtaken = |seed| {
        let first = core::cell::Cell::new(false);
        let report = Simulation::new().seed(seed).run(|| {
            let ip = net::address(0);
            let (pairs, mut driver) = ([pair(ip), pair(ip)], driver());
            pairs.iter().for_each(|pair| assert_eq!(D::send(pair.1, b"x").ok(), Some(1)));
            let mut ended = Vec::new();
            for (index, pair) in pairs.iter().enumerate() {
                let op = Op::Poll { handle: pair.2, interest: Interest::Readable };
                // SAFETY: it names no memory.
                unsafe { driver.submit(op, Token(index as u64)) };
            }
            while ended.is_empty() {
                driver.wait(None, &mut ended);
            }
            first.set(ended[0].token == Token(1));
            driver.end(&mut Vec::new());
            pairs.into_iter().for_each(|(listener, near, far)| close([listener, near, far]));
        });
        report.unwrap();
        first.get()
    };
    let count = (0..SEEDS).filter(|seed| overtaken(*seed)).count() as u64;
    assert!(count > SEEDS / 5 && count < SEEDS * 4 / 5, "{count} of {SEEDS}");
}

fn driver() -> D {
    D::new(&Config::default()).expect("it needs nothing")
}

/// The whole life of operations: submitted, completed, cancelled, on a socket that is none.
#[test]
fn operations_of_a_driver() {
    sweep(|| {
        let (listener, near, far) = pair(LOOPBACK);
        let mut driver = driver();
        let (mut buffer, mut ended) = ([0; 4], Vec::new());
        let op = Op::Recv { handle: far, buffer: buffer.as_mut_ptr(), length: 4 };
        // SAFETY: the buffer lives until the completion.
        unsafe { driver.submit(op, Token(1)) };
        driver.tick(&mut ended);
        assert!(ended.is_empty() && driver.in_flight() == 1);
        assert_eq!(D::send(near, b"ab").expect("room"), 2);
        while ended.is_empty() {
            driver.wait(None, &mut ended);
        }
        assert_eq!(ended, [Completion { token: Token(1), result: 2 }]);
        assert_eq!(&buffer, b"ab\0\0");

        let poll = |handle| Op::Poll { handle, interest: Interest::Readable };
        ended.clear();
        // SAFETY: they name no memory.
        unsafe {
            driver.submit(poll(far), Token(2));
            driver.submit(poll(Handle(77)), Token(3));
        }
        driver.cancel(Token(2));
        driver.cancel(Token(9));
        driver.end(&mut ended);
        ended.sort_by_key(|completion| completion.token.0);
        assert_eq!(ended[0], Completion { token: Token(2), result: -libc::ECANCELED });
        assert_eq!(ended[1].token, Token(3));
        assert_eq!(driver.in_flight(), 0);
        driver.notifier().notify();
        driver.wait(None, &mut ended);
        close([listener, near, far]);
    });
}

fn misuse(program: impl Fn()) -> Report {
    let report = Simulation::new().seed(1).run(program);
    assert_eq!(report.failure().expect("it fails").kind, FailureKind::Misuse);
    report
}

/// To close a socket under its operations, or twice, is a bug, and reported where it happens.
#[test]
fn a_socket_that_is_in_use_is_not_closed() {
    let report = misuse(|| {
        let (listener, _, far) = pair(LOOPBACK);
        let mut driver = driver();
        // SAFETY: it names no memory.
        unsafe { driver.submit(Op::Poll { handle: far, interest: Interest::Readable }, Token(1)) };
        close([listener, far]);
    });
    let failure = report.failure().expect("it fails");
    assert!(failure.message().contains("closed with 1 operations in flight"), "{failure}");
    let report = misuse(|| {
        let listener = D::listen(at(LOOPBACK, 0), 8).expect("a port");
        close([listener, listener]);
    });
    assert!(report.failure().expect("it fails").message().contains("no open socket"));
}

#[test]
fn signals_come_when_they_are_raised() {
    sweep(|| {
        let handle = D::signal(Signal::Terminate).expect("a handle");
        assert!(!D::take_signal(handle).expect("a signal's"));
        scope::<Sim, _>(|threads| {
            threads.spawn(|| net::raise(Signal::Terminate));
            wait(handle, Interest::Readable);
        });
        assert!(D::take_signal(handle).expect("a signal's"));
        net::raise(Signal::Interrupt);
        assert!(!D::take_signal(handle).expect("another one"));
        D::close(handle);
    });
}

#[test]
fn an_execution_with_a_network_is_replayed() {
    let program = || {
        let (listener, near, far) = pair(net::address(0));
        scope::<Sim, _>(|threads| {
            threads.spawn(|| send_all(near, &[7; 20]));
            receive(far, 20);
        });
        close([listener, near, far]);
    };
    for seed in 0..SEEDS {
        let report = Simulation::new().seed(seed).run(program);
        report.unwrap();
        let again = Simulation::new().replay(report.trace.clone()).run(program);
        again.unwrap();
        assert_eq!((again.certificate, again.steps), (report.certificate, report.steps));
        assert_eq!(again.virtual_time, report.virtual_time);
        assert!(report.virtual_time > Duration::ZERO);
    }
}
