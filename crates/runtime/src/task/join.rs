//! Waiting for a task.

use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::suspend::{self, Interrupted, Limits};
use raddle_platform::{Event, Native, Object, ObjectKind, Platform};

use super::header::TaskRef;
use super::output::JoinError;

/// Waits for a task and takes its result: [`join`](JoinHandle::join) blocks, `.await` does not.
///
/// Dropping the handle detaches the task: it runs on, and its result is dropped.
pub struct JoinHandle<T, P: Platform = Native> {
    task: TaskRef<P>,
    output: PhantomData<T>,
}

// SAFETY: the handle moves the output to the joining thread, which `T: Send` allows; the task
// pointer is counted atomically.
unsafe impl<T: Send, P: Platform> Send for JoinHandle<T, P> {}
// SAFETY: through a shared reference only atomics are reached.
unsafe impl<T: Send, P: Platform> Sync for JoinHandle<T, P> {}

impl<T, P: Platform> JoinHandle<T, P> {
    /// # Safety
    /// The task's output is of type `T`, and no other handle of it exists.
    pub(crate) unsafe fn new(task: TaskRef<P>) -> Self {
        Self { task, output: PhantomData }
    }

    /// Waits for the task, suspending the calling fiber or thread.
    ///
    /// A cancellation point: if the calling fiber is cancelled, the task goes on, detached.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(mut self) -> Result<T, JoinError> {
        let polled = suspend::wait::<P, _>(Limits::CANCELLABLE, |context| self.poll_join(context));
        match polled {
            Ok(output) => output,
            Err(Interrupted::Cancelled | Interrupted::TimedOut) => Err(JoinError::Interrupted),
        }
    }

    /// Whether the task has ended, so that [`join`](JoinHandle::join) would not block.
    pub fn is_finished(&self) -> bool {
        self.task.header().state.is_done()
    }

    /// Asks the task to end. A future is dropped where it waits. A fiber gets an error from the
    /// cancellation point where it waits, or from the next one, and ends by its own code; one that
    /// was never run ends at once.
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// The task's id, unique in its runtime.
    pub fn id(&self) -> u64 {
        self.task.header().id
    }

    /// The name that the task was given.
    pub fn name(&self) -> Option<&str> {
        self.task.header().name.as_deref()
    }

    fn poll_join(&mut self, context: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let header = self.task.header();
        if !header.state.is_done() && header.state.unregister_join() {
            let waker = context.waker().clone();
            // SAFETY: while JOIN_WAKER is clear and the task not done, the place is the handle's,
            // and this exclusive borrow is the only handle.
            let before = unsafe { header.join_waker.with_mut(|place| place.replace(waker)) };
            drop(before);
            if header.state.register_join() {
                let object = Object { kind: ObjectKind::Task, number: header.id };
                P::event(&Event::WaitsFor { object });
                return Poll::Pending;
            }
        }
        let mut output: Option<Result<T, JoinError>> = None;
        // SAFETY: the task is done and this handle alive, so the output is the handle's; its type
        // is `T` by the promise of `new`.
        unsafe {
            (header.vtable.take_output)(self.task.as_ptr(), (&raw mut output).cast());
        }
        Poll::Ready(output.unwrap_or(Err(JoinError::Interrupted)))
    }
}

impl<T, P: Platform> Unpin for JoinHandle<T, P> {}

impl<T, P: Platform> Future for JoinHandle<T, P> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_join(context)
    }
}

impl<T, P: Platform> Drop for JoinHandle<T, P> {
    fn drop(&mut self) {
        let header = self.task.header();
        if header.state.drop_join() {
            // SAFETY: the task is done, and the output is this handle's.
            unsafe { (header.vtable.drop_output)(self.task.as_ptr()) };
        }
        // A waker that is still registered stays: the worker may be about to call it.
    }
}

impl<T, P: Platform> core::fmt::Debug for JoinHandle<T, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}
