//! The server as its users see it: a process, sockets, and a real client library.

mod process;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};

use process::{Server, exchange, on_all, wait_until};
use redis::Commands;

#[test]
fn the_first_line_says_where_and_how() {
    for (driver, name) in [("uring", "io_uring"), ("epoll", "epoll")] {
        let server = Server::start(&["--driver", driver, "--workers", "2"]);
        let expected = format!("raddle-kv listening on {}, 2 workers, {name}\n", server.address);
        assert_eq!(server.banner, expected);
        assert!(server.address.ip().is_loopback());
    }
    let server = Server::start(&["--workers", "1", "--bind", "::1"]);
    assert!(server.banner.starts_with("raddle-kv listening on [::1]:"), "{}", server.banner);
    assert!(server.banner.contains(", 1 worker, "), "{}", server.banner);
}

#[test]
fn a_port_that_is_taken_is_named_and_ends_the_server() {
    let server = Server::start(&["--workers", "1"]);
    let port = server.address.port().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_raddle-kv"))
        .args(["--workers", "1", "--port", &port])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("serving") && message.contains("in use"), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_real_client_gets_what_it_asks_for() {
    on_all(|server| {
        for mut client in [server.client(), server.client3()] {
            let _: () = redis::cmd("FLUSHALL").query(&mut client).unwrap();
            assert_eq!(client.get("nothing"), Ok(None::<String>));
            assert_eq!(client.set("key", "value"), Ok("OK".to_owned()));
            assert_eq!(client.get("key"), Ok("value".to_owned()));
            assert_eq!(client.incr("n", 41), Ok(41));
            assert_eq!(client.incr("n", 1), Ok(42));
            assert_eq!(client.mset(&[("a", 1), ("b", 2)]), Ok("OK".to_owned()));
            let values: Vec<Option<i32>> = client.mget(&["a", "nothing", "b"]).unwrap();
            assert_eq!(values, [Some(1), None, Some(2)]);
            assert_eq!(client.set_ex("short", "v", 100), Ok("OK".to_owned()));
            assert!((1..=100).contains(&client.ttl::<_, i64>("short").unwrap()));
            let mut keys: Vec<String> = client.scan().unwrap().map(Result::unwrap).collect();
            keys.sort();
            assert_eq!(keys, ["a", "b", "key", "n", "short"]);
            assert_eq!(client.del(&["a", "b", "c"]), Ok(2));
            let error = client.incr::<_, _, i64>("key", 1).unwrap_err();
            assert!(error.to_string().contains("not an integer"), "{error}");
            let info: String = redis::cmd("INFO").query(&mut client).unwrap();
            assert!(info.contains("redis_version:"), "{info}");
            let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut client).unwrap();
            assert!(list.contains("cmd=client|list"), "{list}");
        }
    });
}

#[test]
fn large_values_survive() {
    on_all(|server| {
        let mut client = server.client();
        for length in [0, 1, 30, 31, 4095, 4096, 65_536, 1 << 20, 20 << 20] {
            let value: Vec<u8> = (0..length).map(|n: usize| (n * 7 / 8) as u8).collect();
            let _: () = client.set("v", &value).unwrap();
            assert!(client.get::<_, Vec<u8>>("v").unwrap() == value, "{length}");
        }
        let _: () = client.del("v").unwrap();
        wait_until("buffers are given back", || server.info("mem_clients_normal") < 1 << 20);
    });
}

#[test]
fn ten_thousand_commands_in_a_pipeline() {
    on_all(|server| {
        let mut client = server.client();
        let mut pipeline = redis::pipe();
        for n in 0..10_000 {
            pipeline.cmd("INCRBY").arg("sum").arg(n);
        }
        let sums: Vec<i64> = pipeline.query(&mut client).unwrap();
        assert_eq!(sums.len(), 10_000);
        assert!(sums.iter().enumerate().all(|(n, sum)| *sum == (n * (n + 1) / 2) as i64));
    });
}

#[test]
fn requests_arrive_in_pieces() {
    on_all(|server| {
        let mut stream = server.connect();
        let request =
            b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nxy\r\nget a\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        for byte in request {
            stream.write_all(&[*byte]).unwrap();
        }
        let expected = b"+OK\r\n$2\r\nxy\r\n$2\r\nxy\r\n";
        assert_eq!(exchange(&mut stream, b"", expected.len()), expected);
    });
}

#[test]
fn messages_go_to_all_subscribers_in_order() {
    on_all(|server| {
        const MESSAGES: usize = 2000;
        let mut clients = [server.client(), server.client(), server.client()];
        let ready = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let publisher = scope.spawn(move || {
                let mut publisher = server.client();
                wait_until("all subscribe", || ready.load(Ordering::Relaxed));
                for n in 0..MESSAGES {
                    let receivers: usize = publisher.publish("news", n).unwrap();
                    assert_eq!(receivers, 3);
                }
            });
            let mut pubsubs: Vec<_> =
                clients.iter_mut().map(redis::Connection::as_pubsub).collect();
            for (n, pubsub) in pubsubs.iter_mut().enumerate() {
                match n {
                    0 => pubsub.psubscribe("n*").unwrap(),
                    _ => pubsub.subscribe("news").unwrap(),
                }
            }
            ready.store(true, Ordering::Relaxed);
            for pubsub in &mut pubsubs {
                for n in 0..MESSAGES {
                    let message = pubsub.get_message().unwrap();
                    assert_eq!(message.get_payload::<usize>().unwrap(), n);
                    assert_eq!(message.get_channel_name(), "news");
                }
            }
            publisher.join().unwrap();
        });
        drop(clients);
        wait_until("the channels are gone", || server.info("pubsub_channels") == 0);
    });
}

#[test]
fn a_subscriber_of_the_new_protocol_can_do_other_things() {
    on_all(|server| {
        let mut stream = server.connect();
        let subscribed = b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
        let hello = exchange(&mut stream, b"HELLO 3\r\n", 3);
        assert_eq!(hello, b"%7\r");
        let mut rest = Vec::new();
        while !rest.ends_with(b"modules\r\n*0\r\n") {
            rest.extend(exchange(&mut stream, b"", 1));
        }
        assert_eq!(exchange(&mut stream, b"SUBSCRIBE c\r\n", subscribed.len()), subscribed);
        assert_eq!(exchange(&mut stream, b"SET a b\r\n", 5), b"+OK\r\n");
        let mut publisher = server.client();
        let _: usize = publisher.publish("c", "hello").unwrap();
        let message = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
        assert_eq!(exchange(&mut stream, b"", message.len()), message);
        assert_eq!(exchange(&mut stream, b"GET a\r\n", 7), b"$1\r\nb\r\n");
    });
}

#[test]
fn two_thousand_clients_at_the_same_time() {
    on_all(|server| {
        let mut streams: Vec<_> = (0..2000).map(|_| server.connect()).collect();
        for round in 0..3 {
            for (n, stream) in streams.iter_mut().enumerate() {
                write!(stream, "SET key:{n} {round}\r\nGET key:{n}\r\n").unwrap();
            }
            for stream in &mut streams {
                let expected = format!("+OK\r\n$1\r\n{round}\r\n");
                assert_eq!(exchange(stream, b"", expected.len()), expected.as_bytes());
            }
        }
        assert_eq!(server.info("connected_clients"), 2001);
        drop(streams);
        wait_until("they are gone", || server.info("connected_clients") == 1);
    });
}

#[test]
fn mset_is_atomic_over_several_workers() {
    let server = Server::start(&["--workers", "4"]);
    let keys: Vec<String> = (0..10).map(|n| format!("k{n}")).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (server, keys, done) = (&server, &keys, &done);
            scope.spawn(move || {
                let mut client = server.client();
                for round in 0..1500 {
                    let value = format!("{writer}:{round}");
                    let pairs: Vec<_> = keys.iter().map(|key| (key, &value)).collect();
                    let _: () = client.mset(&pairs).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut client = server.client();
        while !done.load(Ordering::Relaxed) {
            let values: Vec<Option<String>> = client.mget(&keys).unwrap();
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        }
    });
}

#[test]
fn expired_keys_go_although_nobody_reads_them() {
    on_all(|server| {
        let mut client = server.client();
        let mut pipeline = redis::pipe();
        for n in 0..1000 {
            pipeline.cmd("SET").arg(n).arg("v").arg("PX").arg(1 + n % 50).ignore();
        }
        let _: () = pipeline.query(&mut client).unwrap();
        let size = |client: &mut redis::Connection| redis::cmd("DBSIZE").query::<usize>(client);
        wait_until("they expire", || size(&mut client) == Ok(0));
        assert_eq!(server.info("expired_keys"), 1000);
    });
}

#[test]
fn a_half_closed_client_gets_its_replies() {
    on_all(|server| {
        let mut stream = server.connect();
        let request = "SET a 1\r\n".repeat(5000);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply, "+OK\r\n".repeat(5000));
    });
}
