//! A server that is killed loses nothing that it has acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::process::Server;
use crate::support::Directory;

const CLIENTS: usize = 6;
/// More than a server acknowledges before it is killed.
const COMMANDS: u64 = 1_000_000;

fn start(directory: &Directory, driver: &str, more: &[&str]) -> Server {
    let dir = directory.0.to_str().unwrap();
    let fixed = ["--driver", driver, "--workers", "2", "--appendonly", "yes", "--dir", dir];
    Server::start(&[&fixed[..], more].concat())
}

/// One client: counts its own key up, and appends to another one, until the server is gone. Returns
/// the last count that was acknowledged.
fn count(server: &Server, client: usize, from: u64, acknowledged: &AtomicUsize) -> u64 {
    let mut connection = server.client();
    let (key, log) = (format!("count:{client}"), format!("log:{client}"));
    let mut last = from;
    for _ in 0..COMMANDS {
        let mut pipeline = redis::pipe();
        pipeline.atomic_free_incr(&key, &log);
        match pipeline.query::<(u64, u64)>(&mut connection) {
            Ok((count, _)) => last = count,
            Err(_) => return last,
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    panic!("nobody has killed the server");
}

trait Counting {
    fn atomic_free_incr(&mut self, key: &str, log: &str);
}

impl Counting for redis::Pipeline {
    fn atomic_free_incr(&mut self, key: &str, log: &str) {
        self.cmd("INCR").arg(key).cmd("APPEND").arg(log).arg("x");
    }
}

/// Lets a server work, kills it after so many replies, and returns what each client was told last.
fn work_and_kill(
    server: Server,
    from: &[u64; CLIENTS],
    replies: usize,
    rewrite: bool,
) -> [u64; CLIENTS] {
    let acknowledged = AtomicUsize::new(0);
    let mut told = *from;
    std::thread::scope(|scope| {
        let threads: Vec<_> = told
            .iter()
            .enumerate()
            .map(|(client, from)| {
                let (server, acknowledged, from) = (&server, &acknowledged, *from);
                scope.spawn(move || count(server, client, from, acknowledged))
            })
            .collect();
        let mut monitor = rewrite.then(|| server.client());
        while acknowledged.load(Ordering::Relaxed) < replies {
            match &mut monitor {
                // One is on its way all the time.
                Some(monitor) => drop(redis::cmd("BGREWRITEAOF").query::<String>(monitor)),
                None => std::thread::yield_now(),
            }
        }
        server.signal(libc::SIGKILL);
        for (told, thread) in told.iter_mut().zip(threads) {
            *told = thread.join().unwrap();
        }
    });
    told
}

/// What the clients find after a start. `behind` is by how much their appends were behind their
/// counts: a kill between the two leaves one more behind, for good.
fn found(server: &Server, behind: &mut [u64; CLIENTS]) -> [u64; CLIENTS] {
    let mut connection = server.client();
    let mut found = [0; CLIENTS];
    for (client, found) in found.iter_mut().enumerate() {
        let mut get = |name: &str| -> Option<String> {
            redis::cmd("GET").arg(format!("{name}:{client}")).query(&mut connection).unwrap()
        };
        *found = get("count").map_or(0, |count| count.parse().unwrap());
        let log = get("log").unwrap_or_default();
        assert!(log.bytes().all(|byte| byte == b'x'));
        let (before, now) = (behind[client], *found - log.len() as u64);
        assert!(
            now == before || now == before + 1,
            "{found} counts and {} appends, which were {before} behind",
            log.len()
        );
        behind[client] = now;
    }
    found
}

fn killed_again_and_again(driver: &str, rounds: usize, rewrite: bool) {
    let directory = Directory::new();
    let (mut known, mut behind) = ([0; CLIENTS], [0; CLIENTS]);
    for round in 0..rounds {
        let server = start(&directory, driver, &["--appendfsync", "always"]);
        let there = found(&server, &mut behind);
        for client in 0..CLIENTS {
            let (there, known) = (there[client], known[client]);
            // One command may have been on its way.
            assert!(
                there == known || there == known + 1,
                "client {client} was told {known}, and after the start there is {there}"
            );
        }
        known = work_and_kill(server, &there, 50 + 130 * round, rewrite);
    }
    assert!(known.iter().sum::<u64>() > 500, "{known:?}");
}

#[test]
fn nothing_acknowledged_is_lost_over_io_uring() {
    killed_again_and_again("auto", 8, false);
}

#[test]
fn nothing_acknowledged_is_lost_over_epoll() {
    killed_again_and_again("epoll", 8, false);
}

#[test]
fn nothing_acknowledged_is_lost_while_the_file_is_rewritten() {
    killed_again_and_again("auto", 10, true);
    killed_again_and_again("epoll", 5, true);
}

/// The system has what was written, so it survives the end of the process under every policy.
#[test]
fn a_kill_is_no_crash_of_the_machine() {
    for policy in ["everysec", "no"] {
        let directory = Directory::new();
        let server = start(&directory, "auto", &["--appendfsync", policy]);
        let told = work_and_kill(server, &[0; CLIENTS], 2000, false);
        let server = start(&directory, "auto", &["--appendfsync", policy]);
        let there = found(&server, &mut [0; CLIENTS]);
        for client in 0..CLIENTS {
            // What waited for the writer is lost: one record each, at most.
            assert!(there[client] + 1 >= told[client], "{policy}: {there:?}, {told:?}");
        }
    }
}

#[test]
fn a_polite_end_keeps_everything() {
    let directory = Directory::new();
    let server = start(&directory, "auto", &["--appendfsync", "no"]);
    let mut connection = server.client();
    let mut pipeline = redis::pipe();
    for _ in 0..5000 {
        pipeline.cmd("INCR").arg("n").ignore();
    }
    let _: () = pipeline.query(&mut connection).unwrap();
    server.signal(libc::SIGTERM);
    assert!(server.wait().0.success());
    let server = start(&directory, "auto", &[]);
    assert_eq!(redis::cmd("GET").arg("n").query(&mut server.client()), Ok(5000));
}
