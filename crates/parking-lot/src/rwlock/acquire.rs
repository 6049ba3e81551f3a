//! Waiting for a read-write lock, as state machines that a blocking call or a future drives.
//!
//! [`Acquire`] waits in the queue, [`Drain`] for the readers to leave, [`Upgrade`] for the other
//! readers to leave. The protocol is in [`super::raw`].

use core::pin::Pin;
use core::task::{Context, Poll};

use raddle_platform::{Event, Platform};

use super::raw::{Mode, RawRwLock, STARVING, UPGRADABLE, WAKING, WRITER};
use crate::block::Wait;
use crate::patience::{Losses, yield_until};
use crate::queue::{GRANTED, List, Node, WAITING, WOKEN, WakerKey};

/// A writer that has claimed the lock and waits for the readers to leave.
pub(super) struct Drain<'a, P: Platform> {
    lock: &'a RawRwLock<P>,
    node: Node<P>,
    key: WakerKey,
    draining: bool,
}

impl<'a, P: Platform> Drain<'a, P> {
    fn new(lock: &'a RawRwLock<P>) -> Self {
        Self { lock, node: Node::new(), key: WakerKey::NONE, draining: false }
    }

    fn poll_drain(&mut self, context: &Context<'_>, patient: bool) -> Poll<()> {
        if self.draining {
            if self.node.verdict() != GRANTED && self.key == WakerKey::of(context.waker()) {
                return Poll::Pending;
            }
            // A verdict, or a future that is polled with another waker: then the node is taken
            // back and given again.
            if self.stop() {
                return Poll::Ready(());
            }
        }
        if self.lock.no_readers() || patient && yield_until::<P>(|| self.lock.no_readers()) {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is in no queue.
        unsafe { self.node.prepare(waker, 0) };
        // SAFETY: the node is pinned in `self`, and `stop` takes it back before it dies.
        self.draining = unsafe { self.lock.set_drain(&raw const self.node) };
        if self.draining { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Stops waiting. Returns whether the readers have left.
    fn stop(&mut self) -> bool {
        if !self.draining {
            return self.lock.no_readers();
        }
        self.draining = false;
        if self.lock.clear_drain() {
            return false;
        }
        self.node.await_verdict();
        self.lock.drained();
        true
    }
}

/// Where a waiter is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In no queue, and with nothing to give back.
    Idle,
    /// In the queue, or taken out of it.
    Queued,
    /// Has claimed WRITER.
    Claimed,
}

/// Somebody who waits for the lock.
pub(super) struct Acquire<'a, P: Platform> {
    lock: &'a RawRwLock<P>,
    mode: Mode,
    /// Its node is the one in the queue as well: a waiter is not in both places.
    drain: Drain<'a, P>,
    stage: Stage,
    losses: Losses,
}

impl<'a, P: Platform> Acquire<'a, P> {
    pub(super) fn new(lock: &'a RawRwLock<P>, mode: Mode) -> Self {
        Self { lock, mode, drain: Drain::new(lock), stage: Stage::Idle, losses: Losses::NONE }
    }

    fn node(&self) -> &Node<P> {
        &self.drain.node
    }

    /// The lock was taken, or a claim made. `woken` if by somebody who came out of the queue.
    fn took(&mut self, woken: bool) {
        self.stage = if self.mode == Mode::Write { Stage::Claimed } else { Stage::Idle };
        if woken && self.mode != Mode::Write {
            self.lock.relay();
        }
    }

    /// Queues; `None` if the lock was free and is taken instead. A waiter that was woken and found
    /// the lock taken (`mine` is WAKING then) queues in front.
    fn enqueue(&mut self, context: &Context<'_>, mine: usize) -> Option<()> {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.drain.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node().prepare(waker, self.mode as usize) };
        let starving = mine != 0 && self.losses.one_too_many::<P>();
        self.stage = Stage::Idle;
        let mut list = self.lock.lock_queue_or_take(self.mode, mine)?;
        let set = if starving { STARVING } else { 0 };
        // SAFETY: QLOCK is held; the node is pinned in `self` and unlinked by `give_up` before it
        // dies. The owner of WAKING is alone in that, and nobody can be STARVING beside it.
        unsafe {
            if mine == 0 {
                list.push_back(&raw const self.drain.node);
            } else {
                list.push_front(&raw const self.drain.node);
            }
            self.stage = Stage::Queued;
            self.lock.settle(list, mine, set).publish();
        }
        Some(())
    }

    /// Runs `change` under QLOCK if the node is linked. If it is not, waits for its verdict, which
    /// is about to come, and returns `None`.
    fn if_linked<R>(&self, change: impl FnOnce(&mut List<P>, &Node<P>) -> R) -> Option<R> {
        if self.node().place() == WAITING {
            let mut list = self.lock.lock_queue();
            let linked = self.node().place() == WAITING;
            let result = linked.then(|| change(&mut list, self.node()));
            // SAFETY: QLOCK is held, and the list is as `change` left it.
            unsafe { self.lock.settle(list, 0, 0).publish() };
            if linked {
                return result;
            }
        }
        self.node().await_verdict();
        None
    }

    /// A future is polled with another waker than it is queued with.
    fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.drain.key = WakerKey::of(&waker);
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
            match self.stage {
                Stage::Claimed => {
                    let poll = self.drain.poll_drain(context, patient);
                    if poll.is_ready() {
                        self.stage = Stage::Idle;
                    }
                    return poll;
                }
                Stage::Queued => match self.node().verdict() {
                    GRANTED => {
                        self.took(false);
                        if self.stage == Stage::Idle {
                            return Poll::Ready(());
                        }
                        continue;
                    }
                    WOKEN => mine = WAKING,
                    _ if replaced || self.drain.key == WakerKey::of(context.waker()) => {
                        return Poll::Pending;
                    }
                    _ => {
                        self.replace_waker(context);
                        replaced = true;
                        continue;
                    }
                },
                Stage::Idle => {}
            }
            let (lock, mode) = (self.lock, self.mode);
            let took = lock.try_take(mode, mine)
                || patient && yield_until::<P>(|| lock.try_take(mode, mine))
                || self.enqueue(context, mine).is_none();
            if took {
                self.took(mine != 0);
                if self.stage == Stage::Idle {
                    return Poll::Ready(());
                }
            } else if self.node().place() == WAITING {
                return Poll::Pending;
            }
        }
    }

    /// Gives up. Returns whether the waiter has the lock after all.
    fn give_up_acquire(&mut self) -> bool {
        let stage = core::mem::replace(&mut self.stage, Stage::Idle);
        match stage {
            Stage::Idle => false,
            Stage::Claimed => self.give_up_claim(),
            Stage::Queued => {
                // A STARVING waiter leaves its claim to the next one, who has waited nearly as long.
                // SAFETY: QLOCK is held, and the node linked in this list.
                let remove = |list: &mut List<P>, node: &Node<P>| unsafe { list.remove(node) };
                self.if_linked(remove).is_none() && self.take_verdict()
            }
        }
    }

    /// Takes the verdict of a waiter that has given up. Returns whether it has the lock.
    fn take_verdict(&mut self) -> bool {
        if self.node().verdict() == GRANTED {
            return self.mode != Mode::Write || self.give_up_claim();
        }
        if self.lock.try_now(self.mode, WAKING) {
            if self.mode != Mode::Write {
                self.lock.relay();
            }
            return true;
        }
        // The next in the queue shall be woken instead.
        let list = self.lock.lock_queue();
        // SAFETY: QLOCK is held, and the verdict WOKEN came with WAKING.
        unsafe { self.lock.settle(list, WAKING, 0).publish() };
        false
    }

    fn give_up_claim(&mut self) -> bool {
        let alone = self.drain.stop();
        if !alone {
            self.lock.release(WRITER, 0);
        }
        alone
    }
}

impl<P: Platform> Wait for Acquire<'_, P> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, patient: bool) -> Poll<()> {
        // SAFETY: the node is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let poll = this.poll_acquire(context, patient);
        if poll.is_pending() {
            P::event(&Event::WaitsFor { object: this.lock.object() });
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
        if self.give_up_acquire() {
            match self.mode {
                Mode::Read => self.lock.unlock_read(),
                Mode::Write => self.lock.unlock_write(),
                Mode::Upgradable => self.lock.unlock_upgradable(),
            }
        }
    }
}

/// An upgradable reader that becomes a writer, or stays what it is.
pub(super) struct Upgrade<'a, P: Platform> {
    drain: Drain<'a, P>,
    claimed: bool,
}

impl<'a, P: Platform> Upgrade<'a, P> {
    /// The caller has the lock as an upgradable reader, and does not use that until this ends.
    pub(super) fn new(lock: &'a RawRwLock<P>) -> Self {
        Self { drain: Drain::new(lock), claimed: false }
    }

    fn poll_upgrade(&mut self, context: &Context<'_>, patient: bool) -> Poll<()> {
        if !self.claimed {
            self.drain.lock.upgrade(false);
            self.claimed = true;
        }
        let poll = self.drain.poll_drain(context, patient);
        if poll.is_ready() {
            self.claimed = false;
        }
        poll
    }

    fn give_up_upgrade(&mut self) -> bool {
        if !core::mem::replace(&mut self.claimed, false) {
            return false;
        }
        let alone = self.drain.stop();
        if !alone {
            self.drain.lock.release(WRITER, UPGRADABLE);
        }
        alone
    }
}

impl<P: Platform> Wait for Upgrade<'_, P> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>, patient: bool) -> Poll<()> {
        // SAFETY: the node is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let poll = this.poll_upgrade(context, patient);
        if poll.is_pending() {
            P::event(&Event::WaitsFor { object: this.drain.lock.object() });
        }
        poll
    }

    fn give_up(self: Pin<&mut Self>) -> bool {
        // SAFETY: the node is not moved.
        unsafe { self.get_unchecked_mut() }.give_up_upgrade()
    }
}

impl<P: Platform> Drop for Upgrade<'_, P> {
    fn drop(&mut self) {
        if self.give_up_upgrade() {
            self.drain.lock.release(WRITER, UPGRADABLE);
        }
    }
}
