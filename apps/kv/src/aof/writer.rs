//! The fiber that writes.
//!
//! Only it writes to the file and to the marks, so what it does stands in one order: batch, sync,
//! mark, sync, next batch. It is no child of the server's stop token: it ends when the journal is
//! told that no more commands are run, and then has written and synced everything.

use core::fmt;
use core::time::Duration;
use std::io;

use raddle::on::{Arc, Clock, Instant, Platform, fs};

use super::journal::{Journal, Payloads, Work};
use super::load::Opened;
use super::mark::{Mark, Marks};
use super::record::frame;
use super::rewrite::Rewritten;
use crate::config::{Config, Fsync, Log};
use crate::log::log;

/// How long `everysec` lets written records wait for their sync.
const SECOND: Duration = Duration::from_secs(1);
/// Larger buffers are given back after use.
const KEPT_MAX: usize = 1 << 20;

/// The append-only file that is written to.
pub(crate) struct Writer<P: Platform> {
    journal: Arc<Journal<P>, P>,
    file: Arc<fs::File<P>, P>,
    marks: Marks<P>,
    /// What is in the file.
    end: Mark,
    /// How much of it is synced, in bytes.
    synced: u64,
    /// When the next sync is due, under `everysec`.
    due: Option<Instant>,
    policy: Fsync,
    growth: Growth,
    path: std::path::PathBuf,
    log: Log,
    framed: Vec<u8>,
    /// Whether writing has ended, well or not.
    ended: bool,
}

/// When the file is rewritten without being asked for.
#[derive(Clone, Copy, Debug)]
struct Growth {
    percentage: u64,
    size_min: u64,
    base: u64,
}

impl Growth {
    fn is_too_large(self, size: u64) -> bool {
        let bound = u128::from(self.base) * u128::from(100 + self.percentage) / 100;
        self.percentage > 0 && size >= self.size_min && u128::from(size) > bound
    }
}

/// What failed, and why.
struct Failure {
    doing: &'static str,
    cause: io::Error,
}

fn doing(doing: &'static str) -> impl FnOnce(io::Error) -> Failure {
    move |cause| Failure { doing, cause }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.cause)
    }
}

impl<P: Platform> Writer<P> {
    /// Goes on where reading has ended.
    pub(crate) fn new(opened: Opened<P>, config: &Config) -> Self {
        let Opened { file, marks, end } = opened;
        let growth = Growth {
            percentage: config.auto_aof_rewrite_percentage.into(),
            size_min: config.auto_aof_rewrite_min_size.0 as u64,
            base: end.end,
        };
        let file = Arc::<_, P>::new_in(file);
        Self {
            journal: Arc::new_in(Journal::new(config.appendfsync, file.clone(), end)),
            file,
            marks,
            end,
            synced: end.end,
            due: None,
            policy: config.appendfsync,
            growth,
            path: config.append_only_path(),
            log: config.log,
            framed: Vec::new(),
            ended: false,
        }
    }

    /// What it writes.
    pub(crate) fn journal(&self) -> &Arc<Journal<P>, P> {
        &self.journal
    }

    /// Writes until the journal ends, or writing fails.
    pub(crate) fn run(mut self) {
        let journal = self.journal.clone();
        let mut batch = Vec::new();
        loop {
            let done = match journal.next_work(&mut batch, self.due) {
                Work::Batch(count) => self.write_batch(&batch, count),
                Work::Sync => self.sync_beside(),
                Work::Switch(rewritten) => self.switch(*rewritten),
                Work::End => break,
            };
            if let Err(failure) = done {
                let message = format_args!(
                    "append-only file {}: {failure}; writing commands are refused until the \
                     server is started again",
                    self.path.display()
                );
                log(self.log, Log::Error, message);
                self.ended = true;
                journal.fail(&batch);
                return;
            }
            batch.shrink_to(KEPT_MAX);
        }
        self.ended = true;
        if let Err(failure) = self.sync() {
            let message = format_args!(
                "append-only file {}: {failure}; the last records may be lost",
                self.path.display()
            );
            log(self.log, Log::Error, message);
        }
    }

    fn write_batch(&mut self, batch: &[u8], count: u64) -> Result<(), Failure> {
        self.framed.clear();
        for payload in Payloads(batch) {
            frame(&mut self.framed, self.end.id, self.end.number, payload);
            self.end.number += 1;
        }
        self.file.write_all_at(&self.framed, self.end.end).map_err(doing("writing"))?;
        self.end.end += self.framed.len() as u64;
        self.framed.shrink_to(KEPT_MAX);
        if self.policy == Fsync::Always {
            self.sync()?;
        }
        self.journal.written(count, self.end);
        if self.policy == Fsync::Everysec {
            let now = P::Clock::now();
            if *self.due.get_or_insert(now + SECOND) <= now {
                self.sync_beside()?;
            }
        }
        if self.growth.is_too_large(self.end.end) && self.journal.ask_for_rewrite() {
            log(self.log, Log::Info, format_args!("the append-only file has grown: rewriting it"));
            // Not again before this one has ended.
            self.growth.base = self.end.end;
        }
        Ok(())
    }

    /// As [`sync`](Self::sync), while connections go on.
    fn sync_beside(&mut self) -> Result<(), Failure> {
        self.journal.set_syncing(true);
        let synced = self.sync();
        self.journal.set_syncing(false);
        synced
    }

    /// Makes all last that was written, and marks it.
    fn sync(&mut self) -> Result<(), Failure> {
        self.due = None;
        if self.synced == self.end.end {
            return Ok(());
        }
        self.file.sync_data().map_err(doing("syncing"))?;
        self.marks.write([self.end, Mark::default()]).map_err(doing("marking what is synced"))?;
        self.synced = self.end.end;
        Ok(())
    }

    /// Lets a rewritten file take the place of this one.
    ///
    /// Until the new one is complete and synced, a failure is only that of the rewrite. From then
    /// on one of the two has the name, and it is not known which, until the directory is synced.
    fn switch(&mut self, mut rewritten: Rewritten<P>) -> Result<(), Failure> {
        if let Err(error) = rewritten.finish(&self.file, self.end) {
            rewritten.give_up(&error);
            self.journal.rewrite_ended(None);
            return Ok(());
        }
        // The old file may be the one that is found, so it must last as far as it is marked.
        self.sync()?;
        let Rewritten { file, path, end, .. } = rewritten;
        self.marks.write([self.end, end]).map_err(doing("marking what is synced"))?;
        fs::rename::<P>(&path, &self.path).map_err(doing("renaming the rewritten file"))?;
        fs::sync_dir::<P>(super::directory(&self.path)).map_err(doing("syncing the directory"))?;
        self.marks.write([end, Mark::default()]).map_err(doing("marking what is synced"))?;
        let before = self.end.end;
        self.file = file.clone();
        self.end = end;
        self.synced = end.end;
        self.growth.base = end.end;
        self.journal.rewrite_ended(Some((file, end)));
        let message =
            format_args!("the append-only file was rewritten: {before} bytes became {}", end.end);
        log(self.log, Log::Info, message);
        Ok(())
    }
}

impl<P: Platform> Drop for Writer<P> {
    fn drop(&mut self) {
        // After a panic nobody would tell those who wait.
        if !self.ended {
            self.journal.fail(&[]);
        }
    }
}
