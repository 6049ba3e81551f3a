//! What a fuzzer and proptest do with bytes: read them in each way that there is. Nothing may panic.

use std::io::Cursor;

use raddle_vopr::trace::{self, Reader};

/// Reads `bytes` as a trace file. What is readable is written and read again, and is the same.
pub(crate) fn read(bytes: &[u8]) {
    if let Ok(reader) = Reader::new(Cursor::new(bytes)) {
        for place in reader.places() {
            let _ = place.kind;
        }
    }
    let Ok(recording) = trace::decode(bytes) else { return };
    let _ = recording.trace.certificate();
    for event in recording.events.iter() {
        let _ = (event.to_string(), event.observed());
    }
    let _ = recording.simulation();
    if recording.loss.is_none() {
        let again = trace::encode(&recording).expect("what was read can be written");
        let again = trace::decode(&again).expect("what was written can be read");
        assert_eq!(again.trace, recording.trace);
    }
}
