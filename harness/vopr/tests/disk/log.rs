//! A small program that keeps a log on a disk, sound and with each of the bugs that such programs
//! have.
//!
//! It writes records with consecutive numbers, and acknowledges each when it lasts. Now and then it
//! begins a new file with the last record, and puts that in place of the old one. When it starts it
//! reads what is there, and cuts off what a crash has left of an unfinished record.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use raddle_platform::driver::OpenOptions;
use raddle_vopr::node::{Exit, Node};
use raddle_vopr::{
    FaultClass, FaultKind, Faults, Fired, Granularity, Report, Simulation, Strategy, calm,
};

use crate::support::{APPEND, File, open, remove, rename, sleep, sync_directory};

/// What is wrong with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// It acknowledges before the sync.
    NoSync,
    /// It does not sync the directory after the rename.
    NoDirectorySync,
    /// It takes a record whose length is there for a whole and sound one.
    NoChecksum,
    /// It tries a sync again that has failed.
    SyncsAgain,
}

const LOG: &str = "data/log";
const NEW: &str = "data/log.new";
/// Records in a file until a new one is begun.
const FILE_RECORDS: u64 = 5;
/// Acknowledgements until the program has done enough.
const ENOUGH: u64 = 14;
const HEADER: usize = 6;

fn payload(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    let more = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53;
    bytes.extend((0..more).map(|at| (number as u8).wrapping_mul(31).wrapping_add(at as u8) | 1));
    bytes
}

fn encode(number: u64) -> Vec<u8> {
    let payload = payload(number);
    let mut record = (payload.len() as u16).to_le_bytes().to_vec();
    record.extend(crc32c::crc32c(&payload).to_le_bytes());
    record.extend(payload);
    record
}

/// The payload of the first record, and what comes after it.
fn decode(bytes: &[u8], bug: Bug) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let (payload, rest) = rest.split_at_checked(length)?;
    let sum = u32::from_le_bytes([header[2], header[3], header[4], header[5]]);
    let whole = length >= 8 && (bug == Bug::NoChecksum || sum == crc32c::crc32c(payload));
    whole.then_some((payload, rest))
}

struct Log {
    file: File,
    records: u64,
    last: u64,
    bug: Bug,
}

impl Log {
    /// Reads what is there. A wrong value is a failure, whatever was acknowledged.
    fn recover(bug: Bug) -> io::Result<Self> {
        let file = open(LOG, APPEND)?;
        let bytes = file.read_all()?;
        let (mut rest, mut last, mut records) = (&bytes[..], 0, 0);
        while let Some((payload, next)) = decode(rest, bug) {
            let number = u64::from_le_bytes(payload[..8].try_into().expect("eight"));
            assert_eq!(payload, self::payload(number), "a wrong value is served");
            assert!(records == 0 || number == last + 1, "a record is missing");
            (rest, last, records) = (next, number, records + 1);
        }
        if !rest.is_empty() {
            file.set_length((bytes.len() - rest.len()) as u64)?;
        }
        let log = Self { file, records, last, bug };
        log.sync()?;
        sync_directory("data")?;
        Ok(log)
    }

    fn sync(&self) -> io::Result<()> {
        match self.file.sync() {
            Err(_) if self.bug == Bug::SyncsAgain => self.sync(),
            result => result,
        }
    }

    fn append(&mut self) -> io::Result<()> {
        let record = encode(self.last + 1);
        let mut bytes = &record[..];
        while !bytes.is_empty() {
            bytes = &bytes[self.file.append(bytes)?..];
        }
        self.last += 1;
        self.records += 1;
        Ok(())
    }

    /// Begins a new file with the last record.
    fn renew(&mut self) -> io::Result<()> {
        let file = open(NEW, OpenOptions { create_new: true, ..APPEND }).or_else(|_| {
            // A crash has left it.
            remove(NEW)?;
            open(NEW, OpenOptions { create_new: true, ..APPEND })
        })?;
        let mut log = Self { file, records: 0, last: self.last - 1, bug: self.bug };
        log.append()?;
        log.sync()?;
        rename(NEW, LOG)?;
        if self.bug != Bug::NoDirectorySync {
            sync_directory("data")?;
        }
        *self = log;
        Ok(())
    }
}

/// The program, until it has done enough or cannot go on: then somebody starts it again.
fn serve(bug: Bug, acknowledged: &AtomicU64) -> io::Result<()> {
    let mut log = Log::recover(bug)?;
    let promised = acknowledged.load(Relaxed);
    assert!(log.last >= promised, "{promised} was acknowledged, and {} is the last", log.last);
    while acknowledged.load(Relaxed) < ENOUGH {
        if log.records >= FILE_RECORDS {
            log.renew()?;
        }
        log.append()?;
        if bug == Bug::NoSync {
            acknowledged.store(log.last, Relaxed);
        }
        log.sync()?;
        acknowledged.store(log.last, Relaxed);
    }
    Ok(())
}

fn run(bug: Bug, seed: u64, faults: Faults, strategy: Strategy) -> Report {
    let simulation = Simulation::new().granularity(Granularity::Blocking).faults(faults);
    simulation.seed(seed).strategy(strategy).run(move || {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let promised = Arc::clone(&acknowledged);
        let node = Node::start("log", move || {
            Node::here().disk().make_directory("data");
            // Whoever starts it again need not know why.
            let _: io::Result<()> = serve(bug, &promised);
        });
        loop {
            match node.wait() {
                Exit::Ended if acknowledged.load(Relaxed) >= ENOUGH => break,
                Exit::Ended => {
                    node.restart();
                }
                Exit::Crashed => sleep(Duration::from_millis(1)),
            }
        }
        // What was acknowledged is there when all is well again.
        calm();
        node.restart();
        node.wait();
        node.restart();
        node.crash();
        node.restart();
        node.wait();
    })
}

fn crash_faults() -> Faults {
    let faults = Faults::none().with_class(FaultClass::Node).with_class(FaultClass::Disk);
    let faults = faults.with(FaultKind::Interrupted).with(FaultKind::Pause);
    let faults = faults.rate(FaultKind::Crash, 1024).rate(FaultKind::Kill, 512);
    let faults = faults.rate(FaultKind::SyncFails, 4096).rate(FaultKind::DiskFull, 2048);
    faults.swarm().calm_after(20_000, Duration::from_secs(3600))
}

/// The seed that finds the bug, of so many.
fn found(bug: Bug, faults: &Faults, words: &str) -> u64 {
    let find = |seed: &u64| {
        let report = run(bug, *seed, faults.clone(), Strategy::Random);
        report.failure().is_some_and(|failure| failure.to_string().contains(words))
    };
    (0..200).find(find).unwrap_or_else(|| panic!("{bug:?} is not found"))
}

#[test]
fn a_sound_log_survives_a_thousand_seeds_of_crash_faults() {
    let faults = crash_faults();
    let (mut fired, mut crashes) = (Fired::default(), 0);
    for seed in 0..1000 {
        let report = run(Bug::None, seed, faults.clone(), Strategy::Random);
        report.unwrap();
        fired = fired.and(report.faults);
        crashes += report.abandoned.crashes;
    }
    assert_eq!(fired.never(&faults), [], "{fired}");
    assert!(crashes > 1000, "{crashes}");
}

#[test]
fn bugs_of_logs_are_found() {
    let lost = "is the last";
    for (bug, words) in [
        (Bug::NoSync, lost),
        (Bug::NoDirectorySync, lost),
        (Bug::NoChecksum, "a wrong value is served"),
        (Bug::SyncsAgain, ""),
    ] {
        let seed = found(bug, &crash_faults(), words);
        let report = run(bug, seed, crash_faults(), Strategy::Random);
        let replay = run(bug, seed, crash_faults(), Strategy::Replay(report.trace.clone()));
        assert_eq!(replay.failure(), report.failure(), "{bug:?}");
        assert_eq!(replay.certificate, report.certificate);
    }
}

/// Where bits rot, a program that looks at its checksums serves no wrong value (it may lose what it
/// promised, and this one could not tell), and one that does not is found.
#[test]
fn rot_is_served_by_who_does_not_look() {
    let faults = Faults::none().rate(FaultKind::BitRot, 16_384).rate(FaultKind::Kill, 1024);
    let faults = faults.calm_after(20_000, Duration::from_secs(3600));
    let wrong = "a wrong value is served";
    let serves = |bug: Bug, seed: u64| {
        let report = run(bug, seed, faults.clone(), Strategy::Random);
        let failure = report.failure().map(ToString::to_string);
        (report.faults.of(FaultKind::BitRot), failure.is_some_and(|text| text.contains(wrong)))
    };
    let sound: Vec<_> = (0..200).map(|seed| serves(Bug::None, seed)).collect();
    assert!(sound.iter().all(|(_, wrong)| !wrong));
    assert!(sound.iter().map(|(rotten, _)| rotten).sum::<u64>() > 20);
    assert!(found(Bug::NoChecksum, &faults, wrong) < 100);
}
