//! The frame of a chunk: kind, length, checksum.

use super::error::Broken;

/// Kind, length, checksum.
pub(crate) const FRAME_BYTES: usize = 9;

/// No payload is longer. A reader allocates no more at a time.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

/// A frame, as it stands before its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) length: u32,
    crc: u32,
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut start = [kind, 0, 0, 0, 0];
    start[1..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&start), payload)
}

/// Appends a chunk.
///
/// # Panics
/// When the payload is empty or longer than [`MAX_PAYLOAD`]: who cuts chunks sees to that.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    assert!((1..=MAX_PAYLOAD).contains(&payload.len()), "a chunk of {} bytes", payload.len());
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(kind, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

impl Frame {
    /// Reads a frame whose payload has `left` bytes to be in.
    pub(crate) fn read(bytes: &[u8; FRAME_BYTES], left: u64) -> Result<Self, Broken> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let frame = Self { kind: bytes[0], length: word(1), crc: word(5) };
        if frame.length == 0 || frame.length as usize > MAX_PAYLOAD {
            return Err(Broken("no chunk has such a length"));
        }
        if u64::from(frame.length) > left {
            return Err(Broken("a chunk is cut off"));
        }
        Ok(frame)
    }

    /// Whether this is the payload that was written.
    pub(crate) fn check(&self, payload: &[u8]) -> Result<(), Broken> {
        match checksum(self.kind, payload) == self.crc {
            true => Ok(()),
            false => Err(Broken("a checksum is wrong")),
        }
    }
}
