//! The start: what is in the file becomes the keys, or the server does not start.
//!
//! The table in the [module above](super) says what is decided when. Everything that changes a file
//! here can be interrupted by a crash and begun again: a file gets its name when it is complete;
//! before a file is cut, its mark is; what is put aside is synced before the original is cut.

use core::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use raddle::on::{Clock, Platform, Rng, fs};

use super::effect::{Effect, Reading};
use super::mark::{self, Mark, Marks};
use super::record::{Damage, HEADER, Header, Reader};
use super::{beside, directory, rewrite};
use crate::config::{Config, Log};
use crate::keyspace::{Keyspace, now_ms};
use crate::log::log;
use crate::protocol::BULK_LENGTH_MAX;
use crate::table::Entry;

/// How much is read of a damaged file at a time, in bytes: about as much as a disk loses at once.
const BLOCK: usize = 4096;
/// How much of a whole file is copied at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// A file that was read to its end.
pub(crate) struct Opened<P: Platform> {
    pub(super) file: fs::File<P>,
    pub(super) marks: Marks<P>,
    pub(super) end: Mark,
}

/// Why the append-only file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The system does not let it.
    Io {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        cause: io::Error,
    },
    /// It is not what was written.
    Corrupt(Corruption),
}

/// An append-only file is not what was written.
#[derive(Debug)]
pub struct Corruption {
    /// Which file.
    pub path: PathBuf,
    /// Where the damage begins, in bytes.
    pub offset: u64,
    /// How long the file is, in bytes.
    pub length: u64,
    /// Whole records before the damage.
    pub records: u64,
    /// How much of the file is known to have been synced, in bytes; none if that is not known.
    pub synced: Option<u64>,
    /// Records that are known to have been synced and are not there any more; none if that is not
    /// known.
    pub lost: Option<u64>,
    /// What is there instead of a record.
    reason: String,
    repairable: bool,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, length, records, synced, lost, reason, repairable } = self;
        let path = path.display();
        write!(f, "append-only file {path} is damaged at offset {offset} of {length}: {reason}. ")?;
        match (synced, lost) {
            (Some(synced), Some(lost)) => write!(
                f,
                "It was synced up to offset {synced}: {lost} records that clients may rely on are \
                 lost; {records} before them are whole. "
            )?,
            _ => write!(
                f,
                "{records} records before that are whole. What of the rest clients rely on is not \
                 known: {path}.mark is missing, damaged, or of another file. "
            )?,
        }
        f.write_str("The server does not start with that. Restore the file from a copy")?;
        if *repairable {
            write!(
                f,
                "; or start once with --appendonly-repair, which keeps the {records} records \
                 before the damage and moves the rest to {path}.damaged-{offset}"
            )?;
        }
        f.write_str(".")
    }
}

impl core::error::Error for Corruption {}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, doing, cause } => {
                write!(f, "append-only file {}: {doing}: {cause}", path.display())
            }
            Self::Corrupt(corruption) => corruption.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } => Some(cause),
            Self::Corrupt(corruption) => Some(corruption),
        }
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Io { cause, .. } => cause.kind(),
            OpenError::Corrupt(_) => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Puts a file's name and what was tried to an error.
fn on(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |cause| OpenError::Io { path: path.to_owned(), doing, cause }
}

/// The state of the start.
struct Loading<'a, P: Platform> {
    keyspace: &'a Keyspace<P>,
    path: PathBuf,
    marks: Marks<P>,
    repair: bool,
    log: Log,
}

/// Reads the append-only file into an empty keyspace; makes a file if there is none.
///
/// # Errors
/// What the system says, and damage that is not to be [repaired](Config::appendonly_repair).
pub(crate) fn open<P: Platform>(
    keyspace: &Keyspace<P>,
    config: &Config,
) -> Result<Opened<P>, OpenError> {
    let path = config.append_only_path();
    remove_if_there::<P>(&rewrite::path_of(config))?;
    let marks = mark::path_of(&path);
    let marks = Marks::at(&marks).map_err(on(&marks, "opening the marks"))?;
    let loading =
        Loading { keyspace, path, marks, repair: config.appendonly_repair, log: config.log };
    let options = fs::OpenOptions::new().read(true).write(true);
    match options.open::<P>(&loading.path) {
        Ok(file) => loading.read_all(file),
        Err(error) if error.kind() == ErrorKind::NotFound => loading.begin(),
        Err(error) => Err(on(&loading.path, "opening it")(error)),
    }
}

fn remove_if_there<P: Platform>(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file::<P>(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(on(path, "removing what an interrupted rewrite left")(error))
        }
        _ => Ok(()),
    }
}

impl<P: Platform> Loading<'_, P> {
    /// There is no file.
    fn begin(self) -> Result<Opened<P>, OpenError> {
        let mark = self.marks.longest();
        if mark.end > HEADER {
            let corruption = Corruption {
                path: self.path.clone(),
                offset: 0,
                length: 0,
                records: 0,
                synced: Some(mark.end),
                lost: Some(mark.number.saturating_sub(1)),
                reason: "the file is missing".to_owned(),
                repairable: true,
            };
            self.refuse_or_report(corruption)?;
        }
        self.make()
    }

    /// Makes an empty file.
    fn make(mut self) -> Result<Opened<P>, OpenError> {
        let on = |doing| on(&self.path, doing);
        let (id, first) = (P::Rng::u64(), 1);
        let end = Mark { id, end: HEADER, number: first };
        let new = beside(&self.path, ".rewrite");
        let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true);
        let file: fs::File<P> = options.open(&new).map_err(on("making it"))?;
        file.write_all_at(&Header { id, first }.encode(), 0).map_err(on("writing its header"))?;
        file.sync_all().map_err(on("syncing it"))?;
        self.marks.write([end, Mark::default()]).map_err(on("marking it"))?;
        fs::rename::<P>(&new, &self.path).map_err(on("giving it its name"))?;
        fs::sync_dir::<P>(directory(&self.path)).map_err(on("syncing its directory"))?;
        Ok(Opened { file, marks: self.marks, end })
    }

    /// There is a file.
    fn read_all(mut self, file: fs::File<P>) -> Result<Opened<P>, OpenError> {
        let length = file.len().map_err(on(&self.path, "asking for its length"))?;
        let header = match read_header(&file, length) {
            Ok(header) => header,
            Err(damage) => return self.without_header(file, length, &damage),
        };
        let marked = self.marks.of(header.id);
        if marked.is_none() {
            let message = format_args!(
                "{}: the marks of what was synced are missing, damaged, or of another file",
                self.path.display()
            );
            log(self.log, Log::Warn, message);
        }
        let mut reader = Reader::new(&file, header.id, (HEADER, header.first), length);
        let damage = loop {
            match reader.next() {
                Ok(Some(payload)) => {
                    if !apply(self.keyspace, payload) {
                        reader.take_back();
                        break Some(Damage::Senseless);
                    }
                }
                Ok(None) => break None,
                Err(damage) => break Some(damage),
            }
        };
        let end = Mark { id: header.id, end: reader.offset, number: reader.number };
        drop(reader);
        self.settle(&file, header, end, marked, length, damage)?;
        // What is not marked may be in the system's memory and nowhere else, and believed by it
        // to be on the disk: that is how systems are after a sync that failed. So it is written
        // once more.
        let from = marked.map_or(HEADER, |mark| mark.end.min(end.end));
        write_again(&file, from, end.end).map_err(on(&self.path, "writing its end once more"))?;
        file.sync_all().map_err(on(&self.path, "syncing it"))?;
        self.marks.write([end, Mark::default()]).map_err(on(&self.path, "marking it"))?;
        fs::sync_dir::<P>(directory(&self.path))
            .map_err(on(&self.path, "syncing its directory"))?;
        Ok(Opened { file, marks: self.marks, end })
    }

    /// Decides what is to be done if the records end before the file, or before the mark.
    fn settle(
        &mut self,
        file: &fs::File<P>,
        header: Header,
        end: Mark,
        marked: Option<Mark>,
        length: u64,
        damage: Option<Damage>,
    ) -> Result<(), OpenError> {
        let lost = marked.map_or(damage.is_some(), |mark| end.end < mark.end);
        let reason = match &damage {
            Some(damage) => damage.to_string(),
            None => "the file ends".to_owned(),
        };
        if lost {
            let corruption = Corruption {
                path: self.path.clone(),
                offset: end.end,
                length,
                records: end.number - header.first,
                synced: marked.map(|mark| mark.end),
                lost: marked.map(|mark| mark.number.saturating_sub(end.number)),
                reason,
                repairable: true,
            };
            self.refuse_or_report(corruption)?;
            self.put_aside(file, end.end, length)?;
        } else if damage.is_some() {
            let message = format_args!(
                "{}: cut at offset {}, {} bytes that were not synced are dropped \
                 ({reason})",
                self.path.display(),
                end.end,
                length - end.end
            );
            log(self.log, Log::Warn, message);
        } else {
            return Ok(());
        }
        // The mark first: a file that is shorter than marked would be taken for damaged.
        self.marks.write([end, Mark::default()]).map_err(on(&self.path, "marking it"))?;
        file.set_len(end.end).map_err(on(&self.path, "cutting it"))
    }

    /// The header is damaged: nothing of the file can be trusted.
    fn without_header(
        self,
        file: fs::File<P>,
        length: u64,
        damage: &Damage,
    ) -> Result<Opened<P>, OpenError> {
        let mark = self.marks.longest();
        let repairable = !matches!(damage, Damage::Version(_));
        let corruption = Corruption {
            path: self.path.clone(),
            offset: 0,
            length,
            records: 0,
            synced: self.marks.known.then_some(mark.end),
            lost: self.marks.known.then(|| mark.number.saturating_sub(1)),
            reason: damage.to_string(),
            repairable,
        };
        if !repairable {
            return Err(OpenError::Corrupt(corruption));
        }
        self.refuse_or_report(corruption)?;
        self.put_aside(&file, 0, length)?;
        self.make()
    }

    fn refuse_or_report(&self, corruption: Corruption) -> Result<(), OpenError> {
        if !self.repair {
            return Err(OpenError::Corrupt(corruption));
        }
        let Corruption { path, offset, length, records, lost, reason, .. } = &corruption;
        let lost: &dyn fmt::Display = match lost {
            Some(lost) => lost,
            None => &"an unknown number of",
        };
        let message = format_args!(
            "repaired {}: damaged at offset {offset} ({reason}); {records} records before it are \
             kept, {} bytes from there on are put aside, {lost} records that clients may rely on \
             are lost",
            path.display(),
            length - offset
        );
        log(self.log, Log::Error, message);
        Ok(())
    }

    /// Copies what is from `offset` on to a file beside, as far as it can be read.
    fn put_aside(&self, file: &fs::File<P>, offset: u64, length: u64) -> Result<(), OpenError> {
        if offset >= length {
            return Ok(());
        }
        let path = self.free_name(offset)?;
        let on = |doing| on(&path, doing);
        let options = fs::OpenOptions::new().write(true).create_new(true);
        let copy: fs::File<P> = options.open(&path).map_err(on("making it"))?;
        let mut block = [0; BLOCK];
        let (mut from, mut unreadable) = (offset, 0);
        while from < length {
            // To the next multiple, so that a block of the disk is read once.
            let count = (BLOCK as u64 - from % BLOCK as u64).min(length - from) as usize;
            let block = &mut block[..count];
            if file.read_exact_at(block, from).is_err() {
                block.fill(0);
                unreadable += count;
            }
            copy.write_all_at(block, from - offset).map_err(on("copying the damaged part"))?;
            from += count as u64;
        }
        copy.sync_all().map_err(on("syncing it"))?;
        fs::sync_dir::<P>(directory(&path)).map_err(on("syncing its directory"))?;
        let message = format_args!(
            "the damaged part is in {}, {unreadable} bytes of it could not be read and are zero",
            path.display()
        );
        log(self.log, Log::Error, message);
        Ok(())
    }

    /// A name for what is put aside that no file has.
    fn free_name(&self, offset: u64) -> Result<PathBuf, OpenError> {
        let first = beside(&self.path, &format!(".damaged-{offset}"));
        let others = (2..1000).map(|count| beside(&first, &format!("-{count}")));
        for path in core::iter::once(first.clone()).chain(others) {
            match fs::File::<P>::open(&path) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(path),
                Err(error) => return Err(on(&path, "looking whether it is there")(error)),
            }
        }
        Err(on(&first, "putting the damaged part aside")(ErrorKind::AlreadyExists.into()))
    }
}

fn read_header<P: Platform>(file: &fs::File<P>, length: u64) -> Result<Header, Damage> {
    if length < HEADER {
        return Err(Damage::Short);
    }
    let mut bytes = [0; HEADER as usize];
    file.read_exact_at(&mut bytes, 0).map_err(Damage::Unreadable)?;
    Header::decode(&bytes)
}

/// Writes over a part of the file what is there already.
fn write_again<P: Platform>(file: &fs::File<P>, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut at = from;
    while at < to {
        let count = (to - at).min(CHUNK as u64) as usize;
        buffer.resize(count, 0);
        file.read_exact_at(&mut buffer, at)?;
        file.write_all_at(&buffer, at)?;
        at += count as u64;
    }
    Ok(())
}

/// Repeats the effects of a record; `false` if it makes no sense. Deadlines are kept in milliseconds
/// since 1970 [for now](expire): until all records were read, no key expires.
fn apply<P: Platform>(keyspace: &Keyspace<P>, payload: &[u8]) -> bool {
    // First all of it is looked at: a record is done as a whole or not at all.
    let whole = |reading: Reading<'_>| reading.into_iter().all(|effect| effect.is_some());
    if !Reading::new(payload).is_some_and(whole) {
        return false;
    }
    for effect in Reading::new(payload).into_iter().flatten().flatten() {
        let Some(key) = effect.key() else {
            keyspace.clear();
            continue;
        };
        let hash = keyspace.hash(key);
        let mut shard = keyspace.lock(hash);
        match effect {
            Effect::Set { value, deadline, .. } => shard.set(hash, key, value, deadline),
            Effect::Remove { .. } => shard.discard(hash, key),
            Effect::Deadline { deadline, .. } => shard.change_deadline(hash, key, deadline),
            Effect::Append { at, tail, .. } => {
                let Ok(at @ ..=BULK_LENGTH_MAX) = usize::try_from(at) else { return false };
                shard.append_at(hash, key, at, tail);
            }
            Effect::Clear => unreachable!("it has no key"),
        }
    }
    true
}

/// After all records were read: removes the keys that have expired meanwhile, and gives the others
/// deadlines on the monotonic clock.
pub(crate) fn expire<P: Platform>(keyspace: &Keyspace<P>) {
    let wall = u64::try_from(P::Clock::wall().as_millis()).unwrap_or(u64::MAX);
    let now = now_ms::<P>();
    keyspace.change_deadlines(|deadline| {
        let rest = deadline.checked_sub(wall).filter(|rest| *rest > 0)?;
        Some(now.saturating_add(rest).min(Entry::NEVER - 1))
    });
}
