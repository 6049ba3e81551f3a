//! Writes trace files.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::chunk::{self, MAX_PAYLOAD};
use super::error::{Broken, Error};
use super::header::{Ending, Header};
use super::index::{self, ChunkKind, Place};
use super::reader::Recording;
use super::{MAGIC, PREAMBLE_BYTES, VERSION, codec, event};
use crate::decisions::Trace;
use crate::report::Report;
use crate::simulation::Simulation;
use crate::trace::event::Events;

/// Writes a trace, chunk by chunk. What is written is readable even if nothing comes after it; the
/// memory that it takes is that of one chunk, and a few bytes for each of those before.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    offset: u64,
    places: Vec<Place>,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Those of `to`; and if the header has more than a chunk's bytes.
    pub fn new(mut to: W, header: &Header) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&[0; 2])?;
        let mut writer = Self { to, offset: PREAMBLE_BYTES, places: Vec::new() };
        writer.chunk(ChunkKind::Header, 0, 0, &header.encode())?;
        Ok(writer)
    }

    fn chunk(&mut self, kind: ChunkKind, first: u64, count: u64, payload: &[u8]) -> io::Result<()> {
        if payload.len() > MAX_PAYLOAD {
            let message = format!("{} bytes are more than a chunk can hold", payload.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut bytes = Vec::with_capacity(payload.len() + chunk::FRAME_BYTES);
        chunk::put(&mut bytes, kind.number(), payload);
        self.to.write_all(&bytes)?;
        let length = payload.len() as u32;
        self.places.push(Place { kind, offset: self.offset, length, first, count });
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes all decisions of a trace.
    ///
    /// # Errors
    /// Those of the file.
    pub fn decisions(&mut self, trace: &Trace) -> io::Result<()> {
        for first in (0..trace.decisions.len()).step_by(codec::CHUNK_DECISIONS) {
            let payload = codec::encode(trace, first);
            let count = (trace.decisions.len() - first).min(codec::CHUNK_DECISIONS);
            self.chunk(ChunkKind::Decisions, first as u64, count as u64, &payload)?;
        }
        Ok(())
    }

    /// Writes recorded events.
    ///
    /// # Errors
    /// Those of the file.
    pub fn events(&mut self, events: &Events) -> io::Result<()> {
        let wrong = |Broken(what)| io::Error::new(io::ErrorKind::InvalidData, what);
        for payload in &events.chunks {
            let (first, count) = event::span(payload).map_err(wrong)?;
            self.chunk(ChunkKind::Events, first, count, payload)?;
        }
        Ok(())
    }

    /// Writes what readers of another build may pass over.
    ///
    /// # Errors
    /// Those of the file; and if `number` is one of a chunk that must not be passed over.
    pub fn other(&mut self, number: u8, payload: &[u8]) -> io::Result<()> {
        if number < 0x80 || payload.is_empty() {
            let message = "chunks of one's own have numbers from 0x80 on, and are not empty";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.chunk(ChunkKind::Other(number), 0, 0, payload)
    }

    /// Writes what came of the execution, and the index.
    ///
    /// # Errors
    /// Those of the file.
    pub fn finish(mut self, ending: &Ending) -> io::Result<W> {
        self.chunk(ChunkKind::Ending, 0, 0, &ending.encode())?;
        let offset = self.offset;
        let payload = index::encode(&self.places);
        // A file with more chunks than an index can name is read from its beginning instead.
        if payload.len() <= MAX_PAYLOAD {
            self.chunk(ChunkKind::Index, 0, 0, &payload)?;
            self.to.write_all(&index::trailer(offset))?;
        }
        self.to.flush()?;
        Ok(self.to)
    }
}

/// A recording as the bytes of a file.
///
/// # Errors
/// A part of it is larger than the format allows.
pub fn encode(recording: &Recording) -> Result<Vec<u8>, Error> {
    let write = || {
        let mut writer = Writer::new(Vec::new(), &recording.header)?;
        writer.decisions(&recording.trace)?;
        writer.events(&recording.events)?;
        writer.finish(&recording.ending.clone().unwrap_or_default())
    };
    write().map_err(|error| Error::Io { path: "trace".into(), error })
}

/// Writes a recording into a file, and makes its folder. A file that is there is replaced when all
/// is written, and not before.
///
/// # Errors
/// Those of the file system.
pub fn save(path: &Path, recording: &Recording) -> Result<(), Error> {
    let bytes = encode(recording)?;
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&partial, &bytes)?;
        fs::rename(&partial, path)
    };
    write().map_err(|error| Error::Io { path: path.to_owned(), error })
}

impl Simulation {
    /// What this simulation of `scenario` gave, as a file can hold it.
    pub fn recording(&self, scenario: &str, report: &Report) -> Recording {
        Recording {
            header: Header::new(
                scenario,
                &self.clone().scripted(report.trace.control.clone()),
                report.seed,
            ),
            trace: report.trace.clone(),
            events: report.events.clone().unwrap_or_default(),
            ending: Some(Ending::new(report)),
            loss: None,
        }
    }

    /// Writes what this simulation of `scenario` gave into a trace file.
    ///
    /// ```no_run
    /// use raddle_vopr::Simulation;
    ///
    /// # fn program() {}
    /// let simulation = Simulation::new();
    /// let report = simulation.run(program);
    /// if report.failure().is_some() {
    ///     simulation.save_trace("target/vopr/failure.trace", "tests/program", &report)?;
    /// }
    /// # Ok::<(), raddle_vopr::trace::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_trace(
        &self,
        path: impl AsRef<Path>,
        scenario: &str,
        report: &Report,
    ) -> Result<(), Error> {
        save(path.as_ref(), &self.recording(scenario, report))
    }
}
