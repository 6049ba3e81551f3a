//! The simulated disk: what operations do, and what is left of it all after a crash.

mod faults;
mod log;
mod places;
mod support;

use core::time::Duration;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use raddle_platform::driver::{Completion, Config, Op, OpenOptions, Token};
use raddle_platform::{Driver, Parker, Platform};
use raddle_vopr::node::{Exit, Node};
use raddle_vopr::{FailureKind, FaultKind, Report, Sim, Simulation, Strategy};

use support::{
    APPEND, CREATE, D, File, READ, WRITE, errno, now, open, remove, rename, sleep, sync_directory,
};

fn sweep(program: impl Fn()) {
    for seed in 0..50 {
        Simulation::new().seed(seed).strategy(Strategy::Random).run(&program).unwrap();
    }
}

#[test]
fn files_answer_as_on_linux() {
    sweep(|| {
        let disk = Node::here().disk();
        disk.make_directory("d");
        let file = open("d/a", CREATE).expect("made");
        assert_eq!(file.length().expect("a file"), 0);
        assert_eq!(file.write_at(b"hello", 3).expect("written"), 5);
        assert_eq!(file.read_all().expect("read"), b"\0\0\0hello");
        assert_eq!(file.read_at(&mut [0; 4], 8).expect("the end"), 0);
        file.set_length(4).expect("cut");
        file.set_length(6).expect("filled up");
        assert_eq!(file.read_all().expect("read"), b"\0\0\0h\0\0");
        assert_eq!(errno(file.append(b"x")), libc::EBADF);
        let appends = open("/d/../d//a", APPEND).expect("the same file");
        assert_eq!(appends.append(b"ab").expect("appended"), 2);
        // As Linux has it: wherever the write is to go.
        assert_eq!(appends.write_at(b"cd", 0).expect("appended"), 2);
        assert_eq!((file.length().expect("a file"), disk.used()), (10, 10));

        let reads = open("d/a", READ).expect("there");
        assert_eq!(errno(reads.write_at(b"x", 0)), libc::EBADF);
        assert_eq!(errno(reads.set_length(0)), libc::EINVAL);
        let only = open("d/a", WRITE).expect("there");
        assert_eq!(errno(only.read_at(&mut [0], 0)), libc::EBADF);
        let cut = open("d/a", OpenOptions { truncate: true, ..WRITE }).expect("there");
        assert_eq!(cut.length().expect("a file"), 0);

        assert_eq!(errno(open("b", READ)), libc::ENOENT);
        assert_eq!(errno(open("e/b", CREATE)), libc::ENOENT);
        assert_eq!(errno(open("d/a/b", CREATE)), libc::ENOTDIR);
        assert_eq!(errno(open("d", CREATE)), libc::EISDIR);
        assert_eq!(errno(open("", CREATE)), libc::ENOENT);
        let new = OpenOptions { create_new: true, ..WRITE };
        assert_eq!(errno(open("d/a", new)), libc::EEXIST);
        let directory = OpenOptions { directory: true, ..READ };
        assert_eq!(errno(open("d/a", directory)), libc::ENOTDIR);
        assert_eq!(errno(open("d", OpenOptions::NONE)), libc::EINVAL);
        let opened = open("d", directory).expect("there");
        assert_eq!(errno(opened.read_at(&mut [0], 0)), libc::EISDIR);
        assert_eq!(errno(opened.set_length(0)), libc::EINVAL);

        drop(open("b", new).expect("made"));
        assert_eq!(errno(rename("c", "b")), libc::ENOENT);
        assert_eq!(errno(rename("b", "d")), libc::EISDIR);
        rename("d/a", "b").expect("in place of the other");
        assert_eq!(disk.names(), ["b"]);
        assert_eq!(errno(remove("d")), libc::EISDIR);
        remove("b").expect("removed");
        assert_eq!(errno(remove("b")), libc::ENOENT);
        // Who has it open still has it.
        assert_eq!(file.write_at(b"x", 0).expect("written"), 1);
        assert_eq!(disk.used(), 1);
        drop((file, appends, reads, only, cut));
        assert_eq!((disk.used(), disk.names().len()), (0, 0));
    });
}

#[test]
fn sockets_are_no_files_and_files_no_sockets() {
    sweep(|| {
        let file = open("a", CREATE).expect("made");
        assert_eq!(errno(D::recv(file.0, &mut [0])), libc::ENOTSOCK);
        assert_eq!(errno(D::accept(file.0)), libc::ENOTSOCK);
        let listener = D::listen("127.0.0.1:80".parse().expect("one"), 1).expect("a port");
        assert_ne!(file.0, listener);
        let listener = File(listener);
        assert_eq!(errno(listener.read_at(&mut [0], 0)), libc::ESPIPE);
        assert_eq!(errno(listener.length()), libc::ESPIPE);
        assert_eq!(errno(D::file_length(raddle_platform::driver::Handle(99))), libc::EBADF);
    });
}

#[test]
fn a_disk_has_an_end() {
    sweep(|| {
        let disk = Node::here().disk();
        disk.set_capacity(10);
        let file = open("a", CREATE).expect("made");
        assert_eq!(file.write_at(&[1; 8], 0).expect("room"), 8);
        assert_eq!(file.write_at(&[2; 8], 4).expect("room for a part"), 6);
        assert_eq!(errno(file.write_at(&[3; 8], 10)), libc::ENOSPC);
        assert_eq!(file.write_at(&[4; 8], 0).expect("what is there needs no room"), 8);
        assert_eq!(errno(file.set_length(11)), libc::ENOSPC);
        assert_eq!(errno(open("b", CREATE)), libc::ENOSPC);
        file.set_length(0).expect("shorter");
        assert_eq!(errno(file.write_at(b"x", 20)), libc::ENOSPC, "a hole needs room, too");
        drop(open("b", CREATE).expect("room again"));
    });
}

/// Tells a driver what to do, and gives the results by token in the order in which they come.
fn submit_all(driver: &mut D, operations: &[Op]) -> Vec<Completion> {
    let mut completions = Vec::new();
    for (token, op) in operations.iter().enumerate() {
        // SAFETY: the callers keep the memory until this returns.
        unsafe { driver.submit(*op, Token(token as u64)) };
    }
    assert_eq!(driver.in_flight(), operations.len());
    while completions.len() < operations.len() {
        driver.wait(None, &mut completions);
    }
    assert_eq!(driver.in_flight(), 0);
    completions
}

/// Two writes to one place in flight: either may be the last.
#[test]
fn operations_in_flight_end_in_any_order() {
    let (orders, contents) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    sweep(|| {
        let file = open("a", CREATE).expect("made");
        let mut driver = D::new(&Config::default()).expect("a driver");
        let write = |bytes: &'static [u8; 2]| Op::WriteAt {
            handle: file.0,
            buffer: bytes.as_ptr(),
            length: 2,
            offset: 0,
        };
        let begun = now();
        let completions = submit_all(&mut driver, &[write(b"ab"), write(b"cd")]);
        assert!(now() > begun, "it takes time");
        assert!(completions.iter().all(|completion| completion.result == 2));
        let order: Vec<_> = completions.iter().map(|completion| completion.token.0).collect();
        let content = Node::here().disk().read("a").expect("there");
        orders.lock().expect("no panic").insert(order);
        contents.lock().expect("no panic").insert(content);
    });
    assert_eq!(orders.into_inner().expect("no panic").len(), 2);
    assert_eq!(contents.into_inner().expect("no panic").len(), 2);
}

#[test]
fn a_driver_opens_reads_and_ends() {
    sweep(|| {
        Node::here().disk().write("a", b"abc");
        let mut driver = D::new(&Config::default()).expect("a driver");
        let path = CString::new("a").expect("no zero");
        let open = Op::Open { path: path.as_ptr(), options: READ };
        let opened = submit_all(&mut driver, &[open])[0].result;
        let file = File(raddle_platform::driver::Handle(opened));
        let mut buffer = [0; 8];
        let (buffer_at, length) = (buffer.as_mut_ptr(), buffer.len() as u32);
        let read = Op::ReadAt { handle: file.0, buffer: buffer_at, length, offset: 1 };
        // SAFETY: the buffer outlives the driver's use of it, which `end` ends.
        unsafe { driver.submit(read, Token(7)) };
        driver.cancel(Token(8));
        driver.cancel(Token(7));
        let mut completions = Vec::new();
        driver.end(&mut completions);
        assert_eq!(completions, [Completion { token: Token(7), result: 2 }]);
        assert_eq!((&buffer[..2], driver.in_flight()), (&b"bc"[..], 0));
    });
}

#[test]
fn a_file_is_not_closed_with_operations_in_flight() {
    let report = Simulation::new().seed(1).run(|| {
        let file = open("a", CREATE).expect("made");
        let mut driver = D::new(&Config::default()).expect("a driver");
        let sync = Op::Sync { handle: file.0, data_only: true };
        // SAFETY: it names no memory.
        unsafe { driver.submit(sync, Token(0)) };
        drop(file);
    });
    assert_eq!(report.failure().expect("it fails").kind, FailureKind::Misuse);
}

/// Runs `writes` on a node until that node's power is lost, and `finds` on the node after that.
fn crash(
    seed: u64,
    kill: bool,
    writes: impl Fn() + Send + Sync + 'static,
    finds: impl Fn() + Send + Sync + 'static,
) -> Report {
    let (writes, finds) = (Arc::new(writes), Arc::new(finds));
    Simulation::new().seed(seed).strategy(Strategy::Random).run(move || {
        let (writes, finds) = (Arc::clone(&writes), Arc::clone(&finds));
        let node = Node::start("a", move || {
            if Node::here().restarts() > 0 {
                return finds();
            }
            Node::here().disk().make_directory("d");
            writes();
            if kill { Node::here().kill() } else { Node::here().crash() }
        });
        assert_eq!(node.wait(), Exit::Crashed);
        node.restart();
        assert_eq!(node.wait(), Exit::Ended);
    })
}

/// All that can be found after such a crash.
fn outcomes(
    writes: impl Fn() + Clone + Send + Sync + 'static,
    find: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> BTreeSet<String> {
    let all = Arc::new(Mutex::new(BTreeSet::new()));
    for seed in 0..300 {
        let (all, find) = (Arc::clone(&all), find.clone());
        let finds = move || {
            all.lock().expect("no panic").insert(find());
        };
        crash(seed, false, writes.clone(), finds).unwrap();
    }
    let all = all.lock().expect("no panic");
    all.clone()
}

fn set<const N: usize>(texts: [&str; N]) -> BTreeSet<String> {
    texts.map(str::to_owned).into()
}

/// What a program reads, for people.
fn content(path: &str) -> String {
    match open(path, READ) {
        Err(_) => "nothing".to_owned(),
        Ok(file) => {
            let bytes = file.read_all().expect("read");
            let runs = bytes.chunk_by(|a, b| a == b);
            runs.map(|run| format!("{}{}", run[0], "*".repeat(run.len().div_ceil(512)))).collect()
        }
    }
}

#[test]
fn what_was_synced_and_named_survives() {
    let found = outcomes(
        || {
            let file = open("d/a", CREATE).expect("made");
            file.write_all_at(&[7; 1500], 0).expect("written");
            file.sync().expect("synced");
            sync_directory("d").expect("synced");
        },
        || content("d/a"),
    );
    assert_eq!(found, set(["7***"]));
}

#[test]
fn a_write_that_was_not_synced_is_kept_lost_or_torn() {
    let found = outcomes(
        || {
            let file = open("d/a", CREATE).expect("made");
            file.sync().expect("synced");
            sync_directory("d").expect("synced");
            file.write_all_at(&[7; 1024], 0).expect("written");
        },
        || content("d/a"),
    );
    assert_eq!(found, set(["", "7**", "7*", "0*7*", "0**", "7*0*"]));
}

/// The later of two writes may be there and the earlier not.
#[test]
fn writes_that_were_not_synced_have_no_order() {
    let found = outcomes(
        || {
            Node::here().disk().write("a", &[1; 1024]);
            let file = open("a", CREATE).expect("there");
            file.write_all_at(&[2; 512], 0).expect("written");
            file.write_all_at(&[3; 512], 512).expect("written");
        },
        || content("a"),
    );
    assert_eq!(found, set(["1**", "2*1*", "1*3*", "2*3*"]));
}

/// Synced data without a name is lost with the name.
#[test]
fn a_name_without_a_sync_of_its_directory_may_be_lost() {
    let found = outcomes(
        || {
            let file = open("d/a", CREATE).expect("made");
            file.write_all_at(&[7; 5], 0).expect("written");
            file.sync().expect("synced");
            sync_directory(".").expect("another directory");
        },
        || content("d/a"),
    );
    assert_eq!(found, set(["nothing", "7*"]));
}

#[test]
fn a_rename_and_a_removal_need_a_sync_of_the_directory() {
    let writes = |synced: bool| {
        move || {
            let disk = Node::here().disk();
            disk.write("old", &[1]);
            disk.write("gone", &[2]);
            let file = open("new", CREATE).expect("made");
            file.write_all_at(&[3], 0).expect("written");
            file.sync().expect("synced");
            rename("new", "old").expect("renamed");
            remove("gone").expect("removed");
            if synced {
                sync_directory(".").expect("synced");
            }
        }
    };
    let find = || format!("{} {}", content("old"), content("gone"));
    assert_eq!(outcomes(writes(true), find), set(["3* nothing"]));
    let all = set(["1* 2*", "1* nothing", "3* 2*", "3* nothing"]);
    assert_eq!(outcomes(writes(false), find), all);
}

/// A file that was renamed and never synced has its new name, and nothing in it.
#[test]
fn a_rename_makes_no_data_durable() {
    let found = outcomes(
        || {
            Node::here().disk().write("a", &[1]);
            let file = open("b", CREATE).expect("made");
            file.write_all_at(&[2], 0).expect("written");
            rename("b", "a").expect("renamed");
            sync_directory(".").expect("synced");
        },
        || content("a"),
    );
    assert_eq!(found, set(["", "0*", "2*"]));
}

/// Who kills a program does not touch what its kernel has.
#[test]
fn a_killed_program_loses_nothing_that_it_wrote() {
    for seed in 0..50 {
        let writes = || {
            let file = open("a", CREATE).expect("made");
            file.write_all_at(&[7; 600], 0).expect("written");
        };
        let report = crash(seed, true, writes, || assert_eq!(content("a"), "7**"));
        report.unwrap();
        assert_eq!(report.faults.of(FaultKind::LostWrite), 0);
    }
}

/// A write in flight happens or not, and its memory is never touched again.
#[test]
fn a_crash_comes_between_submission_and_completion() {
    let lengths = Arc::new(Mutex::new(BTreeSet::new()));
    for seed in 0..100 {
        let lengths = Arc::clone(&lengths);
        let report = Simulation::new().seed(seed).strategy(Strategy::Random).run(move || {
            let node = Node::start("a", || {
                let file = open("a", CREATE).expect("made");
                let mut driver = D::new(&Config::default()).expect("a driver");
                let bytes = [7; 100];
                let (handle, buffer) = (file.0, bytes.as_ptr());
                let op = Op::WriteAt { handle, buffer, length: 100, offset: 0 };
                // SAFETY: this thread never leaves the block.
                unsafe { driver.submit(op, Token(0)) };
                loop {
                    <Sim as Platform>::Parker::park();
                }
            });
            sleep(Duration::from_millis(1));
            node.kill();
            let length = node.disk().read("a").map(|bytes| bytes.len());
            sleep(Duration::from_secs(1));
            assert_eq!(node.disk().read("a").map(|bytes| bytes.len()), length, "it is over");
            lengths.lock().expect("no panic").insert(length);
        });
        report.unwrap();
    }
    let lengths = lengths.lock().expect("no panic");
    assert!(lengths.contains(&Some(0)) && lengths.contains(&Some(100)), "{lengths:?}");
}

#[test]
fn crashes_of_disks_are_the_same_again_and_in_a_replay() {
    let run = |seed: u64, strategy: Strategy, found: &Arc<AtomicU64>| {
        let found = Arc::clone(found);
        Simulation::new().seed(seed).strategy(strategy).run(move || {
            let found = Arc::clone(&found);
            let node = Node::start("a", move || {
                if Node::here().restarts() == 0 {
                    let file = open("a", CREATE).expect("made");
                    for index in 0..20 {
                        file.write_all_at(&[index; 300], u64::from(index) * 300).expect("written");
                    }
                    Node::here().crash();
                }
                let bytes = Node::here().disk().read("a").unwrap_or_default();
                let hash = bytes.iter().fold(1, |hash: u64, byte| {
                    hash.wrapping_mul(31).wrapping_add(u64::from(*byte))
                });
                found.store(hash, Relaxed);
            });
            node.wait();
            node.restart();
            node.wait();
        })
    };
    for seed in 0..30 {
        let found = [const { AtomicU64::new(0) }; 3].map(Arc::new);
        let report = run(seed, Strategy::Random, &found[0]);
        let again = run(seed, Strategy::Random, &found[1]);
        assert_eq!(again.certificate, report.certificate);
        let replay = run(seed, Strategy::Replay(report.trace.clone()), &found[2]);
        replay.replayed().expect("the same decisions");
        assert_eq!(replay.certificate, report.certificate);
        let hashes = found.map(|found| found.load(Relaxed));
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
    }
}
