//! Publish and subscribe, and the memory of clients.

mod common;

use common::{Local, server};
use raddle_kv::client::Cut;
use raddle_kv::config::{Bytes, Config};

const HELLO: &str = "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";

#[test]
fn messages_reach_those_who_subscribed() {
    let shared = server(Config::default());
    let [mut old, mut new, mut publisher] = [(); 3].map(|()| Local::of(shared));
    new.line("hello 3");
    assert_eq!(publisher.line("publish c hello"), ":0\r\n");
    old.line("subscribe c d");
    new.line("psubscribe [a-c]");
    new.line("subscribe c");
    assert_eq!(publisher.line("publish c hello"), ":3\r\n");
    assert_eq!(publisher.line("publish b hello"), ":1\r\n");
    assert_eq!(old.messages(), HELLO);
    assert_eq!(
        new.messages(),
        format!(
            ">{}>4\r\n$8\r\npmessage\r\n$5\r\n[a-c]\r\n$1\r\nc\r\n$5\r\nhello\r\n\
             >4\r\n$8\r\npmessage\r\n$5\r\n[a-c]\r\n$1\r\nb\r\n$5\r\nhello\r\n",
            &HELLO[1..]
        )
    );
    assert_eq!(
        publisher.line("pubsub numsub c d e"),
        "*6\r\n$1\r\nc\r\n:2\r\n$1\r\nd\r\n:1\r\n$1\r\ne\r\n:0\r\n"
    );
    drop(old);
    drop(new);
    assert_eq!(publisher.line("publish c hello"), ":0\r\n");
    assert_eq!(publisher.line("pubsub channels"), "*0\r\n");
    assert_eq!(publisher.line("pubsub numpat"), ":0\r\n");
}

#[test]
fn no_message_comes_after_the_end_of_its_subscription() {
    let shared = server(Config::default());
    let [mut subscriber, mut publisher] = [(); 2].map(|()| Local::of(shared));
    subscriber.line("subscribe c");
    publisher.line("publish c hello");
    let reply = subscriber.line("unsubscribe");
    assert_eq!(reply, format!("{HELLO}*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n"));
    publisher.line("publish c hello");
    assert_eq!(subscriber.messages(), "");
}

#[test]
fn messages_and_ends_of_subscriptions_keep_their_order_under_load() {
    let shared = server(Config::default());
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut publisher = Local::of(shared);
            (0..20_000).for_each(|_| {
                publisher.line("publish c hello");
            });
        });
        let mut subscriber = Local::of(shared);
        let mut received = 0;
        while !publishing.is_finished() {
            let mut text = subscriber.line("subscribe c");
            text += &subscriber.messages();
            text += &subscriber.line("unsubscribe c");
            let (start, end) =
                ("*3\r\n$9\r\nsubscribe\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n");
            assert!(text.starts_with(start) && text.ends_with(end), "{text}");
            received += text.matches(HELLO).count();
        }
        assert!(received > 0, "nothing was received while somebody listened");
    });
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_off_and_others_are_not() {
    let config = Config { output_buffer: Bytes(1000), ..Config::default() };
    let shared = server(config);
    let [mut slow, mut reader, mut publisher] = [(); 3].map(|()| Local::of(shared));
    slow.line("subscribe c");
    reader.line("subscribe c");
    let mut received = 0;
    for _ in 0..100 {
        assert_eq!(publisher.line("publish c hello"), ":2\r\n");
        received += reader.messages().matches(HELLO).count();
    }
    assert_eq!(slow.session.client.fate(), Some(Cut::OutputBuffer));
    assert_eq!(slow.messages(), "");
    assert_eq!((received, reader.session.client.fate()), (100, None));
    drop(slow);
    assert_eq!(publisher.line("publish c hello"), ":1\r\n");
}

#[test]
fn what_a_connection_has_not_sent_counts_as_unread() {
    let shared = server(Config { output_buffer: Bytes(1000), ..Config::default() });
    let [mut subscriber, mut publisher] = [(); 2].map(|()| Local::of(shared));
    subscriber.line("subscribe c");
    for _ in 0..20 {
        publisher.line("publish c hello");
    }
    // The connection takes the messages but cannot send them.
    assert!(subscriber.session.collect(&mut subscriber.out, 0).is_ok());
    for _ in 0..20 {
        publisher.line("publish c hello");
    }
    assert_eq!(subscriber.session.client.fate(), Some(Cut::OutputBuffer));
}

#[test]
fn the_largest_client_is_cut_off_when_memory_is_short() {
    let shared = server(Config { client_memory: Bytes(1 << 20), ..Config::default() });
    let [mut large, mut small, mut publisher] = [(); 3].map(|()| Local::of(shared));
    large.line("subscribe c");
    small.line("subscribe d");
    publisher.line("publish d hello");
    let message = "x".repeat(10_000);
    for _ in 0..200 {
        publisher.line(&format!("publish c {message}"));
        assert!(shared.ledger.total() <= 1 << 20, "{}", shared.ledger.total());
    }
    assert_eq!(large.session.client.fate(), Some(Cut::ClientMemory));
    assert_eq!((small.session.client.fate(), publisher.session.client.fate()), (None, None));
    assert_eq!(shared.ledger.evicted(), 1);
    drop(large);
    assert!(small.messages().contains("hello"));
    drop(small);
    drop(publisher);
    assert_eq!(shared.ledger.total(), 0, "clients that are gone hold memory");
    assert!(shared.ledger.count() == 0);
}

#[test]
fn who_waits_for_memory_gets_what_the_largest_leaves() {
    let shared = server(Config { client_memory: Bytes(1 << 20), ..Config::default() });
    let large = Local::of(shared);
    assert!(shared.ledger.try_charge(&large.session.client, 900_000));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let client = Local::of(shared);
            assert!(!shared.ledger.try_charge(&client.session.client, 400_000));
            shared.ledger.charge(&client.session.client, 400_000).is_ok()
                && shared.ledger.total() == 400_000
        });
        while large.session.client.fate().is_none() {
            assert!(!waiting.is_finished(), "memory came from nowhere");
            std::thread::yield_now();
        }
        drop(large);
        assert!(waiting.join().unwrap());
    });
    assert_eq!(shared.ledger.total(), 0);
}

#[test]
fn who_wants_more_than_all_others_have_is_cut_off() {
    let shared = server(Config { client_memory: Bytes(1 << 20), ..Config::default() });
    let [greedy, other] = [(); 2].map(|()| Local::of(shared));
    assert!(shared.ledger.try_charge(&other.session.client, 100_000));
    assert!(shared.ledger.charge(&greedy.session.client, 2 << 20).is_err());
    assert_eq!(greedy.session.client.fate(), Some(Cut::ClientMemory));
    assert_eq!(other.session.client.fate(), None);
}

#[test]
fn what_clients_say_of_themselves_counts() {
    let shared = server(Config { client_memory: Bytes(1 << 20), ..Config::default() });
    let mut client = Local::of(shared);
    client.line(&format!("client setname {}", "x".repeat(50_000)));
    client.line(&format!("client setinfo lib-name {}", "y".repeat(10_000)));
    assert_eq!(shared.ledger.total(), 60_000);
    client.line("client setname short");
    assert_eq!(shared.ledger.total(), 10_005);
    let name = "x".repeat(2 << 20);
    let (reply, closed) = client.raw(&common::encode(&[b"client", b"setname", name.as_bytes()]));
    assert!(closed && reply.is_empty());
    assert_eq!(client.session.client.fate(), Some(Cut::ClientMemory));
    drop(client);
    assert_eq!(shared.ledger.total(), 0);
}
