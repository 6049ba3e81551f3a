//! Waiting for permits, as a state machine that a blocking call or a future drives.

use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::Platform;

use super::raw::RawSemaphore;
use crate::block::Wait;
use crate::queue::{GRANTED, Node, WAITING, WakerKey};

/// Somebody who waits for permits.
pub(super) struct Acquire<'a, P: Platform> {
    semaphore: &'a RawSemaphore<P>,
    count: usize,
    node: Node<P>,
    key: WakerKey,
    queued: bool,
}

impl<'a, P: Platform> Acquire<'a, P> {
    pub(super) fn new(semaphore: &'a RawSemaphore<P>, count: usize) -> Self {
        Self { semaphore, count, node: Node::new(), key: WakerKey::NONE, queued: false }
    }

    /// Queues; `None` if the permits were there and are taken instead.
    fn enqueue(&mut self, context: &Context<'_>) -> Option<()> {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node.prepare(waker, self.count) };
        let mut list = self.semaphore.lock_queue_or_acquire(self.count)?;
        // SAFETY: QLOCK is held; the node is pinned in `self` and unlinked by `give_up` before it
        // dies.
        unsafe {
            list.push_back(&raw const self.node);
            self.queued = true;
            self.semaphore.settle(list).publish();
        }
        Some(())
    }

    /// A future is polled with another waker than it is queued with.
    fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let list = self.semaphore.lock_queue();
        let linked = self.node.place() == WAITING;
        // SAFETY: QLOCK is held, so the linked node's waker is the caller's to change.
        let old = if linked { unsafe { self.node.replace_waker(Some(waker)) } } else { None };
        // SAFETY: QLOCK is held, and the list is unchanged.
        unsafe { self.semaphore.settle(list).publish() };
        drop(old);
        if !linked {
            // The verdict goes to the old waker, perhaps of a task that is no more. It comes at
            // once: wait for it here.
            self.node.await_verdict();
        }
    }

    fn poll_acquire(&mut self, context: &Context<'_>) -> Poll<()> {
        if !self.queued && self.enqueue(context).is_none() {
            return Poll::Ready(());
        }
        if self.node.verdict() != GRANTED {
            if self.key == WakerKey::of(context.waker()) {
                return Poll::Pending;
            }
            self.replace_waker(context);
            if self.node.verdict() != GRANTED {
                return Poll::Pending;
            }
        }
        self.queued = false;
        Poll::Ready(())
    }

    fn give_up_acquire(&mut self) -> bool {
        if !self.queued {
            return false;
        }
        self.queued = false;
        if self.node.place() == WAITING {
            let mut list = self.semaphore.lock_queue();
            let linked = self.node.place() == WAITING;
            // SAFETY: QLOCK is held; a WAITING node is linked in this list. Those behind it may
            // want less than it did: `settle` looks.
            unsafe {
                if linked {
                    list.remove(&raw const self.node);
                }
                self.semaphore.settle(list).publish();
            }
            if linked {
                return false;
            }
        }
        self.node.await_verdict();
        true
    }
}

impl<P: Platform> Wait for Acquire<'_, P> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, _patient: bool) -> Poll<()> {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.poll_acquire(context)
    }

    fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.give_up_acquire()
    }
}

impl<P: Platform> Drop for Acquire<'_, P> {
    fn drop(&mut self) {
        if self.give_up_acquire() {
            self.semaphore.release(self.count);
        }
    }
}
