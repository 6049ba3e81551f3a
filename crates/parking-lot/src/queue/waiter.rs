//! Somebody who waits to be given something, first come, first served.

use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Event, Object, Platform};

use super::{Chain, GRANTED, List, Node, WAITING, WakerKey};
use crate::block::Wait;

/// A primitive that gives each waiter in turn what it wants. (The mutex and the read-write lock
/// also let newcomers overtake, and have their own waiters.)
pub(crate) trait Granter<P: Platform> {
    /// Takes QLOCK, and with it the list; `None` if the caller has what it wants instead.
    fn lock_queue_or_take(&self, want: usize) -> Option<List<P>>;
    /// Takes QLOCK, and with it the list.
    fn lock_queue(&self) -> List<P>;
    /// Clears QLOCK, puts `list` back, and unlinks whoever gets what it wants. The result is to be
    /// published; nothing else may follow.
    ///
    /// # Safety
    /// The caller holds QLOCK, and `list` is the list that it got with it.
    unsafe fn settle(&self, list: List<P>) -> Chain<P>;
    /// Takes back what a waiter was given that is no more.
    fn take_back(&self, want: usize);
    /// What events call it.
    fn object(&self) -> Object;
}

/// A waiter for `granter`.
pub(crate) struct Waiter<'a, P: Platform, G: Granter<P>> {
    granter: &'a G,
    want: usize,
    node: Node<P>,
    key: WakerKey,
    queued: bool,
}

impl<'a, P: Platform, G: Granter<P>> Waiter<'a, P, G> {
    pub(crate) fn new(granter: &'a G, want: usize) -> Self {
        Self { granter, want, node: Node::new(), key: WakerKey::NONE, queued: false }
    }

    /// Queues; `None` if the waiter has what it wants instead.
    fn enqueue(&mut self, context: &Context<'_>) -> Option<()> {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node.prepare(waker, self.want) };
        let mut list = self.granter.lock_queue_or_take(self.want)?;
        // SAFETY: QLOCK is held; the node is pinned in `self` and unlinked by `leave` before it
        // dies.
        unsafe {
            list.push_back(&raw const self.node);
            self.queued = true;
            self.granter.settle(list).publish();
        }
        Some(())
    }

    /// Runs `change` under QLOCK if the node is linked. If not, waits for its verdict, which is
    /// about to come, and returns `None`.
    fn if_linked<R>(&self, change: impl FnOnce(&mut List<P>, &Node<P>) -> R) -> Option<R> {
        if self.node.place() == WAITING {
            let mut list = self.granter.lock_queue();
            let linked = self.node.place() == WAITING;
            let result = linked.then(|| change(&mut list, &self.node));
            // SAFETY: QLOCK is held, and the list is as `change` left it.
            unsafe { self.granter.settle(list).publish() };
            if linked {
                return result;
            }
        }
        self.node.await_verdict();
        None
    }

    /// A future is polled with another waker than it is queued with.
    fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let mut waker = Some(waker);
        // SAFETY: QLOCK is held, so the linked node's waker is the caller's to change.
        let replace = |_: &mut List<P>, node: &Node<P>| unsafe { node.swap_waker(&mut waker) };
        // The old waker is dropped at the end, not under QLOCK. If there is a verdict instead it went to
        // that one, and it is the new waker that is dropped; but then the caller is about to see it.
        self.if_linked(replace);
    }

    fn poll_granted(&mut self, context: &Context<'_>) -> Poll<()> {
        if !self.queued && self.enqueue(context).is_none() {
            return Poll::Ready(());
        }
        if self.node.verdict() != GRANTED && self.key != WakerKey::of(context.waker()) {
            self.replace_waker(context);
        }
        if self.node.verdict() != GRANTED {
            return Poll::Pending;
        }
        self.queued = false;
        Poll::Ready(())
    }

    /// Leaves the queue. Returns whether the waiter has what it wanted.
    fn leave(&mut self) -> bool {
        if !self.queued {
            return false;
        }
        self.queued = false;
        // SAFETY: QLOCK is held, and the node linked in this list.
        let remove = |list: &mut List<P>, node: &Node<P>| unsafe { list.remove(node) };
        self.if_linked(remove).is_none()
    }
}

impl<P: Platform, G: Granter<P>> Wait for Waiter<'_, P, G> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, _patient: bool) -> Poll<()> {
        // SAFETY: the node is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let poll = this.poll_granted(context);
        if poll.is_pending() {
            P::event(&Event::WaitsFor { object: this.granter.object() });
        }
        poll
    }

    fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.leave()
    }
}

impl<P: Platform, G: Granter<P>> Drop for Waiter<'_, P, G> {
    fn drop(&mut self) {
        if self.leave() {
            self.granter.take_back(self.want);
        }
    }
}
