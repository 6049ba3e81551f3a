//! Open files.

use core::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use raddle_ownership::Arc;
use raddle_platform::driver::{Handle, Op};
use raddle_platform::{Driver as _, Native, Platform};

use super::flight::{Flight, Request};
use super::{OpenOptions, run};

/// What one operation moves at most, in bytes. The kernel takes about twice that.
const MOVED_MAX: usize = 1 << 30;
/// How much `read_to_end` reads at a time at least, in bytes.
const CHUNK_MIN: usize = 4 << 10;

/// A descriptor, closed by its last owner: the file, or an operation that outlives it.
pub(super) struct Descriptor<P: Platform> {
    pub(super) handle: Handle,
    world: core::marker::PhantomData<P>,
}

impl<P: Platform> Drop for Descriptor<P> {
    fn drop(&mut self) {
        P::Driver::close(self.handle);
    }
}

/// An open file; see the [module](super). Closed when it is dropped, or when the operations that it
/// left in flight have ended.
///
/// Reading and writing name their place in the file, and go through shared references: several
/// fibers may use one file at the same time. A file that was opened for
/// [append](OpenOptions::append) takes all writes at its end.
pub struct File<P: Platform = Native> {
    descriptor: Arc<Descriptor<P>, P>,
}

impl<P: Platform> fmt::Debug for File<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("File").field(&self.descriptor.handle).finish()
    }
}

fn moved(length: usize) -> u32 {
    length.min(MOVED_MAX) as u32
}

impl<P: Platform> File<P> {
    pub(super) fn from_handle(handle: Handle) -> Self {
        let descriptor = Descriptor { handle, world: core::marker::PhantomData };
        Self { descriptor: Arc::new_in(descriptor) }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file for writing, empty; makes it if it is not there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    fn handle(&self) -> Handle {
        self.descriptor.handle
    }

    /// Reads from `offset`, in bytes: how many bytes came, which may be fewer than fit; 0 only at
    /// the end of the file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (handle, length) = (self.handle(), moved(buffer.len()));
        let op = Op::ReadAt { handle, buffer: buffer.as_mut_ptr(), length, offset };
        // SAFETY: the buffer is borrowed for the length of the call.
        unsafe { run::<P>(op) }.map(|count| count as usize)
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// The kernel's; `UnexpectedEof` if the file ends first.
    pub fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    /// All of the file.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.len()?).map_err(|_| ErrorKind::OutOfMemory)?;
        let (mut contents, mut filled) = (Vec::new(), 0);
        // One byte more than there should be: the read that finds none of it finds the end.
        let mut room = length.saturating_add(1).max(CHUNK_MIN);
        loop {
            contents.try_reserve(room).map_err(|_| ErrorKind::OutOfMemory)?;
            contents.resize(filled + room, 0);
            match self.read_at(&mut contents[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
            room = (contents.len() - filled).max(CHUNK_MIN);
        }
        contents.truncate(filled);
        Ok(contents)
    }

    /// Writes at `offset`, in bytes: how many bytes were taken.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        let (handle, length) = (self.handle(), moved(buffer.len()));
        let op = Op::WriteAt { handle, buffer: buffer.as_ptr(), length, offset };
        // SAFETY: the buffer is borrowed for the length of the call.
        unsafe { run::<P>(op) }.map(|count| count as usize)
    }

    /// Writes all of `buffer` at `offset`.
    ///
    /// # Errors
    /// The kernel's (a part may be written then); `WriteZero` if it takes nothing.
    pub fn write_all_at(&self, mut buffer: &[u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.write_at(buffer, offset)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => {
                    buffer = &buffer[count..];
                    offset += count as u64;
                }
            }
        }
        Ok(())
    }

    /// Writes at the end of a file that was opened for [append](OpenOptions::append): how many
    /// bytes were taken.
    ///
    /// # Errors
    /// The kernel's.
    pub fn append(&self, buffer: &[u8]) -> io::Result<usize> {
        let (handle, length) = (self.handle(), moved(buffer.len()));
        let op = Op::Append { handle, buffer: buffer.as_ptr(), length };
        // SAFETY: the buffer is borrowed for the length of the call.
        unsafe { run::<P>(op) }.map(|count| count as usize)
    }

    /// Writes all of `buffer` at the end of a file that was opened for
    /// [append](OpenOptions::append). If others append too, their bytes may come between.
    ///
    /// # Errors
    /// The kernel's (a part may be written then); `WriteZero` if it takes nothing.
    pub fn append_all(&self, mut buffer: &[u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.append(buffer)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => buffer = &buffer[count..],
            }
        }
        Ok(())
    }

    /// Makes last what was written, and all that the system knows of the file.
    ///
    /// # Errors
    /// The kernel's. What was written since the last sync that succeeded is in doubt then, also if
    /// a later one succeeds.
    pub fn sync_all(&self) -> io::Result<()> {
        self.sync(false)
    }

    /// Makes last what was written, and of the rest only what reading it needs.
    ///
    /// # Errors
    /// As [`sync_all`](Self::sync_all).
    pub fn sync_data(&self) -> io::Result<()> {
        self.sync(true)
    }

    fn sync(&self, data_only: bool) -> io::Result<()> {
        // SAFETY: the operation names no memory.
        unsafe { run::<P>(Op::Sync { handle: self.handle(), data_only }) }.map(drop)
    }

    /// Cuts the file at `length`, in bytes, or fills it up to there with zeros.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        // SAFETY: the operation names no memory.
        unsafe { run::<P>(Op::SetLength { handle: self.handle(), length }) }.map(drop)
    }

    /// The file's length, in bytes. Does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn len(&self) -> io::Result<u64> {
        P::Driver::file_length(self.handle())
    }

    /// Whether nothing is in it. Does not wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    fn request(
        &self,
        buffer: Vec<u8>,
        kind: impl FnOnce(Arc<Descriptor<P>, P>, Vec<u8>) -> Request<P>,
    ) -> Flight<P> {
        Flight::new(kind(self.descriptor.clone(), buffer))
    }

    /// Reads from `offset` without blocking, into as many bytes as `buffer` has: how many came, and
    /// the buffer.
    pub async fn read_at_async(
        &self,
        buffer: Vec<u8>,
        offset: u64,
    ) -> (io::Result<usize>, Vec<u8>) {
        let flight = self.request(buffer, |file, buffer| Request::ReadAt { file, buffer, offset });
        flight.transfer().await
    }

    /// Writes at `offset` without blocking: how many bytes were taken, and the buffer.
    pub async fn write_at_async(
        &self,
        buffer: Vec<u8>,
        offset: u64,
    ) -> (io::Result<usize>, Vec<u8>) {
        let flight = self.request(buffer, |file, buffer| Request::WriteAt { file, buffer, offset });
        flight.transfer().await
    }

    /// Writes at the end of a file that was opened for [append](OpenOptions::append), without
    /// blocking: how many bytes were taken, and the buffer.
    pub async fn append_async(&self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        let flight = self.request(buffer, |file, buffer| Request::Append { file, buffer });
        flight.transfer().await
    }

    /// As [`sync_all`](Self::sync_all), without blocking.
    ///
    /// # Errors
    /// As [`sync_all`](Self::sync_all).
    pub async fn sync_all_async(&self) -> io::Result<()> {
        let request = Request::Sync { file: self.descriptor.clone(), data_only: false };
        Flight::new(request).await.0.map(drop)
    }

    /// As [`sync_data`](Self::sync_data), without blocking.
    ///
    /// # Errors
    /// As [`sync_all`](Self::sync_all).
    pub async fn sync_data_async(&self) -> io::Result<()> {
        let request = Request::Sync { file: self.descriptor.clone(), data_only: true };
        Flight::new(request).await.0.map(drop)
    }

    /// As [`set_len`](Self::set_len), without blocking.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn set_len_async(&self, length: u64) -> io::Result<()> {
        let request = Request::SetLength { file: self.descriptor.clone(), length };
        Flight::new(request).await.0.map(drop)
    }
}
