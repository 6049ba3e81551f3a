//! Reads trace files: whole ones by their index, all others as far as they go.

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use super::chunk::{FRAME_BYTES, Frame};
use super::error::{Broken, Error, Loss};
use super::event::{self, Event, Events};
use super::header::{Ending, Header};
use super::index::{self, ChunkKind, Place};
use super::{MAGIC, PREAMBLE_BYTES, TRAILER_BYTES, VERSION, codec};
use crate::decisions::Trace;
use crate::simulation::Simulation;

/// All of a trace file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What the trace is of.
    pub header: Header,
    /// Seed and decisions.
    pub trace: Trace,
    /// What was observed.
    pub events: Events,
    /// What came of the execution, if the file goes so far.
    pub ending: Option<Ending>,
    /// What is missing, if anything is.
    pub loss: Option<Loss>,
}

impl Recording {
    /// The simulation that replays the trace, with the settings that it was recorded with.
    ///
    /// # Errors
    /// [`Error::ConfigurationMismatch`], if this build cannot have these settings.
    pub fn simulation(&self) -> Result<Simulation, Error> {
        Ok(self.header.settings.simulation()?.replay(self.trace.clone()))
    }
}

/// Reads a file from its bytes.
///
/// # Errors
/// It is no trace, is in another version, or has no header. Any other damage is a
/// [loss](Recording::loss).
pub fn decode(bytes: &[u8]) -> Result<Recording, Error> {
    Reader::new(Cursor::new(bytes))?.recording()
}

/// Reads a file.
///
/// # Errors
/// As [`decode`], and those of the file system.
pub fn load(path: &Path) -> Result<Recording, Error> {
    Reader::open(path)?.recording().map_err(|error| at(path, error))
}

/// Puts the file's name into an error that has none.
fn at(path: &Path, error: Error) -> Error {
    match error {
        Error::Io { error, .. } => Error::Io { path: path.to_owned(), error },
        other => other,
    }
}

/// A file, of which one part after the other can be read.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    bytes: u64,
    header: Header,
    places: Vec<Place>,
    /// Why the list of places ends where it does, if that is not the end of the file.
    broken: Option<(u64, Broken)>,
    indexed: bool,
}

impl Reader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`decode`], and those of the file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::Io { path: path.to_owned(), error })?;
        Self::new(BufReader::new(file)).map_err(|error| at(path, error))
    }
}

/// A reading that failed: the file is broken, or the operating system says no.
enum Failed {
    Broken(Broken),
    Io(std::io::Error),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Broken(Broken("the file ends too early")),
            _ => Self::Io(error),
        }
    }
}

fn io(error: std::io::Error) -> Error {
    Error::Io { path: "trace".into(), error }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads what a file is, and where everything is in it.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn new(mut from: R) -> Result<Self, Error> {
        let bytes = from.seek(SeekFrom::End(0)).map_err(io)?;
        from.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut preamble = [0; PREAMBLE_BYTES as usize];
        let have = bytes.min(PREAMBLE_BYTES) as usize;
        from.read_exact(&mut preamble[..have]).map_err(io)?;
        if have < MAGIC.len() || preamble[..MAGIC.len()] != MAGIC {
            return Err(Error::NoTrace);
        }
        let short = |reason: Broken| Error::NoHeader { reason: reason.to_string() };
        if bytes < PREAMBLE_BYTES {
            return Err(short(Broken("the file ends too early")));
        }
        let found = u16::from_le_bytes([preamble[8], preamble[9]]);
        if found != VERSION {
            return Err(Error::VersionMismatch { expected: VERSION, found });
        }
        let mut reader = Self {
            from,
            bytes,
            header: Header::default(),
            places: Vec::new(),
            broken: None,
            indexed: false,
        };
        let header = |reader: &mut Self| -> Result<(Place, Header), Failed> {
            let frame = reader.frame(PREAMBLE_BYTES)?;
            if ChunkKind::of(frame.kind)? != ChunkKind::Header {
                return Err(Broken("the first chunk is no header").into());
            }
            let payload = reader.payload(PREAMBLE_BYTES, &frame)?;
            let (kind, offset, length) = (ChunkKind::Header, PREAMBLE_BYTES, frame.length);
            let place = Place { kind, offset, length, first: 0, count: 0 };
            Ok((place, Header::decode(&payload)?))
        };
        match header(&mut reader) {
            Ok((place, header)) => {
                reader.header = header;
                reader.find(place)?;
                Ok(reader)
            }
            Err(Failed::Broken(broken)) => Err(short(broken)),
            Err(Failed::Io(error)) => Err(io(error)),
        }
    }

    /// Finds all chunks.
    fn find(&mut self, header: Place) -> Result<(), Error> {
        match self.read_index() {
            Ok(places) if places.first() == Some(&header) => {
                self.places = places;
                self.indexed = true;
                return Ok(());
            }
            Ok(_) | Err(Failed::Broken(_)) => {}
            Err(Failed::Io(error)) => return Err(io(error)),
        }
        self.places = vec![header];
        let mut offset = header.end();
        while offset < self.bytes {
            match self.scan(offset) {
                Ok(place) if place.kind == ChunkKind::Index => {
                    // Whole, and followed by something that is not what belongs there.
                    self.broken = Some((place.end(), Broken("the end of the file is wrong")));
                    return Ok(());
                }
                Ok(place) => {
                    offset = place.end();
                    self.places.push(place);
                }
                Err(Failed::Broken(broken)) => {
                    self.broken = Some((offset, broken));
                    return Ok(());
                }
                Err(Failed::Io(error)) => return Err(io(error)),
            }
        }
        if !self.places.iter().any(|place| place.kind == ChunkKind::Ending) {
            self.broken = Some((offset, Broken("the file ends too early")));
        }
        Ok(())
    }

    fn read_index(&mut self) -> Result<Vec<Place>, Failed> {
        let Some(at) = self.bytes.checked_sub(TRAILER_BYTES) else {
            return Err(Broken("the file ends too early").into());
        };
        self.from.seek(SeekFrom::Start(at))?;
        let mut trailer = [0; TRAILER_BYTES as usize];
        self.from.read_exact(&mut trailer)?;
        let offset = index::read_trailer(&trailer)?;
        if offset > at {
            return Err(Broken("the index is behind the end").into());
        }
        let frame = self.frame(offset)?;
        let end = offset + FRAME_BYTES as u64 + u64::from(frame.length);
        if ChunkKind::of(frame.kind)? != ChunkKind::Index || end != at {
            return Err(Broken("the index is not where it should be").into());
        }
        let payload = self.payload(offset, &frame)?;
        Ok(index::decode(&payload, offset)?)
    }

    /// The frame at `offset`. Its payload is within the file, and not too long.
    fn frame(&mut self, offset: u64) -> Result<Frame, Failed> {
        let left = self.bytes.checked_sub(offset).and_then(|it| it.checked_sub(FRAME_BYTES as u64));
        let left = left.ok_or(Broken("the file ends too early"))?;
        self.from.seek(SeekFrom::Start(offset))?;
        let mut bytes = [0; FRAME_BYTES];
        self.from.read_exact(&mut bytes)?;
        Ok(Frame::read(&bytes, left)?)
    }

    fn payload(&mut self, offset: u64, frame: &Frame) -> Result<Vec<u8>, Failed> {
        self.from.seek(SeekFrom::Start(offset + FRAME_BYTES as u64))?;
        let mut payload = vec![0; frame.length as usize];
        self.from.read_exact(&mut payload)?;
        frame.check(&payload)?;
        Ok(payload)
    }

    /// What the chunk at `offset` is, if it is whole.
    fn scan(&mut self, offset: u64) -> Result<Place, Failed> {
        let frame = self.frame(offset)?;
        let kind = ChunkKind::of(frame.kind)?;
        let payload = self.payload(offset, &frame)?;
        let (first, count) = match kind {
            ChunkKind::Decisions => {
                let span = codec::span(&payload)?;
                (span.first, span.count)
            }
            ChunkKind::Events => event::span(&payload)?,
            _ => (0, 0),
        };
        Ok(Place { kind, offset, length: frame.length, first, count })
    }

    /// The contents of a chunk.
    fn contents(&mut self, place: &Place) -> Result<Vec<u8>, Failed> {
        let frame = self.frame(place.offset)?;
        if (frame.kind, frame.length) != (place.kind.number(), place.length) {
            return Err(Broken("a chunk is another one than the index says").into());
        }
        self.payload(place.offset, &frame)
    }

    /// What the trace is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All chunks, in order, as far as they could be found.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether the chunks were found by an index.
    pub fn is_indexed(&self) -> bool {
        self.indexed
    }

    /// How long the file is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The events of one chunk.
    ///
    /// # Errors
    /// The chunk is damaged, or the operating system says no.
    pub fn events_of(&mut self, place: &Place) -> Result<Vec<Event>, Error> {
        let read = |reader: &mut Self| -> Result<Vec<Event>, Failed> {
            Ok(event::decode(&reader.contents(place)?)?)
        };
        read(self).map_err(|failed| match failed {
            Failed::Io(error) => io(error),
            Failed::Broken(broken) => {
                io(std::io::Error::new(ErrorKind::InvalidData, broken.to_string()))
            }
        })
    }

    /// Reads everything, up to the first damage.
    ///
    /// # Errors
    /// The operating system says no.
    pub fn recording(mut self) -> Result<Recording, Error> {
        let mut recording = Recording { header: self.header.clone(), ..Recording::default() };
        recording.trace.seed = self.header.seed;
        recording.trace.control = self.header.settings.script();
        let mut damage = None;
        let places = core::mem::take(&mut self.places);
        for place in &places {
            match self.read(place, &mut recording) {
                Ok(()) => {}
                Err(Failed::Io(error)) => return Err(io(error)),
                Err(Failed::Broken(broken)) => {
                    damage.get_or_insert((place.offset, broken));
                    // Decisions after a gap are worth nothing.
                    if place.kind == ChunkKind::Decisions {
                        break;
                    }
                }
            }
        }
        if let Some((offset, Broken(reason))) = damage.or(self.broken) {
            // What came of it all may still be there.
            let last = places.iter().rfind(|place| place.kind == ChunkKind::Ending);
            if recording.ending.is_none()
                && let Some(place) = last
                && let Err(Failed::Io(error)) = self.read(place, &mut recording)
            {
                return Err(io(error));
            }
            let decisions_read = recording.trace.decisions.len() as u64;
            let recorded = recording.ending.as_ref().map(|ending| ending.decisions);
            recording.loss = Some(Loss {
                offset,
                reason: reason.to_owned(),
                bytes: self.bytes.saturating_sub(offset),
                decisions_read,
                decisions_recorded: recorded,
                only_events: recorded == Some(decisions_read),
            });
        }
        Ok(recording)
    }

    fn read(&mut self, place: &Place, into: &mut Recording) -> Result<(), Failed> {
        if matches!(place.kind, ChunkKind::Header | ChunkKind::Index) {
            return Ok(());
        }
        let payload = self.contents(place)?;
        match place.kind {
            ChunkKind::Decisions => codec::decode(&payload, &mut into.trace)?,
            ChunkKind::Events => {
                // Looked at now, so that nobody meets a broken one later.
                let count = event::decode(&payload)?.len() as u64;
                into.events.count += count;
                into.events.chunks.push_back(payload);
            }
            ChunkKind::Ending => {
                let ending = Ending::decode(&payload)?;
                into.events.dropped = ending.events_dropped;
                into.ending = Some(ending);
            }
            _ => {}
        }
        Ok(())
    }
}
