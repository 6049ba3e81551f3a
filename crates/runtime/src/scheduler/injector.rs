//! Tasks that belong to no worker yet: spawned from outside, or overflowed from a full ring.

use core::ptr::NonNull;

use raddle_parking_lot::spin::Spinlock;
use raddle_platform::{Atomic, Ordering, Platform};

use crate::task::Header;

type Task<P> = NonNull<Header<P>>;

/// A list of tasks through their `next` links: a queue that allocates nothing.
pub(crate) struct Linked<P: Platform> {
    head: *mut Header<P>,
    tail: *mut Header<P>,
    count: usize,
}

// SAFETY: the list owns its tasks' queue entries, and tasks may be sent between threads.
unsafe impl<P: Platform> Send for Linked<P> {}

impl<P: Platform> Linked<P> {
    pub(crate) const fn new() -> Self {
        Self { head: core::ptr::null_mut(), tail: core::ptr::null_mut(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Adds a task whose queue entry the caller owns.
    pub(crate) fn push_back(&mut self, task: Task<P>) {
        // SAFETY: whoever owns a queue entry owns the task's link; entries are alive.
        unsafe {
            task.as_ref().next.with_mut(|next| *next = core::ptr::null_mut());
            match NonNull::new(self.tail) {
                Some(tail) => tail.as_ref().next.with_mut(|next| *next = task.as_ptr()),
                None => self.head = task.as_ptr(),
            }
        }
        self.tail = task.as_ptr();
        self.count += 1;
    }

    /// Takes the first task; its queue entry is the caller's.
    pub(crate) fn pop_front(&mut self) -> Option<Task<P>> {
        let task = NonNull::new(self.head)?;
        // SAFETY: the list owns the entry, so the task is alive and its link the list's.
        self.head = unsafe { task.as_ref().next.with(|next| *next) };
        if self.head.is_null() {
            self.tail = core::ptr::null_mut();
        }
        self.count -= 1;
        Some(task)
    }

    /// Adds all of `other` at the back.
    pub(crate) fn append(&mut self, other: Self) {
        let Some(first) = NonNull::new(other.head) else { return };
        match NonNull::new(self.tail) {
            // SAFETY: as in `push_back`.
            Some(tail) => unsafe { tail.as_ref().next.with_mut(|next| *next = first.as_ptr()) },
            None => self.head = first.as_ptr(),
        }
        self.tail = other.tail;
        self.count += other.count;
    }
}

/// The queue that all workers share.
///
/// `length` is written under the lock and read without it: a hint, so that idle looks at an empty
/// injector cost a load. It is exact where it matters, in the last look before a worker sleeps:
/// see [`idle`](super::idle).
pub(crate) struct Injector<P: Platform> {
    length: P::AtomicUsize,
    queue: Spinlock<Linked<P>, P>,
}

impl<P: Platform> Injector<P> {
    pub(crate) fn new() -> Self {
        Self { length: P::AtomicUsize::new(0), queue: Spinlock::new(Linked::new()) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Relaxed) == 0
    }

    /// Adds a task whose queue entry the caller owns.
    pub(crate) fn push(&self, task: Task<P>) {
        let mut queue = self.queue.lock();
        queue.push_back(task);
        self.length.store(queue.len(), Ordering::Relaxed);
    }

    /// Adds a batch.
    pub(crate) fn push_batch(&self, batch: Linked<P>) {
        let mut queue = self.queue.lock();
        queue.append(batch);
        self.length.store(queue.len(), Ordering::Relaxed);
    }

    /// Takes the first task.
    pub(crate) fn pop(&self) -> Option<Task<P>> {
        if self.is_empty() {
            return None;
        }
        let mut queue = self.queue.lock();
        let task = queue.pop_front();
        self.length.store(queue.len(), Ordering::Relaxed);
        task
    }
}
