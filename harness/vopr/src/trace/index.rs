//! What is where in a file.

use super::chunk::FRAME_BYTES;
use super::error::Broken;
use super::varint::{Bytes, put};
use super::{END_MAGIC, PREAMBLE_BYTES, TRAILER_BYTES};

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkKind {
    /// What the trace is of.
    Header,
    /// Decisions.
    Decisions,
    /// Observation events.
    Events,
    /// What came of the execution.
    Ending,
    /// This index.
    Index,
    /// What this build does not know and passes over.
    Other(u8),
}

impl ChunkKind {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Header => 1,
            Self::Decisions => 2,
            Self::Events => 3,
            Self::Ending => 4,
            Self::Index => 5,
            Self::Other(number) => number,
        }
    }

    /// The kind with this number, if a reader may go on with it.
    pub(crate) fn of(number: u8) -> Result<Self, Broken> {
        match number {
            1 => Ok(Self::Header),
            2 => Ok(Self::Decisions),
            3 => Ok(Self::Events),
            4 => Ok(Self::Ending),
            5 => Ok(Self::Index),
            0x80.. => Ok(Self::Other(number)),
            _ => Err(Broken("there is no such kind of chunk")),
        }
    }
}

/// Where a chunk is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// What it holds.
    pub kind: ChunkKind,
    /// Where its frame begins.
    pub offset: u64,
    /// The length of its payload.
    pub length: u32,
    /// The number of the first decision or event in it.
    pub first: u64,
    /// How many there are.
    pub count: u64,
}

impl Place {
    /// Where the next chunk begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + FRAME_BYTES as u64 + u64::from(self.length)
    }
}

/// The payload of an index.
pub(crate) fn encode(places: &[Place]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, places.len() as u64);
    for place in places {
        out.push(place.kind.number());
        put(&mut out, u64::from(place.length));
        put(&mut out, place.first);
        put(&mut out, place.count);
    }
    out
}

/// The places of an index; `end` is where the chunks end and the index begins. The chunks follow
/// each other without gaps, so their offsets need no place.
pub(crate) fn decode(payload: &[u8], end: u64) -> Result<Vec<Place>, Broken> {
    let mut bytes = Bytes::new(payload);
    let count = bytes.count(4)?;
    let mut places = Vec::with_capacity(count);
    let mut offset = PREAMBLE_BYTES;
    for _ in 0..count {
        let kind = ChunkKind::of(bytes.byte()?)?;
        let length = bytes.small()?;
        let place = Place { kind, offset, length, first: bytes.number()?, count: bytes.number()? };
        offset = place.end();
        if offset > end {
            return Err(Broken("the index says more than there is"));
        }
        places.push(place);
    }
    match (bytes.is_empty(), offset == end) {
        (true, true) => Ok(places),
        _ => Err(Broken("the index is of another file")),
    }
}

/// The last bytes of a file whose index is at `offset`.
pub(crate) fn trailer(offset: u64) -> [u8; TRAILER_BYTES as usize] {
    let mut bytes = [0; TRAILER_BYTES as usize];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..8]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes[12..].copy_from_slice(&END_MAGIC);
    bytes
}

/// Where the last bytes of a file say that the index is.
pub(crate) fn read_trailer(bytes: &[u8; TRAILER_BYTES as usize]) -> Result<u64, Broken> {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    let offset = u64::from_le_bytes(word);
    match *bytes == trailer(offset) {
        true => Ok(offset),
        false => Err(Broken("the end of the file is missing")),
    }
}
