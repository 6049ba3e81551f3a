//! Where other threads leave wakes for one worker: a Treiber stack (IBM RJ 5118, 1986) through the
//! tasks' links, drained as a whole, so no node is ever popped and the ABA problem cannot arise.

use core::ptr::NonNull;

use raddle_platform::{Atomic, Ordering, Platform};

use super::injector::Linked;
use crate::task::Header;

/// The stack. Anybody pushes; the worker drains.
pub(crate) struct Inbox<P: Platform> {
    head: P::AtomicPtr<Header<P>>,
}

impl<P: Platform> Inbox<P> {
    pub(crate) fn new() -> Self {
        Self { head: P::AtomicPtr::new(core::ptr::null_mut()) }
    }

    /// Whether nothing is there. A hint unless the caller has ordered it by a fence.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Adds a task whose queue entry the caller owns. Returns whether the inbox was empty: then,
    /// and only then, the worker may have to be woken, because whoever pushed first did it.
    pub(crate) fn push(&self, task: NonNull<Header<P>>) -> bool {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // SAFETY: whoever owns the queue entry owns the link, and the task is alive.
            unsafe { task.as_ref().next.with_mut(|next| *next = head) };
            // ORDERING: pairs with the acquiring swap in `drain`: link and task are visible.
            match self.head.compare_exchange_weak(
                head,
                task.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return head.is_null(),
                Err(found) => head = found,
            }
            P::retry("inbox push");
        }
    }

    /// Takes all tasks, the oldest first.
    pub(crate) fn drain(&self) -> Linked<P> {
        // ORDERING: pairs with the releasing exchange in `push`, also of earlier pushes: each is a
        // read-modify-write and so continues the release sequence.
        let mut next = self.head.swap(core::ptr::null_mut(), Ordering::Acquire);
        let mut reversed: *mut Header<P> = core::ptr::null_mut();
        while let Some(task) = NonNull::new(next) {
            // SAFETY: the swap made the entries this worker's.
            unsafe {
                next = task.as_ref().next.with(|next| *next);
                task.as_ref().next.with_mut(|link| *link = reversed);
            }
            reversed = task.as_ptr();
        }
        let mut tasks = Linked::new();
        while let Some(task) = NonNull::new(reversed) {
            // SAFETY: as above.
            reversed = unsafe { task.as_ref().next.with(|next| *next) };
            tasks.push_back(task);
        }
        tasks
    }
}
