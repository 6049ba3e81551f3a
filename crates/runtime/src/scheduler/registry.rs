//! All tasks that are alive: so that a shutdown can cancel them, and a dump can name them.

use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::Platform;

use crate::task::{Header, TaskRef};

type Task<P> = NonNull<Header<P>>;

struct Shard<P: Platform> {
    first: Option<Task<P>>,
    closed: bool,
}

// SAFETY: a shard owns the links of its tasks, which may be sent between threads.
unsafe impl<P: Platform> Send for Shard<P> {}

type Guarded<P> = CachePadded<Spinlock<Shard<P>, P>>;

/// Doubly linked lists through the tasks, sharded by id so that workers seldom meet.
pub(crate) struct Registry<P: Platform> {
    shards: Box<[Guarded<P>]>,
}

impl<P: Platform> Registry<P> {
    pub(crate) fn new(workers: usize) -> Self {
        let per_worker = if workers == 1 { 1 } else { P::BOUNDS.registry_shards };
        let shards = (workers * per_worker).next_power_of_two();
        let shard = || CachePadded::new(Spinlock::new(Shard { first: None, closed: false }));
        Self { shards: (0..shards).map(|_| shard()).collect() }
    }

    fn shard(&self, task: Task<P>) -> &Spinlock<Shard<P>, P> {
        // SAFETY: callers hold a reference to the task.
        let id = unsafe { task.as_ref() }.id;
        &self.shards[id as usize & (self.shards.len() - 1)]
    }

    /// Adds a new task. `false` if the registry was closed: the task must not run.
    pub(crate) fn insert(&self, task: Task<P>) -> bool {
        let mut shard = self.shard(task).lock();
        if shard.closed {
            return false;
        }
        let next = shard.first.replace(task);
        // SAFETY: the shard's lock guards the links of its tasks, which are alive.
        unsafe {
            task.as_ref().links.with_mut(|links| links.next = next);
            if let Some(next) = next {
                next.as_ref().links.with_mut(|links| links.previous = Some(task));
            }
        }
        true
    }

    /// Takes a task out, before the scheduler's reference goes.
    pub(crate) fn remove(&self, task: Task<P>) {
        let mut shard = self.shard(task).lock();
        // SAFETY: as in `insert`.
        unsafe {
            let (previous, next) =
                task.as_ref().links.with_mut(|links| (links.previous.take(), links.next.take()));
            match previous {
                Some(previous) => previous.as_ref().links.with_mut(|links| links.next = next),
                None => shard.first = next,
            }
            if let Some(next) = next {
                next.as_ref().links.with_mut(|links| links.previous = previous);
            }
        }
    }

    /// Lets no task in any more.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            shard.lock().closed = true;
        }
    }

    /// The tasks that are alive now.
    pub(crate) fn tasks(&self) -> Vec<TaskRef<P>> {
        let mut tasks = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let mut next = shard.first;
            while let Some(task) = next {
                // SAFETY: a task in the list has its scheduler's reference.
                tasks.push(unsafe { TaskRef::retain(task) });
                // SAFETY: as in `insert`.
                next = unsafe { task.as_ref().links.with(|links| links.next) };
            }
        }
        tasks
    }

    /// Whether no task is alive. Exact once the registry is closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().first.is_none())
    }
}
