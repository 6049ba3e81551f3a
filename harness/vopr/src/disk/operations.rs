//! Operations on their way: how long they take, what happens to them, and what they do at the end.

use core::ffi::CStr;
use std::collections::BTreeMap;

use raddle_platform::driver::{Completion, Handle, Op, Token};

use super::file::Change;
use super::names::{Path, normal};
use super::struck::Struck;
use super::volume::{Open, Volume, errno, sectors};
use crate::agenda::Event;
use crate::decisions::Kind;
use crate::faults::FaultKind;
use crate::history::Name;
use crate::net::{Refusal, Result};
use crate::world::{Failed, World};

/// How long an operation takes, in nanoseconds, if nothing is wrong: one that memory answers, and
/// one that goes to the platter.
const LATENCIES: [u64; 4] = [5_000, 20_000, 100_000, 2_000_000];
const SYNC_LATENCIES: [u64; 4] = [100_000, 500_000, 4_000_000, 20_000_000];
/// How long one hangs at the least.
const HANG: u64 = 100_000_000;

/// Who gets the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    /// What a driver or a thread waits with.
    pub(crate) token: u32,
}

/// An operation in flight.
#[derive(Debug)]
struct Flight {
    op: Op,
    node: usize,
    owner: Owner,
    token: Token,
}

/// All disks, and what is in flight on them.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    /// By node.
    pub(super) volumes: Vec<Volume>,
    /// By number, the oldest first.
    flights: BTreeMap<u64, Flight>,
    begun: u64,
    /// Completed, and not taken by its owner yet.
    ended: BTreeMap<Owner, Vec<Completion>>,
}

impl Disks {
    /// A further node has one.
    pub(crate) fn add(&mut self) {
        self.volumes.push(Volume::default());
    }

    /// What has completed for `owner`.
    pub(crate) fn take(&mut self, owner: Owner) -> Vec<Completion> {
        self.ended.remove(&owner).unwrap_or_default()
    }

    /// How many operations `owner` has and has not taken the results of.
    pub(crate) fn in_flight(&self, owner: Owner) -> usize {
        let ended = self.ended.get(&owner).map_or(0, Vec::len);
        self.flights.values().filter(|flight| flight.owner == owner).count() + ended
    }

    fn number(&self, owner: Owner, token: Token) -> Option<u64> {
        let mut all = self.flights.iter();
        all.find(|(_, flight)| flight.owner == owner && flight.token == token)
            .map(|(number, _)| *number)
    }
}

/// The handle that an operation is on, unless it is on a name.
pub(super) fn handle(op: &Op) -> Option<Handle> {
    match *op {
        Op::ReadAt { handle, .. }
        | Op::WriteAt { handle, .. }
        | Op::Append { handle, .. }
        | Op::Sync { handle, .. }
        | Op::SetLength { handle, .. } => Some(handle),
        _ => None,
    }
}

impl World {
    /// Begins an operation on files.
    pub(crate) fn begin_on_disk(
        &mut self,
        op: Op,
        owner: Owner,
        token: Token,
    ) -> Result<(), Failed> {
        let latencies = match op {
            Op::Sync { .. } => &SYNC_LATENCIES,
            _ => &LATENCIES,
        };
        let mut latency = latencies[self.choose(Kind::Disk, latencies.len())?];
        let node = self.node();
        // SAFETY: the submitter keeps the memory valid until the completion.
        let place = |world: &mut Self| unsafe { world.place_of(node, &op) };
        if let hang @ 1.. = self.strikes_at(FaultKind::DiskHang, 8, place)? {
            latency += HANG << hang;
        }
        self.disks.begun += 1;
        let number = self.disks.begun;
        self.disks.flights.insert(number, Flight { op, node, owner, token });
        self.count_on_file(&op, 1);
        self.agenda.add(self.now + latency, Event::Disk(number));
        Ok(())
    }

    fn count_on_file(&mut self, op: &Op, more: isize) {
        if let Some(handle) = handle(op) {
            self.net.count_on_handle(handle, more);
        }
    }

    /// An operation has had its time.
    pub(crate) fn end_on_disk(&mut self, number: u64) -> Result<(), Failed> {
        let Some(flight) = self.disks.flights.remove(&number) else { return Ok(()) };
        let here = core::mem::replace(&mut self.net.here, flight.node);
        let result = self.finish(&flight);
        self.net.here = here;
        self.remark(Name::DiskEnds, number);
        self.hand_over(&flight, result?);
        Ok(())
    }

    /// What an operation does, and what its completion says.
    fn finish(&mut self, flight: &Flight) -> Result<i32, Failed> {
        // SAFETY: the submitter keeps the memory valid and unused until the completion, and a crash
        // frees none.
        let done = unsafe { self.operate_on_disk(flight.node, &flight.op) };
        self.count_on_file(&flight.op, -1);
        match done {
            Ok(result) => Ok(result as i32),
            Err(Refusal::Errno(number)) => Ok(-number),
            Err(Refusal::Failed) => Err(Failed),
        }
    }

    fn hand_over(&mut self, flight: &Flight, result: i32) {
        let completion = Completion { token: flight.token, result };
        self.disks.ended.entry(flight.owner).or_default().push(completion);
        self.ring(flight.owner.token);
    }

    /// An operation is to end early. It does if it has not begun; if it has, it ends in its time.
    pub(crate) fn cancel_on_disk(&mut self, owner: Owner, token: Token) -> Result<bool, Failed> {
        let Some(number) = self.disks.number(owner, token) else { return Ok(false) };
        let place = |world: &mut Self| match world.disks.flights.get(&number) {
            // SAFETY: the submitter keeps the memory valid until the completion.
            Some(&Flight { ref op, node, .. }) => unsafe { world.place_of(node, &op.clone()) },
            None => Struck::default(),
        };
        if self.strikes_at(FaultKind::Cancelled, 2, place)? > 0
            && let Some(flight) = self.disks.flights.remove(&number)
        {
            self.count_on_file(&flight.op, -1);
            self.hand_over(&flight, -libc::ECANCELED);
        }
        Ok(true)
    }

    /// All operations of `owner` complete now.
    pub(crate) fn end_all_on_disk(&mut self, owner: Owner) -> Result<(), Failed> {
        let mine = |(number, flight): (&u64, &Flight)| (flight.owner == owner).then_some(*number);
        let numbers: Vec<_> = self.disks.flights.iter().filter_map(mine).collect();
        numbers.into_iter().try_for_each(|number| self.end_on_disk(number))
    }

    /// A node is gone. What its program had in flight has happened or not, and nobody hears of it.
    pub(crate) fn drop_flights(&mut self, node: usize) -> Result<(), Failed> {
        let there = |(number, flight): (&u64, &Flight)| (flight.node == node).then_some(*number);
        let numbers: Vec<_> = self.disks.flights.iter().filter_map(there).collect();
        let here = core::mem::replace(&mut self.net.here, node);
        let mut result = Ok(());
        for number in numbers {
            let Some(flight) = self.disks.flights.remove(&number) else { continue };
            let seen = matches!(flight.op, Op::Open { .. } | Op::ReadAt { .. });
            result = match self.choose(Kind::Disk, 2) {
                Ok(1) if !seen => self.finish(&flight).map(drop),
                Ok(_) => Ok(()),
                Err(Failed) => Err(Failed),
            };
            if result.is_err() {
                break;
            }
        }
        self.net.here = here;
        result
    }

    /// Does an operation: its result.
    ///
    /// # Safety
    /// The memory that `op` names is valid, and nobody else uses it.
    unsafe fn operate_on_disk(&mut self, node: usize, op: &Op) -> Result<usize> {
        // SAFETY: by the caller's promise.
        let place = |world: &mut Self| unsafe { world.place_of(node, op) };
        if self.strikes_at(FaultKind::Interrupted, 2, place)? > 0 {
            return errno(libc::EINTR);
        }
        if !matches!(op, Op::Sync { .. }) && self.strikes_at(FaultKind::DiskError, 2, place)? > 0 {
            return errno(libc::EIO);
        }
        if let Op::ReadAt { offset: number, .. }
        | Op::WriteAt { offset: number, .. }
        | Op::SetLength { length: number, .. } = *op
            && i64::try_from(number).is_err()
        {
            return errno(libc::EINVAL);
        }
        // SAFETY: by the caller's promise.
        let path = |path| unsafe { read_path(path) };
        match *op {
            Op::Open { path: name, options } => {
                let makes = options.create || options.create_new;
                if makes && self.strikes_at(FaultKind::DiskFull, 2, place)? > 0 {
                    return errno(libc::ENOSPC);
                }
                let open = self.disks.volumes[node].open(path(name)?, &options)?;
                let handle = self.net.open_file(node, open.clone());
                if handle.is_err() {
                    self.disks.volumes[node].close(&open);
                }
                Ok(handle?.0 as usize)
            }
            Op::ReadAt { handle, buffer, length, offset } => {
                let open = self.net.opened(handle)?;
                // SAFETY: by the caller's promise.
                let buffer = unsafe { core::slice::from_raw_parts_mut(buffer, length as usize) };
                self.read(node, &open, buffer, offset)
            }
            Op::WriteAt { handle, buffer, length, offset } => {
                let open = self.net.opened(handle)?;
                // SAFETY: by the caller's promise.
                let bytes = unsafe { core::slice::from_raw_parts(buffer, length as usize) };
                self.write(node, &open, bytes, offset)
            }
            Op::Append { handle, buffer, length } => {
                let open = self.net.opened(handle)?;
                if !matches!(open, Open::File { append: true, .. }) {
                    return errno(libc::EBADF);
                }
                // SAFETY: by the caller's promise.
                let bytes = unsafe { core::slice::from_raw_parts(buffer, length as usize) };
                self.write(node, &open, bytes, 0)
            }
            Op::Sync { handle, .. } => {
                let open = self.net.opened(handle)?;
                self.sync(node, &open).map(|()| 0)
            }
            Op::SetLength { handle, length } => {
                let open = self.net.opened(handle)?;
                self.disks.volumes[node].set_length(&open, length).map(|()| 0)
            }
            Op::Rename { from, to } => {
                let (from, to) = (path(from)?, path(to)?);
                self.disks.volumes[node].rename(from, to).map(|()| 0)
            }
            Op::Remove { path: name } => self.disks.volumes[node].remove(path(name)?).map(|()| 0),
            Op::Poll { .. } | Op::Recv { .. } | Op::Send { .. } => errno(libc::EINVAL),
        }
    }

    fn read(&mut self, node: usize, open: &Open, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let count = self.disks.volumes[node].readable(open, offset, buffer.len())?;
        let start = offset as usize;
        let count = self.shorten_at(FaultKind::ShortFileRead, node, open, (start, count))?;
        if count == 0 {
            return Ok(0);
        }
        self.corrupt(node, open, start, count)?;
        let file = self.disks.volumes[node].file(open, false)?;
        if file.is_bad(sectors(start, count)) {
            return errno(libc::EIO);
        }
        buffer[..count].copy_from_slice(&file.bytes()[start..start + count]);
        Ok(count)
    }

    /// What is about to be read may have rotted, or cannot be read any more.
    fn corrupt(&mut self, node: usize, open: &Open, start: usize, count: usize) -> Result<()> {
        if self.draw_fault(FaultKind::BitRot, 2)? > 0 {
            let (at, bit) = (start + self.one_of(count)?, self.choose(Kind::Disk, 8)?);
            if self.disks.volumes[node].file(open, false)?.rot(at, 1 << bit) {
                let place = Struck::open(node, &self.disks.volumes[node], open).bytes(at, 1);
                self.fired_at(FaultKind::BitRot, &place);
            }
        }
        if self.draw_fault(FaultKind::LatentSector, 2)? > 0 {
            let all = sectors(start, count);
            let sector = all.start + self.one_of(all.len())?;
            if self.disks.volumes[node].file(open, false)?.spoil(sector) {
                let place = Struck::open(node, &self.disks.volumes[node], open).sector(sector);
                self.fired_at(FaultKind::LatentSector, &place);
            }
        }
        Ok(())
    }

    fn write(&mut self, node: usize, open: &Open, bytes: &[u8], offset: u64) -> Result<usize> {
        let (offset, count) = self.disks.volumes[node].writable(open, offset, bytes.len())?;
        let place = |world: &mut Self| {
            Struck::open(node, &world.disks.volumes[node], open).bytes(offset, bytes.len())
        };
        if count > 0 && self.strikes_at(FaultKind::DiskFull, 2, place)? > 0 {
            return errno(libc::ENOSPC);
        }
        let count = self.shorten_at(FaultKind::ShortFileWrite, node, open, (offset, count))?;
        if count > 0 {
            let bytes = bytes[..count].to_vec();
            self.disks.volumes[node].file(open, true)?.change(Change::Write { offset, bytes });
        }
        Ok(count)
    }

    /// Perhaps fewer bytes, but one at least. What the fault strikes is those that are left out.
    fn shorten_at(
        &mut self,
        kind: FaultKind,
        node: usize,
        open: &Open,
        (offset, count): (usize, usize),
    ) -> Result<usize> {
        if count <= 1 || !self.plan.is_on(kind) || self.draw_fault(kind, 2)? == 0 {
            return Ok(count);
        }
        let fewer = self.fewer(count)?;
        let place = Struck::open(node, &self.disks.volumes[node], open);
        self.fired_at(kind, &place.bytes(offset + fewer, count - fewer));
        Ok(fewer)
    }

    /// A handle of a file is given back.
    pub(crate) fn close_file(&mut self, node: usize, open: &Open) {
        self.disks.volumes[node].close(open);
    }

    pub(crate) fn file_length(&mut self, handle: Handle) -> Result<u64> {
        let open = self.net.opened(handle)?;
        let volume = &mut self.disks.volumes[self.net.here];
        match &open {
            Open::File { file, .. } => match volume.files.get(file) {
                Some(file) => Ok(file.len() as u64),
                None => errno(libc::EIO),
            },
            Open::Directory(_) => Ok(0),
        }
    }
}

/// A path from a program's memory.
///
/// # Safety
/// It is valid, and ends with a zero byte.
pub(super) unsafe fn read_path(path: *const core::ffi::c_char) -> Result<Path> {
    // SAFETY: by the caller's promise.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if path.is_empty() { errno(libc::ENOENT) } else { Ok(normal(path)) }
}
