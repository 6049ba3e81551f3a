//! Operations on sockets: their completion against parks, cancels, timeouts and drops.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::io::{ErrorKind, Read, Write};

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::Platform;
use raddle_runtime::internals::{block_on, crew};
use raddle_runtime::net::{Shutdown, TcpListener, TcpStream};
use raddle_runtime::{is_cancelled_error, signal};

use crate::run_loop::{busy, run, run_beside};
use crate::{Needs, Scenario};

const SOON: Duration = Duration::from_nanos(10);

/// Two ends of one connection.
fn pair<P: Platform>() -> (TcpStream<P>, TcpStream<P>) {
    let pair = || {
        let listener = TcpListener::<P>::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        Ok::<_, std::io::Error>((near, listener.accept()?.0))
    };
    match pair() {
        Ok(pair) => pair,
        Err(error) => panic!("no connection: {error}"),
    }
}

/// How many bytes are there to be received, without taking any.
fn left<P: Platform>(stream: &TcpStream<P>) -> usize {
    stream.try_read(&mut [0; 8]).unwrap_or(0)
}

fn receive_against_send<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let fiber = handle.spawn(move || {
        let mut byte = [0];
        (&near).read(&mut byte).map(|count| (count, byte[0]))
    });
    run_beside(seats, || assert_eq!((&far).write(&[7]).ok(), Some(1)));
    assert!(matches!(fiber.join(), Ok(Ok((1, 7)))));
}

fn receive_against_the_end<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let fiber = handle.spawn(move || (&near).read(&mut [0]));
    run_beside(seats, move || drop(far));
    assert!(matches!(fiber.join(), Ok(Ok(0))), "the end of the stream");
}

fn receive_against_a_cancel<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let near = Arc::<_, P>::new_in(near);
    let theirs = near.clone();
    let fiber = handle.spawn(move || (&*theirs).read(&mut [0; 2]));
    run_beside(seats, || {
        assert_eq!((&far).write(&[7]).ok(), Some(1));
        fiber.cancel();
    });
    let taken = match fiber.join() {
        Ok(Ok(count)) => count,
        Ok(Err(error)) => {
            assert!(is_cancelled_error(&error), "{error}");
            0
        }
        // It never started.
        Err(_) => 0,
    };
    assert_eq!(taken + left(&near), 1, "no byte is lost");
}

fn receive_against_a_timeout<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    assert!(near.set_read_timeout(Some(SOON)).is_ok());
    let near = Arc::<_, P>::new_in(near);
    let theirs = near.clone();
    let fiber = handle.spawn(move || (&*theirs).read(&mut [0; 2]));
    run_beside(seats, || assert_eq!((&far).write(&[7]).ok(), Some(1)));
    let taken = match fiber.join() {
        Ok(Ok(count)) => count,
        Ok(Err(error)) => {
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            0
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(taken + left(&near), 1, "no byte is lost");
}

/// More bytes than there is room for: the fiber's send waits for the thread's receives.
fn send_against_receive<P: Platform>() {
    const BYTES: usize = 5;
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let fiber = handle.spawn(move || (&near).write_all(&[7; BYTES]));
    run_beside(seats, || {
        let mut bytes = [0; BYTES];
        assert!((&far).read_exact(&mut bytes).is_ok());
        assert_eq!(bytes, [7; BYTES]);
    });
    assert!(matches!(fiber.join(), Ok(Ok(()))));
}

fn accept_against_connect<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let Ok(listener) = TcpListener::<P>::bind("127.0.0.1:0") else { panic!("no listener") };
    let Ok(address) = listener.local_addr() else { panic!("no address") };
    let fiber = handle.spawn(move || listener.accept().map(|(_, peer)| peer));
    run_beside(seats, || {
        let Ok(stream) = TcpStream::<P>::connect(address) else { panic!("no connection") };
        assert_eq!((&stream).read(&mut [0]).ok(), Some(0), "accepted, and closed");
    });
    assert!(matches!(fiber.join(), Ok(Ok(_))));
}

fn a_future_receives<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let task = handle.spawn_async(async move {
        let mut byte = [0];
        near.read_async(&mut byte).await.map(|_| byte[0])
    });
    run_beside(seats, || assert_eq!((&far).write(&[7]).ok(), Some(1)));
    assert!(matches!(task.join(), Ok(Ok(7))));
}

/// The future is dropped with its operation in flight; the socket is closed after the completion.
fn a_receiving_future_is_cancelled<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let near = Arc::<_, P>::new_in(near);
    let theirs = near.clone();
    let task = handle.spawn_async(async move { theirs.read_async(&mut [0; 2]).await });
    run_beside(seats, || {
        task.cancel();
        assert_eq!((&far).write(&[7]).ok(), Some(1));
    });
    let taken = task.join().map_or(0, |received| received.unwrap_or(0));
    assert_eq!(taken + left(&near), 1, "no byte is lost");
}

/// A thread without a driver has a worker wait for it.
fn a_thread_receives_through_a_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let stay = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let fiber = {
        let stay = stay.clone();
        handle.spawn(move || {
            let sent = (&far).write(&[7]).is_ok();
            stay.acquire().forget();
            sent
        })
    };
    run_beside(seats, || {
        let mut byte = [0];
        let received = block_on(&handle, near.read_async(&mut byte));
        assert_eq!((received.ok(), byte), (Some(1), [7]));
        stay.add_permits(1);
    });
    assert_eq!(fiber.join().ok(), Some(true));
}

/// A thread gives up what a worker waits for, and then the connection.
fn a_thread_drops_what_a_worker_waits_for<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let (stay, fiber) = busy(&handle);
    run_beside(seats, || {
        block_on(&handle, async {
            let mut byte = [0];
            let mut received = pin!(near.read_async(&mut byte));
            let mut context = Context::from_waker(Waker::noop());
            assert!(received.as_mut().poll(&mut context).is_pending());
        });
        drop(near);
        stay.add_permits(1);
    });
    assert!(fiber.join().is_ok());
    assert_eq!((&far).read(&mut [0]).ok(), Some(0), "it was closed");
}

/// A future that is forgotten cannot hold the connection open.
fn a_forgotten_future<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (near, far) = pair::<P>();
    let task = handle.spawn_async(async move {
        // The future borrows the stream, so it must be forgotten in place.
        let mut byte = [0];
        let mut received = Box::pin(near.read_async(&mut byte));
        let mut context = Context::from_waker(Waker::noop());
        assert!(received.as_mut().poll(&mut context).is_pending());
        core::mem::forget(received);
    });
    run_beside(seats, || assert_eq!((&far).read(&mut [0]).ok(), Some(0), "it was closed"));
    assert!(task.join().is_ok());
}

/// What needs no second thread: the whole surface, once.
fn what_a_connection_can_do<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| {
        let listener = TcpListener::<P>::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let near = TcpStream::<P>::connect_timeout(address, Duration::from_secs(1))?;
        let Some(far) = listener.incoming().next() else { unreachable!("an endless iterator") };
        let far = far?;
        near.set_write_timeout(Some(Duration::from_secs(1)))?;
        near.set_nodelay(true)?;
        assert!(near.nodelay()?);
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        assert_eq!((&near).write(&[1, 2])?, 2);
        assert_eq!(far.peek(&mut [0; 4])?, 2);
        assert_eq!(far.try_read(&mut [0])?, 1);
        assert_eq!(far.try_write(&[3])?, 1);
        near.shutdown(Shutdown::Write)?;
        assert_eq!((&far).read(&mut [0])?, 1);
        assert_eq!((&far).read(&mut [0])?, 0);
        drop(listener);
        assert!(TcpStream::<P>::connect(address).is_err(), "nobody listens");
        Ok::<_, std::io::Error>(())
    });
    let future = handle.spawn_async(async {
        let listener = TcpListener::<P>::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let near = TcpStream::<P>::connect_async(address).await?;
        let (far, _) = listener.accept_async().await?;
        assert_eq!(near.write_async(&[1]).await?, 1);
        assert_eq!(far.read_async(&mut [0; 2]).await?, 1);
        Ok::<_, std::io::Error>(())
    });
    run(seats);
    for end in [fiber.join(), future.join()] {
        match end {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("{error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Nobody sends it, on a machine; the fiber then waits until it is cancelled.
fn a_signal_against_a_cancel<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| signal::terminate::<P>().and_then(|signal| signal.wait()));
    run_beside(seats, || fiber.cancel());
    if let Ok(Err(error)) = fiber.join() {
        assert!(is_cancelled_error(&error), "{error}");
    }
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |threads| Needs::ATOMICS.threads(threads).driver().io();
    vec![
        Scenario::new(
            "io/receive_against_send",
            "a fiber that receives is woken by the completion, wherever it was when it came",
            receive_against_send::<P>,
        )
        .needs(with(1))
        .bound(3),
        Scenario::new(
            "io/receive_against_the_end",
            "a fiber that receives is woken by the end of the stream",
            receive_against_the_end::<P>,
        )
        .needs(with(1))
        .bound(3),
        Scenario::new(
            "io/receive_against_a_cancel",
            "a receive that is cancelled as the bytes come returns them or leaves them",
            receive_against_a_cancel::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/receive_against_a_timeout",
            "a receive whose time runs out as the bytes come returns them or leaves them",
            receive_against_a_timeout::<P>,
        )
        .needs(with(1).clock())
        .bound(2),
        Scenario::new(
            "io/send_against_receive",
            "a send without room waits for the peer to receive, and loses and repeats no byte",
            send_against_receive::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/accept_against_connect",
            "a fiber that accepts is woken by the connection",
            accept_against_connect::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/a_future_receives",
            "a future that waits for readiness is polled again by it",
            a_future_receives::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/a_receiving_future_is_cancelled",
            "a future that is dropped with an operation in flight loses no byte and closes no \
             socket under it",
            a_receiving_future_is_cancelled::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/a_thread_receives_through_a_worker",
            "a thread that drives a receive has a worker's driver wait for it",
            a_thread_receives_through_a_worker::<P>,
        )
        .needs(with(1).parker())
        .bound(2),
        Scenario::new(
            "io/a_thread_drops_what_a_worker_waits_for",
            "a receive that a thread drops ends on the worker that has it, and then the socket \
             is closed",
            a_thread_drops_what_a_worker_waits_for::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/a_forgotten_future",
            "a connection is closed when it is dropped, though a forgotten future waits on it",
            a_forgotten_future::<P>,
        )
        .leaks()
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "io/what_a_connection_can_do",
            "one worker serves both ends of a connection, by fibers and by futures",
            what_a_connection_can_do::<P>,
        )
        .needs(with(0)),
        Scenario::new(
            "io/a_signal_against_a_cancel",
            "a fiber that waits for a signal ends by it, or when it is cancelled",
            a_signal_against_a_cancel::<P>,
        )
        .needs(with(1))
        .bound(2),
    ]
}
