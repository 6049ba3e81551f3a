//! Files, in std's shape; see [`raddle_runtime::fs`].
//!
//! ```
//! use raddle::fs::{self, OpenOptions};
//!
//! raddle::run(|| {
//!     let path = std::env::temp_dir().join(format!("raddle-{}", std::process::id()));
//!     let log = OpenOptions::new().append(true).create(true).open(&path)?;
//!     log.append_all(b"warp ")?;
//!     log.append_all(b"and weft")?;
//!     log.sync_data()?; // now it lasts
//!     assert_eq!(fs::read(&path)?, b"warp and weft");
//!     fs::remove_file(&path)
//! })?;
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io;
use std::path::Path;

use raddle_platform::Native;

/// An open file; see [`raddle_runtime::fs::File`].
pub type File = raddle_runtime::fs::File<Native>;

/// What a file is opened for; see [`raddle_runtime::fs::OpenOptions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions(raddle_runtime::fs::OpenOptions);

impl OpenOptions {
    /// For nothing yet.
    pub const fn new() -> Self {
        Self(raddle_runtime::fs::OpenOptions::new())
    }

    /// For reading.
    #[must_use]
    pub const fn read(self, read: bool) -> Self {
        Self(self.0.read(read))
    }

    /// For writing anywhere.
    #[must_use]
    pub const fn write(self, write: bool) -> Self {
        Self(self.0.write(write))
    }

    /// For writing at the end, wherever that is at the moment of the write.
    #[must_use]
    pub const fn append(self, append: bool) -> Self {
        Self(self.0.append(append))
    }

    /// To be emptied.
    #[must_use]
    pub const fn truncate(self, truncate: bool) -> Self {
        Self(self.0.truncate(truncate))
    }

    /// To be made if it is not there.
    #[must_use]
    pub const fn create(self, create: bool) -> Self {
        Self(self.0.create(create))
    }

    /// To be made; an error if it is there.
    #[must_use]
    pub const fn create_new(self, create_new: bool) -> Self {
        Self(self.0.create_new(create_new))
    }

    /// Who may do what with a file that is made, less the process's umask; 0o666 if not set.
    #[must_use]
    pub const fn mode(self, mode: u32) -> Self {
        Self(self.0.mode(mode))
    }

    /// Opens a file, suspending the calling fiber or thread.
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput` for a combination that makes no sense.
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.0.open(path)
    }

    /// Opens a file without blocking.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(&self, path: impl AsRef<Path>) -> io::Result<File> {
        self.0.open_async(path).await
    }
}

/// All of a file.
///
/// # Errors
/// The kernel's.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    raddle_runtime::fs::read::<Native>(path)
}

/// Gives a file another name, at once, in place of the file that has it.
/// [Sync](sync_dir) the directory to make it last.
///
/// # Errors
/// The kernel's.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::rename::<Native>(from, to)
}

/// As [`rename`], without blocking.
///
/// # Errors
/// The kernel's.
pub async fn rename_async(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::rename_async::<Native>(from, to).await
}

/// Removes a file's name, and the file with its last one. [Sync](sync_dir) the directory to make it
/// last.
///
/// # Errors
/// The kernel's.
pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::remove_file::<Native>(path)
}

/// As [`remove_file`], without blocking.
///
/// # Errors
/// The kernel's.
pub async fn remove_file_async(path: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::remove_file_async::<Native>(path).await
}

/// Makes the names in a directory last.
///
/// # Errors
/// The kernel's; the names are in doubt then, also if a later call succeeds.
pub fn sync_dir(path: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::sync_dir::<Native>(path)
}

/// As [`sync_dir`], without blocking.
///
/// # Errors
/// As [`sync_dir`].
pub async fn sync_dir_async(path: impl AsRef<Path>) -> io::Result<()> {
    raddle_runtime::fs::sync_dir_async::<Native>(path).await
}
