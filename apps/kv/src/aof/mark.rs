//! What is known to last: a second, small file, which tells damage from an end that was torn.
//!
//! ```text
//! file   two slots, at 0 and at 4096; each change is written to the other one
//! slot   "RADDLEMK" (8), checksum (4), zero (4), count of changes (8), mark, mark
//! mark   id of an append-only file, its synced length, number of the record after that (8 each)
//! ```
//! A mark is written, and made to last, *after* what it speaks of has been made to last, and (under
//! `always`) before anybody is told. So all that was acknowledged is within the mark: what is
//! damaged there was lost, and what is torn beyond it was promised to nobody. A slot that is
//! damaged itself leaves the other one, which is a change older.
//!
//! The second mark is for the moment in which a [rewritten](super::rewrite) file takes the place of
//! the old one: then it is not known which of them has the name.

use std::io;
use std::path::{Path, PathBuf};

use raddle::on::{Platform, fs};

use super::record::{u32_at, u64_at};

const MAGIC: &[u8; 8] = b"RADDLEMK";
const SLOT: usize = 72;
/// Where the second slot is: in another sector, whatever the disk's are.
const SECOND: u64 = 4096;

/// What lasts of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) id: u64,
    /// Its length, in bytes.
    pub(super) end: u64,
    /// The number of the first record that is not within.
    pub(super) number: u64,
}

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    count: u64,
    marks: [Mark; 2],
}

impl Slot {
    fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..8].copy_from_slice(MAGIC);
        let [one, other] = self.marks;
        let numbers = [self.count, one.id, one.end, one.number, other.id, other.end, other.number];
        for (place, number) in bytes[16..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT]) -> Option<Self> {
        let whole = bytes[..8] == *MAGIC && u32_at(bytes, 8) == crc32c::crc32c(&bytes[12..]);
        let mark = |at| Mark {
            id: u64_at(bytes, at),
            end: u64_at(bytes, at + 8),
            number: u64_at(bytes, at + 16),
        };
        whole.then(|| Self { count: u64_at(bytes, 16), marks: [mark(24), mark(48)] })
    }
}

/// The file of marks.
pub(super) struct Marks<P: Platform> {
    file: fs::File<P>,
    last: Slot,
    /// Whether the file said anything.
    pub(super) known: bool,
}

/// The name of the marks of the append-only file `path`.
pub(super) fn path_of(path: &Path) -> PathBuf {
    super::beside(path, ".mark")
}

impl<P: Platform> Marks<P> {
    /// Opens the file, or makes it.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let options = fs::OpenOptions::new().read(true).write(true).create(true);
        let file: fs::File<P> = options.open(path)?;
        let slots = [read(&file, 0), read(&file, SECOND)];
        let last = slots.into_iter().flatten().max_by_key(|slot| slot.count);
        let known = last.is_some();
        Ok(Self {
            file,
            last: last.unwrap_or(Slot { count: 0, marks: [Mark::default(); 2] }),
            known,
        })
    }

    /// What is known to last of the file with that id.
    pub(super) fn of(&self, id: u64) -> Option<Mark> {
        self.last.marks.into_iter().find(|mark| mark.end > 0 && mark.id == id)
    }

    /// The longest file that is known to have lasted.
    pub(super) fn longest(&self) -> Mark {
        self.last.marks.into_iter().max_by_key(|mark| mark.end).unwrap_or_default()
    }

    /// Makes `marks` last, in place of those before.
    pub(super) fn write(&mut self, marks: [Mark; 2]) -> io::Result<()> {
        self.last = Slot { count: self.last.count + 1, marks };
        let place = if self.last.count.is_multiple_of(2) { 0 } else { SECOND };
        self.file.write_all_at(&self.last.encode(), place)?;
        self.file.sync_data()
    }
}

/// A slot, if it is whole.
fn read<P: Platform>(file: &fs::File<P>, place: u64) -> Option<Slot> {
    let mut bytes = [0; SLOT];
    file.read_exact_at(&mut bytes, place).ok()?;
    Slot::decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_as_it_was_written_and_no_bit_may_change() {
        let mark = |n| Mark { id: n, end: n + 1, number: n + 2 };
        let slot = Slot { count: 3, marks: [mark(10), mark(20)] };
        let bytes = slot.encode();
        assert_eq!(Slot::decode(&bytes), Some(slot));
        for bit in 0..SLOT * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Slot::decode(&bytes), None, "bit {bit}");
        }
    }
}
