//! A log on the disk of a machine that loses its power.

use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use raddle_platform::{Clock, Parker, Platform};
use raddle_runtime::block_on;
use raddle_runtime::fs::{File, OpenOptions, sync_dir};
use raddle_scenarios::Scenario;

use super::{ON_RUNTIME, Program, on_runtime};
use crate::faults::{FaultClass, FaultKind, Faults, calm};
use crate::node::{Exit, Node};
use crate::platform::Sim;

/// Each record is longer than two sectors, so that a loss of power may tear it.
const RECORD: usize = 1200;
/// Acknowledgements until it is enough.
const ENOUGH: u64 = 8;

const LOST: &str = "what was acknowledged is there";

pub(super) fn list() -> Vec<Program> {
    let needs = ON_RUNTIME.threads(3).io();
    let losses = || {
        Faults::none()
            .with_class(FaultClass::Node)
            .with_class(FaultClass::Disk)
            .rate(FaultKind::Crash, 1024)
            .rate(FaultKind::Kill, 256)
            .rate(FaultKind::SyncFails, 4096)
            .rate(FaultKind::DiskFull, 4096)
            .rate(FaultKind::DiskError, 2048)
            .swarm()
            .calm_after(20_000, Duration::from_secs(3600))
    };
    let rot = Faults::none()
        .with_class(FaultClass::Corruption)
        .rate(FaultKind::BitRot, 4096)
        .rate(FaultKind::LatentSector, 4096)
        .with(FaultKind::ShortFileRead);
    let sound = Scenario::new(
        "faults/log",
        "what a log has acknowledged after a sync is there, whatever was lost with the power",
        || program(true, true),
    );
    let twin = Scenario::new(
        "faults/twin_log_without_sync",
        "twin: the log acknowledges before the sync",
        || program(false, true),
    );
    let corrupt = Scenario::new(
        "faults/corruption",
        "a log on a disk that spoils what it keeps goes on from what is whole, and never stops for good",
        || program(true, false),
    );
    vec![
        Program::new(sound.needs(needs), losses()),
        Program::new(twin.needs(needs).fails(LOST), losses()),
        Program::new(corrupt.needs(needs), rot.calm_after(20_000, Duration::from_secs(3600))),
    ]
}

/// The number, its complement, and a pattern that depends on it.
fn encode(number: u64) -> Vec<u8> {
    let mut record = [number.to_le_bytes(), (!number).to_le_bytes()].concat();
    record.extend((record.len()..RECORD).map(|at| (number as u8).wrapping_mul(31) ^ at as u8));
    record
}

/// How many records are whole, from the start.
fn whole(bytes: &[u8]) -> u64 {
    let records = (1..).zip(bytes.chunks_exact(RECORD));
    records.take_while(|(number, record)| **record == encode(*number)).count() as u64
}

/// Writes records until there are enough: the main function of the node.
fn serve(syncs: bool, keeps: bool, acknowledged: &AtomicU64) -> io::Result<()> {
    Node::here().disk().make_directory("data");
    let options = || OpenOptions::new().read(true).append(true).create(true);
    let file: File<Sim> = options().open("data/log")?;
    sync_dir::<Sim>("data")?;
    let records = whole(&file.read_to_end()?);
    let promised = acknowledged.load(Ordering::Relaxed);
    assert!(!keeps || records >= promised, "{LOST}: {promised}, and {records} are");
    // What is not whole was never promised.
    file.set_len(records * RECORD as u64)?;
    file.sync_all()?;
    // And what is whole is there to stay from now on.
    acknowledged.fetch_max(records, Ordering::Relaxed);
    for number in records + 1..=ENOUGH {
        // By turns as a fiber's call and as a future's.
        match number % 2 {
            0 => file.append_all(&encode(number))?,
            _ => {
                let (written, rest) = block_on::<Sim, _>(file.append_async(encode(number)));
                file.append_all(&rest[written?..])?;
            }
        }
        if syncs {
            match number % 2 {
                0 => file.sync_data()?,
                _ => block_on::<Sim, _>(file.sync_data_async())?,
            }
        }
        acknowledged.store(number, Ordering::Relaxed);
    }
    assert!(!file.is_empty()?, "there is something");
    Ok(())
}

fn wait(duration: Duration) {
    let end = <Sim as Platform>::Clock::now() + duration;
    while <Sim as Platform>::Clock::now() < end {
        <Sim as Platform>::Parker::park_until(end);
    }
}

fn program(syncs: bool, keeps: bool) {
    // Real, because it is the test's: what somebody outside has heard.
    let acknowledged = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&acknowledged);
    let node = Node::start("log", move || {
        let heard = Arc::clone(&heard);
        // Whoever starts it again need not know why it ended.
        on_runtime::<Sim, _>(move || _ = serve(syncs, keeps, &heard));
    });
    node.set_fragile(true);
    let starts = if keeps { u32::MAX } else { 20 };
    for _ in 0..starts {
        match node.wait() {
            Exit::Ended if acknowledged.load(Ordering::Relaxed) >= ENOUGH => break,
            Exit::Ended => _ = node.restart(),
            Exit::Crashed => wait(Duration::from_millis(100)),
        }
    }
    if !keeps {
        // Looks, at what has become of it.
        for _ in 0..4 {
            node.wait();
            node.restart();
        }
    }
    calm();
    // A last loss of power, and a last look.
    node.wait();
    node.restart();
    node.crash();
    node.restart();
    node.wait();
}
