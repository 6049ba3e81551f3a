//! Drives one waiting state machine, from a blocking call or from a future.

use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use raddle_platform::Platform;
use raddle_platform::suspend::{self, Interrupted, Limits};

/// Somebody who waits for a primitive: what is under both the blocking form and the future.
///
/// Dropping one that is queued gives up, and passes on what it was given meanwhile.
pub(crate) trait Wait {
    /// Ready when the waiter has what it wants. A `patient` waiter may yield first.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, patient: bool) -> Poll<()>;
    /// Leaves the queue. Returns whether the waiter was given what it wants after all: then it
    /// has it.
    fn give_up(self: Pin<&mut Self>) -> bool;
}

/// Suspends the calling fiber or thread until `waiter` is ready.
///
/// # Errors
/// The limit that came first. What was granted at the same time is not lost: then the wait has
/// succeeded.
#[track_caller]
pub(crate) fn block<P: Platform>(limits: Limits, waiter: impl Wait) -> Result<(), Interrupted> {
    let mut waiter = pin!(waiter);
    match suspend::wait::<P, _>(limits, |context| waiter.as_mut().poll(context, true)) {
        Ok(()) => Ok(()),
        Err(_) if waiter.as_mut().give_up() => Ok(()),
        Err(interrupted) => Err(interrupted),
    }
}
