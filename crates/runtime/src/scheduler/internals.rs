//! Parts of the scheduler, for the harnesses: no program can use them.

use core::ptr::NonNull;
use core::task::Poll;

use raddle_ownership::Arc;
use raddle_platform::Platform;
use raddle_platform::driver::Config;

use super::Shared;
use crate::task::{ANYWHERE, FutureTask, Header, TaskRef};

/// The run queues of a runtime without workers: the caller's threads play the workers.
pub struct RunQueues<P: Platform> {
    shared: Arc<Shared<P>, P>,
}

impl<P: Platform> core::fmt::Debug for RunQueues<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RunQueues").finish_non_exhaustive()
    }
}

impl<P: Platform> RunQueues<P> {
    /// The queues of `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self { shared: Arc::new_in(Shared::new(workers, Config::default(), 0)) }
    }

    /// Queues a new task at the back of `worker`'s ring, and returns its id.
    ///
    /// # Safety
    /// One thread at a time plays `worker`, and that is the caller.
    pub unsafe fn push(&self, worker: usize) -> u64 {
        let never = core::future::poll_fn(|_| Poll::<()>::Pending);
        let place = NonNull::from(&*self.shared);
        let task = FutureTask::allocate(place, ANYWHERE, None, never);
        // SAFETY: the second reference, the join handle's, is not needed.
        unsafe { drop(TaskRef::from_raw(task)) };
        // SAFETY: the caller plays the worker; creation made it the owner of the entry.
        unsafe {
            self.shared.remotes[worker].ring.owner_push(task, &self.shared.injector);
            task.as_ref().id
        }
    }

    /// Takes the task at the front of `worker`'s ring, and returns its id.
    ///
    /// # Safety
    /// As [`push`](RunQueues::push).
    pub unsafe fn pop(&self, worker: usize) -> Option<u64> {
        // SAFETY: the caller plays the worker.
        unsafe { self.shared.remotes[worker].ring.owner_pop() }.map(Self::end)
    }

    /// `thief` takes half of `victim`'s ring: the id of the task to run, and how many in all.
    ///
    /// # Safety
    /// As [`push`](RunQueues::push) for `thief`, which is another than `victim`.
    pub unsafe fn steal(&self, victim: usize, thief: usize) -> Option<(u64, usize)> {
        let remotes = &self.shared.remotes;
        // SAFETY: the caller plays the thief.
        let stolen = unsafe { remotes[victim].ring.steal_into(&remotes[thief].ring) };
        stolen.map(|(task, count)| (Self::end(task), count))
    }

    /// Takes the first task of the injector, where a full ring overflows to.
    pub fn inject_pop(&self) -> Option<u64> {
        self.shared.injector.pop().map(Self::end)
    }

    /// Frees a task that was taken from a queue.
    fn end(task: NonNull<Header<P>>) -> u64 {
        // SAFETY: an entry's task is alive, and its last reference is the scheduler's.
        unsafe {
            let id = task.as_ref().id;
            drop(TaskRef::from_raw(task));
            id
        }
    }
}
