//! Files, in std's shape.
//!
//! Each operation has a blocking form, which parks the calling fiber (or blocks a plain thread),
//! and an asynchronous one. Neither is a cancellation point: an operation on a file waits for
//! nobody but the disk, half a write is of no use to anybody, and what a program writes when it ends
//! it writes in fibers that were cancelled.
//!
//! A future can be dropped at any time, and a file knows no readiness; so the asynchronous forms
//! *own* their buffers, and hand them back with the result. One that is dropped leaves file and
//! buffer with the driver until the operation has ended, which may or may not have been carried
//! out.
//!
//! What is written lasts when a [`File::sync_data`] or [`File::sync_all`] that began afterwards has
//! succeeded; a name (of a file that was made, renamed or removed) when its directory was
//! [synced](sync_dir). A sync that fails tells so once: do not repeat it, but take what was written
//! since the last one that succeeded for lost.
//!
//! ```
//! use raddle_runtime::fs::{self, OpenOptions};
//! use raddle_runtime::{Native, Runtime};
//!
//! let path = std::env::temp_dir().join(format!("raddle-doc-{}", std::process::id()));
//! let runtime: Runtime = Runtime::new()?;
//! # let theirs = path.clone();
//! let text = runtime.run(move || {
//! #   let path = theirs;
//!     let log = OpenOptions::new().append(true).create(true).open::<Native>(&path)?;
//!     log.append_all(b"warp and weft")?;
//!     log.sync_data()?;
//!     let text = fs::read::<Native>(&path)?;
//!     fs::remove_file::<Native>(&path)?;
//!     Ok::<_, std::io::Error>(text)
//! });
//! assert_eq!(text.unwrap()?, b"warp and weft");
//! # Ok::<(), std::io::Error>(())
//! ```

mod file;
mod flight;
mod options;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use raddle_platform::Driver as _;
use raddle_platform::Platform;
use raddle_platform::driver::{Completion, Op, Token};
use raddle_platform::suspend::Limits;

use crate::io::perform;
use flight::{Flight, Request};

pub use file::File;
pub use options::OpenOptions;

/// A name as the kernel has it.
fn name(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "a file name with a zero byte in it")
    })
}

/// Whether an operation was interrupted before it did anything, and is to be repeated. Nobody
/// asks for the end of an operation that he still waits for, so its token was mistaken.
fn is_interrupted(result: i32) -> bool {
    result == -libc_errno::EINTR || result == -libc_errno::ECANCELED
}

/// Numbers of errors. They are the same on all Linux machines.
mod libc_errno {
    pub(super) const EINTR: i32 = 4;
    pub(super) const ECANCELED: i32 = 125;
}

/// Does `op` with the calling fiber parked, or the calling thread blocked.
///
/// # Safety
/// The memory that `op` names is valid during the call, and nobody else uses it.
unsafe fn run<P: Platform>(op: Op) -> io::Result<u32> {
    loop {
        // SAFETY: the caller's promise.
        let result = match unsafe { perform::<P>(op, Limits::NONE) } {
            Some(Ok(Ok(value))) => return Ok(value),
            Some(Ok(Err(error))) => match error.raw_os_error() {
                Some(number) => -number,
                None => return Err(error),
            },
            Some(Err(_)) => unreachable!("the operation has no limits"),
            // SAFETY: the caller's promise.
            None => unsafe { P::Driver::block_on(op) },
        };
        if !is_interrupted(result) {
            return Completion { token: Token(0), result }.into_result();
        }
        // COVERAGE-EXCLUDE(loom): nothing interrupts operations on files there
        P::retry("a file operation was interrupted");
    }
}

/// Gives a file another name, at once, in place of the file that has it.
/// [Sync](sync_dir) the directory to make it last.
///
/// # Errors
/// The kernel's.
pub fn rename<P: Platform>(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (name(from.as_ref())?, name(to.as_ref())?);
    // SAFETY: both names outlive the call.
    unsafe { run::<P>(Op::Rename { from: from.as_ptr(), to: to.as_ptr() }) }.map(drop)
}

/// As [`rename`], without blocking.
///
/// # Errors
/// The kernel's.
pub async fn rename_async<P: Platform>(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> io::Result<()> {
    let request = Request::Rename { from: name(from.as_ref())?, to: name(to.as_ref())? };
    Flight::<P>::new(request).await.0.map(drop)
}

/// Removes a file's name, and the file with its last one. [Sync](sync_dir) the directory to make it
/// last.
///
/// # Errors
/// The kernel's.
pub fn remove_file<P: Platform>(path: impl AsRef<Path>) -> io::Result<()> {
    let path = name(path.as_ref())?;
    // SAFETY: the name outlives the call.
    unsafe { run::<P>(Op::Remove { path: path.as_ptr() }) }.map(drop)
}

/// As [`remove_file`], without blocking.
///
/// # Errors
/// The kernel's.
pub async fn remove_file_async<P: Platform>(path: impl AsRef<Path>) -> io::Result<()> {
    Flight::<P>::new(Request::Remove { path: name(path.as_ref())? }).await.0.map(drop)
}

/// Makes the names in a directory last: those that were made, renamed or removed before the call.
///
/// # Errors
/// The kernel's; the names are in doubt then, also if a later call succeeds.
pub fn sync_dir<P: Platform>(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::directory().open::<P>(path)?.sync_all()
}

/// As [`sync_dir`], without blocking.
///
/// # Errors
/// As [`sync_dir`].
pub async fn sync_dir_async<P: Platform>(path: impl AsRef<Path>) -> io::Result<()> {
    OpenOptions::directory().open_async::<P>(path).await?.sync_all_async().await
}

/// All of a file.
///
/// # Errors
/// The kernel's.
pub fn read<P: Platform>(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    File::<P>::open(path)?.read_to_end()
}
