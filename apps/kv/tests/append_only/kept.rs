//! What is written down is there after the next start.

use std::time::Duration;

use raddle_kv::config::{Config, Fsync};

use super::support::{Directory, Kv, contents};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn every_kind_of_change_is_kept_under_every_policy() {
    for policy in [Fsync::Always, Fsync::Everysec, Fsync::No] {
        let directory = Directory::new();
        let config = || Config { appendfsync: policy, ..directory.config() };
        let kv = Kv::start(config()).unwrap();
        let _: redis::Value = kv.run(
            "SET a 1; SET gone x; FLUSHALL; SET a 1; INCR a; INCRBY new 41; APPEND text warp; \
             APPEND text _and; SET b x; DEL b; MSET c 1 d 2 e 3; GETDEL d; SETNX e never; SETNX f 1; \
             GETSET c 7; SET a 5 KEEPTTL; DECR new",
        );
        let expected = pairs(&[
            ("a", "5"),
            ("c", "7"),
            ("e", "3"),
            ("f", "1"),
            ("new", "40"),
            ("text", "warp_and"),
        ]);
        assert_eq!(contents(&kv), expected);
        kv.stop().unwrap();
        // Twice: what was read is not written again.
        let length = std::fs::metadata(directory.file()).unwrap().len();
        for _ in 0..2 {
            let kv = Kv::start(config()).unwrap();
            assert_eq!(contents(&kv), expected, "{policy:?}");
            kv.stop().unwrap();
            assert_eq!(std::fs::metadata(directory.file()).unwrap().len(), length);
        }
        assert_eq!(directory.names(), ["appendonly.aof", "appendonly.aof.mark"]);
    }
}

#[test]
fn without_the_switch_there_is_no_file() {
    let directory = Directory::new();
    let config = Config { dir: directory.0.clone(), port: 0, ..Config::default() };
    let kv = Kv::start(config).unwrap();
    let _: redis::Value = kv.run("SET a 1");
    assert_eq!(kv.info("aof_enabled"), "0");
    kv.stop().unwrap();
    assert_eq!(directory.names(), [""; 0]);
}

#[test]
fn any_bytes_of_any_length_are_kept() {
    let directory = Directory::new();
    let values: Vec<Vec<u8>> = [0, 1, 30, 31, 4096, 100_000, 3 << 20]
        .into_iter()
        .map(|length| (0..length).map(|n: usize| (n * 7 / 5) as u8).collect())
        .collect();
    let kv = Kv::on(&directory);
    let mut client = kv.client();
    for (number, value) in values.iter().enumerate() {
        let key = [&[number as u8, 0, b'\r', b'\n'][..], &vec![b'k'; number * 10]].concat();
        let _: () = redis::cmd("SET").arg(key).arg(value).query(&mut client).unwrap();
    }
    drop(client);
    kv.stop().unwrap();
    let kv = Kv::on(&directory);
    let mut client = kv.client();
    for (number, value) in values.iter().enumerate() {
        let key = [&[number as u8, 0, b'\r', b'\n'][..], &vec![b'k'; number * 10]].concat();
        let kept: Vec<u8> = redis::cmd("GET").arg(key).query(&mut client).unwrap();
        assert!(kept == *value, "{number}");
    }
}

#[test]
fn deadlines_are_moments_and_not_durations() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run(
        "SET short x PX 50; SET long x EX 1000; SET moved x EX 5; EXPIRE moved 2000; \
         SET kept x EX 9; PERSIST kept; SET counter 1 EX 3000; INCR counter; SET gone x; EXPIRE gone -1; \
         SET tail x EX 4000; APPEND tail y",
    );
    kv.stop().unwrap();
    // The time passes while no server runs.
    let until = std::time::Instant::now() + Duration::from_millis(60);
    while std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    let kv = Kv::on(&directory);
    let ttl = |key: &str| kv.run::<i64>(&format!("TTL {key}"));
    let near = |key: &str, expected: i64| {
        let ttl = ttl(key);
        assert!((expected - 60..=expected).contains(&ttl), "{key}: {ttl}");
    };
    assert_eq!((ttl("short"), ttl("kept"), ttl("gone")), (-2, -1, -2));
    near("long", 1000);
    near("moved", 2000);
    near("counter", 3000);
    near("tail", 4000);
    assert_eq!(kv.run::<String>("GET tail"), "xy");
    assert_eq!(kv.run::<i64>("INCR counter"), 3);
    assert_eq!(kv.run::<usize>("DBSIZE"), 5);
}

/// A key that somebody has seen expire does not come back, whatever the clock says later.
#[test]
fn what_has_expired_is_written_down() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a x PX 1; SET b x PX 1");
    while kv.run::<Option<String>>("GET a").is_some() || kv.run::<usize>("DBSIZE") > 0 {}
    let length = std::fs::metadata(directory.file()).unwrap().len();
    kv.stop().unwrap();
    // Two records more than those that set the keys: each of these has about 50 bytes.
    assert!(length > 32 + 2 * 45 + 2 * 25, "{length}");
    let bytes = std::fs::read(directory.file()).unwrap();
    assert_eq!(bytes.windows(6).filter(|six| *six == b"\x02\x01\0\0\0a").count(), 1);
    assert_eq!(bytes.windows(6).filter(|six| *six == b"\x02\x01\0\0\0b").count(), 1);
}

#[test]
fn many_clients_at_the_same_time_lose_nothing() {
    const CLIENTS: usize = 8;
    const COMMANDS: usize = 300;
    for policy in [Fsync::Always, Fsync::Everysec] {
        let directory = Directory::new();
        let kv = Kv::start(Config { appendfsync: policy, ..directory.config() }).unwrap();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let mut connection = kv.client();
                scope.spawn(move || {
                    for number in 0..COMMANDS / 10 {
                        let mut pipeline = redis::pipe();
                        for part in 0..10 {
                            let key = format!("{client}:{}", (number * 10 + part) % 50);
                            pipeline.cmd("INCR").arg("all").ignore();
                            pipeline.cmd("APPEND").arg(key).arg(part).ignore();
                        }
                        let _: () = pipeline.query(&mut connection).unwrap();
                    }
                });
            }
        });
        let before = contents(&kv);
        kv.stop().unwrap();
        let kv = Kv::on(&directory);
        assert_eq!(kv.run::<usize>("GET all"), CLIENTS * COMMANDS);
        assert!(contents(&kv) == before);
    }
}
