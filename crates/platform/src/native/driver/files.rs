//! Operations on files: as system calls that block, and as entries of an io_uring.

use core::ffi::c_char;
use core::mem::MaybeUninit;
use std::io;
use std::os::fd::RawFd;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{Probe, opcode, squeue};

use super::epoll::attempt;
use super::sockets::{block_until_ready, check, uninterrupted};
use crate::driver::{Handle, Interest, Op, OpenOptions};

/// Names are relative to the working directory.
const HERE: RawFd = libc::AT_FDCWD;
/// The offset that stands for the end of a file that is open for appending.
const END: u64 = u64::MAX;

/// The flags of open(2).
fn flags(options: OpenOptions) -> Option<libc::c_int> {
    if !options.are_valid() {
        return None;
    }
    let writes = options.write || options.append;
    let mut flags = libc::O_CLOEXEC;
    flags |= match (options.read, writes) {
        (true, true) => libc::O_RDWR,
        (false, true) => libc::O_WRONLY,
        _ => libc::O_RDONLY,
    };
    let rest = [
        (options.append, libc::O_APPEND),
        (options.create, libc::O_CREAT),
        (options.truncate && !options.create_new, libc::O_TRUNC),
        (options.create_new, libc::O_CREAT | libc::O_EXCL),
        (options.directory, libc::O_DIRECTORY),
    ];
    Some(rest.iter().filter(|(on, _)| *on).fold(flags, |flags, (_, flag)| flags | flag))
}

/// Which operations on files a kernel's io_uring knows: one bit for each code.
pub(super) fn supported(probe: &Probe) -> u64 {
    let codes = [
        opcode::OpenAt::CODE,
        opcode::Read::CODE,
        opcode::Write::CODE,
        opcode::Fsync::CODE,
        opcode::Ftruncate::CODE,
        opcode::RenameAt::CODE,
        opcode::UnlinkAt::CODE,
    ];
    codes.iter().filter(|code| probe.is_supported(**code)).fold(0, |set, code| set | 1 << code)
}

/// The entry of a ring that does `op`; none if a system call is to do it.
pub(super) fn entry(op: &Op, supported: u64) -> Option<squeue::Entry> {
    let offset_ok = |offset: u64| i64::try_from(offset).is_ok();
    let (code, entry) = match *op {
        Op::Open { path, options } => {
            let open = opcode::OpenAt::new(Fd(HERE), path);
            (opcode::OpenAt::CODE, open.flags(flags(options)?).mode(options.mode).build())
        }
        Op::ReadAt { handle, buffer, length, offset } if offset_ok(offset) => {
            let read = opcode::Read::new(Fd(handle.0), buffer, length);
            (opcode::Read::CODE, read.offset(offset).build())
        }
        Op::WriteAt { handle, buffer, length, offset } if offset_ok(offset) => {
            let write = opcode::Write::new(Fd(handle.0), buffer, length);
            (opcode::Write::CODE, write.offset(offset).build())
        }
        Op::Append { handle, buffer, length } => {
            let write = opcode::Write::new(Fd(handle.0), buffer, length);
            (opcode::Write::CODE, write.offset(END).build())
        }
        Op::Sync { handle, data_only } => {
            let flags = if data_only { FsyncFlags::DATASYNC } else { FsyncFlags::empty() };
            (opcode::Fsync::CODE, opcode::Fsync::new(Fd(handle.0)).flags(flags).build())
        }
        Op::SetLength { handle, length } if offset_ok(length) => {
            (opcode::Ftruncate::CODE, opcode::Ftruncate::new(Fd(handle.0), length).build())
        }
        Op::Rename { from, to } => {
            let rename = opcode::RenameAt::new(Fd(HERE), from, Fd(HERE), to);
            (opcode::RenameAt::CODE, rename.build())
        }
        Op::Remove { path } => {
            (opcode::UnlinkAt::CODE, opcode::UnlinkAt::new(Fd(HERE), path).build())
        }
        _ => return None,
    };
    (supported >> code & 1 != 0).then_some(entry)
}

/// Does `op`, and blocks for as long as that takes. The result is as in a completion.
///
/// # Safety
/// The memory that `op` names is valid, and nobody else uses it.
pub(super) unsafe fn block_on(op: &Op) -> i32 {
    if !op.is_on_files() {
        // SAFETY: the caller's promise.
        return unsafe { block_on_socket(op) };
    }
    // SAFETY: the caller's promise.
    let result = uninterrupted(|| unsafe { call(op) });
    match result {
        Ok(count) => i32::try_from(count).expect("the kernel moves at most 2 GiB at a time"),
        Err(error) => -error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// # Safety
/// As [`block_on`].
unsafe fn block_on_socket(op: &Op) -> i32 {
    let (handle, interest) = match *op {
        Op::Recv { handle, .. } => (handle, Interest::Readable),
        Op::Send { handle, .. } => (handle, Interest::Writable),
        Op::Poll { handle, interest } => (handle, interest),
        _ => unreachable!("the operation is on a socket"),
    };
    loop {
        if let Err(error) = block_until_ready(handle, interest, None) {
            return -error.raw_os_error().unwrap_or(libc::EIO);
        }
        if matches!(op, Op::Poll { .. }) {
            return 0;
        }
        // Somebody else may have taken what was there.
        // SAFETY: the caller's promise.
        if let Some(result) = unsafe { attempt(op) } {
            return result;
        }
    }
}

fn invalid<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(libc::EINVAL))
}

fn size(result: libc::ssize_t) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i64) }
}

fn status(result: libc::c_int) -> io::Result<i64> {
    check(result).map(i64::from)
}

/// One system call.
///
/// # Safety
/// As [`block_on`].
unsafe fn call(op: &Op) -> io::Result<i64> {
    // SAFETY, all: the caller's promise about the memory; numbers are checked by the kernel.
    match *op {
        // SAFETY: as above.
        Op::Open { path, options } => unsafe { open(path, options) },
        Op::ReadAt { handle, buffer, length, offset } => {
            let Ok(offset) = i64::try_from(offset) else { return invalid() };
            // SAFETY: as above.
            size(unsafe { libc::pread64(handle.0, buffer.cast(), length as usize, offset) })
        }
        Op::WriteAt { handle, buffer, length, offset } => {
            let Ok(offset) = i64::try_from(offset) else { return invalid() };
            // SAFETY: as above.
            size(unsafe { libc::pwrite64(handle.0, buffer.cast(), length as usize, offset) })
        }
        Op::Append { handle, buffer, length } => {
            // SAFETY: as above.
            size(unsafe { libc::write(handle.0, buffer.cast(), length as usize) })
        }
        // SAFETY: takes no pointers.
        Op::Sync { handle, data_only: true } => status(unsafe { libc::fdatasync(handle.0) }),
        // SAFETY: takes no pointers.
        Op::Sync { handle, data_only: false } => status(unsafe { libc::fsync(handle.0) }),
        Op::SetLength { handle, length } => {
            let Ok(length) = i64::try_from(length) else { return invalid() };
            // SAFETY: takes no pointers.
            status(unsafe { libc::ftruncate64(handle.0, length) })
        }
        // SAFETY: as above.
        Op::Rename { from, to } => status(unsafe { libc::renameat(HERE, from, HERE, to) }),
        // SAFETY: as above.
        Op::Remove { path } => status(unsafe { libc::unlinkat(HERE, path, 0) }),
        Op::Poll { .. } | Op::Recv { .. } | Op::Send { .. } => {
            unreachable!("the operation is on a file")
        }
    }
}

/// # Safety
/// `path` is ended by a zero byte.
unsafe fn open(path: *const c_char, options: OpenOptions) -> io::Result<i64> {
    let Some(flags) = flags(options) else { return invalid() };
    // SAFETY: the caller's promise.
    status(unsafe { libc::openat64(HERE, path, flags, options.mode) })
}

pub(super) fn length(handle: Handle) -> io::Result<u64> {
    let mut stat = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: `stat` has room for what the kernel writes.
    check(unsafe { libc::fstat64(handle.0, stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded, so the kernel has written all of it.
    Ok(unsafe { stat.assume_init() }.st_size as u64)
}
