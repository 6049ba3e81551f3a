//! Waiting for a mutex, as a state machine that a blocking call or a future drives.

use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Event, Platform};

use super::raw::{RawMutex, STARVING, WAKING};
use crate::block::Wait;
use crate::patience::{Backoff, Losses};
use crate::queue::{GRANTED, List, MOVED, Node, WAITING, WOKEN, WakerKey};

/// Somebody who waits for a mutex.
///
/// The protocol is in [`super::raw`].
pub(crate) struct Acquire<'a, P: Platform> {
    mutex: &'a RawMutex<P>,
    pub(crate) node: Node<P>,
    key: WakerKey,
    queued: bool,
    /// The state of the node while it is linked: WAITING, or MOVED if a condition variable has put
    /// it here.
    linked: usize,
    losses: Losses,
}

impl<'a, P: Platform> Acquire<'a, P> {
    pub(crate) fn new(mutex: &'a RawMutex<P>) -> Self {
        Self {
            mutex,
            node: Node::new(),
            key: WakerKey::NONE,
            queued: false,
            linked: WAITING,
            losses: Losses::NONE,
        }
    }

    /// Queues; `None` if the mutex was free and is taken instead. A waiter that was woken and
    /// found the mutex taken (`mine` is WAKING then) queues in front.
    fn enqueue(&mut self, context: &Context<'_>, mine: usize) -> Option<()> {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node.prepare_again(waker) };
        let starving = mine != 0 && self.losses.one_too_many::<P>();
        self.queued = false;
        self.linked = WAITING;
        let mut list = self.mutex.lock_queue_or_lock(mine)?;
        let set = if starving { STARVING } else { 0 };
        // SAFETY: QLOCK is held; the node is pinned in `self` and unlinked by `give_up` before it
        // dies. The owner of WAKING is alone in that, and nobody can be STARVING beside it.
        unsafe {
            if mine == 0 {
                list.push_back(&raw const self.node);
            } else {
                list.push_front(&raw const self.node);
            }
            self.queued = true;
            self.mutex.settle(list, mine, set).publish();
        }
        Some(())
    }

    /// The node is in somebody else's queue, whose owner will put it into this mutex's.
    pub(crate) fn adopt(&mut self, key: WakerKey) {
        self.key = key;
        self.queued = true;
        self.linked = MOVED;
    }

    /// The node is in no queue any more.
    pub(crate) fn forsake(&mut self) {
        self.queued = false;
    }

    /// Gives up, and passes on what was given meanwhile.
    pub(crate) fn abandon(&mut self) {
        if self.give_up_acquire() {
            self.mutex.unlock();
        }
    }

    /// Runs `change` under QLOCK if the node is linked. If it is not, waits for its verdict, which
    /// is about to come, and returns `None`.
    fn if_linked<R>(&self, change: impl FnOnce(&mut List<P>, &Node<P>) -> R) -> Option<R> {
        let mut backoff = Backoff::new();
        // HAMMER-WAIT-LOOP: relinked
        loop {
            let state = self.node.place();
            if state == self.linked {
                let mut list = self.mutex.lock_queue();
                if self.node.place() == self.linked {
                    let result = change(&mut list, &self.node);
                    // SAFETY: QLOCK is held, and the list is as `change` left it.
                    unsafe { self.mutex.settle(list, 0, 0).publish() };
                    return Some(result);
                }
                // SAFETY: QLOCK is held, and the list is unchanged.
                unsafe { self.mutex.settle(list, 0, 0).publish() };
            } else if state >= WOKEN {
                return None;
            } else {
                backoff.pause::<P>();
            }
        }
    }

    /// A future is polled with another waker than it is queued with.
    pub(crate) fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let mut waker = Some(waker);
        let replace = |_: &mut List<P>, node: &Node<P>| {
            // SAFETY: QLOCK is held, so the linked node's waker is the caller's to change.
            unsafe { node.swap_waker(&mut waker) };
        };
        // The old waker, or the new one if it came too late, is dropped at the end and not under QLOCK.
        self.if_linked(replace);
    }

    fn poll_acquire(&mut self, context: &Context<'_>, patient: bool) -> Poll<()> {
        // Once a poll: the clone of a waker may have another key than the waker, each time.
        let mut replaced = false;
        loop {
            let mut mine = 0;
            if self.queued {
                match self.node.verdict() {
                    GRANTED => {
                        self.queued = false;
                        return Poll::Ready(());
                    }
                    WOKEN => mine = WAKING,
                    _ if replaced || self.key == WakerKey::of(context.waker()) => {
                        return Poll::Pending;
                    }
                    _ => {
                        self.replace_waker(context);
                        replaced = true;
                        continue;
                    }
                }
                if self.mutex.try_lock_slow(mine) || patient && self.mutex.yield_to_lock(mine) {
                    self.queued = false;
                    return Poll::Ready(());
                }
            }
            if self.enqueue(context, mine).is_none() {
                return Poll::Ready(());
            }
            if self.node.place() == WAITING {
                return Poll::Pending;
            }
        }
    }

    fn give_up_acquire(&mut self) -> bool {
        if !self.queued {
            return false;
        }
        self.queued = false;
        // A STARVING waiter leaves its claim to the next one, who has waited nearly as long.
        // SAFETY: QLOCK is held, and the node linked in this list.
        let remove = |list: &mut List<P>, node: &Node<P>| unsafe { list.remove(node) };
        self.if_linked(remove).is_none() && self.take_verdict()
    }

    /// Takes the verdict of a waiter that has given up. Returns whether it has the mutex now.
    fn take_verdict(&self) -> bool {
        if self.node.verdict() == GRANTED || self.mutex.try_lock_slow(WAKING) {
            return true;
        }
        // Somebody else has the mutex. Whoever is next in the queue shall be woken when it is
        // free again, or now, if it has become so.
        let list = self.mutex.lock_queue();
        // SAFETY: QLOCK is held, and the verdict WOKEN came with WAKING.
        unsafe { self.mutex.settle(list, WAKING, 0).publish() };
        false
    }
}

impl<P: Platform> Wait for Acquire<'_, P> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, patient: bool) -> Poll<()> {
        // SAFETY: the node is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let poll = this.poll_acquire(context, patient);
        if poll.is_pending() {
            P::event(&Event::WaitsFor { object: this.mutex.object() });
        }
        poll
    }

    fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.give_up_acquire()
    }
}

impl<P: Platform> Drop for Acquire<'_, P> {
    fn drop(&mut self) {
        self.abandon();
    }
}
