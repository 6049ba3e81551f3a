//! Files in the memory of an execution.
//!
//! They are of the simplest kind: an operation is done at once when the driver that has it comes to
//! it, nothing is lost, the disk is never full, and everything lasts. What loom is to explore is who
//! waits for the operation, and how: what disks do is the business of the simulator.
//!
//! As for [sockets](crate::net), each operation marks a point of dependence, one for all files.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::rc::Rc;

use loom::sync::Condvar;
use raddle_platform::driver::{Handle, Op, OpenOptions};

use crate::world::with;

/// The number of the first open file, above those of all sockets.
const FIRST_HANDLE: i32 = 1 << 20;

/// All files of an execution.
#[derive(Default)]
pub(crate) struct Files {
    /// What operations touch. Made with the first of them.
    order: Option<Rc<Condvar>>,
    /// The index of a name's contents.
    names: BTreeMap<Vec<u8>, usize>,
    contents: Vec<Vec<u8>>,
    /// None is used twice.
    open: Vec<Option<Open>>,
}

#[derive(Clone, Copy)]
struct Open {
    /// None for a directory.
    contents: Option<usize>,
    options: OpenOptions,
}

type Result<T> = core::result::Result<T, i32>;

fn files<R>(f: impl FnOnce(&mut Files) -> R) -> R {
    with(|world| f(&mut world.files.borrow_mut()))
}

/// A point at which loom may switch to others that use files.
fn touch() {
    let order = files(|files| Rc::clone(files.order.get_or_insert_with(Rc::default)));
    order.notify_one();
}

fn index(handle: Handle) -> usize {
    usize::try_from(handle.0 - FIRST_HANDLE).unwrap_or(usize::MAX)
}

/// Whether `handle` is that of a file.
pub(crate) fn is_file(handle: Handle) -> bool {
    handle.0 >= FIRST_HANDLE
}

/// Does an operation on files: its result, as a completion has it.
///
/// # Safety
/// The memory that `op` names is valid, and nobody else uses it.
pub(crate) unsafe fn perform(op: &Op) -> i32 {
    touch();
    // SAFETY: the caller's promise.
    let done = files(|files| unsafe { files.perform(op) });
    match done {
        Ok(value) => i32::try_from(value).expect("scenarios have small files"),
        Err(errno) => -errno,
    }
}

/// The length of a file, or an error number.
pub(crate) fn length(handle: Handle) -> Result<u64> {
    touch();
    files(|files| files.of(handle).map(|(_, contents)| contents.len() as u64))
}

pub(crate) fn close(handle: Handle) {
    let open = files(|files| files.open.get_mut(index(handle)).and_then(Option::take));
    assert!(open.is_some(), "{handle:?} is closed, and was not open");
}

/// # Safety
/// `path` is ended by a zero byte.
unsafe fn name(path: *const core::ffi::c_char) -> Vec<u8> {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(path) }.to_bytes().to_vec()
}

fn place(offset: u64) -> Result<usize> {
    usize::try_from(offset).ok().filter(|place| *place < 1 << 24).ok_or(libc::EINVAL)
}

impl Files {
    /// An open file, and what is in it.
    fn of(&mut self, handle: Handle) -> Result<(OpenOptions, &mut Vec<u8>)> {
        let open = self.open.get(index(handle)).copied().flatten().ok_or(libc::EBADF)?;
        let contents = open.contents.ok_or(libc::EISDIR)?;
        Ok((open.options, &mut self.contents[contents]))
    }

    /// # Safety
    /// As the function of the same name.
    unsafe fn perform(&mut self, op: &Op) -> Result<usize> {
        match *op {
            // SAFETY: the caller's promise.
            Op::Open { path, options } => self.open(&unsafe { name(path) }, options),
            Op::ReadAt { handle, buffer, length, offset } => {
                let (options, contents) = self.of(handle)?;
                if !options.read {
                    return Err(libc::EBADF);
                }
                let rest = contents.get(place(offset)?..).unwrap_or_default();
                let count = rest.len().min(length as usize);
                // SAFETY: the caller's promise.
                unsafe { core::ptr::copy_nonoverlapping(rest.as_ptr(), buffer, count) };
                Ok(count)
            }
            Op::WriteAt { handle, buffer, length, offset } => {
                // SAFETY: the caller's promise.
                let bytes = unsafe { core::slice::from_raw_parts(buffer, length as usize) };
                self.write(handle, bytes, Some(place(offset)?))
            }
            Op::Append { handle, buffer, length } => {
                // SAFETY: the caller's promise.
                let bytes = unsafe { core::slice::from_raw_parts(buffer, length as usize) };
                self.write(handle, bytes, None)
            }
            Op::Sync { handle, .. } => {
                self.open.get(index(handle)).copied().flatten().ok_or(libc::EBADF).map(|_| 0)
            }
            Op::SetLength { handle, length } => {
                let length = place(length)?;
                let (options, contents) = self.of(handle)?;
                if !options.write && !options.append {
                    return Err(libc::EINVAL);
                }
                contents.resize(length, 0);
                Ok(0)
            }
            Op::Rename { from, to } => {
                // SAFETY: the caller's promise.
                let (from, to) = unsafe { (name(from), name(to)) };
                let contents = self.names.remove(&from).ok_or(libc::ENOENT)?;
                self.names.insert(to, contents);
                Ok(0)
            }
            Op::Remove { path } => {
                // SAFETY: the caller's promise.
                self.names.remove(&unsafe { name(path) }).ok_or(libc::ENOENT).map(|_| 0)
            }
            Op::Poll { .. } | Op::Recv { .. } | Op::Send { .. } => {
                unreachable!("the operation is on files")
            }
        }
    }

    fn open(&mut self, name: &[u8], options: OpenOptions) -> Result<usize> {
        if !options.are_valid() {
            return Err(libc::EINVAL);
        }
        let contents = if options.directory {
            None
        } else {
            Some(match self.names.get(name) {
                Some(_) if options.create_new => return Err(libc::EEXIST),
                Some(contents) => *contents,
                None if !options.create && !options.create_new => return Err(libc::ENOENT),
                None => {
                    self.contents.push(Vec::new());
                    self.names.insert(name.to_vec(), self.contents.len() - 1);
                    self.contents.len() - 1
                }
            })
        };
        if let (Some(contents), true) = (contents, options.truncate) {
            self.contents[contents].clear();
        }
        self.open.push(Some(Open { contents, options }));
        Ok(FIRST_HANDLE as usize + self.open.len() - 1)
    }

    fn write(&mut self, handle: Handle, bytes: &[u8], place: Option<usize>) -> Result<usize> {
        let (options, contents) = self.of(handle)?;
        if !options.write && !options.append {
            return Err(libc::EBADF);
        }
        let place = place.filter(|_| !options.append).unwrap_or(contents.len());
        let end = place + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[place..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}
