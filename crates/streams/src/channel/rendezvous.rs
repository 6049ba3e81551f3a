//! A channel without room: a value goes from hand to hand.
//!
//! Who comes first and may wait for the other side queues with a [`Party`] of its own, on its stack or
//! in its future, and who comes second does the exchange with it, under the lock of both queues: takes
//! the value out of a sender's party, or puts it into a receiver's. So a send is complete exactly when
//! somebody has the value, and only one of both sides ever has it.
//!
//! | state    | written by                | what it means                                                |
//! |----------|---------------------------|--------------------------------------------------------------|
//! | WAITING  | its owner, before linking | in a queue, or about to be; afterwards, that it has left it  |
//! | DONE     | the other side            | unlinked; the value has changed hands                        |
//! | CLOSED   | who closes the channel    | unlinked; the value, if any, stays with its owner            |
//!
//! All but the owner's look at the state happens under the lock. The verdict (DONE, CLOSED) is the last
//! access to a party by anybody but its owner; its waker was taken out before.
//!
//! | who waits           | where                   | why                                                 |
//! |---------------------|-------------------------|-----------------------------------------------------|
//! | any sender          | `senders`               | a dropped future takes its value with it             |
//! | a blocking receiver | `receivers`             | it takes what it is given, whatever ends its wait    |
//! | a receiving future  | an event count          | it may be dropped, and a value with it would be lost |
//!
//! A receiving future is thus only told that there is a sender, and takes the value itself when it is
//! polled; dropped instead, it tells the next one (`channel/rendezvous_dropped_future_passes_on`). And
//! `try_send` gives only to a receiver that blocks.
//!
//! # Orderings
//!
//! The lock orders all but the verdict, which is released to the owner's acquiring look, for the value
//! and for the end of the party. The event count has its own handshake: a sender queues under the lock,
//! then notifies, and the future looks under the lock after it has queued there.

use core::cell::Cell;
use core::marker::PhantomPinned;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use raddle_parking_lot::EventCount;
use raddle_platform::{Atomic, Event, Object, ObjectKind, Ordering, Platform, RaceCell};

use super::{Empty, Full};
use raddle_parking_lot::spin::{Spinlock, look_until};

const WAITING: u32 = 0;
const DONE: u32 = 1;
const CLOSED: u32 = 2;

/// One who waits for the other side.
struct Party<T, P: Platform> {
    /// Accessed under the lock while linked, by the owner otherwise.
    shared: RaceCell<Shared<T, P>, P>,
    state: P::AtomicU32,
    _pinned: PhantomPinned,
}

struct Shared<T, P: Platform> {
    next: *const Party<T, P>,
    prev: *const Party<T, P>,
    waker: Option<Waker>,
    value: Option<T>,
}

// SAFETY: a party is made to be touched by other threads, as the table above says; it moves values from
// one thread to another.
unsafe impl<T: Send, P: Platform> Send for Party<T, P> {}
// SAFETY: as above.
unsafe impl<T: Send, P: Platform> Sync for Party<T, P> {}

impl<T, P: Platform> Party<T, P> {
    #[track_caller]
    fn new() -> Self {
        Self {
            shared: RaceCell::new_in(Shared {
                next: ptr::null(),
                prev: ptr::null(),
                waker: None,
                value: None,
            }),
            state: P::AtomicU32::new(WAITING),
            _pinned: PhantomPinned,
        }
    }

    fn verdict(&self) -> u32 {
        // ORDERING: pairs with the releasing store in `settle`, for the value.
        self.state.load(Ordering::Acquire)
    }

    /// The party is its owner's again, who has seen its verdict or has unlinked it. What stands in it.
    fn end(&self) -> Option<T> {
        self.verdict();
        // SAFETY: nobody else knows the party any more.
        unsafe { self.take_value() }
    }

    /// Looks for a while whether the verdict comes, before the owner is suspended.
    fn look(&self) -> bool {
        look_until::<P>(|| self.verdict() != WAITING)
    }

    /// Makes the party ready to be linked. Not under the lock: this drops the waker before.
    ///
    /// # Safety
    /// The party is the caller's, and not linked.
    unsafe fn prepare(&self, waker: Waker) {
        self.state.store(WAITING, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.shared.with_mut(|shared| shared.waker = Some(waker)) };
    }

    /// Puts a value in. There is none, so nothing is dropped.
    ///
    /// # Safety
    /// The party is the caller's: not linked, or linked under the lock that the caller holds.
    unsafe fn put_value(&self, value: Option<T>) {
        // SAFETY: the caller's promise.
        let before =
            unsafe { self.shared.with_mut(|shared| core::mem::replace(&mut shared.value, value)) };
        debug_assert!(before.is_none(), "a party is emptied when it ends");
    }

    /// # Safety
    /// The party is the caller's: not linked, or linked under the lock that the caller holds.
    unsafe fn take_value(&self) -> Option<T> {
        // SAFETY: the caller's promise.
        unsafe { self.shared.with_mut(|shared| shared.value.take()) }
    }

    /// Gives the unlinked party its verdict. It may be gone afterwards.
    ///
    /// # Safety
    /// The caller holds the lock, and has unlinked the party.
    unsafe fn settle(&self, verdict: u32) -> Option<Waker> {
        // SAFETY: the party is alive until the verdict, and the caller's.
        let waker = unsafe { self.shared.with_mut(|shared| shared.waker.take()) };
        // ORDERING: pairs with the acquiring load in `verdict`.
        self.state.store(verdict, Ordering::Release);
        waker
    }
}

/// Parties in the order in which they came.
struct Queue<T, P: Platform> {
    first: *const Party<T, P>,
    last: *const Party<T, P>,
}

impl<T, P: Platform> Queue<T, P> {
    const EMPTY: Self = Self { first: ptr::null(), last: ptr::null() };

    /// # Safety
    /// The caller holds the lock; `party` is linked nowhere, and stays until it is unlinked.
    unsafe fn push(&mut self, party: *const Party<T, P>) {
        // SAFETY: the lock is held; linked parties are alive.
        unsafe {
            (*party).shared.with_mut(|shared| {
                (shared.next, shared.prev) = (ptr::null(), self.last);
            });
            if self.last.is_null() {
                self.first = party;
            } else {
                (*self.last).shared.with_mut(|shared| shared.next = party);
            }
        }
        self.last = party;
    }

    /// # Safety
    /// The caller holds the lock, and `party` is linked here.
    unsafe fn remove(&mut self, party: *const Party<T, P>) {
        // SAFETY: the lock is held; linked parties are alive.
        unsafe {
            let (next, prev) = (*party).shared.with(|shared| (shared.next, shared.prev));
            if prev.is_null() {
                self.first = next;
            } else {
                (*prev).shared.with_mut(|shared| shared.next = next);
            }
            if next.is_null() {
                self.last = prev;
            } else {
                (*next).shared.with_mut(|shared| shared.prev = prev);
            }
        }
    }

    /// # Safety
    /// The caller holds the lock.
    unsafe fn pop(&mut self) -> Option<*const Party<T, P>> {
        let first = self.first;
        if first.is_null() {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { self.remove(first) };
        Some(first)
    }
}

struct Queues<T, P: Platform> {
    senders: Queue<T, P>,
    receivers: Queue<T, P>,
    closed: bool,
}

// SAFETY: addresses of parties, which move between threads if their values do.
unsafe impl<T: Send, P: Platform> Send for Queues<T, P> {}

/// See the head of this file.
pub(super) struct Rendezvous<T, P: Platform> {
    queues: Spinlock<Queues<T, P>, P>,
    /// Receiving futures.
    pub(super) receivers: EventCount<P>,
}

/// Which of both queues.
#[derive(Clone, Copy)]
enum Side {
    Senders,
    Receivers,
}

impl<T, P: Platform> Queues<T, P> {
    fn queue(&mut self, side: Side) -> &mut Queue<T, P> {
        match side {
            Side::Senders => &mut self.senders,
            Side::Receivers => &mut self.receivers,
        }
    }
}

impl<T, P: Platform> Rendezvous<T, P> {
    pub(super) fn new() -> Self {
        let queues = Queues { senders: Queue::EMPTY, receivers: Queue::EMPTY, closed: false };
        Self { queues: Spinlock::new(queues), receivers: EventCount::new_in() }
    }

    /// Gives a value to a receiver that blocks. `take_value` is called if there is one.
    pub(super) fn try_send(&self, take_value: impl FnOnce() -> T) -> Result<(), Full> {
        self.give(take_value, |_| Err(Full::Full))
    }

    /// Gives a value to a receiver that blocks; or else does what `otherwise` says, under the lock. Both
    /// closures borrow what they use: a message or a waker that was theirs would be dropped under the lock,
    /// and that is foreign code.
    fn give(
        &self,
        take_value: impl FnOnce() -> T,
        otherwise: impl FnOnce(&mut Queues<T, P>) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let waker = self.queues.locked(|queues| {
            if queues.closed {
                return Err(Full::Disconnected);
            }
            // SAFETY: the lock is held. The receiver is alive until its verdict.
            unsafe {
                let Some(receiver) = queues.receivers.pop() else {
                    return otherwise(queues).map(|()| None);
                };
                (*receiver).put_value(Some(take_value()));
                Ok((*receiver).settle(DONE))
            }
        })?;
        // Waking is foreign code: not under the lock.
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes the value of the sender that has waited longest.
    pub(super) fn try_recv(&self) -> Result<T, Empty> {
        self.take(|_| Empty::Empty)
    }

    /// Takes the value of the sender that has waited longest; or else does what `otherwise` says, under
    /// the lock. The closure borrows, as in [`give`](Self::give).
    fn take(&self, otherwise: impl FnOnce(&mut Queues<T, P>) -> Empty) -> Result<T, Empty> {
        let (value, waker) = self.queues.locked(|queues| {
            // SAFETY: the lock is held. The sender is alive until its verdict.
            unsafe {
                let Some(sender) = queues.senders.pop() else {
                    let closed = queues.closed;
                    return Err(if closed { Empty::Disconnected } else { otherwise(queues) });
                };
                let Some(value) = (*sender).take_value() else {
                    unreachable!("a queued sender has a value")
                };
                Ok((value, (*sender).settle(DONE)))
            }
        })?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(value)
    }

    /// What stands in `party` once it has a verdict: otherwise it waits on, with the waker of `context`.
    fn poll_verdict(&self, party: &Party<T, P>, context: &Context<'_>) -> Poll<Option<T>> {
        if party.verdict() == WAITING {
            let mut waker = Some(context.waker().clone());
            let waits = self.queues.locked(|_| {
                let waits = party.state.load(Ordering::Relaxed) == WAITING;
                if waits {
                    // SAFETY: the lock is held, and the party linked.
                    unsafe {
                        party
                            .shared
                            .with_mut(|shared| core::mem::swap(&mut shared.waker, &mut waker));
                    }
                }
                waits
            });
            // The old waker is dropped here, not under the lock.
            drop(waker);
            if waits {
                self.waits();
                return Poll::Pending;
            }
        }
        Poll::Ready(party.end())
    }

    /// Takes the party out of its queue, if it has no verdict. What stands in it.
    fn unlink(&self, party: &Party<T, P>, side: Side) -> Option<T> {
        self.queues.locked(|queues| {
            if party.state.load(Ordering::Relaxed) == WAITING {
                // SAFETY: the lock is held, and a queued party without a verdict is linked.
                unsafe { queues.queue(side).remove(party) };
            }
        });
        party.end()
    }

    /// Ends the channel. Whoever waits gets its verdict; values stay with their senders. Returns
    /// whether it had not ended before.
    pub(super) fn close(&self) -> bool {
        let first = self.queues.locked(|queues| !core::mem::replace(&mut queues.closed, true));
        if !first {
            return false;
        }
        // Nobody can queue any more.
        while let Some(waker) = self.queues.locked(|queues| {
            // SAFETY: the lock is held; a party is alive until its verdict.
            unsafe {
                let party = queues.senders.pop().or_else(|| queues.receivers.pop())?;
                Some((*party).settle(CLOSED))
            }
        }) {
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        self.receivers.notify_all();
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queues.locked(|queues| queues.closed)
    }

    pub(super) fn number(&self) -> u64 {
        self.queues.number()
    }

    fn waits(&self) {
        let object = Object { kind: ObjectKind::Channel, number: self.number() };
        P::event(&Event::WaitsFor { object });
    }
}

/// A send: its message is in the queue while nobody takes it.
pub(super) struct Giving<'a, T, P: Platform> {
    rendezvous: &'a Rendezvous<T, P>,
    party: Party<T, P>,
    queued: bool,
}

impl<'a, T, P: Platform> Giving<'a, T, P> {
    pub(super) fn new(rendezvous: &'a Rendezvous<T, P>) -> Self {
        Self { rendezvous, party: Party::new(), queued: false }
    }

    /// Whether it has begun, and has not ended.
    pub(super) fn is_queued(&self) -> bool {
        self.queued
    }

    /// Sends what is in `value`, if it has not begun before. Ready with the message if the channel has
    /// ended.
    pub(super) fn poll(
        self: Pin<&mut Self>,
        value: &mut Option<T>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), T>> {
        // SAFETY: the party is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let rendezvous = this.rendezvous;
        if this.queued {
            let end = rendezvous.poll_verdict(&this.party, context);
            this.queued = end.is_pending();
            return end.map(|value| value.map_or(Ok(()), Err));
        }
        // SAFETY: the party is not linked.
        unsafe { this.party.prepare(context.waker().clone()) };
        let message = Cell::new(value.take());
        let taken = || message.take().unwrap_or_else(|| unreachable!("a message to send"));
        let party: *const Party<T, P> = &raw const this.party;
        let given = rendezvous.give(taken, |queues| {
            // SAFETY: the lock is held, and the party not linked; it is pinned, and leaves before it dies.
            unsafe {
                (*party).put_value(message.take());
                queues.senders.push(party);
            }
            this.queued = true;
            Ok(())
        });
        match given {
            Ok(()) if this.queued => {
                rendezvous.receivers.notify_one();
                rendezvous.waits();
                Poll::Pending
            }
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => Poll::Ready(Err(taken())),
        }
    }

    /// Whether a few looks show that it has ended.
    pub(super) fn look(&self) -> bool {
        self.party.look()
    }

    /// Ends it. The message, if nobody has taken it.
    pub(super) fn leave(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: the party is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        core::mem::take(&mut this.queued)
            .then(|| this.rendezvous.unlink(&this.party, Side::Senders))
            .flatten()
    }
}

impl<T, P: Platform> Drop for Giving<'_, T, P> {
    fn drop(&mut self) {
        // SAFETY: what is dropped was pinned, and is not moved.
        drop(unsafe { Pin::new_unchecked(self) }.leave());
    }
}

/// A blocking receive: it is in the queue while nobody gives it something.
pub(super) struct Taking<'a, T, P: Platform> {
    rendezvous: &'a Rendezvous<T, P>,
    party: Party<T, P>,
    queued: bool,
}

impl<'a, T, P: Platform> Taking<'a, T, P> {
    pub(super) fn new(rendezvous: &'a Rendezvous<T, P>) -> Self {
        Self { rendezvous, party: Party::new(), queued: false }
    }

    /// Ready with nothing if the channel has ended.
    pub(super) fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: the party is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        let rendezvous = this.rendezvous;
        if this.queued {
            let end = rendezvous.poll_verdict(&this.party, context);
            this.queued = end.is_pending();
            return end;
        }
        // SAFETY: the party is not linked.
        unsafe { this.party.prepare(context.waker().clone()) };
        let party: *const Party<T, P> = &raw const this.party;
        let taken = rendezvous.take(|queues| {
            // SAFETY: as in `Giving`.
            unsafe { queues.receivers.push(party) };
            this.queued = true;
            Empty::Empty
        });
        match taken {
            Ok(value) => Poll::Ready(Some(value)),
            Err(Empty::Disconnected) => Poll::Ready(None),
            Err(Empty::Empty) => {
                rendezvous.waits();
                Poll::Pending
            }
        }
    }

    /// Whether a few looks show that it has ended.
    pub(super) fn look(&self) -> bool {
        self.party.look()
    }

    /// Ends it. What it was given meanwhile, if anything.
    pub(super) fn leave(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: the party is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        core::mem::take(&mut this.queued)
            .then(|| this.rendezvous.unlink(&this.party, Side::Receivers))
            .flatten()
    }
}

impl<T, P: Platform> Drop for Taking<'_, T, P> {
    fn drop(&mut self) {
        // SAFETY: what is dropped was pinned, and is not moved.
        drop(unsafe { Pin::new_unchecked(self) }.leave());
    }
}
