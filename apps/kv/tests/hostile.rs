//! Clients that are broken, greedy, slow, or suddenly gone.

mod process;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use process::{Server, exchange, on_all, until_closed, wait_until};

fn serves(server: &Server) {
    let pong: String = redis::cmd("PING").query(&mut server.client()).unwrap();
    assert_eq!(pong, "PONG");
}

/// Closes with a reset instead of an end of stream.
fn reset(stream: TcpStream) {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option is given by address and length of the structure that it wants.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    assert_eq!(result, 0);
}

#[test]
fn bad_requests_get_an_error_and_the_end() {
    let long = "x".repeat(100_000);
    let errors = [
        ("*x\r\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*1\r\n$536870913\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\nx\r\n", "expected '$', got 'x'"),
        (&long, "too big inline request"),
        (&format!("*{long}"), "too big mbulk count string"),
        (&format!("*1\r\n${long}"), "too big bulk count string"),
        ("GET \"a\r\n", "unbalanced quotes in request"),
    ];
    on_all(|server| {
        for (request, message) in errors {
            let reply = until_closed(server.connect(), request.as_bytes());
            assert_eq!(reply, format!("-ERR Protocol error: {message}\r\n"));
            // What was asked for in front of the error is answered.
            let reply = until_closed(server.connect(), format!("PING\r\n{request}").as_bytes());
            assert_eq!(reply, format!("+PONG\r\n-ERR Protocol error: {message}\r\n"));
        }
        let reply = until_closed(server.connect(), b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(reply, "");
        let reply =
            until_closed(server.connect(), b"NOSUCH a b\r\nGET\r\nINCR a b\r\nQUIT\r\nPING\r\n");
        assert_eq!(
            reply,
            "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n\
             -ERR wrong number of arguments for 'get' command\r\n\
             -ERR wrong number of arguments for 'incr' command\r\n+OK\r\n"
        );
        wait_until("they are gone", || server.info("connected_clients") == 1);
    });
}

#[test]
fn an_error_reaches_a_client_that_has_sent_much_more() {
    on_all(|server| {
        let mut request = b"*1\r\nx\r\n".to_vec();
        request.resize(15_000_000, b'y');
        let mut stream = server.connect();
        // Neither what it still sends nor what it reads is answered with a reset.
        stream.write_all(&request).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "-ERR Protocol error: expected '$', got 'x'\r\n");
    });
}

#[test]
fn noise_breaks_nothing() {
    on_all(|server| {
        let mut state = 1u64;
        for _ in 0..200 {
            let mut noise = vec![0; 2000];
            for byte in &mut noise {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (state >> 40) as u8;
            }
            let mut stream = server.connect();
            // It may have been closed already.
            let _ = stream.write_all(&noise);
        }
        serves(server);
        wait_until("they are gone", || server.info("connected_clients") == 1);
    });
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    on_all(|server| {
        let mut kept = server.client();
        for round in 0..400 {
            let mut stream = server.connect();
            match round % 5 {
                // In the middle of a request.
                0 => stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000\r\nxxx").unwrap(),
                // With replies unread.
                1 => stream.write_all("PING\r\n".repeat(1000).as_bytes()).unwrap(),
                2 => stream.write_all(b"SUBSCRIBE a b c\r\nPSUBSCRIBE x*\r\n").unwrap(),
                3 => stream.write_all(b"QUIT\r\n").unwrap(),
                _ => {}
            }
            if round % 2 == 0 {
                reset(stream);
            }
        }
        let _: usize = redis::cmd("PUBLISH").arg("a").arg("b").query(&mut kept).unwrap();
        drop(kept);
        wait_until("they are gone", || server.info("connected_clients") == 1);
        assert_eq!(server.info("pubsub_channels"), 0);
        assert_eq!(server.info("pubsub_patterns"), 0);
        wait_until("their memory is back", || server.info("mem_clients_normal") < 16 << 10);
    });
}

#[test]
fn a_client_that_does_not_read_its_replies_is_not_read_from() {
    on_all(|server| {
        let mut setter = server.client();
        let value = vec![b'v'; 1 << 20];
        let _: () = redis::cmd("SET").arg("big").arg(&value).query(&mut setter).unwrap();
        let mut lazy = server.connect();
        // Ten gigabytes of replies.
        lazy.write_all("GET big\r\n".repeat(10_000).as_bytes()).unwrap();
        let mut start = [0; 1024];
        lazy.read_exact(&mut start).unwrap();
        for _ in 0..50 {
            serves(server);
        }
        let memory = server.info("mem_clients_normal");
        assert!(memory < 4 << 20, "{memory}");
    });
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_alone() {
    for driver in ["uring", "epoll"] {
        let server =
            Server::start(&["--driver", driver, "--workers", "2", "--output-buffer", "1mb"]);
        let mut slow = server.connect();
        slow.write_all(b"SUBSCRIBE c\r\n").unwrap();
        let mut reader = server.client();
        let mut reader = reader.as_pubsub();
        reader.subscribe("c").unwrap();
        wait_until("it subscribes", || server.info("pubsub_channels") == 1);
        let mut publisher = server.client();
        let message = vec![b'm'; 10_000];
        let mut published = 0;
        // The kernel's buffers hold some megabytes besides.
        loop {
            let receivers: usize =
                redis::cmd("PUBLISH").arg("c").arg(&message).query(&mut publisher).unwrap();
            assert_eq!(reader.get_message().unwrap().get_payload_bytes(), message);
            published += 1;
            assert!(published < 10_000, "a subscriber that does not read is not cut off");
            if receivers == 1 {
                break;
            }
        }
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest);
        assert!(rest.len() < published * message.len(), "it was sent everything");
        serves(&server);
    }
}

#[test]
fn a_subscriber_that_does_not_read_loses_messages_and_goes_on() {
    for (driver, policy) in [("uring", "drop-oldest"), ("epoll", "drop-newest")] {
        let limit = ["--output-buffer", "1mb", "--slow-subscribers", policy];
        let server = Server::start(&[&["--driver", driver, "--workers", "2"][..], &limit].concat());
        let mut slow = server.client();
        let mut slow = slow.as_pubsub();
        slow.subscribe("c").unwrap();
        let mut publisher = server.client();
        let message = |number: usize| format!("{number:06}{}", "m".repeat(10_000));
        let mut publish = |number| {
            let mut command = redis::cmd("PUBLISH");
            command.arg("c").arg(message(number)).query::<usize>(&mut publisher).unwrap()
        };
        // The kernel's buffers hold some megabytes besides.
        let dropped = || server.info("pubsub_dropped_messages");
        let mut published = 0;
        while dropped() < 100 {
            publish(published);
            published += 1;
            assert!(published < 10_000, "nothing is dropped for who does not read");
        }
        let mut next = || {
            let text: String = slow.get_message().unwrap().get_payload().unwrap();
            let number = text[..6].parse().unwrap();
            assert_eq!(text, message(number));
            number
        };
        let received: Vec<usize> = (0..published - dropped()).map(|_| next()).collect();
        assert!(received.is_sorted_by(|one, other| one < other));
        let newest_is_there = received.last() == Some(&(published - 1));
        assert_eq!(newest_is_there, policy == "drop-oldest");
        assert_eq!(publish(published), 1);
        assert_eq!(next(), published);
        assert_eq!(server.info("evicted_clients"), 0);
        serves(&server);
    }
}

#[test]
fn a_thousand_announced_gigabytes_stay_announced() {
    for driver in ["uring", "epoll"] {
        let server = Server::start(&["--driver", driver, "--workers", "2"]);
        let before = server.memory("VmHWM");
        let part = vec![b'x'; 1 << 20];
        let sent = AtomicUsize::new(0);
        let mut streams: Vec<_> = (0..1000).map(|_| server.connect()).collect();
        for stream in &mut streams {
            stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n").unwrap();
        }
        wait_until("they are there", || server.info("connected_clients") == 1001);
        let idle = server.memory("VmHWM") - before;
        assert!(idle < 200 << 20, "announcements alone took {idle} bytes");
        std::thread::scope(|scope| {
            for half in streams.chunks_mut(500) {
                let (part, sent) = (&part, &sent);
                scope.spawn(move || {
                    for stream in half {
                        // Some may be cut off.
                        if stream.write_all(part).is_ok() {
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            for _ in 0..50 {
                serves(&server);
            }
        });
        assert!(sent.load(Ordering::Relaxed) > 500, "most clients could send their megabyte");
        let (limit, total) = (1 << 30, server.info("mem_clients_normal"));
        assert!(total <= limit, "{total}");
        let peak = server.memory("VmHWM") - before;
        assert!(peak < limit + (300 << 20), "the peak was {peak} bytes");
        drop(streams);
        wait_until("their memory is back", || server.info("mem_clients_normal") < 1 << 20);
    }
}

#[test]
fn the_largest_client_pays_when_memory_is_short() {
    for driver in ["uring", "epoll"] {
        let server = Server::start(&["--driver", driver, "--client-memory", "16mb"]);
        let mut small = server.client();
        let mut large = server.connect();
        large.write_all(b"*2\r\n$4\r\nECHO\r\n$104857600\r\n").unwrap();
        let reply = until_closed(large, &vec![b'x'; 40 << 20]);
        assert!(reply.starts_with("-ERR closed: the server's limit"), "{reply:?}");
        let pong: String = redis::cmd("PING").query(&mut small).unwrap();
        assert_eq!(pong, "PONG");
        assert_eq!(server.info("evicted_clients"), 1);
        wait_until("its memory is back", || server.info("mem_clients_normal") < 1 << 20);
    }
}

#[test]
fn replies_count_as_memory_too() {
    let server = Server::start(&["--client-memory", "16mb"]);
    let mut client = server.client();
    let value = vec![b'v'; 4 << 20];
    let _: () = redis::cmd("SET").arg("big").arg(&value).query(&mut client).unwrap();
    let got: Vec<u8> = redis::cmd("GET").arg("big").query(&mut client).unwrap();
    assert!(got == value);
    // Forty megabytes in one reply.
    let request = format!("MGET{}\r\n", " big".repeat(10));
    let reply = until_closed(server.connect(), request.as_bytes());
    assert!(reply.starts_with("-ERR closed: the server's limit"), "{} bytes", reply.len());
    serves(&server);
}

#[test]
fn too_many_clients_are_told_so() {
    for driver in ["uring", "epoll"] {
        let server = Server::start(&["--driver", driver, "--max-clients", "3"]);
        let mut streams: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for stream in &mut streams {
            assert_eq!(exchange(stream, b"PING\r\n", 7), b"+PONG\r\n");
        }
        let reply = until_closed(server.connect(), b"");
        assert_eq!(reply, "-ERR max number of clients reached\r\n");
        drop(streams.pop());
        wait_until("there is room again", || {
            let mut stream = server.connect();
            let mut reply = [0; 7];
            let sent = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut reply));
            sent.is_ok() && reply == *b"+PONG\r\n"
        });
    }
}

#[test]
fn it_ends_when_asked_although_clients_are_busy() {
    for (driver, signal) in [("uring", libc::SIGTERM), ("epoll", libc::SIGINT)] {
        let server = Server::start(&["--driver", driver, "--workers", "2"]);
        let begun = AtomicUsize::new(0);
        let stopping = AtomicBool::new(false);
        let _idle: Vec<_> = (0..20).map(|_| server.connect()).collect();
        let mut lazy = server.connect();
        lazy.write_all("GET big\r\n".repeat(100).as_bytes()).unwrap();
        let (status, rest) = std::thread::scope(|scope| {
            for worker in 0..4 {
                let stream = server.connect();
                let (begun, stopping) = (&begun, &stopping);
                scope.spawn(move || load(stream, worker, begun, stopping));
            }
            wait_until("there is load", || begun.load(Ordering::Relaxed) > 1000);
            stopping.store(true, Ordering::Relaxed);
            server.signal(signal);
            server.wait()
        });
        assert!(status.success(), "{driver}: {status}");
        assert_eq!(rest, "", "only one line is written to standard output");
    }
}

/// Sends increments in pipelines until the server closes. Each reply is whole and in order.
fn load(mut stream: TcpStream, worker: usize, begun: &AtomicUsize, stopping: &AtomicBool) {
    let request = format!("INCR n{worker}\r\n").repeat(100);
    let mut counted = 0;
    loop {
        let sent = stream.write_all(request.as_bytes()).is_ok();
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while text.matches("\r\n").count() < 100 {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    assert!(stopping.load(Ordering::Relaxed), "closed although nobody asked");
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Ok(n) => text.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
            }
        }
        assert!(sent, "replies came to what was not sent");
        for line in text.split_terminator("\r\n") {
            counted += 1;
            assert_eq!(line, format!(":{counted}"));
        }
        begun.fetch_add(100, Ordering::Relaxed);
    }
}
