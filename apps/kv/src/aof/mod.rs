//! The append-only file: every change is written down, and read again at the next start.
//!
//! ```text
//!   command ── effects ──▶ Journal ── batch ──▶ Writer ──▶ file, sync, mark, sync
//!      │                      ▲                   │
//!      └─ reply waits ────────┴───── lasts ◀──────┘
//! ```
//! While a command has its shards locked, it notes what it does. When the first of them is
//! unlocked, that becomes one record of the [`Journal`]. The writer, a fiber,
//! takes all records that have come and appends them to the file. What `--appendfsync` says
//! decides when they are made to last:
//!
//! * `always`: after each batch. Before a connection sends replies it waits until all that was
//!   written down so far lasts, reads included: what a client has seen is never lost. While one
//!   batch is made to last the next one collects, so many connections share a sync.
//! * `everysec`: when a second has passed since the last time. Replies wait until the system has what
//!   they tell of, so that it survives the end of the process; but not while a sync is running.
//! * `no`: at the end. The system decides when. Replies wait as above.
//!
//! Under each of them replies wait while more than 64 MiB wait to be written.
//!
//! # After a failure
//!
//! A write or sync that fails is the end of writing: nobody can tell what of the file lasts, and a
//! sync that succeeds later would not tell either. From then on until the next start
//!
//! * commands that write are refused with `-MISCONF` before they do anything,
//! * connections whose commands had run and whose replies had not been sent get `-MISCONF` in place of
//!   these replies, and are closed: their commands may or may not be there after the next start;
//! * reads go on. Under `always`, those that name a key whose last change does not last are refused
//!   as well: nobody sees what the next start may not have.
//!
//! # What the start finds
//!
//! What lasts is known by the marks, a second small file: under `always` each batch is synced,
//! then marked, then acknowledged. So what is within the mark was promised, and what is beyond it was
//! not. (Under `everysec` and `no` less is promised, and marked.)
//!
//! | the file | its marks | the start |
//! |---|---|---|
//! | missing | missing, or speak of an empty file | makes a new one |
//! | missing | speak of records | refuses: the file was lost |
//! | whole | any | goes on; what was not marked is written and synced once more, then marked |
//! | torn or damaged beyond the mark | | cuts it there, and says at which offset and how much |
//! | shorter than marked | | refuses: acknowledged records were lost |
//! | damaged within the mark | | refuses: names file, offset, record and reason |
//! | damaged anywhere | missing, both slots damaged, or of another file | refuses: it cannot be told what was promised |
//! | header damaged, or of a later version | any | refuses |
//! | a rewrite beside it | | removes that: it was not finished |
//!
//! Each damage by one fault (a flipped bit, a sector that cannot be read, a write that was lost or
//! went elsewhere, in one of the two files) is told from the torn end of a crash. Not detected are:
//! two faults that hit the last batch and the slot of the marks that speaks of it; the loss of both
//! files; files that were replaced by older ones together; damage that CRC32C does not see (one in
//! 2^32 of what changes more than 32 bits in a row).
//!
//! `--appendonly-repair` starts from a damaged file: it keeps the records before the damage, puts the
//! rest into `FILE.damaged-OFFSET`, and says what is lost. It does nothing to a file that is whole.
//!
//! Two servers must not use one file at the same time; nothing keeps them from it.

mod effect;
mod journal;
mod load;
mod mark;
mod record;
mod rewrite;
mod writer;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use effect::Effects;
pub use journal::{Journal, Status, Unsettled};
pub use load::{Corruption, OpenError};
pub(crate) use load::{expire, open};
pub(crate) use rewrite::rewrite_when_asked;
pub(crate) use writer::Writer;

/// A file beside `path`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// The directory that `path` is in.
fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
