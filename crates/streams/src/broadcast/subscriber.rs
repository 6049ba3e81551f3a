//! The side that takes.

use core::fmt;
use core::pin::Pin;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::EventWaiter;
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Clock, Instant, Native, Platform};

use super::Policy;
use super::chunk::Slot;
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::shared::{Shared, Start};
use super::state::{Place, Share};

/// Receives each item that is published, in order.
///
/// Receiving is a load and a clone of the item: no write to what others use. Once in a chunk the
/// subscriber takes the stream's lock.
///
/// A clone is a subscriber of its own that goes on from the same place, with the same policy.
pub struct Subscriber<T, P: Platform = Native> {
    /// Queued with `shared`, so it goes first. Made when a future or stream waits for the first time.
    pub(super) waiter: Option<Pin<Box<EventWaiter<'static, P>>>>,
    /// The slots of `chunk`, which is what is received from; null while nothing is, or while there is
    /// something to be told first.
    slots: *const Slot<T, P>,
    /// How many they are.
    size: usize,
    chunk: Option<Share<T, P>>,
    /// Where to go on: below the size of a chunk.
    index: usize,
    number: u64,
    policy: Policy,
    backlog: Option<u64>,
    /// Lost items of which the user is to be told, before it gets the next one.
    lost: u64,
    /// The chunk that follows what is lost.
    aside: Option<Share<T, P>>,
    /// What every further call returns.
    over: Option<RecvError<P>>,
    /// Whether the stream of its items has ended.
    pub(super) ended: bool,
    pub(super) shared: Arc<Shared<T, P>, P>,
}

// SAFETY: `slots` belongs to `chunk`, whose bounds these are.
unsafe impl<T: Send + Sync, P: Platform> Send for Subscriber<T, P> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, P: Platform> Sync for Subscriber<T, P> {}

impl<T, P: Platform> Subscriber<T, P> {
    pub(super) fn new(shared: Arc<Shared<T, P>, P>, policy: Policy, start: Start) -> Self {
        let (place, backlog) = shared.subscribe(policy, start);
        Self {
            waiter: None,
            slots: slots(place.chunk.as_ref()),
            size: shared.size(),
            chunk: place.chunk,
            index: place.index,
            number: place.number,
            policy,
            backlog,
            lost: 0,
            aside: None,
            over: None,
            ended: false,
            shared,
        }
    }

    /// What happens when it is too slow.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// How many items are published that it has neither received nor been told to have lost.
    pub fn lag(&self) -> u64 {
        let next = self.shared.sequence(self.number, self.index);
        (self.shared.published() + self.lost).saturating_sub(next)
    }

    /// Subscribes to the same stream.
    pub fn resubscribe(&self, policy: Policy, start: Start) -> Self {
        let _inside = P::called();
        Self::new(Arc::clone(&self.shared), policy, start)
    }

    /// Receives the next item; the calling fiber or thread is suspended until there is one.
    ///
    /// # Errors
    /// What else is to be told, and [`Cancelled`](RecvError::Cancelled) if it would have to wait and the
    /// fiber is cancelled: a [`RecvError`] says after which of them to go on.
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> Result<T, RecvError<P>>
    where
        T: Clone,
    {
        let _inside = P::called();
        self.next(T::clone)
    }

    /// As [`recv`](Self::recv), but shows the item to `look` instead of cloning it.
    ///
    /// If `look` panics, the item counts as received.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    #[track_caller]
    pub fn recv_with<R>(&mut self, look: impl FnOnce(&T) -> R) -> Result<R, RecvError<P>> {
        let _inside = P::called();
        self.next(look)
    }

    /// Receives the next item if it is there.
    ///
    /// # Errors
    /// [`Empty`](TryRecvError::Empty) if it is not, or what else is to be told.
    #[inline]
    #[track_caller]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError<P>>
    where
        T: Clone,
    {
        let _inside = P::called();
        match self.look() {
            Ok(true) => Ok(self.take(T::clone)),
            Ok(false) => Err(TryRecvError::Empty),
            Err(error) => Err(TryRecvError::Other(error)),
        }
    }

    /// As [`recv`](Self::recv), until `deadline`.
    ///
    /// # Errors
    /// As there, and [`TimedOut`](RecvTimeoutError::TimedOut).
    #[track_caller]
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError<P>>
    where
        T: Clone,
    {
        let _inside = P::called();
        self.next_until(deadline)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    /// As there, and [`TimedOut`](RecvTimeoutError::TimedOut).
    #[track_caller]
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError<P>>
    where
        T: Clone,
    {
        let _inside = P::called();
        self.next_for(timeout)
    }

    #[inline]
    fn next<R>(&mut self, look: impl FnOnce(&T) -> R) -> Result<R, RecvError<P>> {
        if !self.next_is_ready() {
            self.await_next()?;
        }
        Ok(self.take(look))
    }

    /// Suspends the caller until an item is there, or something else is to be told.
    #[cold]
    #[inline(never)]
    fn await_next(&mut self) -> Result<(), RecvError<P>> {
        self.wait(Limits::CANCELLABLE).unwrap_or(Err(RecvError::Cancelled))
    }

    fn next_until(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError<P>>
    where
        T: Clone,
    {
        let limits = Limits { deadline: Some(deadline), cancellable: true };
        self.wait(limits)?.map_err(RecvTimeoutError::Other)?;
        Ok(self.take(T::clone))
    }

    fn next_for(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError<P>>
    where
        T: Clone,
    {
        self.next_until(P::Clock::now() + timeout)
    }

    /// Suspends the caller until an item is there.
    fn wait(&mut self, limits: Limits) -> Result<Result<(), RecvError<P>>, Interrupted> {
        // SAFETY: `self` keeps it, and is borrowed until the end.
        let shared = unsafe { &*Arc::as_ptr(&self.shared) };
        shared.items.wait(limits, || self.look_for_waiter())
    }

    /// What a waiter looks for: an item, or something to be told.
    pub(super) fn look_for_waiter(&mut self) -> Option<Result<(), RecvError<P>>> {
        match self.look() {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Whether the next item is there: then [`take`](Self::take) takes it.
    #[inline]
    fn look(&mut self) -> Result<bool, RecvError<P>> {
        if self.next_is_ready() { Ok(true) } else { self.look_further() }
    }

    #[inline]
    fn next_is_ready(&self) -> bool {
        // SAFETY: `chunk` keeps the slots, and the index is below their number.
        !self.slots.is_null() && unsafe { (*self.slots.add(self.index)).is_ready() }
    }

    /// Takes the item that [`look`](Self::look) has found.
    #[inline]
    pub(super) fn take<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        // SAFETY: `chunk` keeps the slots, and the index is below their number.
        let slot = unsafe { &*self.slots.add(self.index) };
        self.index += 1;
        if self.index < self.size {
            // SAFETY: the slot was ready.
            return unsafe { slot.read(look) };
        }
        self.take_last(look)
    }

    /// Takes the last item of a chunk, and leaves that: also when `look` panics.
    #[cold]
    #[inline(never)]
    fn take_last<R>(&mut self, look: impl FnOnce(&T) -> R) -> R {
        struct Leave<'a, T, P: Platform>(&'a mut Subscriber<T, P>);
        impl<T, P: Platform> Drop for Leave<'_, T, P> {
            fn drop(&mut self) {
                self.0.leave();
            }
        }
        let leave = Leave(self);
        // SAFETY: `chunk` keeps the slots, and the last of them was ready.
        unsafe { (*leave.0.slots.add(leave.0.index - 1)).read(look) }
    }

    #[cold]
    #[inline(never)]
    fn look_further(&mut self) -> Result<bool, RecvError<P>> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        if self.lost > 0 {
            let aside = self.aside.take();
            self.hold(aside);
            return Err(RecvError::Lagged(core::mem::take(&mut self.lost)));
        }
        if self.chunk.is_none() && self.shared.last_opened() >= self.number {
            let place = self.shared.advance(self.number, self.policy, self.backlog, false);
            self.go_to(place);
            // Not recursive: there is a chunk now, or something to be told.
            if self.over.is_some() || self.lost > 0 {
                return self.look_further();
            }
            if self.next_is_ready() {
                return Ok(true);
            }
        }
        let next = self.shared.sequence(self.number, self.index);
        if self.shared.ends_at(next) { Err(self.finish()) } else { Ok(false) }
    }

    /// All items of the chunk are received.
    fn leave(&mut self) {
        let left = self.hold(None);
        self.number += 1;
        let place = self.shared.advance(self.number, self.policy, self.backlog, true);
        self.go_to(place);
        drop(left);
    }

    fn go_to(&mut self, place: Place<T, P>) {
        (self.number, self.index) = (place.number, place.index);
        if place.lost == 0 {
            self.hold(place.chunk);
        } else if self.policy == Policy::Disconnect {
            self.over = Some(RecvError::CutOff(place.lost));
        } else {
            self.lost += place.lost;
            self.aside = place.chunk;
        }
    }

    /// Receives from `chunk` from now on. Returns the one before.
    fn hold(&mut self, chunk: Option<Share<T, P>>) -> Option<Share<T, P>> {
        self.slots = slots(chunk.as_ref());
        core::mem::replace(&mut self.chunk, chunk)
    }

    /// Nothing will come any more.
    fn finish(&mut self) -> RecvError<P> {
        let failure = self.shared.lock().failure.clone();
        let over = failure.map_or(RecvError::Closed, RecvError::Failed);
        self.retire();
        self.over = Some(over.clone());
        over
    }

    /// Gives up its place. `over` is set next, or the subscriber is dropped.
    fn retire(&mut self) {
        if self.over.is_none() {
            let chunk = (self.hold(None), self.aside.take());
            self.shared.retire(self.number, self.policy, self.backlog);
            drop(chunk);
        }
    }
}

impl<T, P: Platform> Clone for Subscriber<T, P> {
    fn clone(&self) -> Self {
        let _inside = P::called();
        Self {
            waiter: None,
            slots: self.slots,
            size: self.size,
            chunk: self.chunk.clone(),
            index: self.index,
            number: self.number,
            policy: self.policy,
            backlog: self.shared.join(self.number, self.policy, self.backlog, self.over.is_none()),
            lost: self.lost,
            aside: self.aside.clone(),
            over: self.over.clone(),
            ended: self.ended,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, P: Platform> Drop for Subscriber<T, P> {
    fn drop(&mut self) {
        let _inside = P::called();
        self.waiter = None;
        self.retire();
        self.shared.lock().subscribers -= 1;
    }
}

impl<T, P: Platform> fmt::Debug for Subscriber<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("policy", &self.policy)
            .field("lag", &self.lag())
            .finish_non_exhaustive()
    }
}

fn slots<T, P: Platform>(chunk: Option<&Share<T, P>>) -> *const Slot<T, P> {
    chunk.map_or(core::ptr::null(), |chunk| chunk.slots())
}
