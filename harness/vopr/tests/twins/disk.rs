//! Bugs of programs that keep something on a disk.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use raddle_platform::{Clock, Parker, Platform, Rng};
use raddle_runtime::fs::{OpenOptions, sync_dir};
use raddle_vopr::node::Node;
use raddle_vopr::{FailureKind, FaultKind, Faults, Granularity, Sim, Simulation, Strategy};

use super::Twin;

/// What a ledger leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Nothing,
    /// It promises a record before that lasts.
    Sync,
    /// It takes a record that is as long as it should be for a whole one.
    Sum,
}

const HEADER: usize = 6;
/// Loss of power, until the test is content.
const CRASHES: usize = 8;

fn payload(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..1500).map(|at| (number as u8).wrapping_add(at as u8) | 1));
    bytes
}

fn encode(number: u64) -> Vec<u8> {
    let payload = payload(number);
    let mut record = (payload.len() as u16).to_le_bytes().to_vec();
    record.extend(crc32c::crc32c(&payload).to_le_bytes());
    record.extend(payload);
    record
}

/// The number and payload of the first record, and what comes after it.
fn decode(bytes: &[u8], bug: Bug) -> Option<(u64, &[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let (payload, rest) = rest.split_at_checked(length)?;
    let sum = u32::from_le_bytes([header[2], header[3], header[4], header[5]]);
    let sound = bug == Bug::Sum || sum == crc32c::crc32c(payload);
    let number = u64::from_le_bytes(payload.get(..8)?.try_into().ok()?);
    sound.then_some((number, payload, rest))
}

/// Writes records with consecutive numbers and promises each, after it has read what is there. On a
/// disk that `rots` it stops where something is wrong.
fn keep(bug: Bug, rots: bool, promised: &AtomicU64) {
    let options = OpenOptions::new().read(true).append(true).create(true);
    let file = options.open::<Sim>("ledger").expect("a file");
    let bytes = file.read_to_end().expect("read");
    let (mut rest, mut last) = (&bytes[..], 0);
    while let Some((number, payload, next)) = decode(rest, bug) {
        assert_eq!(payload, self::payload(number), "a wrong value is served");
        (last, rest) = (number, next);
    }
    if rots && !rest.is_empty() {
        return;
    }
    let promise = promised.load(Relaxed);
    assert!(last >= promise, "record {promise} was acknowledged, and it is lost");
    file.set_len((bytes.len() - rest.len()) as u64).expect("cut");
    file.sync_all().expect("synced");
    sync_dir::<Sim>(".").expect("synced");
    loop {
        file.append_all(&encode(last + 1)).expect("appended");
        if bug != Bug::Sync {
            file.sync_data().expect("synced");
        }
        last += 1;
        promised.store(last, Relaxed);
    }
}

/// A machine with a ledger whose power is lost now and then.
fn ledger(bug: Bug, rots: bool) {
    let promised = Arc::new(AtomicU64::new(0));
    let node = Node::start("ledger", move || keep(bug, rots, &promised));
    for _ in 0..CRASHES {
        let pause = Duration::from_micros(<Sim as Platform>::Rng::u64() % 40_000);
        let end = <Sim as Platform>::Clock::now() + pause;
        while <Sim as Platform>::Clock::now() < end {
            <Sim as Platform>::Parker::park_until(end);
        }
        node.crash();
        node.restart();
    }
    node.crash();
}

fn simulation() -> Simulation {
    let simulation = Simulation::new().granularity(Granularity::Blocking);
    simulation.strategy(Strategy::Random)
}

fn rotten() -> Simulation {
    simulation().faults(Faults::none().rate(FaultKind::BitRot, 8192))
}

pub(super) static LOST_ACKNOWLEDGEMENT: Twin = Twin {
    name: "an acknowledged write is lost at a crash",
    simulation,
    program: |broken| ledger(if broken { Bug::Sync } else { Bug::Nothing }, false),
    kind: FailureKind::Panic,
    says: &["was acknowledged, and it is lost", "a node crashes", "(ledger) panicked"],
};

pub(super) static TORN_TAIL: Twin = Twin {
    name: "a torn tail is accepted",
    simulation,
    program: |broken| ledger(if broken { Bug::Sum } else { Bug::Nothing }, false),
    kind: FailureKind::Panic,
    says: &["a wrong value is served", "a node crashes", "a fault strikes"],
};

pub(super) static SERVED_ROT: Twin = Twin {
    name: "a bit has rotted, and is served",
    simulation: rotten,
    program: |broken| ledger(if broken { Bug::Sum } else { Bug::Nothing }, true),
    kind: FailureKind::Panic,
    says: &["a wrong value is served", "a fault strikes"],
};
