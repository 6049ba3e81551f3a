//! The append-only file: its header, its records, and how they are read.
//!
//! ```text
//! file     header, records
//! header   "RADDLEKV" (8), checksum (4), version (4), id (8), number of the first record (8)
//! record   checksum (4), length of the payload (4), number (8), payload
//! ```
//! All numbers are little-endian. Checksums are CRC32C: that of the header over what follows it
//! there, that of a record over the file's id, the length, the number and the payload. Each file
//! has an id of its own, and the numbers have no gap; so a record that belongs to another file or
//! to another place is told from one that belongs here.

use std::io;

use raddle::on::{Platform, fs};

/// The length of the header, in bytes.
pub(super) const HEADER: u64 = 32;
/// The length of what stands before a payload, in bytes.
const HEAD: usize = 16;
const MAGIC: &[u8; 8] = b"RADDLEKV";
/// The version of the format that is written.
const VERSION: u32 = 1;
/// No record is longer, in bytes: a command's effects are about as long as its request, and a
/// snapshot's records hold one value more than they should at most.
const PAYLOAD_MAX: usize = (1 << 30) + (1 << 29) + (1 << 20);
/// What is read at a time, in bytes.
const CHUNK: usize = 256 << 10;

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// What a file's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    /// The number of the first record.
    pub(super) first: u64,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER as usize] {
        let mut bytes = [0; HEADER as usize];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.id.to_le_bytes());
        bytes[24..].copy_from_slice(&self.first.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// # Errors
    /// What is wrong with it; and whether it is only too young.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        if bytes.len() < HEADER as usize {
            return Err(Damage::Short);
        }
        if bytes[..8] != *MAGIC || u32_at(bytes, 8) != crc32c::crc32c(&bytes[12..HEADER as usize]) {
            return Err(Damage::Header);
        }
        match u32_at(bytes, 12) {
            VERSION => Ok(Self { id: u64_at(bytes, 16), first: u64_at(bytes, 24) }),
            version => Err(Damage::Version(version)),
        }
    }
}

/// Adds a record to `to`.
pub(super) fn frame(to: &mut Vec<u8>, id: u64, number: u64, payload: &[u8]) {
    debug_assert!(payload.len() <= PAYLOAD_MAX, "requests are shorter");
    let start = to.len();
    to.extend_from_slice(&[0; 4]);
    to.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    to.extend_from_slice(&number.to_le_bytes());
    to.extend_from_slice(payload);
    let checksum = checksum(id, &to[start + 4..]);
    to[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
}

fn checksum(id: u64, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&id.to_le_bytes()), rest)
}

/// Why there is no record where one should be.
#[derive(Debug)]
pub(super) enum Damage {
    /// The file ends within its header.
    Short,
    /// The header is not what was written.
    Header,
    /// The file has a version that this program does not know.
    Version(u32),
    /// The file ends within a record.
    Torn,
    /// A record is not what was written.
    Checksum,
    /// It is a record of another place.
    Number { expected: u64, found: u64 },
    /// It has the right checksum, and makes no sense.
    Senseless,
    /// The disk does not give it back.
    Unreadable(io::Error),
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short => f.write_str("the file ends within its header"),
            Self::Header => f.write_str("the header is not that of an append-only file"),
            Self::Version(version) => {
                write!(f, "the file has version {version}, and this program knows {VERSION}")
            }
            Self::Torn => f.write_str("the file ends within a record"),
            Self::Checksum => f.write_str("the checksum is wrong"),
            Self::Number { expected, found } => {
                write!(f, "there is record {found} in the place of record {expected}")
            }
            Self::Senseless => f.write_str("the record makes no sense"),
            Self::Unreadable(error) => write!(
                f,
                "it cannot be read: {error} (this may pass: start again before any repair)"
            ),
        }
    }
}

/// Reads the records of a file, from one place to another, a part of the file at a time.
pub(super) struct Reader<'f, P: Platform> {
    file: &'f fs::File<P>,
    id: u64,
    /// The number that the next record has.
    pub(super) number: u64,
    /// Where it begins.
    pub(super) offset: u64,
    /// Where reading ends.
    end: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    start: usize,
    /// How long the record is that was handed out last.
    taken: usize,
}

impl<'f, P: Platform> Reader<'f, P> {
    /// From the record `number`, which begins at `offset`.
    pub(super) fn new(
        file: &'f fs::File<P>,
        id: u64,
        (offset, number): (u64, u64),
        end: u64,
    ) -> Self {
        Self { file, id, number, offset, end, buffer: Vec::new(), start: 0, taken: 0 }
    }

    /// The payload of the next record; none at the end.
    ///
    /// # Errors
    /// What is there instead. Then `offset` is where that begins.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Damage> {
        if self.offset >= self.end {
            return Ok(None);
        }
        self.fill(HEAD)?;
        let length = u32_at(&self.buffer, self.start + 4) as usize;
        // A length that cannot be is one that was not written: nothing is reserved for it.
        if length > PAYLOAD_MAX {
            return Err(Damage::Checksum);
        }
        self.fill(HEAD + length)?;
        let start = self.start;
        let record = &self.buffer[start..start + HEAD + length];
        if u32_at(record, 0) != checksum(self.id, &record[4..]) {
            return Err(Damage::Checksum);
        }
        let found = u64_at(record, 8);
        if found != self.number {
            return Err(Damage::Number { expected: self.number, found });
        }
        self.taken = record.len();
        self.start += self.taken;
        self.offset += self.taken as u64;
        self.number += 1;
        Ok(Some(&self.buffer[start + HEAD..start + HEAD + length]))
    }

    /// Takes back the record that was handed out last.
    pub(super) fn take_back(&mut self) {
        self.offset -= self.taken as u64;
        self.start -= self.taken;
        self.number -= 1;
        self.taken = 0;
    }

    /// Reads until `count` bytes of the next record are in the buffer.
    fn fill(&mut self, count: usize) -> Result<(), Damage> {
        if count as u64 > self.end - self.offset {
            return Err(Damage::Torn);
        }
        if self.buffer.len() - self.start >= count {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.shrink_to(count.max(4 * CHUNK));
        while self.buffer.len() < count {
            let filled = self.buffer.len();
            let at = self.offset + filled as u64;
            let rest = usize::try_from(self.end - at).unwrap_or(usize::MAX);
            // By parts: memory is taken only for what the file really has.
            let wanted = (count - filled).clamp(CHUNK, 4 * CHUNK).min(rest);
            self.buffer.resize(filled + wanted, 0);
            let read = self.file.read_at(&mut self.buffer[filled..], at);
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(Damage::Torn),
                Ok(_) => {}
                Err(error) => return Err(Damage::Unreadable(error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_no_bit_may_change() {
        let header = Header { id: 0x0123_4567_89ab_cdef, first: 7 };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes).unwrap(), header);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Header::decode(&bytes), Err(Damage::Header)), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(matches!(Header::decode(&bytes[..length]), Err(Damage::Short)));
        }
        let mut later = bytes;
        later[12] = 9;
        let checksum = crc32c::crc32c(&later[12..]);
        later[8..12].copy_from_slice(&checksum.to_le_bytes());
        assert!(matches!(Header::decode(&later), Err(Damage::Version(9))));
    }

    /// What was written once must be read for ever.
    #[test]
    fn the_format_does_not_change() {
        let mut bytes = Header { id: 1, first: 1 }.encode().to_vec();
        frame(&mut bytes, 1, 1, b"payload");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    const GOLDEN: &str = "524144444c454b565ad1b6300100000001000000000000000100000000000000\
        6dcf5db10700000001000000000000007061796c6f6164";
}
