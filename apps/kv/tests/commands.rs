//! What commands promise beyond their replies: atomicity, expiry, room for replies, scans.

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Local, Stop, encode, server};
use raddle::on::Native;
use raddle_kv::config::Config;
use raddle_kv::keyspace::{Keyspace, Sweep, now_ms};
use raddle_kv::table::Entry;

/// The elements of an array of bulk strings, without nulls.
fn elements(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply).into_owned();
    let mut lines = text.split("\r\n");
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with('$') && line != "$-1" {
            found.push(lines.next().unwrap().to_owned());
        }
    }
    found
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

/// Runs `writer` over and over on one thread while `reader` runs `count` times on another.
fn race(
    count: usize,
    mut writer: impl FnMut(&mut Local, usize) + Send,
    mut reader: impl FnMut(&mut Local),
) {
    let shared = server(Config::default());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Local::of(shared);
            for round in 0.. {
                writer(&mut client, round);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let _stop = Stop(&done);
        let mut client = Local::of(shared);
        (0..count).for_each(|_| reader(&mut client));
    });
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("key:{key}")).collect()
}

#[test]
fn mset_is_one_event_to_mget() {
    for keys in [2, 10, 40] {
        let names = names(keys);
        let all: String = names.join(" ");
        let writer = |client: &mut Local, round: usize| {
            let pairs: Vec<_> = names.iter().map(|name| format!("{name} {round}")).collect();
            assert_eq!(client.line(&format!("mset {}", pairs.join(" "))), "+OK\r\n");
        };
        race(3000, writer, |client| {
            let values = elements(client.line(&format!("mget {all}")).as_bytes());
            let distinct: BTreeSet<_> = values.iter().collect();
            assert!(values.is_empty() || values.len() == keys && distinct.len() == 1, "{values:?}");
        });
    }
}

#[test]
fn commands_on_all_keys_see_whole_commands() {
    let names = names(10);
    let all: String = names.join(" ");
    let writer = |client: &mut Local, round: usize| {
        let pairs: Vec<_> = names.iter().map(|name| format!("{name} 1")).collect();
        client.line(&format!("mset {}", pairs.join(" ")));
        match round % 3 {
            0 => assert_eq!(client.line("flushall"), "+OK\r\n"),
            _ => assert_eq!(client.line(&format!("del {all}")), ":10\r\n"),
        }
    };
    race(3000, writer, |client| {
        for reply in [client.line(&format!("exists {all}")), client.line("dbsize")] {
            assert!([":0\r\n", ":10\r\n"].contains(&&*reply), "{reply}");
        }
        let keys = elements(client.line("keys key:*").as_bytes());
        assert!([0, 10].contains(&keys.len()), "{keys:?}");
    });
}

#[test]
fn increments_of_several_clients_add_up() {
    let shared = server(Config::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Local::of(shared);
                for _ in 0..5000 {
                    client.line("incr n");
                }
            });
        }
    });
    assert_eq!(Local::of(shared).line("get n"), "$5\r\n20000\r\n");
}

#[test]
fn a_scan_returns_what_stays_while_others_come_and_go() {
    let shared = server(Config::default());
    let done = AtomicBool::new(false);
    let mut client = Local::of(shared);
    let stay: BTreeSet<String> = (0..500).map(|key| format!("stay:{key}")).collect();
    stay.iter().for_each(|key| assert_eq!(client.line(&format!("set {key} 1")), "+OK\r\n"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Local::of(shared);
            // The tables grow by a factor of many and shrink again, over and over.
            while !done.load(Ordering::Relaxed) {
                for word in ["set", "del"] {
                    for key in 0..20_000 {
                        let value = if word == "set" { "1" } else { "" };
                        client.line(&format!("{word} come-and-go:{key} {value}"));
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                    }
                }
            }
        });
        let _stop = Stop(&done);
        for round in 0..30 {
            let mut missing = stay.clone();
            let mut cursor = "0".to_owned();
            loop {
                let count = [1, 10, 100][round % 3];
                let reply = client.line(&format!("scan {cursor} match stay:* count {count}"));
                let found = elements(reply.as_bytes());
                cursor.clone_from(&found[0]);
                found[1..].iter().for_each(|key| {
                    missing.remove(key);
                });
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(missing, BTreeSet::new());
        }
    });
}

#[test]
fn keys_expire_for_whoever_looks() {
    let mut client = Local::alone();
    for look in ["get", "strlen", "exists", "del", "ttl", "type", "persist", "getdel"] {
        client.line("set k value px 20");
        wait_until("the key expires", || client.line("keys *") == "*0\r\n");
        let reply = client.line(&format!("{look} k"));
        assert!(["$-1\r\n", ":0\r\n", ":-2\r\n", "+none\r\n"].contains(&&*reply), "{look} {reply}");
        assert_eq!(client.line("dbsize"), ":0\r\n", "{look} left it there");
    }
    client.line("set k 5 px 1");
    wait_until("the key expires", || client.line("keys *") == "*0\r\n");
    assert_eq!(client.line("incr k"), ":1\r\n");
    assert_eq!(client.line("ttl k"), ":-1\r\n");
}

#[test]
fn expired_keys_are_reclaimed_unread() {
    let keyspace = Keyspace::<Native>::new(8);
    let now = now_ms::<Native>().max(1);
    for key in 0..50_000u32 {
        let name = key.to_be_bytes();
        let hash = keyspace.hash(&name);
        // A third has expired, a third will, a third cannot.
        let deadline = [0, now + 1_000_000, Entry::NEVER][key as usize % 3];
        keyspace.lock(hash).insert(hash, &name, b"value", deadline);
    }
    let count = |what: fn(&raddle_kv::keyspace::Shard) -> usize| -> usize {
        keyspace.lock_all().iter().map(what).sum()
    };
    let mut sweep = Sweep::default();
    let mut removed = 0;
    for _ in 0..20 {
        removed += keyspace.sweep(&mut sweep);
    }
    assert_eq!(removed, 16_667);
    assert_eq!(count(|shard| shard.len()), 33_333);
    assert_eq!(count(|shard| shard.volatile()), 16_667);
}

#[test]
fn a_tick_of_the_sweep_is_bounded() {
    let keyspace = Keyspace::<Native>::new(4);
    for key in 0..400_000u32 {
        let name = key.to_be_bytes();
        let hash = keyspace.hash(&name);
        keyspace.lock(hash).insert(hash, &name, b"", 0);
    }
    let first = keyspace.sweep(&mut Sweep::default());
    assert!((1..=200_000).contains(&first), "{first}");
}

#[test]
fn long_replies_ask_for_room_and_get_it() {
    let mut client = Local::alone();
    let value = vec![b'v'; 3 << 20];
    let set = |client: &mut Local, key: &[u8]| {
        assert_eq!(client.command(&[b"set", key, &value]), b"+OK\r\n");
    };
    set(&mut client, b"a");
    set(&mut client, b"b");
    let whole = 3 << 20;
    assert!(client.command(&[b"get", b"a"]).len() > whole);
    assert!(client.command(&[b"mget", b"a", b"nothing", b"b", b"a"]).len() > 3 * whole);
    assert!(client.command(&[b"echo", &value]).len() > whole);
    assert!(client.command(&[b"set", b"a", b"new", b"get"]).len() > whole);
    assert_eq!(client.command(&[b"get", b"a"]), b"$3\r\nnew\r\n");
    set(&mut client, b"a");
    assert!(client.command(&[b"getset", b"a", b"newer"]).len() > whole);
    assert!(client.command(&[b"getdel", b"b"]).len() > whole);
    assert_eq!(client.line("exists b"), ":0\r\n");
    for key in 0..5000 {
        client.line(&format!("set {} 1", "long".repeat(20) + &key.to_string()));
    }
    assert_eq!(elements(client.line("keys long*").as_bytes()).len(), 5000);
    assert_eq!(elements(client.line("scan 0 count 100000").as_bytes()).len(), 5002);
    let names: Vec<Vec<u8>> = (0..1000).map(|n| format!("channel{n}").into_bytes()).collect();
    let mut request: Vec<&[u8]> = vec![b"subscribe"];
    request.extend(names.iter().map(|name| &name[..]));
    assert!(client.command(&request).ends_with(b":1000\r\n"));
    for line in ["command", "command docs", "command info", "info"] {
        assert!(Local::alone().line(line).len() > 500, "{line}");
    }
}

#[test]
fn clients_see_one_another_in_the_list() {
    let shared = server(Config::default());
    let mut one = Local::of(shared);
    let mut other = Local::of(shared);
    assert_eq!(one.line("client id"), ":1\r\n");
    other.line("hello 3 setname other");
    other.line("client setinfo lib-name redis-test");
    other.line("subscribe a b");
    let list = one.line("client list");
    assert!(list.contains("id=1 addr=peer:1 laddr=local:2"), "{list}");
    assert!(list.contains("name=other") && list.contains("sub=2 psub=0"), "{list}");
    assert!(list.contains("resp=3 lib-name=redis-test"), "{list}");
    assert_eq!(one.line("client list id 2").matches("id=").count(), 1);
    assert_eq!(one.line("client list type pubsub").matches("id=").count(), 1);
    drop(other);
    assert_eq!(one.line("client list").matches("id=").count(), 1);
}

#[test]
fn too_many_clients_are_not_let_in() {
    let shared = server(Config { max_clients: 1, ..Config::default() });
    let _first = Local::of(shared);
    assert!(Local::try_of(shared).is_none());
}

#[test]
fn requests_of_a_million_arguments_are_run() {
    let mut client = Local::alone();
    let names: Vec<Vec<u8>> = (0..1_000_000).map(|n: u32| n.to_be_bytes().to_vec()).collect();
    let mut request: Vec<&[u8]> = vec![b"mset"];
    for name in &names {
        request.extend([&name[..], b"1"]);
    }
    request.truncate(1 << 20);
    request.truncate(request.len() - 1);
    let keys = request.len() / 2;
    assert_eq!(client.raw(&encode(&request)).0, b"+OK\r\n");
    assert_eq!(client.line("dbsize"), format!(":{keys}\r\n"));
    assert_eq!(client.line("flushall"), "+OK\r\n");
}
