//! Whatever the bytes of a file are, reading them neither panics nor takes more memory than a small
//! multiple of their number; what is whole is read, and what is missing is said.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::collection::vec;
use proptest::prelude::*;
use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Parker, Platform};
use raddle_scenarios::scope;
use raddle_vopr::trace::{self, ChunkKind, Error, Level, Reader, Record, Recording};
use raddle_vopr::{Sim, Simulation};

#[path = "../fuzz/read.rs"]
mod fuzz;

/// Inputs that a fuzzer has found, each of which was a bug.
#[test]
fn what_a_fuzzer_found_is_read_or_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/regressions");
    let inputs = std::fs::read_dir(folder).expect("it is there");
    let inputs = inputs.map(|input| input.expect("readable").path());
    for input in inputs.filter(|path| path.extension().is_none_or(|it| it != "md")) {
        let bytes = std::fs::read(&input).expect("readable");
        let ((), most) = most(|| fuzz::read(&bytes));
        assert!(most <= bytes.len() * MULTIPLE + REST, "{most} bytes for {}", input.display());
    }
}

/// Counts what is allocated, and the most of it at one time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator, with counters beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that `f` had allocated at one time. (Each test has a process of its own under nextest;
/// where it has not, the bound below leaves room for the others.)
fn most<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let result = f();
    (result, MOST.load(Relaxed).saturating_sub(before))
}

/// An event of ten bytes becomes one of two hundred, and that is the worst.
const MULTIPLE: usize = 60;
const REST: usize = 256 * 1024;

fn program() {
    let counter = <Sim as Platform>::AtomicUsize::new(0);
    scope::<Sim, _>(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                for _ in 0..3_000 {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                <Sim as Platform>::Parker::park_until(Instant::from_nanos(50));
            });
        }
    });
}

/// A file with several chunks of decisions and of events.
fn sample() -> &'static (Recording, Vec<u8>) {
    static SAMPLE: OnceLock<(Recording, Vec<u8>)> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let record = Record { from_step: 7_000, ..Record::level(Level::Operations) };
        let simulation = Simulation::new().seed(3).record(record);
        let report = simulation.run(program);
        report.unwrap();
        let recording = simulation.recording("tests/program", &report);
        let bytes = trace::encode(&recording).expect("it fits");
        (recording, bytes)
    })
}

/// Reads by all ways there are.
fn read(bytes: &[u8]) -> Result<Recording, Error> {
    let mut reader = Reader::new(std::io::Cursor::new(bytes))?;
    for place in reader.places().to_vec() {
        if place.kind == ChunkKind::Events {
            // A damaged chunk is an error, and nothing else.
            let _: Result<Vec<_>, _> = reader.events_of(&place);
        }
    }
    let recording = reader.recording()?;
    let _: usize = recording.events.iter().map(|event| event.to_string().len()).sum();
    Ok(recording)
}

/// What is read of a damaged file is what was written, up to where the loss says that it ends.
fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (whole, _) = sample();
    let (result, most) = most(|| read(bytes));
    let bound = bytes.len() * MULTIPLE + REST;
    prop_assert!(most <= bound, "{most} bytes for {} bytes of file", bytes.len());
    match result {
        Err(error) => prop_assert!(!error.to_string().is_empty()),
        Ok(found) => {
            let count = found.trace.decisions.len();
            prop_assert_eq!(&found.trace.decisions[..], &whole.trace.decisions[..count]);
            if let Some(loss) = &found.loss {
                prop_assert!(loss.decisions_read == count as u64 && !loss.to_string().is_empty());
            } else {
                prop_assert_eq!(&found, whole);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_cut_leaves_a_prefix(at in any::<prop::sample::Index>()) {
        let (_, bytes) = sample();
        check(&bytes[..at.index(bytes.len())])?;
    }

    #[test]
    fn any_change_is_noticed(
        changes in vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut bytes = sample().1.clone();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        fuzz::read(&bytes);
        // Two changes may undo each other.
        if bytes != sample().1 {
            check(&bytes)?;
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..2_000), begins in any::<bool>()) {
        let mut file = if begins { sample().1[..12].to_vec() } else { Vec::new() };
        file.extend(&bytes);
        fuzz::read(&file);
        let (result, most) = most(|| read(&file));
        prop_assert!(most <= file.len() * MULTIPLE + REST, "{most} bytes");
        prop_assert!(result.is_err(), "the chance of a good checksum is nil");
    }

    /// Chunks with good checksums and any contents: what a checksum does not catch.
    #[test]
    fn any_contents_are_read_or_refused(
        kind in 1..=6_u8,
        contents in vec(any::<u8>(), 1..400),
        count in any::<u8>(),
    ) {
        let mut payload = vec![0, count & 0x7f];
        payload.extend(&contents);
        let (_, whole) = sample();
        let header = u32::from_le_bytes([whole[13], whole[14], whole[15], whole[16]]) as usize;
        let mut file = whole[..12 + 9 + header].to_vec();
        file.push(kind);
        let length = (payload.len() as u32).to_le_bytes();
        file.extend(length);
        let crc = crc32c::crc32c(&[&[kind][..], &length, &payload].concat());
        file.extend(crc.to_le_bytes());
        file.extend(&payload);
        fuzz::read(&file);
        let (result, most) = most(|| read(&file));
        prop_assert!(most <= file.len() * MULTIPLE + REST, "{most} bytes");
        let found = result.expect("its header is whole");
        prop_assert!(found.loss.is_some() || found.ending.is_some());
    }
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let (recording, bytes) = sample();
    assert!(recording.trace.decisions.len() > 8_192 && recording.events.count() > 1_000);
    assert_eq!(read(bytes).expect("whole"), *recording);
    let reader = Reader::new(std::io::Cursor::new(bytes)).expect("whole");
    assert!(reader.is_indexed());
    // Without its end it is read one chunk after the other, and all is there.
    let found = read(&bytes[..bytes.len() - 16]).expect("its header is whole");
    assert_eq!(found.trace, recording.trace);
    let loss = found.loss.expect("the end is missing");
    assert!(loss.only_events, "{loss}");
}

#[test]
fn damage_in_the_middle_costs_what_comes_after_and_is_said() {
    let (recording, bytes) = sample();
    let reader = Reader::new(std::io::Cursor::new(bytes)).expect("whole");
    let of = |kind| reader.places().iter().filter(move |place| place.kind == kind).copied();
    let second = of(ChunkKind::Decisions).nth(1).expect("several chunks");
    let mut damaged = bytes.clone();
    damaged[second.offset as usize + 20] ^= 1;
    let found = read(&damaged).expect("its header is whole");
    assert_eq!(found.trace.decisions.len() as u64, second.first);
    let loss = found.loss.expect("it says so");
    assert_eq!((loss.offset, loss.decisions_read), (second.offset, second.first));
    assert_eq!(loss.decisions_recorded, Some(recording.trace.decisions.len() as u64), "{loss}");
    // An event that is damaged costs no decision.
    let event = of(ChunkKind::Events).next().expect("some");
    let mut damaged = bytes.clone();
    damaged[event.offset as usize + 20] ^= 1;
    let found = read(&damaged).expect("its header is whole");
    assert_eq!(found.trace, recording.trace);
    let loss = found.loss.expect("it says so");
    assert!(loss.only_events && found.events.count() < recording.events.count(), "{loss}");
}

#[test]
fn a_length_is_believed_only_as_far_as_the_file_goes() {
    let (_, whole) = sample();
    let header = u32::from_le_bytes([whole[13], whole[14], whole[15], whole[16]]) as usize;
    for length in [1_000, 1_000_000, 1 << 20, (1 << 20) + 1, u32::MAX] {
        let mut file = whole[..12 + 9 + header].to_vec();
        file.push(2);
        file.extend(length.to_le_bytes());
        file.extend([0; 4 + 20]);
        let (found, most) = most(|| read(&file));
        assert!(most <= file.len() * MULTIPLE + REST, "{most} bytes for a length of {length}");
        assert!(found.expect("its header is whole").loss.is_some());
    }
    // One that is too long is refused even if all of it is there.
    for (length, known) in [(1_u32 << 20, true), ((1 << 20) + 1, false)] {
        let mut file = whole[..12 + 9 + header].to_vec();
        file.push(0x90);
        file.extend(length.to_le_bytes());
        file.extend([0; 4]);
        file.resize(file.len() + length as usize, 7);
        let file = fuzz::repair(&file);
        let reader = Reader::new(std::io::Cursor::new(&file)).expect("its header is whole");
        assert_eq!(reader.places().len(), if known { 2 } else { 1 });
        assert!(reader.recording().expect("memory").loss.is_some());
    }
}

#[test]
fn other_files_and_versions_are_refused_in_words() {
    let (_, bytes) = sample();
    assert!(matches!(trace::decode(b"#!/bin/sh\necho no trace\n"), Err(Error::NoTrace)));
    assert!(matches!(trace::decode(b""), Err(Error::NoTrace)));
    assert!(matches!(trace::decode(&bytes[..9]), Err(Error::NoHeader { .. })));
    let mut later = bytes.clone();
    later[8] = 2;
    match trace::decode(&later) {
        Err(error @ Error::VersionMismatch { expected: 1, found: 2 }) => {
            let text = error.to_string();
            assert!(text.contains("version 2") && text.contains("record it again"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let mut headless = bytes.clone();
    headless[30] ^= 1;
    assert!(matches!(trace::decode(&headless), Err(Error::NoHeader { .. })));
}

#[test]
fn what_a_reader_does_not_know_it_passes_over() {
    let (recording, _) = sample();
    let mut writer = trace::Writer::new(Vec::new(), &recording.header).expect("memory");
    writer.other(0x90, b"of a time to come").expect("memory");
    writer.decisions(&recording.trace).expect("memory");
    assert!(writer.other(6, b"x").is_err() && writer.other(0x90, b"").is_err());
    writer.events(&recording.events).expect("memory");
    let bytes = writer.finish(recording.ending.as_ref().expect("there")).expect("memory");
    assert_eq!(read(&bytes).expect("whole"), *recording);
    // An index that lies about the places is not believed.
    let cut = read(&bytes[..bytes.len() - 1]).expect("its header is whole");
    assert_eq!(cut.trace, recording.trace);
}

/// The sample with another index, whose checksums are right.
fn indexed_by(places: &[(u8, u32, u64, u64)]) -> Vec<u8> {
    let number = |out: &mut Vec<u8>, mut value: u64| {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    };
    let mut index = Vec::new();
    number(&mut index, places.len() as u64);
    for (kind, length, first, count) in places {
        index.push(*kind);
        number(&mut index, u64::from(*length));
        number(&mut index, *first);
        number(&mut index, *count);
    }
    let (_, whole) = sample();
    let mut at = [0; 8];
    at.copy_from_slice(&whole[whole.len() - 16..whole.len() - 8]);
    let mut file = whole[..u64::from_le_bytes(at) as usize].to_vec();
    file.push(5);
    file.extend((index.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(index);
    file.extend([0; 16]);
    fuzz::repair(&file)
}

#[test]
fn an_index_is_believed_only_where_the_file_says_the_same() {
    let (recording, bytes) = sample();
    let reader = Reader::new(std::io::Cursor::new(bytes)).expect("whole");
    let kind = |kind| match kind {
        ChunkKind::Header => 1,
        ChunkKind::Decisions => 2,
        ChunkKind::Events => 3,
        ChunkKind::Ending => 4,
        ChunkKind::Index => 5,
        ChunkKind::Other(number) => number,
    };
    let places: Vec<_> =
        reader.places().iter().map(|it| (kind(it.kind), it.length, it.first, it.count)).collect();
    assert_eq!(indexed_by(&places), *bytes, "the index as it is");
    let open = |file: &[u8]| {
        let reader = Reader::new(std::io::Cursor::new(file)).expect("its header is whole");
        (reader.is_indexed(), reader.recording().expect("memory"))
    };
    // One that does not fit is not used: everything is found without it.
    let mut first = places.clone();
    first[0].0 = 0x90;
    let mut longer = places.clone();
    longer.push((0x90, 1, 0, 0));
    for wrong in [first, longer, places[..places.len() - 1].to_vec()] {
        let (indexed, found) = open(&indexed_by(&wrong));
        assert!(!indexed, "{wrong:?}");
        assert_eq!((&found.trace, &found.events), (&recording.trace, &recording.events));
        assert!(found.loss.expect("the index is wrong").only_events);
    }
    // One that says that a chunk is another: that chunk is lost, and that is said.
    let mut hidden = places.clone();
    let events = hidden.iter_mut().find(|place| place.0 == 3).expect("some");
    events.0 = 0x90;
    let (indexed, found) = open(&indexed_by(&hidden));
    assert!(indexed && found.events.count() < recording.events.count());
    assert!(found.loss.expect("it says so").only_events);
}

/// Chunks that are whole, and of which one is not there.
#[test]
fn a_chunk_that_is_missing_is_missed() {
    let (recording, whole) = sample();
    for marked in [true, false] {
        let mut recording = recording.clone();
        if !marked {
            let (seed, decisions) = (recording.trace.seed, recording.trace.decisions.clone());
            recording.trace = raddle_vopr::Trace::new(seed, decisions);
        }
        let bytes = trace::encode(&recording).expect("it fits");
        assert!(!marked || bytes == *whole);
        let reader = Reader::new(std::io::Cursor::new(&bytes)).expect("whole");
        let of = reader.places().iter().filter(|place| place.kind == ChunkKind::Decisions);
        let of: Vec<_> = of.collect();
        let (gone, next) = (of[1], of[2]);
        let cut = [&bytes[..gone.offset as usize], &bytes[next.offset as usize..]].concat();
        let found = trace::decode(&cut).expect("its header is whole");
        assert_eq!(found.trace.decisions[..], recording.trace.decisions[..gone.first as usize]);
        let loss = found.loss.expect("it says so");
        let place = (loss.offset, loss.bytes, loss.decisions_read);
        assert_eq!(place, (gone.offset, cut.len() as u64 - gone.offset, gone.first));
        assert_eq!(loss.decisions_recorded, Some(recording.trace.decisions.len() as u64));
        assert!(!loss.only_events);
    }
}

#[test]
fn two_bytes_for_a_decision_are_enough() {
    let (recording, bytes) = sample();
    let reader = Reader::new(std::io::Cursor::new(bytes)).expect("whole");
    let chunks = reader.places().iter().filter(|place| place.kind == ChunkKind::Decisions);
    let bytes: u64 = chunks.map(|place| u64::from(place.length) + 9).sum();
    let each = bytes as f64 / recording.trace.decisions.len() as f64;
    assert!(each <= 2.0, "{each}");
}
