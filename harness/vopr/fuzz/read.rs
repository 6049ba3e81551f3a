//! What a fuzzer and proptest do with bytes: read them in each way that there is. Nothing may panic.

use std::io::Cursor;

use raddle_vopr::trace::{self, ChunkKind, Reader};

/// Reads `bytes` as a trace file: as they are, and with all checksums made right, because no
/// fuzzer finds those. What is readable is written and read again, and is the same.
pub(crate) fn read(bytes: &[u8]) {
    read_as_it_is(bytes);
    let repaired = repair(bytes);
    if repaired != bytes {
        read_as_it_is(&repaired);
    }
}

fn read_as_it_is(bytes: &[u8]) {
    if let Ok(mut reader) = Reader::new(Cursor::new(bytes)) {
        for place in reader.places().to_vec() {
            if place.kind == ChunkKind::Events {
                // A damaged chunk is an error, and nothing else.
                let _: Result<Vec<_>, _> = reader.events_of(&place);
            }
        }
    }
    let Ok(recording) = trace::decode(bytes) else { return };
    let _ = recording.trace.certificate();
    for event in recording.events.iter() {
        let _ = (event.to_string(), event.observed());
    }
    let exported = trace::export_perfetto(Vec::new(), &recording.header, recording.events.iter());
    exported.expect("memory");
    let _ = trace::diff(&recording, &recording);
    let _ = recording.simulation();
    if recording.loss.is_none() {
        let again = trace::encode(&recording).expect("what was read can be written");
        let again = trace::decode(&again).expect("what was written can be read");
        assert_eq!(again.trace, recording.trace);
        assert_eq!(again.events.count(), recording.events.count());
    }
}

/// Magic, version, zeros.
const PREAMBLE: usize = 12;
/// Kind, length, checksum.
const FRAME: usize = 9;
/// Where the index is, its checksum, magic.
const TRAILER: usize = 16;
/// The kind of the index.
const INDEX: u8 = 5;

/// The same bytes with right checksums: of each chunk, as far as there are lengths that can be
/// believed, and of the end of the file.
pub(crate) fn repair(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = PREAMBLE;
    while let Some(frame) = bytes.get(at..at + FRAME) {
        let length = u32::from_le_bytes([frame[1], frame[2], frame[3], frame[4]]) as usize;
        let (kind, payload) = (frame[0], at + FRAME..at + FRAME + length);
        let Some(contents) = bytes.get(payload.clone()) else { break };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..5]), contents);
        bytes[at + 5..at + FRAME].copy_from_slice(&crc.to_le_bytes());
        if kind == INDEX && payload.end + TRAILER == bytes.len() {
            let offset = (at as u64).to_le_bytes();
            let trailer = &mut bytes[payload.end..];
            trailer[..8].copy_from_slice(&offset);
            trailer[8..12].copy_from_slice(&crc32c::crc32c(&offset).to_le_bytes());
            trailer[12..].copy_from_slice(b"RDLX");
            break;
        }
        at = payload.end;
    }
    bytes
}
