//! TCP over both drivers: one list of tests.

use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use raddle_platform::driver::Kind;
use raddle_runtime::net::{Shutdown, TcpListener, TcpStream};
use raddle_runtime::{
    Native, Runtime, is_cancelled_error, runtime::Builder, scope, sleep, spawn, spawn_async, task,
    yield_now,
};

/// Runs `test` in a fiber over each driver that this kernel has.
fn over_both_drivers(workers: usize, test: fn()) {
    for kind in [Kind::Uring, Kind::Epoll] {
        let runtime: Runtime = match Builder::new().workers(workers).driver(kind).build() {
            Ok(runtime) => runtime,
            Err(error) if kind == Kind::Uring => {
                println!("left out over io_uring: {error}");
                continue;
            }
            Err(error) => panic!("epoll is always there: {error}"),
        };
        runtime.run(test).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
        assert_eq!(runtime.shutdown(Duration::from_secs(30)), Ok(()), "{kind:?}");
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let connect = spawn::<Native, _, _>(move || TcpStream::connect(address));
    let (accepted, _) = listener.accept().expect("a connection");
    (connect.join().expect("no panic").expect("connected"), accepted)
}

#[test]
fn a_thousand_connections_are_echoed() {
    over_both_drivers(2, || {
        let listener = TcpListener::<Native>::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = spawn::<Native, _, _>(move || {
            let mut echoes = Vec::new();
            for _ in 0..1000 {
                let (stream, _) = listener.accept().expect("a connection");
                echoes.push(spawn::<Native, _, _>(move || {
                    io::copy(&mut &stream, &mut &stream).expect("echoed")
                }));
            }
            echoes.into_iter().map(|echo| echo.join().expect("no panic")).sum::<u64>()
        });
        let clients: Vec<_> = (0..1000_u32)
            .map(|id| {
                spawn::<Native, _, _>(move || {
                    let mut stream = TcpStream::<Native>::connect(address).expect("connected");
                    let sent = id.to_le_bytes().repeat(16);
                    let mut received = vec![0; sent.len()];
                    for _ in 0..5 {
                        stream.write_all(&sent).expect("sent");
                        stream.read_exact(&mut received).expect("received");
                        assert_eq!(received, sent);
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().expect("echoed");
        }
        assert_eq!(server.join().expect("no panic"), 1000 * 5 * 64);
    });
}

#[test]
fn async_forms_carry_megabytes_both_ways() {
    over_both_drivers(2, || {
        const LENGTH: usize = 4 << 20;
        let (client, server) = pair();
        let echo = spawn_async::<Native, _>(async move {
            let mut buffer = vec![0; 64 << 10];
            let mut total = 0;
            loop {
                match server.read_async(&mut buffer).await.expect("received") {
                    0 => return total,
                    count => server.write_all_async(&buffer[..count]).await.expect("sent"),
                }
                total += 1;
            }
        });
        let client = Arc::new(client);
        let reader = client.clone();
        let received = spawn_async::<Native, _>(async move {
            let (mut buffer, mut sum, mut length) = (vec![0; 64 << 10], 0_u64, 0);
            while length < LENGTH {
                let count = reader.read_async(&mut buffer).await.expect("received");
                assert_ne!(count, 0, "the stream ended early");
                sum += buffer[..count].iter().map(|byte| u64::from(*byte)).sum::<u64>();
                length += count;
            }
            sum
        });
        let sent: Vec<u8> = (0..LENGTH).map(|index| (index % 251) as u8).collect();
        (&*client).write_all(&sent).expect("sent");
        let sum = sent.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        assert_eq!(received.join().expect("no panic"), sum);
        client.shutdown(Shutdown::Write).expect("open");
        assert!(echo.join().expect("no panic") > 0);
    });
}

#[test]
fn a_future_dropped_in_mid_read_takes_no_byte() {
    over_both_drivers(2, || {
        let (mut client, server) = pair();
        let mut buffer = [0; 16];
        {
            let mut read = pin!(server.read_async(&mut buffer));
            let mut context = Context::from_waker(Waker::noop());
            assert!(read.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(buffer, [0; 16]);
        client.write_all(b"whole").expect("sent");
        let mut text = [0; 5];
        (&server).read_exact(&mut text).expect("received");
        assert_eq!(&text, b"whole");
    });
}

#[test]
fn a_future_forgotten_in_mid_read_harms_nobody() {
    over_both_drivers(2, || {
        let (mut client, server) = pair();
        let mut buffer = Box::new([0; 16]);
        let mut read = Box::pin(server.read_async(&mut buffer[..]));
        let mut context = Context::from_waker(Waker::noop());
        assert!(read.as_mut().poll(&mut context).is_pending());
        std::mem::forget(read);
        // The buffer is free although the future never ended: nothing writes to it.
        buffer.fill(7);
        client.write_all(b"whole").expect("sent");
        let mut text = [0; 5];
        (&server).read_exact(&mut text).expect("received");
        assert_eq!((&text, *buffer), (b"whole", [7; 16]));
        // A second forgotten one is in flight when the stream goes: the connection closes anyway.
        let mut read = Box::pin(server.read_async(&mut buffer[..]));
        assert!(read.as_mut().poll(&mut context).is_pending());
        std::mem::forget(read);
        drop(server);
        assert_eq!(client.read(&mut text).expect("the end"), 0);
    });
}

#[test]
fn cancelling_a_blocked_read_gives_the_buffer_back() {
    over_both_drivers(2, || {
        let (client, server) = pair();
        let blocked = Arc::new(AtomicBool::new(false));
        let seen = blocked.clone();
        let reader = spawn::<Native, _, _>(move || {
            let mut buffer = [0; 1024];
            blocked.store(true, Ordering::SeqCst);
            let error = (&server).read(&mut buffer).expect_err("nothing is sent");
            (is_cancelled_error(&error), (&server).read(&mut buffer).is_err())
        });
        while !seen.load(Ordering::SeqCst) {
            yield_now::<Native>();
        }
        reader.cancel();
        assert_eq!(reader.join().expect("no panic"), (true, true));
        drop(client);
    });
}

#[test]
fn a_read_timeout_ends_the_read_and_loses_nothing() {
    over_both_drivers(1, || {
        let (mut client, mut server) = pair();
        server.set_read_timeout(Some(Duration::from_millis(2))).expect("valid");
        let mut buffer = [0; 8];
        let error = server.read(&mut buffer).expect_err("nothing was sent");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        client.write_all(b"late").expect("sent");
        server.set_read_timeout(None).expect("valid");
        assert_eq!(server.read(&mut buffer).expect("received"), 4);
        assert!(server.set_read_timeout(Some(Duration::ZERO)).is_err());
    });
}

#[test]
fn a_full_peer_blocks_the_writer_until_it_reads() {
    over_both_drivers(2, || {
        const LENGTH: usize = 16 << 20;
        let (client, mut server) = pair();
        let writer = spawn::<Native, _, _>(move || {
            (&client).write_all(&vec![42; LENGTH]).expect("sent");
        });
        let (mut buffer, mut length) = (vec![0; 1 << 20], 0);
        while length < LENGTH {
            let count = server.read(&mut buffer).expect("received");
            assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 42));
            length += count;
        }
        writer.join().expect("no panic");
    });
}

#[test]
fn a_refused_connection_keeps_its_errno() {
    over_both_drivers(1, || {
        let listener = TcpListener::<Native>::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let error = TcpStream::<Native>::connect(address).expect_err("nobody listens");
        assert_eq!(error.raw_os_error(), Some(111), "ECONNREFUSED");
        assert!(TcpStream::<Native>::connect("example.org:80").is_err(), "names are refused");
    });
}

#[test]
fn readable_or_ends_by_either() {
    over_both_drivers(2, || {
        let (mut client, server) = pair();
        let flag = AtomicBool::new(false);
        scope::<Native, _, _>(|scope| {
            let waker = Arc::new(std::sync::Mutex::new(None::<Waker>));
            let place = waker.clone();
            let (server, flag) = (&server, &flag);
            let waiter = scope.spawn(move || {
                *place.lock().expect("no panic") = Some(task::current_waker::<Native>());
                let by_flag = server.readable_or(|| flag.load(Ordering::SeqCst)).expect("open");
                flag.store(false, Ordering::SeqCst);
                let by_data = server.readable_or(|| flag.load(Ordering::SeqCst)).expect("open");
                (by_flag, by_data)
            });
            let waker = loop {
                if let Some(waker) = waker.lock().expect("no panic").take() {
                    break waker;
                }
                yield_now::<Native>();
            };
            flag.store(true, Ordering::SeqCst);
            waker.wake();
            while flag.load(Ordering::SeqCst) {
                yield_now::<Native>();
            }
            client.write_all(b"!").expect("sent");
            assert_eq!(waiter.join().expect("no panic"), (false, true));
        });
    });
}

#[test]
fn plain_threads_use_the_same_streams() {
    let listener = TcpListener::<Native>::bind("localhost:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        io::copy(&mut &stream, &mut &stream).expect("echoed")
    });
    let mut client = TcpStream::<Native>::connect(address).expect("connected");
    client.write_all(b"thread").expect("sent");
    let mut text = [0; 6];
    client.read_exact(&mut text).expect("received");
    assert_eq!(&text, b"thread");
    drop(client);
    assert_eq!(server.join().expect("no panic"), 6);
}

#[test]
fn completions_arrive_although_the_worker_never_runs_dry() {
    over_both_drivers(1, || {
        let (mut client, server) = pair();
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let busy = spawn::<Native, _, _>(move || {
            while !seen.load(Ordering::Relaxed) {
                yield_now::<Native>();
            }
        });
        let reader = spawn::<Native, _, _>(move || {
            (&server).read_exact(&mut [0; 4]).expect("received");
            done.store(true, Ordering::Relaxed);
        });
        sleep::<Native>(Duration::from_millis(1)).expect("not cancelled");
        client.write_all(b"ping").expect("sent");
        reader.join().expect("no panic");
        busy.join().expect("no panic");
    });
}

#[test]
fn poll_is_part_of_the_future_contract() {
    // A read that is ready at once never registers anything.
    over_both_drivers(1, || {
        let (mut client, server) = pair();
        client.write_all(b"x").expect("sent");
        server.readable_or(|| false).expect("readable");
        let mut buffer = [0; 1];
        let mut read = pin!(server.read_async(&mut buffer));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(read.as_mut().poll(&mut context), Poll::Ready(Ok(1))));
    });
}

#[test]
fn a_shutdown_closes_what_futures_waited_for() {
    for kind in [Kind::Uring, Kind::Epoll] {
        let Ok(runtime): io::Result<Runtime> = Builder::new().workers(1).driver(kind).build()
        else {
            println!("left out: the kernel refuses {kind:?}");
            continue;
        };
        let listener = TcpListener::<Native>::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let waiting = runtime.spawn_async(async move { listener.accept_async().await.is_ok() });
        // Both sides of the race are right: the future waits already, or was never polled.
        runtime.run(yield_now::<Native>).expect("no panic");
        assert_eq!(runtime.shutdown(Duration::from_secs(30)), Ok(()));
        assert!(waiting.join().is_err(), "it was cancelled");
        // A listener that is still there would refuse the address.
        TcpListener::<Native>::bind(address).expect("the port is free again");
    }
}
