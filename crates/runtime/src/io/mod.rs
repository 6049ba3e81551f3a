//! Operations in flight.
//!
//! Each operation has a [`Record`]; its address is the operation's token, so a completion finds
//! whom it concerns without a table. A fiber's record lies on its stack, where it stays because
//! the fiber does not return before the *original* completion, also when it is cancelled: so a
//! fiber may lend its own stack to the kernel as a buffer. A future can be dropped or forgotten at
//! any time, so its record is a counted allocation that the operation itself keeps, and it names
//! no memory of the future: futures wait for readiness and then call without blocking. Files know no
//! readiness, so the operation of a future owns its buffer: see [`fs`](crate::fs).

mod blocking;
mod readiness;

use core::ptr::NonNull;

use raddle_platform::driver::{Completion, Token};

pub(crate) use blocking::{interrupted_io, perform, retry_blocking};
pub(crate) use readiness::{Readiness, Socket, cancel};

/// The head of every operation's record.
#[repr(C)]
pub(crate) struct Record {
    /// Told of the result, on the worker's thread, once.
    pub(crate) complete: unsafe fn(NonNull<Record>, i32),
}

impl Record {
    /// The token of the operation whose record this is.
    pub(crate) fn token(record: NonNull<Record>) -> Token {
        Token(record.as_ptr().expose_provenance() as u64)
    }
}

/// Hands a completion to its operation.
///
/// # Safety
/// The token came from [`Record::token`], and this is its one completion.
pub(crate) unsafe fn complete(completion: Completion) {
    let address = completion.token.0 as usize;
    let record = core::ptr::with_exposed_provenance_mut::<Record>(address);
    if let Some(record) = NonNull::new(record) {
        // SAFETY: a record lives until its completion, which is this.
        unsafe { (record.as_ref().complete)(record, completion.result) };
    }
}
