//! Files by the operations of the driver, from a thread without one.

use core::time::Duration;
use std::ffi::CString;
use std::io;

use raddle_platform::driver::{Handle, Op, OpenOptions};
use raddle_platform::{Clock, Driver, Instant, Platform};
use raddle_vopr::Sim;

pub(crate) type D = <Sim as Platform>::Driver;

/// Reading and writing a file that is made if it is not there.
pub(crate) const CREATE: OpenOptions =
    OpenOptions { read: true, write: true, create: true, ..OpenOptions::NONE };
pub(crate) const APPEND: OpenOptions =
    OpenOptions { read: true, append: true, create: true, ..OpenOptions::NONE };
pub(crate) const WRITE: OpenOptions = OpenOptions { write: true, ..OpenOptions::NONE };
pub(crate) const READ: OpenOptions = OpenOptions { read: true, ..OpenOptions::NONE };

pub(crate) fn now() -> Instant {
    <Sim as Platform>::Clock::now()
}

fn text(path: &str) -> CString {
    CString::new(path).expect("no zero byte")
}

/// Does an operation, again as long as it is interrupted.
fn act(op: Op) -> io::Result<usize> {
    loop {
        // SAFETY: the callers below borrow the memory until this returns.
        match unsafe { D::block_on(op) } {
            result if result == -libc::EINTR => {}
            result if result < 0 => return Err(io::Error::from_raw_os_error(-result)),
            result => return Ok(result as usize),
        }
    }
}

/// A file, closed when it is dropped.
#[derive(Debug)]
pub(crate) struct File(pub(crate) Handle);

impl Drop for File {
    fn drop(&mut self) {
        D::close(self.0);
    }
}

pub(crate) fn open(path: &str, options: OpenOptions) -> io::Result<File> {
    let path = text(path);
    act(Op::Open { path: path.as_ptr(), options }).map(|handle| File(Handle(handle as i32)))
}

pub(crate) fn rename(from: &str, to: &str) -> io::Result<()> {
    let (from, to) = (text(from), text(to));
    act(Op::Rename { from: from.as_ptr(), to: to.as_ptr() }).map(drop)
}

pub(crate) fn remove(path: &str) -> io::Result<()> {
    let path = text(path);
    act(Op::Remove { path: path.as_ptr() }).map(drop)
}

pub(crate) fn sync_directory(path: &str) -> io::Result<()> {
    open(path, OpenOptions { directory: true, ..READ })?.sync()
}

impl File {
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (buffer, length) = (buffer.as_mut_ptr(), buffer.len() as u32);
        act(Op::ReadAt { handle: self.0, buffer, length, offset })
    }

    pub(crate) fn read_all(&self) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 700]);
        loop {
            match self.read_at(&mut buffer, bytes.len() as u64)? {
                0 => return Ok(bytes),
                count => bytes.extend(&buffer[..count]),
            }
        }
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (buffer, length) = (bytes.as_ptr(), bytes.len() as u32);
        act(Op::WriteAt { handle: self.0, buffer, length, offset })
    }

    pub(crate) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.write_at(bytes, offset)?;
            bytes = &bytes[count..];
            offset += count as u64;
        }
        Ok(())
    }

    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let (buffer, length) = (bytes.as_ptr(), bytes.len() as u32);
        act(Op::Append { handle: self.0, buffer, length })
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        act(Op::Sync { handle: self.0, data_only: false }).map(drop)
    }

    pub(crate) fn set_length(&self, length: u64) -> io::Result<()> {
        act(Op::SetLength { handle: self.0, length }).map(drop)
    }

    pub(crate) fn length(&self) -> io::Result<u64> {
        D::file_length(self.0)
    }
}

#[track_caller]
pub(crate) fn errno<T: core::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.expect_err("refused").raw_os_error().expect("an errno")
}

/// Lets virtual time pass.
pub(crate) fn sleep(duration: Duration) {
    use raddle_platform::Parker;
    let end = now() + duration;
    while now() < end {
        <Sim as Platform>::Parker::park_until(end);
    }
}
