//! A rewrite makes the file shorter, and changes nothing else.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use raddle_kv::config::{Bytes, Config};

use crate::process::wait_until;
use crate::support::{Directory, Kv, contents, refusal};

fn length(directory: &Directory) -> u64 {
    fs::metadata(directory.file()).unwrap().len()
}

fn rewrite(kv: &Kv) {
    let reply: String = kv.run("BGREWRITEAOF");
    assert_eq!(reply, "Background append only file rewriting started");
    wait_until("the rewrite ends", || kv.info("aof_rewrite_in_progress") == "0");
    assert_eq!(kv.info("aof_last_bgrewrite_status"), "ok");
}

#[test]
fn a_rewritten_file_has_the_keys_and_nothing_else() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    for _ in 0..30 {
        let _: redis::Value =
            kv.run("INCR n; APPEND text warp; SET a x; SET b x EX 1000; DEL a; SET c 1; INCR c");
    }
    let before = length(&directory);
    let expected = contents(&kv);
    rewrite(&kv);
    let after = length(&directory);
    assert!(after * 5 < before, "{before} bytes became {after}");
    assert_eq!(kv.info("aof_current_size"), after.to_string());
    assert_eq!(kv.info("aof_base_size"), after.to_string());
    assert_eq!(directory.names(), ["appendonly.aof", "appendonly.aof.mark"]);
    let _: redis::Value = kv.run("APPEND text more; SET new 1");
    kv.stop().unwrap();
    let kv = Kv::on(&directory);
    let found = contents(&kv);
    assert_eq!(found.len(), expected.len() + 1);
    assert_eq!(kv.run::<String>("GET text"), "warp".repeat(30) + "more");
    assert!((900..=1000).contains(&kv.run::<i64>("TTL b")));
    kv.stop().unwrap();
    // What was rewritten is marked as well.
    let file = fs::read(directory.file()).unwrap();
    fs::write(directory.file(), &file[..file.len() - 1]).unwrap();
    assert!(refusal(&directory).contains("1 records that clients may rely on are lost"));
}

#[test]
fn many_keys_and_large_values_are_rewritten() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let mut client = kv.client();
    let large: Vec<u8> = (0..2 << 20).map(|n: usize| (n * 7 / 3) as u8).collect();
    for round in 0..3 {
        let mut pipeline = redis::pipe();
        for key in 0..20_000 {
            pipeline.cmd("SET").arg(key).arg(round * key).ignore();
        }
        for key in 0..3 {
            pipeline.cmd("SET").arg(format!("large:{key}")).arg(&large).ignore();
        }
        let _: () = pipeline.query(&mut client).unwrap();
    }
    let before = length(&directory);
    rewrite(&kv);
    assert!(length(&directory) * 2 < before);
    drop(client);
    kv.stop().unwrap();
    let kv = Kv::on(&directory);
    assert_eq!(kv.run::<usize>("DBSIZE"), 20_003);
    assert_eq!(kv.run::<usize>("GET 19999"), 2 * 19_999);
    assert!(kv.run::<Vec<u8>>("GET large:2") == large);
}

/// The keys change in every way while they are copied, again and again.
#[test]
fn what_happens_during_a_rewrite_is_in_the_new_file() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let mut pipeline = redis::pipe();
    // So many that a rewrite lasts while many commands are run.
    for key in 0..60_000 {
        pipeline.cmd("SET").arg(format!("still:{key}")).arg(key).ignore();
    }
    let _: () = pipeline.query(&mut kv.client()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..4_usize {
            let (mut connection, done) = (kv.client(), &done);
            scope.spawn(move || {
                let mut round = 0;
                while !done.load(Ordering::Relaxed) || round < 100 {
                    round += 1;
                    let key = |n: usize| format!("{client}:{}", n % 97);
                    let mut pipeline = redis::pipe();
                    pipeline.cmd("APPEND").arg(key(round)).arg(round).ignore();
                    pipeline.cmd("INCR").arg(format!("n:{client}")).ignore();
                    pipeline.cmd("SET").arg(key(round * 7)).arg("").ignore();
                    pipeline.cmd("APPEND").arg(key(round * 7)).arg("again").ignore();
                    pipeline.cmd("DEL").arg(key(round * 13)).ignore();
                    pipeline.cmd("SET").arg(key(round * 5)).arg(round).arg("EX").arg(500).ignore();
                    // Each of these once: nothing that comes later makes good what is missing.
                    let once = |n: usize| format!("still:{}", client * 15_000 + n % 15_000);
                    pipeline.cmd("SET").arg(format!("once:{client}:{round}")).arg(round).ignore();
                    pipeline.cmd("APPEND").arg(once(round * 2)).arg(round).ignore();
                    pipeline.cmd("DEL").arg(once(round * 2 + 1)).ignore();
                    let _: () = pipeline.query(&mut connection).unwrap();
                }
            });
        }
        for _ in 0..4 {
            rewrite(&kv);
        }
        done.store(true, Ordering::Relaxed);
    });
    let expected = contents(&kv);
    kv.stop().unwrap();
    assert!(contents(&Kv::on(&directory)) == expected);
}

#[test]
fn a_file_that_has_grown_is_rewritten_by_itself() {
    let directory = Directory::new();
    let config = Config { auto_aof_rewrite_min_size: Bytes(20_000), ..directory.config() };
    let kv = Kv::start(config).unwrap();
    for _ in 0..10 {
        let mut pipeline = redis::pipe();
        for _ in 0..1000 {
            pipeline.cmd("INCR").arg("n").ignore();
        }
        let _: () = pipeline.query(&mut kv.client()).unwrap();
        wait_until("it is not too large", || {
            kv.info("aof_rewrite_in_progress") == "0" && length(&directory) < 45_000 + 60_000
        });
    }
    kv.stop().unwrap();
    assert_eq!(Kv::on(&directory).run::<usize>("GET n"), 10_000);
}

#[test]
fn two_rewrites_at_a_time_are_refused_and_none_is_made_without_a_file() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let mut client = kv.client();
    let mut pipeline = redis::pipe();
    pipeline.cmd("BGREWRITEAOF").cmd("BGREWRITEAOF").ignore();
    let replies = pipeline.query::<redis::Value>(&mut client);
    assert!(replies.is_err_and(|error| error.to_string().contains("already in progress")));
    let config = Config { port: 0, dir: directory.0.clone(), ..Config::default() };
    let kv = Kv::start(config).unwrap();
    let error = redis::cmd("BGREWRITEAOF").query::<String>(&mut kv.client()).unwrap_err();
    assert!(error.to_string().contains("--appendonly"), "{error}");
}

/// There is no place for the new file: the old one stays, and the server goes on.
#[test]
fn a_rewrite_that_fails_leaves_the_old_file() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a 1");
    let place = directory.0.join("appendonly.aof.rewrite");
    fs::create_dir(&place).unwrap();
    let _: String = kv.run("BGREWRITEAOF");
    wait_until("the rewrite fails", || kv.info("aof_last_bgrewrite_status") == "err");
    assert_eq!(kv.info("aof_last_write_status"), "ok");
    let _: redis::Value = kv.run("SET b 2");
    fs::remove_dir(place).unwrap();
    rewrite(&kv);
    let _: redis::Value = kv.run("SET c 3");
    kv.stop().unwrap();
    assert_eq!(contents(&Kv::on(&directory)).len(), 3);
}
