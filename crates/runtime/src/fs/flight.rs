//! Operations of futures, which own all that they name.
//!
//! ```text
//!   Flight ──── begun ────▶ Operation ◀──── the driver, until the completion
//!  (may be dropped)             │
//!                               └─ request: file, buffer, names
//! ```
//! The future and the driver share the operation. Whoever comes last drops the request, and with it
//! the buffer and perhaps the file. A handle that was opened for a future that is gone is closed.

use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll, Waker};
use std::ffi::CString;
use std::io;

use raddle_ownership::Arc;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::driver::{Completion, Handle, Op, OpenOptions, Token};
use raddle_platform::{Driver as _, Platform};

use super::file::Descriptor;
use super::is_interrupted;
use crate::handle;
use crate::io::{Record, cancel};
use crate::scheduler::{Command, Shared, Worker};

type File<P> = Arc<Descriptor<P>, P>;

/// What is to be done, with all that it needs.
pub(super) enum Request<P: Platform> {
    Open { path: CString, options: OpenOptions },
    ReadAt { file: File<P>, buffer: Vec<u8>, offset: u64 },
    WriteAt { file: File<P>, buffer: Vec<u8>, offset: u64 },
    Append { file: File<P>, buffer: Vec<u8> },
    Sync { file: File<P>, data_only: bool },
    SetLength { file: File<P>, length: u64 },
    Rename { from: CString, to: CString },
    Remove { path: CString },
}

fn length(buffer: &[u8]) -> u32 {
    buffer.len().min(1 << 30) as u32
}

impl<P: Platform> Request<P> {
    /// The operation. What it names is on the heap, and stays where it is when this is moved.
    fn op(&mut self) -> Op {
        match self {
            Self::Open { path, options } => Op::Open { path: path.as_ptr(), options: *options },
            Self::ReadAt { file, buffer, offset } => Op::ReadAt {
                handle: file.handle,
                length: length(buffer),
                buffer: buffer.as_mut_ptr(),
                offset: *offset,
            },
            Self::WriteAt { file, buffer, offset } => Op::WriteAt {
                handle: file.handle,
                buffer: buffer.as_ptr(),
                length: length(buffer),
                offset: *offset,
            },
            Self::Append { file, buffer } => {
                let length = length(buffer);
                Op::Append { handle: file.handle, buffer: buffer.as_ptr(), length }
            }
            Self::Sync { file, data_only } => {
                Op::Sync { handle: file.handle, data_only: *data_only }
            }
            Self::SetLength { file, length } => {
                Op::SetLength { handle: file.handle, length: *length }
            }
            Self::Rename { from, to } => Op::Rename { from: from.as_ptr(), to: to.as_ptr() },
            Self::Remove { path } => Op::Remove { path: path.as_ptr() },
        }
    }

    fn into_buffer(self) -> Vec<u8> {
        match self {
            Self::ReadAt { buffer, .. }
            | Self::WriteAt { buffer, .. }
            | Self::Append { buffer, .. } => buffer,
            _ => Vec::new(),
        }
    }

    /// Nobody wants the result any more.
    fn discard(self, result: i32) {
        if let (Self::Open { .. }, 0..) = (self, result) {
            P::Driver::close(Handle(result));
        }
    }
}

/// An operation that was begun. One count is the driver's, from submission to completion.
#[repr(C)]
struct Operation<P: Platform> {
    record: Record,
    shared: Arc<Shared<P>, P>,
    worker: usize,
    state: Spinlock<State<P>, P>,
}

struct State<P: Platform> {
    /// There until the future has the result, or the completion finds no future.
    request: Option<Request<P>>,
    result: Option<i32>,
    waker: Option<Waker>,
    /// The future is gone.
    abandoned: bool,
}

/// # Safety
/// `record` heads an [`Operation`] in flight, and this is its completion.
unsafe fn complete<P: Platform>(record: NonNull<Record>, result: i32) {
    // SAFETY: the record heads an `Operation` in an `Arc`, of which submission left one count.
    let operation: Arc<Operation<P>, P> =
        unsafe { Arc::from_raw(record.cast::<Operation<P>>().as_ptr().cast_const()) };
    let mut state = operation.state.lock();
    state.result = Some(result);
    let waker = state.waker.take();
    let request = if state.abandoned { state.request.take() } else { None };
    drop(state);
    if let Some(request) = request {
        request.discard(result);
    }
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A future that is ready when the operation has ended: with its result, and its buffer.
#[must_use = "futures do nothing unless awaited"]
pub(super) struct Flight<P: Platform> {
    /// There until it begins.
    request: Option<Request<P>>,
    operation: Option<Arc<Operation<P>, P>>,
}

impl<P: Platform> Flight<P> {
    pub(super) fn new(request: Request<P>) -> Self {
        Self { request: Some(request), operation: None }
    }

    /// For what moves bytes.
    pub(super) async fn transfer(self) -> (io::Result<usize>, Vec<u8>) {
        let (result, buffer) = self.await;
        (result.map(|count| count as usize), buffer)
    }

    fn begin(&mut self, mut request: Request<P>, waker: Waker) -> Result<(), Request<P>> {
        let Some((shared, worker)) = handle::nearest_worker::<P>() else { return Err(request) };
        let op = request.op();
        let state =
            State { request: Some(request), result: None, waker: Some(waker), abandoned: false };
        let operation = Arc::new_in(Operation {
            record: Record { complete: complete::<P> },
            shared: shared.clone(),
            worker,
            state: Spinlock::new(state),
        });
        // The record heads the operation, so the pointer to the whole is the record's token.
        let raw = Arc::into_raw(operation.clone()).cast_mut().cast::<Record>();
        // SAFETY: an `Arc` points to its value, so never to null.
        let token = Record::token(unsafe { NonNull::new_unchecked(raw) });
        self.operation = Some(operation);
        match Worker::<P>::current_of(&shared) {
            // SAFETY: what the operation names is in the request, which stays there until
            // `complete`, and so does the record.
            Some(current) if current.index == worker => unsafe { current.submit(op, token) },
            _ => shared.command(worker, Command::Submit(op, token)),
        }
        Ok(())
    }
}

impl<P: Platform> Unpin for Flight<P> {}

impl<P: Platform> Future for Flight<P> {
    type Output = (io::Result<u32>, Vec<u8>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Cloned before the lock: a waker is foreign code.
        let waker = context.waker().clone();
        let mut request = self.request.take();
        if let Some(operation) = &self.operation {
            let mut state = operation.state.lock();
            let Some(result) = state.result else {
                let before = state.waker.replace(waker);
                drop(state);
                drop(before);
                return Poll::Pending;
            };
            request = state.request.take();
            drop(state);
            self.operation = None;
            if !is_interrupted(result) {
                let buffer = request.map_or_else(Vec::new, Request::into_buffer);
                let completion = Completion { token: Token(0), result };
                return Poll::Ready((completion.into_result(), buffer));
            }
            // COVERAGE-EXCLUDE(loom): nothing interrupts operations on files there
            P::retry("a file operation was interrupted");
        }
        let Some(request) = request else { panic!("polled after it was ready") };
        match self.begin(request, waker) {
            Ok(()) => Poll::Pending,
            Err(request) => {
                let error = io::Error::other(
                    "asynchronous I/O outside a runtime: spawn it, or drive it with \
                     Runtime::block_on",
                );
                Poll::Ready((Err(error), request.into_buffer()))
            }
        }
    }
}

impl<P: Platform> Drop for Flight<P> {
    fn drop(&mut self) {
        let Some(operation) = self.operation.take() else { return };
        let mut state = operation.state.lock();
        state.abandoned = true;
        let waker = state.waker.take();
        let ended = state.result.and_then(|result| Some((state.request.take()?, result)));
        let waits = state.result.is_none();
        drop(state);
        drop(waker);
        if let Some((request, result)) = ended {
            request.discard(result);
        }
        if waits {
            let token = Record::token(NonNull::from(&operation.record));
            cancel(&operation.shared, operation.worker, token);
        }
    }
}
