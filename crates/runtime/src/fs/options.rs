//! What a file is opened for.

use std::io;
use std::path::Path;

use raddle_platform::Platform;
use raddle_platform::driver::{self, Op};

use super::flight::{Flight, Request};
use super::{File, name, run};

/// What a file is opened for; std's `OpenOptions`.
///
/// Combinations that make no sense (nothing at all; making or emptying a file that is not to be
/// written) are refused with `InvalidInput`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions(driver::OpenOptions);

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// For nothing yet.
    pub const fn new() -> Self {
        Self(driver::OpenOptions::NONE)
    }

    /// A directory, to sync it.
    pub(super) const fn directory() -> Self {
        Self(driver::OpenOptions { read: true, directory: true, ..driver::OpenOptions::NONE })
    }

    /// For reading.
    #[must_use]
    pub const fn read(mut self, read: bool) -> Self {
        self.0.read = read;
        self
    }

    /// For writing anywhere.
    #[must_use]
    pub const fn write(mut self, write: bool) -> Self {
        self.0.write = write;
        self
    }

    /// For writing at the end, wherever that is at the moment of the write.
    #[must_use]
    pub const fn append(mut self, append: bool) -> Self {
        self.0.append = append;
        self
    }

    /// To be emptied.
    #[must_use]
    pub const fn truncate(mut self, truncate: bool) -> Self {
        self.0.truncate = truncate;
        self
    }

    /// To be made if it is not there.
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.0.create = create;
        self
    }

    /// To be made; an error if it is there.
    #[must_use]
    pub const fn create_new(mut self, create_new: bool) -> Self {
        self.0.create_new = create_new;
        self
    }

    /// Who may do what with a file that is made, less the process's umask; 0o666 if not set.
    #[must_use]
    pub const fn mode(mut self, mode: u32) -> Self {
        self.0.mode = mode;
        self
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput`.
    pub fn open<P: Platform>(&self, path: impl AsRef<Path>) -> io::Result<File<P>> {
        let path = name(path.as_ref())?;
        // SAFETY: the name outlives the call.
        let handle = unsafe { run::<P>(Op::Open { path: path.as_ptr(), options: self.0 }) }?;
        Ok(File::from_handle(driver::Handle(handle.cast_signed())))
    }

    /// Opens a file without blocking.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async<P: Platform>(&self, path: impl AsRef<Path>) -> io::Result<File<P>> {
        let request = Request::Open { path: name(path.as_ref())?, options: self.0 };
        let handle = Flight::<P>::new(request).await.0?;
        Ok(File::from_handle(driver::Handle(handle.cast_signed())))
    }
}
