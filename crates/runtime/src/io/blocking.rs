//! Blocking operations of fibers, and of threads that have no driver.

use core::cell::Cell;
use core::ptr::NonNull;
use std::io;

use raddle_platform::driver::{Completion, Handle, Interest, Op};
use raddle_platform::suspend::{self, Interrupted, Limits, Suspend as _};
use raddle_platform::{Clock, Driver, Event, Instant, Platform};

use super::Record;
use crate::cancel::cancelled_io;
use crate::scheduler::{Worker, schedule};
use crate::task::Header;

/// The record of a fiber's operation, on its stack.
#[repr(C)]
struct Operation<P: Platform> {
    record: Record,
    result: Cell<Option<i32>>,
    fiber: NonNull<Header<P>>,
}

/// # Safety
/// `record` heads an [`Operation`] in flight, and this is its completion.
unsafe fn complete<P: Platform>(record: NonNull<Record>, result: i32) {
    // SAFETY: the record heads an `Operation` whose fiber waits for this call.
    let operation = unsafe { record.cast::<Operation<P>>().as_ref() };
    operation.result.set(Some(result));
    let fiber = operation.fiber;
    // SAFETY: the fiber is alive, since it waits; and it is of this worker, so it cannot run, nor
    // the record die, before this function has returned.
    unsafe {
        if fiber.as_ref().state.wake() {
            schedule(fiber);
        }
    }
}

/// Runs `op` with the calling fiber parked, and returns what the kernel answered. `None` if no
/// fiber calls: then nothing was begun.
///
/// When a limit ends the wait, the operation is cancelled and its completion awaited. A result
/// that came all the same is returned: no byte is lost.
///
/// # Safety
/// The memory that `op` names is valid during the call.
pub(crate) unsafe fn perform<P: Platform>(
    op: Op,
    limits: Limits,
) -> Option<Result<io::Result<u32>, Interrupted>> {
    let worker = Worker::<P>::current()?;
    let fiber = worker.current_fiber()?;
    let operation = Operation::<P> {
        record: Record { complete: complete::<P> },
        result: Cell::new(None),
        fiber: NonNull::from(fiber),
    };
    let token = Record::token(NonNull::from(&operation).cast());
    if limits.cancellable && fiber.state.is_cancelled() {
        return Some(Err(Interrupted::Cancelled));
    }
    // SAFETY: the caller's memory and the record outlive the loop below, which ends only with the
    // completion; a fiber's stack is never unwound while it is parked.
    unsafe { worker.submit(op, token) };
    let mut interrupted = None;
    // HAMMER-WAIT-LOOP: completion
    let result = loop {
        if let Some(result) = operation.result.get() {
            break result;
        }
        if interrupted.is_none() {
            interrupted = limit_reached::<P>(limits, fiber);
            if interrupted.is_some() {
                worker.cancel(token);
            }
        }
        suspend::note_park::<P>();
        match limits.deadline {
            Some(deadline) if interrupted.is_none() => worker.park_until(deadline),
            _ => worker.park(),
        }
    };
    tell::<P>(&op, result);
    let completion = Completion { token, result };
    Some(match interrupted {
        Some(interrupted) if completion.is_cancelled() => Err(interrupted),
        _ => Ok(completion.into_result()),
    })
}

/// Tells what came of an operation.
fn tell<P: Platform>(op: &Op, result: i32) {
    let handle = match *op {
        Op::Poll { handle, .. } if result >= 0 => {
            return P::event(&Event::IoReady { handle: handle.0 });
        }
        Op::Poll { handle, .. }
        | Op::Recv { handle, .. }
        | Op::Send { handle, .. }
        | Op::ReadAt { handle, .. }
        | Op::WriteAt { handle, .. }
        | Op::Append { handle, .. }
        | Op::Sync { handle, .. }
        | Op::SetLength { handle, .. } => Some(handle.0),
        Op::Open { .. } | Op::Rename { .. } | Op::Remove { .. } => None,
    };
    match u32::try_from(result) {
        Ok(result) => P::event(&Event::IoResult { handle, result }),
        Err(_) => P::event(&Event::IoError { handle, errno: -result }),
    }
}

fn limit_reached<P: Platform>(limits: Limits, fiber: &Header<P>) -> Option<Interrupted> {
    if limits.cancellable && fiber.state.is_cancelled() {
        return Some(Interrupted::Cancelled);
    }
    let due = |deadline: Instant| P::Clock::now() >= deadline;
    limits.deadline.is_some_and(due).then_some(Interrupted::TimedOut)
}

/// Calls `attempt` until it would no longer block, parking the calling fiber or thread in between
/// until `handle` is ready.
pub(crate) fn retry_blocking<P: Platform, T>(
    handle: Handle,
    interest: Interest,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let limits = Limits { deadline, cancellable: true };
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => return done,
        }
        // SAFETY: the operation names no memory.
        match unsafe { perform::<P>(Op::Poll { handle, interest }, limits) } {
            Some(Ok(polled)) => drop(polled?),
            Some(Err(interrupted)) => return Err(interrupted_io(interrupted)),
            None => {
                if !P::Driver::block_until_ready(handle, interest, deadline)? {
                    return Err(interrupted_io(Interrupted::TimedOut));
                }
            }
        }
    }
}

/// A limit as an I/O error: std's kind for socket timeouts, or [`Cancelled`](crate::Cancelled).
pub(crate) fn interrupted_io(interrupted: Interrupted) -> io::Error {
    match interrupted {
        Interrupted::TimedOut => io::Error::from(io::ErrorKind::TimedOut),
        Interrupted::Cancelled => cancelled_io(),
    }
}
