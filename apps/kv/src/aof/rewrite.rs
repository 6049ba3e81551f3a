//! A shorter file that says the same.
//!
//! 1. Note where the old file ends now. All records before that place are of changes that the
//!    keyspace already has.
//! 2. Walk through all keys and write what they have to a new file beside the old one. Meanwhile the
//!    server goes on: keys that were visited change again, and records of that go to the old file.
//! 3. Copy the records after the noted place to the new file, each under its new number. Some of them
//!    are of changes that the walk has seen; to repeat them does no harm, because all that came
//!    after them is repeated too (see [`effect`](super::effect)).
//! 4. Sync it, and give it to the [writer](super::writer), which copies the few records that came
//!    since, marks both files, renames the new one over the old, and syncs the directory.
//!
//! So each record that was acknowledged is, at every moment, in the file that the next start finds.
//! The memory that all this takes does not depend on how much there is to write.

use std::io;
use std::path::PathBuf;

use raddle::on::{Arc, Platform, Rng, fs, yield_now};

use super::effect::{Effects, clock_difference};
use super::journal::{Journal, Payloads};
use super::mark::Mark;
use super::record::{Damage, HEADER, Header, Reader, frame};
use crate::config::{Config, Log};
use crate::keyspace::{Keyspace, Place};
use crate::log::log;

/// A record of the walk is made when so many bytes have come together.
const CHUNK: usize = 64 << 10;
/// What is written at a time, in bytes.
const WRITE: usize = 256 << 10;
/// The writer is let wait when no more than so many bytes are left to copy.
const REST: u64 = 256 << 10;
/// How often the rewriter tries to come that close to a writer that goes on.
const ROUNDS: usize = 10;

/// A file that says the same as another one did.
pub(super) struct Rewritten<P: Platform> {
    pub(super) file: Arc<fs::File<P>, P>,
    pub(super) path: PathBuf,
    /// What is in it.
    pub(super) end: Mark,
    /// Up to where the old file was copied, and the number of the record there.
    copied: (u64, u64),
    framed: Vec<u8>,
    log: Log,
}

fn broken(offset: u64, damage: Damage) -> io::Error {
    match damage {
        Damage::Unreadable(error) => error,
        damage => io::Error::other(format!("the old file is damaged at offset {offset}: {damage}")),
    }
}

fn ended() -> io::Error {
    io::Error::other("the server ends")
}

impl<P: Platform> Rewritten<P> {
    fn new(config: &Config, old: Mark) -> io::Result<Self> {
        let path = path_of(config);
        let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true);
        let file: fs::File<P> = options.open(&path)?;
        let header = Header { id: P::Rng::u64(), first: 1 };
        file.write_all_at(&header.encode(), 0)?;
        Ok(Self {
            file: Arc::new_in(file),
            path,
            end: Mark { id: header.id, end: HEADER, number: header.first },
            copied: (old.end, old.number),
            framed: Vec::new(),
            log: config.log,
        })
    }

    fn add(&mut self, payload: &[u8]) -> io::Result<()> {
        frame(&mut self.framed, self.end.id, self.end.number, payload);
        self.end.number += 1;
        if self.framed.len() >= WRITE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.framed, self.end.end)?;
        self.end.end += self.framed.len() as u64;
        self.framed.clear();
        self.framed.shrink_to(2 * WRITE);
        Ok(())
    }

    /// Writes what all keys have.
    fn write_keys(&mut self, keyspace: &Keyspace<P>, journal: &Journal<P>) -> io::Result<()> {
        let mut place = Some(Place::default());
        let mut effects = Effects::default();
        let mut payloads = Vec::new();
        while let Some(from) = place {
            place = keyspace.visit_some(from, |entry| {
                effects.set(entry.key(), entry.value.as_slice(), entry.deadline);
                if effects.as_bytes().len() >= CHUNK {
                    collect::<P>(&mut effects, &mut payloads);
                }
            });
            if payloads.len() >= CHUNK || place.is_none() {
                collect::<P>(&mut effects, &mut payloads);
                for payload in Payloads(&payloads) {
                    self.add(payload)?;
                }
                payloads.clear();
                payloads.shrink_to(4 * CHUNK);
            }
            if journal.is_ending() {
                return Err(ended());
            }
            yield_now::<P>();
        }
        self.flush()
    }

    /// Copies the records of the old file up to `end`.
    fn copy(&mut self, old: &fs::File<P>, id: u64, end: u64) -> io::Result<()> {
        let mut reader = Reader::new(old, id, self.copied, end);
        loop {
            match reader.next() {
                Ok(Some(payload)) => self.add(payload)?,
                Ok(None) => break,
                Err(damage) => return Err(broken(reader.offset, damage)),
            }
        }
        self.copied = (reader.offset, reader.number);
        self.flush()
    }

    /// Copies what is left of the old file, which nobody writes to now, and syncs.
    pub(super) fn finish(&mut self, old: &fs::File<P>, end: Mark) -> io::Result<()> {
        self.copy(old, end.id, end.end)?;
        debug_assert_eq!(self.copied, (end.end, end.number), "all records were copied");
        self.file.sync_all()
    }

    /// Removes it.
    pub(super) fn give_up(self, error: &io::Error) {
        log(self.log, Log::Warn, format_args!("rewriting the append-only file: {error}"));
        // If it stays there, the next start removes it.
        let _ = fs::remove_file::<P>(&self.path);
    }
}

/// Makes a record of `effects`.
fn collect<P: Platform>(effects: &mut Effects, payloads: &mut Vec<u8>) {
    if effects.is_empty() {
        return;
    }
    let difference = if effects.is_timed() { clock_difference::<P>() } else { 0 };
    payloads.extend_from_slice(&(8 + effects.as_bytes().len() as u32).to_le_bytes());
    payloads.extend_from_slice(&difference.to_le_bytes());
    payloads.extend_from_slice(effects.as_bytes());
    effects.forget();
}

/// Where a file is made that is to take another one's place.
pub(super) fn path_of(config: &Config) -> PathBuf {
    super::beside(&config.append_only_path(), ".rewrite")
}

/// Rewrites the file whenever somebody wants it, until the journal ends.
pub(crate) fn rewrite_when_asked<P: Platform>(
    keyspace: &Keyspace<P>,
    journal: &Journal<P>,
    config: &Config,
) {
    while journal.wait_for_wish() {
        match rewrite(keyspace, journal, config) {
            Ok(rewritten) => journal.hand_over(Box::new(rewritten)),
            Err(error) => {
                log(config.log, Log::Warn, format_args!("rewriting the append-only file: {error}"));
                // If it stays there, the next start removes it.
                let _ = fs::remove_file::<P>(path_of(config));
                journal.rewrite_ended(None);
            }
        }
    }
}

fn rewrite<P: Platform>(
    keyspace: &Keyspace<P>,
    journal: &Journal<P>,
    config: &Config,
) -> io::Result<Rewritten<P>> {
    let (old, from) = journal.file();
    let mut rewritten = Rewritten::<P>::new(config, from)?;
    rewritten.write_keys(keyspace, journal)?;
    for _ in 0..ROUNDS {
        let (_, end) = journal.file();
        if end.end - rewritten.copied.0 <= REST {
            break;
        }
        rewritten.copy(&old, end.id, end.end)?;
        if journal.is_ending() {
            return Err(ended());
        }
    }
    // Most of it, while the writer goes on.
    rewritten.file.sync_data()?;
    Ok(rewritten)
}
