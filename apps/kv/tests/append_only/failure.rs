//! A write or sync that fails: nothing is acknowledged from then on, and reads go on.
//!
//! The file under a server's descriptor is exchanged for a device: one that takes nothing, as a full
//! disk, or one that takes everything and cannot be synced.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;

use raddle_kv::config::{Config, Fsync};

use crate::process::{until_closed, wait_until};
use crate::support::{Directory, Kv, contents};

/// The disk is full.
const FULL: &str = "/dev/full";
/// Everything can be written, and nothing synced.
const UNSYNCED: &str = "/dev/null";

/// Lets this process's descriptors of `path` lead to `device`.
fn exchange(path: &Path, device: &str) {
    let path = path.canonicalize().unwrap();
    let device = File::options().read(true).write(true).open(device).unwrap();
    let mut exchanged = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        if fs::read_link(entry.path()).is_ok_and(|target| target == path) {
            let number = entry.file_name().to_str().unwrap().parse().unwrap();
            // SAFETY: the number is that of an open file, whose owner is to have another one.
            assert_eq!(unsafe { libc::dup2(device.as_raw_fd(), number) }, number);
            exchanged += 1;
        }
    }
    assert!(exchanged > 0, "nobody has {}", path.display());
}

fn send(kv: &Kv, request: &str) -> String {
    until_closed(std::net::TcpStream::connect(kv.address).unwrap(), request.as_bytes())
}

fn error(kv: &Kv, line: &str) -> String {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    match command.query::<redis::Value>(&mut kv.client()) {
        Ok(value) => panic!("{line}: {value:?}"),
        Err(error) => error.to_string(),
    }
}

/// Everything that holds from a failure to the next start.
fn after_a_failure(directory: &Directory, kv: Kv) {
    for line in ["SET a 9", "DEL a", "INCR n", "FLUSHALL", "MSET x 1 y 2", "EXPIRE a 5"] {
        assert!(error(&kv, line).contains("MISCONF"), "{line}");
    }
    assert_eq!(kv.run::<String>("GET a"), "kept");
    assert_eq!(kv.run::<Vec<Option<String>>>("MGET a nothing"), [Some("kept".to_owned()), None]);
    assert_eq!(kv.run::<String>("PING"), "PONG");
    assert_eq!(kv.info("aof_last_write_status"), "err");
    for line in ["GET doubtful", "MGET a doubtful", "TTL doubtful", "EXISTS doubtful a"] {
        assert!(error(&kv, line).contains("may not be there"), "{line}");
    }
    let ended = kv.stop().expect_err("it has lost something");
    assert!(ended.to_string().contains("could not be written"), "{ended}");
    let kv = Kv::on(directory);
    assert_eq!(kv.run::<String>("GET a"), "kept");
    assert_eq!(kv.run::<String>("SET a more; GET a"), "more");
}

fn fails(what: fn(&Directory) -> std::path::PathBuf, device: &str) {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a kept");
    exchange(&what(&directory), device);
    let reply = send(&kv, "GET a\r\nSET doubtful 1\r\nGET a\r\nSET doubtful 2\r\n");
    // The error stands in the place of the first reply that was not sent yet.
    assert!(reply.starts_with("-MISCONF") && reply.ends_with("not known\r\n"), "{reply}");
    assert_eq!(reply.lines().count(), 1, "{reply}");
    after_a_failure(&directory, kv);
}

#[test]
fn a_full_disk_ends_the_writing() {
    fails(Directory::file, FULL);
}

#[test]
fn a_sync_that_fails_ends_the_writing() {
    fails(Directory::file, UNSYNCED);
}

#[test]
fn a_mark_that_cannot_be_made_ends_the_writing() {
    fails(Directory::marks, FULL);
    fails(Directory::marks, UNSYNCED);
}

/// A removal of all keys that may not be there later hides them all.
#[test]
fn nothing_is_shown_of_what_may_come_back() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a kept");
    exchange(&directory.file(), FULL);
    assert!(send(&kv, "FLUSHALL\r\n").starts_with("-MISCONF"));
    assert!(error(&kv, "GET a").contains("may not be there"));
    drop(kv);
    assert_eq!(Kv::on(&directory).run::<String>("GET a"), "kept");
}

/// Under `everysec` the failure comes later than the replies.
#[test]
fn every_second_a_failure_is_noticed() {
    for device in [FULL, UNSYNCED] {
        let directory = Directory::new();
        let kv = Kv::start(Config { appendfsync: Fsync::Everysec, ..directory.config() }).unwrap();
        let _: redis::Value = kv.run("SET a kept");
        wait_until("it is written", || fs::metadata(directory.file()).unwrap().len() > 40);
        exchange(&directory.file(), device);
        let mut client = kv.client();
        wait_until("the failure is noticed", || {
            redis::cmd("INCR").arg("n").query::<i64>(&mut client).is_err()
        });
        assert!(error(&kv, "SET a 9").contains("MISCONF"));
        assert_eq!(kv.run::<String>("GET a"), "kept");
        assert!(kv.stop().is_err());
        assert_eq!(contents(&Kv::on(&directory)), [("a".to_owned(), "kept".to_owned())]);
    }
}

/// Clients that wait for the sync when it fails are all told, and none is left waiting.
#[test]
fn all_who_wait_are_told() {
    let directory = Directory::new();
    let kv = Kv::on(&directory);
    let _: redis::Value = kv.run("SET a kept");
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let mut connection = kv.client();
                scope.spawn(move || {
                    // A command that was acknowledged is there later: that is asked below.
                    let mut acknowledged = 0;
                    loop {
                        let mut command = redis::cmd("INCR");
                        match command.arg(format!("n:{client}")).query::<i64>(&mut connection) {
                            Ok(count) => acknowledged = count,
                            Err(_) => return (client, acknowledged),
                        }
                    }
                })
            })
            .collect();
        wait_until("they work", || kv.run::<usize>("DBSIZE") == 9);
        exchange(&directory.file(), FULL);
        let told: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(kv.info("aof_last_write_status") == "err");
        drop(kv);
        let kv = Kv::on(&directory);
        for (client, told) in told {
            let there: i64 = kv.run(&format!("GET n:{client}"));
            // One may have been written when the file was exchanged, and not synced.
            assert!(there == told || there == told + 1, "{client}: told {told}, there is {there}");
        }
    });
}
