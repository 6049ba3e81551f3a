//! A file's contents: what is on the platter, and what only memory has.
//!
//! ```text
//!   durable ──(base)──▶ changes, in order ──▶ cached
//!   the platter         not synced            what a read sees
//! ```
//!
//! A change reaches the platter by sectors, and a sector as it stands in memory after the change:
//! whatever was written into it before goes with it. So after a crash each sector is as it was at
//! some moment, and no two sectors need to be of the same.

use std::collections::BTreeSet;

/// Bytes that a disk writes at once or not at all.
pub(super) const SECTOR: usize = 512;

/// Something done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

/// What of a change reaches the platter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    Lost,
    /// The file is as long as if it had, with zeros.
    LengthOnly,
    /// For each of its sectors, whether it does; and whether the file is as long as if all did.
    Torn {
        kept: Vec<bool>,
        length: bool,
    },
}

impl Change {
    /// The sectors whose contents it changes.
    pub(super) fn sectors(&self) -> core::ops::Range<usize> {
        match self {
            Self::Write { bytes, .. } if bytes.is_empty() => 0..0,
            Self::Write { offset, bytes } => {
                offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR)
            }
            Self::SetLength(_) => 0..0,
        }
    }

    /// The bytes that it writes.
    pub(super) fn span(&self) -> Option<core::ops::Range<usize>> {
        match self {
            Self::Write { offset, bytes } => Some(*offset..offset + bytes.len()),
            Self::SetLength(_) => None,
        }
    }

    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if image.len() < end && !bytes.is_empty() {
                    image.resize(end, 0);
                }
                if !bytes.is_empty() {
                    image[*offset..end].copy_from_slice(bytes);
                }
            }
            Self::SetLength(length) => image.resize(*length, 0),
        }
    }
}

/// The part of a sector that an image has.
fn extent(image: &[u8], sector: usize) -> core::ops::Range<usize> {
    let start = (sector * SECTOR).min(image.len());
    start..(start + SECTOR).min(image.len())
}

/// A file without a name.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    durable: Vec<u8>,
    /// What reads saw when it was synced last, if that is not what is durable: the sync failed, or
    /// the disk did not do what it said.
    base: Option<Vec<u8>>,
    cached: Vec<u8>,
    changes: Vec<Change>,
    /// Sectors of the platter that cannot be read until they are written again.
    bad: BTreeSet<usize>,
    /// How many handles there are.
    pub(super) opens: u32,
}

impl File {
    /// One that was synced.
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), cached: bytes, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    /// What a read sees.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    /// What was done since the last sync.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.changes.push(change);
    }

    /// How long the file was on the platter before the change of that number, if all before it is
    /// kept.
    pub(super) fn extends(&self, change: &Change) -> bool {
        match change {
            Change::Write { offset, bytes } => offset + bytes.len() > self.durable.len(),
            Change::SetLength(_) => false,
        }
    }

    /// All changes reach the platter, as by a sync that does what it says.
    pub(super) fn sync(&mut self) {
        if self.base.is_some() {
            let all = vec![Fate::Kept; self.changes.len()];
            return self.settle(&all);
        }
        for change in core::mem::take(&mut self.changes) {
            for sector in change.sectors() {
                self.bad.remove(&sector);
            }
            change.apply(&mut self.durable);
        }
    }

    /// Changes reach the platter as `fates` says, and none is left. Reads see what they saw.
    pub(super) fn settle(&mut self, fates: &[Fate]) {
        let mut memory = self.base.take().unwrap_or_else(|| self.durable.clone());
        for (change, fate) in core::mem::take(&mut self.changes).iter().zip(fates) {
            change.apply(&mut memory);
            match (change, fate) {
                (_, Fate::Lost) => {}
                (Change::SetLength(length), _) => self.durable.resize(*length, 0),
                (_, Fate::LengthOnly) => self.lengthen(memory.len()),
                (_, Fate::Kept) => change.sectors().for_each(|at| self.put(&memory, at)),
                (_, Fate::Torn { kept, length }) => {
                    let sectors = change.sectors().zip(kept).filter(|(_, kept)| **kept);
                    sectors.for_each(|(at, _)| self.put(&memory, at));
                    if *length {
                        self.lengthen(memory.len());
                    }
                }
            }
        }
        if self.durable != self.cached {
            self.base = Some(self.cached.clone());
        }
    }

    fn lengthen(&mut self, length: usize) {
        let length = self.durable.len().max(length);
        self.durable.resize(length, 0);
    }

    /// Writes a sector to the platter, as it is in memory.
    fn put(&mut self, memory: &[u8], sector: usize) {
        let extent = extent(memory, sector);
        if self.durable.len() < extent.end {
            self.durable.resize(extent.end, 0);
        }
        self.durable[extent.clone()].copy_from_slice(&memory[extent]);
        self.bad.remove(&sector);
    }

    /// Memory is lost: what is durable is all that there is.
    pub(super) fn forget_memory(&mut self) {
        self.changes.clear();
        self.base = None;
        self.cached.clone_from(&self.durable);
    }

    /// Whether memory may be forgotten at any time, because nothing waits for a sync.
    pub(super) fn is_clean(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many sectors the platter has of it.
    pub(super) fn sectors(&self) -> usize {
        self.durable.len().div_ceil(SECTOR)
    }

    /// A sector of the platter.
    pub(super) fn sector(&self, sector: usize) -> Vec<u8> {
        self.durable[extent(&self.durable, sector)].to_vec()
    }

    /// Puts other contents onto a sector of the platter behind everybody's back: memory does not
    /// know.
    pub(super) fn overwrite(&mut self, sector: usize, bytes: &[u8]) {
        if self.base.is_none() {
            // What memory has does not change, and what waits for a sync builds on it.
            self.base = Some(self.durable.clone());
        }
        let extent = extent(&self.durable, sector);
        let length = extent.len().min(bytes.len());
        self.durable[extent.start..extent.start + length].copy_from_slice(&bytes[..length]);
    }

    /// Flips bits of a byte, on the platter and in memory. Only where memory has what the platter
    /// has: `false` if that is not so.
    pub(super) fn rot(&mut self, at: usize, mask: u8) -> bool {
        if self.is_dirty(at / SECTOR) || self.durable.get(at) != self.cached.get(at) {
            return false;
        }
        let images = [Some(&mut self.durable), Some(&mut self.cached), self.base.as_mut()];
        let mut found = false;
        for byte in images.into_iter().flatten().filter_map(|image| image.get_mut(at)) {
            *byte ^= mask;
            found = true;
        }
        found
    }

    /// Whether a sector waits for a sync.
    fn is_dirty(&self, sector: usize) -> bool {
        self.changes.iter().any(|change| change.sectors().contains(&sector))
    }

    /// The sector cannot be read any more: `false` if nobody would notice.
    pub(super) fn spoil(&mut self, sector: usize) -> bool {
        let there = sector < self.sectors() && !self.is_dirty(sector);
        there && self.bad.insert(sector)
    }

    /// Whether one of these sectors cannot be read.
    pub(super) fn is_bad(&self, mut sectors: core::ops::Range<usize>) -> bool {
        sectors.any(|sector| self.bad.contains(&sector) && !self.is_dirty(sector))
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, Fate, File, SECTOR};

    fn write(offset: usize, bytes: &[u8]) -> Change {
        Change::Write { offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn reads_see_what_is_not_synced_and_a_crash_does_not_spare_it() {
        let mut file = File::synced(b"abc".to_vec());
        file.change(write(3, b"def"));
        assert_eq!((file.bytes(), file.durable()), (&b"abcdef"[..], &b"abc"[..]));
        let mut lost = file.clone();
        lost.settle(&[Fate::Lost]);
        lost.forget_memory();
        assert_eq!(lost.bytes(), b"abc");
        let mut long = file.clone();
        long.settle(&[Fate::LengthOnly]);
        long.forget_memory();
        assert_eq!(long.bytes(), b"abc\0\0\0");
        file.sync();
        file.forget_memory();
        assert_eq!(file.bytes(), b"abcdef");
    }

    #[test]
    fn a_sector_that_is_kept_has_all_that_was_written_to_it_before() {
        let mut file = File::default();
        file.change(write(0, b"a"));
        file.change(write(1, b"b"));
        file.settle(&[Fate::Lost, Fate::Kept]);
        file.forget_memory();
        assert_eq!(file.bytes(), b"ab");
    }

    #[test]
    fn a_torn_write_has_some_of_its_sectors() {
        let mut file = File::synced(vec![1; 3 * SECTOR]);
        file.change(write(SECTOR - 1, &[2; SECTOR + 2]));
        file.settle(&[Fate::Torn { kept: vec![false, true, false], length: false }]);
        file.forget_memory();
        let of = |sector: usize| &file.bytes()[sector * SECTOR..(sector + 1) * SECTOR];
        assert_eq!((of(0), of(1), of(2)), (&[1; SECTOR][..], &[2; SECTOR][..], &[1; SECTOR][..]));
    }

    #[test]
    fn a_cut_that_is_lost_leaves_what_it_had_cut() {
        let mut file = File::synced(b"abcdef".to_vec());
        file.change(Change::SetLength(2));
        assert_eq!(file.bytes(), b"ab");
        let mut kept = file.clone();
        kept.settle(&[Fate::Kept]);
        file.settle(&[Fate::Lost]);
        file.forget_memory();
        assert_eq!((file.bytes(), kept.durable()), (&b"abcdef"[..], &b"ab"[..]));
    }

    /// After a failed sync the pages count as clean: the next sync does not write them.
    #[test]
    fn what_a_failed_sync_has_lost_no_later_sync_writes() {
        let mut file = File::default();
        file.change(write(0, &[1; SECTOR]));
        file.settle(&[Fate::Lost]);
        assert_eq!(file.bytes(), [1; SECTOR], "reads still see it");
        file.change(write(SECTOR, &[2; SECTOR]));
        file.sync();
        let mut both = vec![0; SECTOR];
        both.extend([2; SECTOR]);
        assert_eq!(file.durable(), both);
        // A page that is written again goes as a whole.
        file.change(write(1, b"x"));
        file.sync();
        assert_eq!(file.durable()[..3], [1, b'x', 1]);
        assert_eq!(file.durable(), file.bytes());
    }

    #[test]
    fn corruption_stays_until_the_sector_is_written_again() {
        let mut file = File::synced(vec![1; 2 * SECTOR]);
        assert!(file.rot(5, 0x10) && file.spoil(1) && !file.spoil(2));
        assert_eq!((file.bytes()[5], file.durable()[5]), (0x11, 0x11));
        assert!(file.is_bad(1..2) && !file.is_bad(0..1));
        file.overwrite(0, &[9; SECTOR]);
        assert_eq!((file.bytes()[0], file.durable()[0]), (1, 9), "memory does not know");
        file.change(write(SECTOR, b"x"));
        assert!(!file.is_bad(1..2), "memory has it");
        file.sync();
        assert!(!file.is_bad(1..2));
        file.change(write(0, b"y"));
        file.sync();
        assert_eq!(file.durable(), file.bytes());
    }
}
