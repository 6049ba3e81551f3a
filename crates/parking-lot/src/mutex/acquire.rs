//! Waiting for a mutex, as a state machine that a blocking call or a future drives.

use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Clock, Instant, Platform};

use super::raw::{RawMutex, STARVING, WAKING};
use crate::block::Wait;
use crate::queue::{GRANTED, Node, WAITING, WOKEN, WakerKey};

/// Somebody who waits for a mutex.
///
/// The protocol is in [`super::raw`].
pub(crate) struct Acquire<'a, P: Platform> {
    mutex: &'a RawMutex<P>,
    pub(crate) node: Node<P>,
    key: WakerKey,
    queued: bool,
    starving: bool,
    losses: u32,
    since: Option<Instant>,
}

impl<'a, P: Platform> Acquire<'a, P> {
    pub(crate) fn new(mutex: &'a RawMutex<P>) -> Self {
        Self {
            mutex,
            node: Node::new(),
            key: WakerKey::NONE,
            queued: false,
            starving: false,
            losses: 0,
            since: None,
        }
    }

    /// Queues; `None` if the mutex was free and is taken instead. A waiter that was woken and
    /// found the mutex taken (`mine` is WAKING then) queues in front.
    fn enqueue(&mut self, context: &Context<'_>, mine: usize) -> Option<()> {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node.prepare(waker, 0) };
        self.starving = mine != 0 && self.is_starving();
        self.queued = false;
        let mut list = self.mutex.lock_queue_or_lock(mine)?;
        let set = if self.starving { STARVING } else { 0 };
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

    /// Counts a loss; whether it was one too many.
    fn is_starving(&mut self) -> bool {
        self.losses += 1;
        let bounds = P::BOUNDS;
        self.losses > bounds.barges
            || self.since.is_some_and(|since| {
                (P::Clock::now() - since).as_nanos() >= u128::from(bounds.barge_ns)
            })
    }

    /// A future is polled with another waker than it is queued with.
    fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let list = self.mutex.lock_queue();
        let linked = self.node.place() == WAITING;
        // SAFETY: QLOCK is held, so the linked node's waker is the caller's to change.
        let old = if linked { unsafe { self.node.replace_waker(Some(waker)) } } else { None };
        // SAFETY: QLOCK is held, and the list is unchanged.
        unsafe { self.mutex.settle(list, 0, 0).publish() };
        drop(old);
        if !linked {
            // The verdict goes to the old waker, perhaps of a task that is no more. It comes at
            // once: wait for it here.
            self.node.await_verdict();
        }
    }

    fn poll_acquire(&mut self, context: &Context<'_>, patient: bool) -> Poll<()> {
        loop {
            let mut mine = 0;
            if self.queued {
                match self.node.verdict() {
                    GRANTED => {
                        self.queued = false;
                        return Poll::Ready(());
                    }
                    WOKEN => mine = WAKING,
                    _ if self.key == WakerKey::of(context.waker()) => return Poll::Pending,
                    _ => {
                        self.replace_waker(context);
                        continue;
                    }
                }
                if self.mutex.try_lock_slow(mine) || patient && self.mutex.spin_to_lock(mine) {
                    self.queued = false;
                    return Poll::Ready(());
                }
            } else if self.since.is_none() {
                self.since = Some(P::Clock::now());
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
        if self.node.place() == WAITING {
            let mut list = self.mutex.lock_queue();
            let linked = self.node.place() == WAITING;
            let clear = if linked && self.starving { STARVING } else { 0 };
            // SAFETY: QLOCK is held; a WAITING node is linked in this list. If it is STARVING
            // then it is the only one.
            unsafe {
                if linked {
                    list.remove(&raw const self.node);
                }
                self.mutex.settle(list, clear, 0).publish();
            }
            if linked {
                return false;
            }
        }
        self.settle_debt()
    }

    /// A verdict is owed or there: takes it. Returns whether the mutex came with it.
    pub(crate) fn settle_debt(&mut self) -> bool {
        self.queued = false;
        if self.node.await_verdict() == GRANTED || self.mutex.try_lock_slow(WAKING) {
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
        unsafe { self.get_unchecked_mut() }.poll_acquire(context, patient)
    }

    fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.give_up_acquire()
    }
}

impl<P: Platform> Drop for Acquire<'_, P> {
    fn drop(&mut self) {
        if self.give_up_acquire() {
            self.mutex.unlock();
        }
    }
}
