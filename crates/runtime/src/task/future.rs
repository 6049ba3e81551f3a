//! Futures as tasks: polled on a worker's own stack, and stolen freely while they wait.

use core::future::Future;
use core::pin::Pin;
use core::ptr::NonNull;
use core::task::{Context, Poll};

use raddle_platform::{Platform, RaceCell, Site};

use super::header::{Header, Ran, Vtable, borrowed_waker};
use super::output::{JoinError, catch};
use super::{complete, new_header};
use crate::scheduler::{Shared, Worker};

/// What the allocation holds: first the future, then its output.
enum Stage<F: Future> {
    Running(F),
    Finished(Result<F::Output, JoinError>),
    Empty,
}

/// A future's allocation. The header comes first, so a pointer to it is a pointer to the whole.
#[repr(C)]
pub(crate) struct FutureTask<F: Future, P: Platform> {
    header: Header<P>,
    /// The worker's until DONE, then the join handle's (or the worker's, if that is gone).
    stage: RaceCell<Stage<F>, P>,
}

impl<F: Future, P: Platform> FutureTask<F, P> {
    /// A future in state SCHEDULED with two references, which are the caller's.
    pub(crate) fn allocate(
        shared: NonNull<Shared<P>>,
        home: usize,
        name: Option<Box<str>>,
        future: F,
    ) -> NonNull<Header<P>> {
        let vtable = &const {
            Vtable {
                run: Self::run,
                reject: Self::reject,
                take_output: Self::take_output,
                drop_output: Self::drop_output,
                free: Self::free,
            }
        };
        let task = Box::new(Self {
            header: new_header(shared, vtable, home, name),
            stage: RaceCell::new_in(Stage::Running(future)),
        });
        NonNull::from(Box::leak(task)).cast()
    }

    /// # Safety
    /// `header` heads a `Self` that is alive.
    unsafe fn of<'a>(header: NonNull<Header<P>>) -> &'a Self {
        // SAFETY: by the caller's promise, and the header is the first field.
        unsafe { header.cast::<Self>().as_ref() }
    }

    /// See [`Vtable::run`].
    ///
    /// # Safety
    /// `header` heads a `Self`, which the calling worker took from a queue.
    unsafe fn run(header: NonNull<Header<P>>, worker: &Worker<P>) -> Ran {
        // SAFETY: the worker took the task from a queue, so it is alive.
        let task = unsafe { Self::of(header) };
        let cancelled = task.header.state.start();
        let output = if cancelled {
            Some(Err(JoinError::Cancelled))
        } else {
            // SAFETY: the worker runs the task, so the stage is its own.
            match unsafe { task.poll(header) } {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(value)) => Some(Ok(value)),
                Err(error) => Some(Err(error)),
            }
        };
        match output {
            None => {
                if P::buggify(Site::SPURIOUS_POLL) {
                    task.header.state.wake();
                }
                if task.header.state.park() { Ran::Woken } else { Ran::Parked }
            }
            Some(output) => {
                // SAFETY: the stage is the running task's until DONE.
                let output = unsafe { task.drop_future(output) };
                // SAFETY: as above.
                unsafe { task.stage.with_mut(|stage| *stage = Stage::Finished(output)) };
                // SAFETY: this worker runs the task, whose output is written.
                unsafe { complete(header, worker) }
            }
        }
    }

    /// # Safety
    /// The caller runs the task, and `header` is its own, as it was allocated: a waker may outlive
    /// all else and free the task.
    unsafe fn poll(&self, header: NonNull<Header<P>>) -> Result<Poll<F::Output>, JoinError> {
        // SAFETY: the task is alive while it runs.
        let waker = unsafe { borrowed_waker(header) };
        catch::<P, _>(|| {
            let (stage, _open) = self.stage.open_mut();
            // SAFETY: the stage is the running task's, by the caller's promise.
            let Stage::Running(future) = (unsafe { &mut *stage }) else {
                unreachable!("a future is polled until it is done");
            };
            // SAFETY: the future stays in its allocation until it is dropped there.
            let future = unsafe { Pin::new_unchecked(future) };
            future.poll(&mut Context::from_waker(&waker))
        })
    }

    /// Drops the future before its output is published, so that nothing of it is alive when the
    /// join returns. A panic of its destructors is the task's.
    ///
    /// # Safety
    /// The caller runs the task.
    unsafe fn drop_future(
        &self,
        output: Result<F::Output, JoinError>,
    ) -> Result<F::Output, JoinError> {
        let dropped = catch::<P, _>(|| {
            let (stage, _open) = self.stage.open_mut();
            // SAFETY: the stage is the running task's, by the caller's promise. It is replaced
            // even if a destructor panics, so nothing is dropped twice.
            unsafe { *stage = Stage::Empty };
        });
        match dropped {
            Ok(()) => output,
            Err(error) => {
                core::mem::forget(catch::<P, _>(|| drop(output)));
                Err(error)
            }
        }
    }

    /// See [`Vtable::reject`].
    ///
    /// # Safety
    /// `header` heads a `Self` that was never queued, and the caller owns its queue entry.
    unsafe fn reject(header: NonNull<Header<P>>) {
        // SAFETY: the caller owns the queue entry of a task that never ran.
        let task = unsafe { Self::of(header) };
        task.header.state.start();
        // SAFETY: the caller stands in for the worker, so the stage is its own.
        unsafe {
            let output = task.drop_future(Err(JoinError::Cancelled));
            task.stage.with_mut(|stage| *stage = Stage::Finished(output));
        }
    }

    /// See [`Vtable::take_output`].
    ///
    /// # Safety
    /// `header` heads a `Self` that is done, the output is the caller's, and `place` has its type.
    unsafe fn take_output(header: NonNull<Header<P>>, place: *mut ()) {
        // SAFETY: the caller holds a reference, and owns the output since the task is done. The
        // place has the type that the vtable names.
        unsafe {
            let stage = Self::of(header).stage.with_mut(|s| core::mem::replace(s, Stage::Empty));
            let output = match stage {
                Stage::Finished(output) => Some(output),
                Stage::Running(_) | Stage::Empty => None,
            };
            place.cast::<Option<Result<F::Output, JoinError>>>().write(output);
        }
    }

    /// See [`Vtable::drop_output`].
    ///
    /// # Safety
    /// `header` heads a `Self` that is done, and the output is the caller's.
    unsafe fn drop_output(header: NonNull<Header<P>>) {
        // SAFETY: as in `take_output`.
        drop(unsafe { Self::of(header).stage.with_mut(|s| core::mem::replace(s, Stage::Empty)) });
    }

    /// See [`Vtable::free`].
    ///
    /// # Safety
    /// `header` heads a `Self` from `allocate`, whose last reference was given up.
    unsafe fn free(header: NonNull<Header<P>>) {
        // SAFETY: the caller gave up the last reference; the allocation came from `allocate`.
        drop(unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) });
    }
}
