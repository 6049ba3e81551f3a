//! Each fault of a disk strikes, and does what it says.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use raddle_platform::Driver;
use raddle_platform::driver::Op;
use raddle_vopr::node::{Exit, Node};
use raddle_vopr::{ALWAYS, FaultClass, FaultKind, Faults, Simulation, Strategy, calm};

use crate::support::{CREATE, D, READ, WRITE, errno, now, open, remove, rename, sync_directory};

/// Runs `program` on the root under some seeds, with one fault that is certain.
fn with(kind: FaultKind, program: impl Fn()) {
    for seed in 0..20 {
        let faults = Faults::none().rate(kind, ALWAYS);
        let simulation = Simulation::new().seed(seed).strategy(Strategy::Random).faults(faults);
        let report = simulation.run(&program);
        report.unwrap();
        assert!(report.faults.of(kind) > 0, "{kind} in seed {seed}");
    }
}

/// As [`with`], on a node that loses its power then: what it finds after that.
fn with_crash(
    kind: FaultKind,
    program: impl Fn() + Clone + Send + Sync + 'static,
    find: impl Fn() -> Vec<u8> + Clone + Send + Sync + 'static,
) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for seed in 0..100 {
        let found = Arc::new(Mutex::new(Vec::new()));
        let (program, find, result) = (program.clone(), find.clone(), Arc::clone(&found));
        let faults = Faults::none().rate(kind, ALWAYS);
        let simulation = Simulation::new().seed(seed).strategy(Strategy::Random).faults(faults);
        let report = simulation.run(move || {
            let (program, find, result) = (program.clone(), find.clone(), Arc::clone(&result));
            let node = Node::start("a", move || {
                if Node::here().restarts() == 0 {
                    program();
                    Node::here().crash();
                }
                *result.lock().expect("no panic") = find();
            });
            assert_eq!(node.wait(), Exit::Crashed);
            node.restart();
            assert_eq!(node.wait(), Exit::Ended);
        });
        report.unwrap();
        assert!(report.faults.of(kind) > 0, "{kind} in seed {seed}");
        all.push(found.lock().expect("no panic").clone());
    }
    all
}

fn read(path: &str) -> Vec<u8> {
    open(path, READ).and_then(|file| file.read_all()).expect("there")
}

#[test]
fn reads_and_writes_are_short() {
    with(FaultKind::ShortFileWrite, || {
        let file = open("a", CREATE).expect("made");
        let count = file.write_at(&[1; 100], 0).expect("a part");
        assert!((1..100).contains(&count), "{count}");
        file.write_all_at(&[1; 100], 0).expect("all of it");
        assert_eq!(read("a"), [1; 100]);
    });
    with(FaultKind::ShortFileRead, || {
        Node::here().disk().write("a", &[1; 100]);
        let count = open("a", READ).expect("there").read_at(&mut [0; 100], 0).expect("a part");
        assert!((1..100).contains(&count), "{count}");
        assert_eq!(read("a"), [1; 100]);
    });
}

#[test]
fn the_disk_is_full() {
    with(FaultKind::DiskFull, || {
        Node::here().disk().write("a", &[1; 100]);
        assert_eq!(errno(open("b", CREATE)), libc::ENOSPC);
        let file = open("a", WRITE).expect("it is there already");
        assert_eq!(errno(file.write_at(&[2; 10], 0)), libc::ENOSPC);
        assert_eq!(Node::here().disk().read("a"), Some(vec![1; 100]));
    });
}

#[test]
fn operations_fail() {
    with(FaultKind::DiskError, || {
        let disk = Node::here().disk();
        disk.write("a", b"abc");
        assert_eq!(errno(open("a", READ)), libc::EIO);
        assert_eq!(errno(rename("a", "b")), libc::EIO);
        assert_eq!(errno(remove("a")), libc::EIO);
        assert_eq!(disk.names(), ["a"]);
    });
    with(FaultKind::Interrupted, || {
        let path = c"a";
        let op = Op::Open { path: path.as_ptr(), options: CREATE };
        // SAFETY: the path outlives the call.
        assert_eq!(unsafe { <D as Driver>::block_on(op) }, -libc::EINTR);
        assert!(Node::here().disk().names().is_empty());
    });
}

#[test]
fn an_operation_hangs() {
    with(FaultKind::DiskHang, || {
        let begun = now();
        open("a", CREATE).expect("made");
        assert!(now() - begun >= Duration::from_millis(200));
    });
}

/// After a sync that failed the next one succeeds, and what was written before is lost.
#[test]
fn a_failed_sync_loses_writes_and_no_later_sync_tells() {
    let write = || {
        Node::here().disk().write("a", &[1; 512]);
        let file = open("a", CREATE).expect("there");
        file.write_all_at(&[2; 512], 0).expect("written");
        assert_eq!(errno(file.sync()), libc::EIO);
        assert_eq!(errno(sync_directory(".")), libc::EIO);
        calm();
        file.sync().expect("nothing is left to write");
    };
    let found = with_crash(FaultKind::SyncFails, write, || read("a"));
    assert!(found.contains(&vec![1; 512]) && found.contains(&vec![2; 512]));
}

/// Reads after a failed sync see what was written, or what the platter has.
#[test]
fn a_failed_sync_may_drop_what_memory_had() {
    let seen = Mutex::new(Vec::new());
    with(FaultKind::SyncFails, || {
        Node::here().disk().write("a", &[1; 512]);
        let file = open("a", CREATE).expect("there");
        file.write_all_at(&[2; 512], 0).expect("written");
        assert_eq!(errno(file.sync()), libc::EIO);
        seen.lock().expect("no panic").push(file.read_all().expect("read")[0]);
    });
    let seen = seen.into_inner().expect("no panic");
    assert!(seen.contains(&1) && seen.contains(&2), "{seen:?}");
}

#[test]
fn a_bit_rots_and_stays_so() {
    with(FaultKind::BitRot, || {
        let disk = Node::here().disk();
        disk.write("a", &[0; 2000]);
        let file = open("a", READ).expect("there");
        let mut buffer = [0; 2000];
        assert_eq!(file.read_at(&mut buffer, 0).expect("read"), 2000);
        let flipped: u32 = buffer.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(flipped, 1);
        assert_eq!(disk.durable("a").as_deref(), Some(&buffer[..]), "on the platter, too");
    });
}

#[test]
fn a_sector_cannot_be_read_until_it_is_written_again() {
    with(FaultKind::LatentSector, || {
        Node::here().disk().write("a", &[1; 512]);
        let file = open("a", CREATE).expect("there");
        assert_eq!(errno(file.read_at(&mut [0; 10], 0)), libc::EIO);
        calm();
        assert_eq!(errno(file.read_at(&mut [0; 10], 100)), libc::EIO, "it stays so");
        file.write_all_at(&[2; 512], 0).expect("written");
        file.sync().expect("synced");
        assert_eq!(file.read_all().expect("read again"), [2; 512]);
    });
}

#[test]
fn a_synced_write_is_not_there() {
    let write = || {
        Node::here().disk().write("a", &[1; 1024]);
        let file = open("a", CREATE).expect("there");
        file.write_all_at(&[2; 1024], 0).expect("written");
        file.sync().expect("it says so");
        assert_eq!(file.read_all().expect("memory has it"), [2; 1024]);
    };
    for found in with_crash(FaultKind::LostSyncedWrite, write, || read("a")) {
        let lost = found.chunks(512).filter(|sector| *sector == [1; 512]).count();
        assert_eq!((found.len(), lost), (1024, 1), "one sector is as it was");
    }
}

#[test]
fn a_synced_write_is_in_another_place() {
    let write = || {
        Node::here().disk().write("a", &[1; 1024]);
        Node::here().disk().write("b", &[3; 1024]);
        let file = open("a", CREATE).expect("there");
        file.write_all_at(&[2; 512], 0).expect("written");
        file.sync().expect("it says so");
    };
    let find = || [read("a"), read("b")].concat();
    let found = with_crash(FaultKind::MisdirectedWrite, write, find);
    assert!(found.iter().any(|found| found[1024..].contains(&2)), "in another file");
    assert!(found.iter().any(|found| found[512..1024] == [2; 512]), "in the same file");
    let wrong = found.iter().filter(|found| found[..512] == [1; 512]);
    assert!(wrong.count() > found.len() / 2, "and not where it should be");
}

#[test]
fn the_classes_of_faults_are_switched_apart() {
    let class = |class| Faults::none().with_class(class).kinds().collect::<Vec<_>>();
    let corruption = class(FaultClass::Corruption);
    let all = [
        FaultKind::BitRot,
        FaultKind::MisdirectedWrite,
        FaultKind::LostSyncedWrite,
        FaultKind::LatentSector,
    ];
    assert_eq!(corruption, all);
    let disk = class(FaultClass::Disk);
    assert!(disk.contains(&FaultKind::SyncFails) && disk.contains(&FaultKind::TornWrite));
    assert!(disk.iter().all(|kind| !corruption.contains(kind)));
    let usual: Vec<_> = Faults::all().kinds().collect();
    assert!(usual.iter().all(|kind| !corruption.contains(kind) && !disk.contains(kind)));
    assert!(!usual.contains(&FaultKind::Crash));
    let both = Faults::all().with_class(FaultClass::Disk).with_class(FaultClass::Corruption);
    let only = both.clone().without_class(FaultClass::Corruption);
    assert_eq!(only, Faults::all().with_class(FaultClass::Disk));
    assert_eq!(both.to_string().parse(), Ok(both));
}
