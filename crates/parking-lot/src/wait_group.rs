//! Waiting until a number of things is done.
//!
//! ```text
//!  63                               2   1         0
//! +----------------------------------+---------+-------+
//! |  how many are not done           | WAITERS | QLOCK |
//! +----------------------------------+---------+-------+
//! ```
//!
//! | bit     | set                           | set by                   | cleared by             |
//! |---------|-------------------------------|--------------------------|------------------------|
//! | QLOCK   | somebody changes the queue    | anybody, if it was clear | the same               |
//! | WAITERS | the queue is not empty        | the holder of QLOCK      | the holder of QLOCK    |
//! | count   | something is not done         | `add`                    | `done`                 |
//!
//! | QLOCK | WAITERS | count | what it means                                                     |
//! |-------|---------|-------|-------------------------------------------------------------------|
//! | 0     | 0       | 0     | done: the only value that lets a waiter pass at once              |
//! | 0     | any     | some  | waiters queue                                                     |
//! | 0     | 1       | 0     | never                                                             |
//! | 1     | any     | any   | the holder of QLOCK will look at the count once more              |
//!
//! # The protocol
//!
//! Any number of waiters may queue. The `done` that brings the count to zero while somebody waits
//! takes QLOCK in the same step (or leaves the work to whoever has it), and
//! [`settle`](WaitGroup::settle) unlinks and grants all. Somebody who comes to wait while that
//! goes on sees a count of zero *and QLOCK*, and does not pass: a caller may free the group when
//! its wait returns, and somebody is still busy with it. It passes only when the whole word is
//! zero. The last access of `done`, or of its `settle`, makes it so; whoever was queued until then
//! learns of it afterwards (`wait_group/freed_right_after`).
//!
//! # Orderings
//!
//! `done` releases and a waiter that passes acquires: what was done happens before the return of
//! the wait, for *every* `done`, as each is a read-modify-write (`wait_group/done_happens_before`
//! reports a data race otherwise). QLOCK as in the other primitives.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_platform::suspend::{Interrupted, Limits, assert_unpinned};
use raddle_platform::{
    Atomic, AtomicInt, Instant, Native, Object, ObjectKind, Ordering, Platform, RaceCell,
};

use crate::Cancelled;
use crate::block::{Wait as _, block};
use crate::patience::{Backoff, after};
use crate::queue::{Chain, GRANTED, Granter, List, Waiter, lock_bit, try_lock_bit};

const QLOCK: usize = 1;
const WAITERS: usize = 2;
/// One that is not done.
const ONE: usize = 4;
/// The most that may be not done, with room for concurrent additions that overshoot it.
const MAX_COUNT: usize = usize::MAX / ONE / 2;

/// Counts things that are not done, and lets any number of waiters wait until all are.
///
/// ```
/// use raddle_parking_lot::WaitGroup;
/// let group = WaitGroup::new();
/// std::thread::scope(|scope| {
///     for _ in 0..3 {
///         group.add(1);
///         scope.spawn(|| group.done());
///     }
///     group.wait();
/// });
/// assert_eq!(group.count(), 0);
/// ```
///
/// It may be used again after the count was zero. `add` then comes after the waits of the round
/// before have returned, or they may be part of the next.
pub struct WaitGroup<P: Platform = Native> {
    word: P::AtomicUsize,
    /// Accessed under QLOCK only.
    list: RaceCell<List<P>, P>,
}

impl WaitGroup {
    /// A group for production with nothing to wait for, usable in a `static`.
    #[inline]
    pub const fn new() -> Self {
        Self {
            word: raddle_platform::native::AtomicUsize::new(0),
            list: RaceCell::new(List::EMPTY),
        }
    }
}

impl<P: Platform> Default for WaitGroup<P> {
    fn default() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> WaitGroup<P> {
    /// A group in the world `P`.
    #[track_caller]
    pub fn new_in() -> Self {
        Self { word: P::AtomicUsize::new(0), list: RaceCell::new_in(List::EMPTY) }
    }

    /// How many are not done; by the time that the caller looks, it may have changed.
    pub fn count(&self) -> usize {
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// There are `count` more to wait for.
    ///
    /// # Panics
    /// If there would be more than `usize::MAX / 8`.
    #[inline]
    #[track_caller]
    pub fn add(&self, count: usize) {
        let _inside = P::called();
        self.add_some(count);
    }

    #[inline]
    fn add_some(&self, count: usize) {
        assert!(count <= MAX_COUNT, "too many to wait for");
        let before = self.word.fetch_add(count * ONE, Ordering::Relaxed);
        assert!(before / ONE + count <= MAX_COUNT, "too many to wait for");
    }

    /// One more is done.
    ///
    /// # Panics
    /// If all were done already.
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        let _inside = P::called();
        self.finish_one();
    }

    #[inline]
    fn finish_one(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            assert!(word >= ONE, "done was called more often than add");
            let work = word / ONE == 1 && word & (QLOCK | WAITERS) == WAITERS;
            let lock = if work { QLOCK } else { 0 };
            // ORDERING: releases what was done to the waiters; acquires, for the case of work, the
            // nodes as the releasing compare-exchange in `settle` left them, and what the others
            // have done. If there is no work this is the last access: the group may be gone.
            match self.word.compare_exchange_weak(
                word,
                (word - ONE) | lock,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) if work => break,
                Ok(_) => return,
                Err(found) => word = found,
            }
            P::retry("wait group done");
        }
        self.release_waiters();
    }

    #[cold]
    #[inline(never)]
    fn release_waiters(&self) {
        // SAFETY: `finish_one` has taken QLOCK.
        unsafe { self.settle(self.list()).publish() };
    }

    /// Suspends the calling fiber or thread until all is done. Not a cancellation point.
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        let _inside = P::called();
        match self.wait_within(Limits::NONE) {
            Ok(()) => {}
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    /// Waits for `timeout` at most. Returns whether all is done.
    #[track_caller]
    pub fn wait_for(&self, timeout: Duration) -> bool {
        let _inside = P::called();
        self.is_done() || self.wait_until(after::<P>(timeout))
    }

    /// Waits until `deadline` at most. Returns whether all is done.
    #[track_caller]
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let _inside = P::called();
        self.wait_within(Limits::until(deadline)).is_ok()
    }

    /// Waits until all is done or the calling fiber is cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] if it would have to wait and the fiber is cancelled.
    #[track_caller]
    pub fn wait_cancellable(&self) -> Result<(), Cancelled> {
        let _inside = P::called();
        self.wait_within(Limits::CANCELLABLE).map_err(|_| Cancelled)
    }

    /// Suspends the calling task until all is done. Dropping the future gives up the place in the
    /// queue.
    pub fn wait_async(&self) -> WaitDone<'_, P> {
        WaitDone { waiter: Waiter::new(self, 0) }
    }

    #[inline]
    fn wait_within(&self, limits: Limits) -> Result<(), Interrupted> {
        assert_unpinned::<P>();
        if self.is_done() { Ok(()) } else { self.wait_slow(limits) }
    }

    #[cold]
    #[inline(never)]
    fn wait_slow(&self, limits: Limits) -> Result<(), Interrupted> {
        block::<P>(limits, Waiter::new(self, 0))
    }

    /// Whether all is done and nobody is busy with the group any more.
    #[inline]
    fn is_done(&self) -> bool {
        // ORDERING: pairs with the releasing compare-exchanges in `done` and `settle`.
        self.word.load(Ordering::Acquire) == 0
    }

    /// # Safety
    /// The caller holds QLOCK.
    unsafe fn list(&self) -> List<P> {
        // SAFETY: QLOCK excludes everybody else.
        unsafe { self.list.with(|list| *list) }
    }
}

impl<P: Platform> Granter<P> for WaitGroup<P> {
    fn lock_queue_or_take(&self, _want: usize) -> Option<List<P>> {
        let mut backoff = Backoff::new();
        loop {
            if self.is_done() {
                return None;
            }
            let word = self.word.load(Ordering::Relaxed);
            if word & QLOCK != 0 {
                backoff.pause::<P>();
            } else if word != 0 && try_lock_bit::<P>(&self.word, QLOCK, word) {
                // SAFETY: QLOCK was just taken.
                return Some(unsafe { self.list() });
            }
        }
    }

    fn lock_queue(&self) -> List<P> {
        lock_bit::<P>(&self.word, QLOCK);
        // SAFETY: QLOCK was just taken.
        unsafe { self.list() }
    }

    unsafe fn settle(&self, mut list: List<P>) -> Chain<P> {
        let mut chain = Chain::new(GRANTED);
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            while word < ONE && !list.is_empty() {
                // SAFETY: QLOCK is held, and the list is not empty.
                unsafe { list.pop_into(&mut chain) };
            }
            // SAFETY: QLOCK excludes everybody else.
            unsafe { self.list.with_mut(|kept| *kept = list) };
            let waiters = if list.is_empty() { 0 } else { WAITERS };
            // ORDERING: releases the list to the next holder of QLOCK; acquires what was done, for
            // the waiters that are granted here.
            match self.word.compare_exchange_weak(
                word,
                (word / ONE * ONE) | waiters,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return chain,
                Err(found) => word = found,
            }
            P::retry("wait group settle");
        }
    }

    fn take_back(&self, _want: usize) {}

    fn object(&self) -> Object {
        Object { kind: ObjectKind::WaitGroup, number: self.word.number() }
    }
}

impl<P: Platform> fmt::Debug for WaitGroup<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}

/// Waits for a [`WaitGroup`]; see [`WaitGroup::wait_async`].
#[must_use = "futures do nothing unless polled"]
pub struct WaitDone<'a, P: Platform = Native> {
    waiter: Waiter<'a, P, WaitGroup<P>>,
}

impl<P: Platform> Future for WaitDone<'_, P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `waiter` is pinned as `self` is: it is never moved out.
        let waiter = unsafe { self.map_unchecked_mut(|this| &mut this.waiter) };
        waiter.poll(context, false)
    }
}

impl<P: Platform> fmt::Debug for WaitDone<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitDone").finish_non_exhaustive()
    }
}
