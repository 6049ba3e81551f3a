//! What a loss of power leaves, and what a sync does that is at fault.

use super::file::{Change, Fate, File};
use super::struck::Struck;
use super::volume::{Open, Volume, errno};
use crate::decisions::{Kind, MAX_OPTIONS};
use crate::faults::FaultKind;
use crate::net::Result;
use crate::world::{Failed, World};

/// Sectors of one torn write that are decided one by one. Those of a longer one go in runs.
const TORN_MAX: usize = 32;

/// How a crash goes about what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    LosesAll,
    KeepsAll,
    /// For each write and name another.
    Chooses,
}

impl World {
    /// The memory of a node is lost, and its disk has what the platter has.
    pub(crate) fn lose_power(&mut self, node: usize) -> Result<(), Failed> {
        let mood = match self.choose(Kind::Disk, 6)? {
            0 => Mood::LosesAll,
            1 => Mood::KeepsAll,
            _ => Mood::Chooses,
        };
        let mut volume = core::mem::take(&mut self.disks.volumes[node]);
        let result = self.crash_volume(node, &mut volume, mood);
        self.disks.volumes[node] = volume;
        result
    }

    fn crash_volume(&mut self, node: usize, volume: &mut Volume, mood: Mood) -> Result<(), Failed> {
        let names = &volume.names;
        for (number, file) in &mut volume.files {
            let mut fates = Vec::with_capacity(file.changes().len());
            for change in file.changes() {
                let fate = self.fate(change, file.extends(change), mood)?;
                let kind = match fate {
                    Fate::Kept => None,
                    Fate::Lost => Some(FaultKind::LostWrite),
                    Fate::LengthOnly | Fate::Torn { .. } => Some(FaultKind::TornWrite),
                };
                if let Some(kind) = kind {
                    let place = Struck::file(node, names, *number);
                    self.fired_at(kind, &place.changes(core::slice::from_ref(change)));
                }
                fates.push(fate);
            }
            file.settle(&fates);
            file.forget_memory();
            file.opens = 0;
        }
        let mut kept = Vec::new();
        for name in volume.names.pending() {
            let keeps = match mood {
                Mood::LosesAll => false,
                Mood::KeepsAll => true,
                Mood::Chooses => self.choose(Kind::Disk, 2)? == 1,
            };
            if !keeps {
                self.fired_at(FaultKind::LostWrite, &Struck::at(node, name));
            }
            kept.push(keeps);
        }
        volume.names.crash(&kept);
        volume.collect();
        Ok(())
    }

    /// What becomes of a write that was not synced.
    fn fate(&mut self, change: &Change, extends: bool, mood: Mood) -> Result<Fate, Failed> {
        Ok(match mood {
            Mood::LosesAll => Fate::Lost,
            Mood::KeepsAll => Fate::Kept,
            Mood::Chooses => match self.choose(Kind::Disk, 6)? {
                0 => Fate::Lost,
                1 => Fate::Kept,
                2 if extends => Fate::LengthOnly,
                _ => self.tear(change, extends)?,
            },
        })
    }

    fn tear(&mut self, change: &Change, extends: bool) -> Result<Fate, Failed> {
        let sectors = change.sectors().len();
        if sectors < 2 {
            return Ok(Fate::Lost);
        }
        let run = sectors.div_ceil(TORN_MAX);
        let mut kept = Vec::with_capacity(sectors);
        while kept.len() < sectors {
            let keeps = self.choose(Kind::Disk, 2)? == 1;
            kept.extend(core::iter::repeat_n(keeps, run.min(sectors - kept.len())));
        }
        let length = extends && self.choose(Kind::Disk, 2)? == 1;
        Ok(Fate::Torn { kept, length })
    }

    /// Makes what was written to a file last, or the names in a directory.
    pub(super) fn sync(&mut self, node: usize, open: &Open) -> Result<()> {
        let place = |world: &mut Self| Struck::open(node, &world.disks.volumes[node], open);
        let number = match open {
            Open::Directory(path) => {
                if self.strikes_at(FaultKind::SyncFails, 2, place)? > 0 {
                    return errno(libc::EIO);
                }
                self.disks.volumes[node].names.sync(path);
                return Ok(());
            }
            Open::File { file, .. } => *file,
        };
        let Some(file) = self.disks.volumes[node].files.get(&number) else {
            return errno(libc::EIO);
        };
        if file.is_clean() {
            return Ok(());
        }
        let place = |world: &mut Self| {
            let changes = world.disks.volumes[node].files.get(&number).map(File::changes);
            Struck::open(node, &world.disks.volumes[node], open).changes(changes.unwrap_or(&[]))
        };
        match self.strikes_at(FaultKind::SyncFails, 3, place)? {
            0 => self.sync_well(node, number)?,
            how => {
                self.fail_to_sync(node, number, how == 2)?;
                return errno(libc::EIO);
            }
        }
        Ok(())
    }

    /// A sync fails: some of what it was to write is on the platter, the rest counts as written
    /// too. Reads see it, or what the platter has.
    fn fail_to_sync(&mut self, node: usize, number: u64, drops: bool) -> Result<(), Failed> {
        let file = self.disks.volumes[node].files.get(&number);
        let changes = file.map_or(0, |file| file.changes().len());
        let mood = if self.choose(Kind::Disk, 2)? == 0 { Mood::LosesAll } else { Mood::Chooses };
        let mut fates = Vec::with_capacity(changes);
        for _ in 0..changes {
            fates.push(match mood {
                Mood::Chooses if self.choose(Kind::Disk, 2)? == 1 => Fate::Kept,
                _ => Fate::Lost,
            });
        }
        if let Some(file) = self.disks.volumes[node].files.get_mut(&number) {
            file.settle(&fates);
            if drops {
                file.forget_memory();
            }
        }
        Ok(())
    }

    /// A sync succeeds, or says so: a sector may be missing all the same, or be in another place.
    fn sync_well(&mut self, node: usize, number: u64) -> Result<(), Failed> {
        let lost = self.draw_fault(FaultKind::LostSyncedWrite, 2)? > 0;
        let misdirected = !lost && self.draw_fault(FaultKind::MisdirectedWrite, 2)? > 0;
        let volume = &mut self.disks.volumes[node];
        let Some(file) = volume.files.get_mut(&number) else { return Ok(()) };
        if !lost && !misdirected {
            file.sync();
            return Ok(());
        }
        let before = file.clone();
        let mut touched: Vec<_> = file.changes().iter().flat_map(Change::sectors).collect();
        touched.sort_unstable();
        touched.dedup();
        file.sync();
        touched.retain(|sector| *sector < file.sectors());
        if touched.is_empty() {
            return Ok(());
        }
        let sector = touched[self.one_of(touched.len())?];
        let volume = &mut self.disks.volumes[node];
        let Some(file) = volume.files.get_mut(&number) else { return Ok(()) };
        let written = file.sector(sector);
        // What was there before; where nothing was, zeros.
        let mut old = before.sector(sector);
        old.resize(written.len(), 0);
        file.overwrite(sector, &old);
        let all = volume.sectors();
        let mut place = Struck::file(node, &volume.names, number).sector(sector);
        if misdirected && all > 1 {
            let other = self.one_of(all)?;
            let volume = &mut self.disks.volumes[node];
            if let Some((victim, other)) = volume.find_sector(other)
                && let Some(file) = volume.files.get_mut(&victim)
            {
                file.overwrite(other, &written);
                place = place.into_sector(&volume.names, victim, other);
            }
        }
        let kind = if lost { FaultKind::LostSyncedWrite } else { FaultKind::MisdirectedWrite };
        self.fired_at(kind, &place);
        Ok(())
    }

    /// One of so many, which may be more than a decision can say.
    pub(super) fn one_of(&mut self, count: usize) -> Result<usize, Failed> {
        if count <= MAX_OPTIONS {
            return self.choose(Kind::Disk, count);
        }
        let (rows, row) = (count.div_ceil(MAX_OPTIONS), MAX_OPTIONS);
        let at = self.one_of(rows)? * row + self.choose(Kind::Disk, row)?;
        Ok(at.min(count - 1))
    }
}
