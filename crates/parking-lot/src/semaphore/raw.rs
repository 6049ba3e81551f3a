//! The semaphore's word.
//!
//! ```text
//!  63                               2   1         0
//! +----------------------------------+---------+-------+
//! |  permits that nobody has         | WAITERS | QLOCK |
//! +----------------------------------+---------+-------+
//! ```
//!
//! | bit     | meaning                    | set by                   | cleared by               |
//! |---------|----------------------------|--------------------------|--------------------------|
//! | QLOCK   | somebody changes the queue | anybody, if it was clear | the same                 |
//! | WAITERS | the queue is not empty     | the holder of QLOCK      | the holder of QLOCK      |
//! | permits | nobody has them            | anybody                  | see below                |
//!
//! Permits are taken by anybody while both bits are clear, else by the holder of QLOCK only.
//!
//! | QLOCK | WAITERS | permits          | what it means                                          |
//! |-------|---------|------------------|--------------------------------------------------------|
//! | 0     | 0       | any              | newcomers take what they want if it is there           |
//! | 0     | 1       | too few for the first | newcomers queue                                   |
//! | 0     | 1       | enough for it    | never                                                  |
//! | 1     | any     | any              | the holder of QLOCK will look at the permits once more |
//!
//! # The protocol
//!
//! First come, first served, strictly: while somebody is queued no newcomer takes a permit, even
//! if the first in the queue wants more than there are. A release without a queue is one
//! compare-exchange. A release with a queue adds its permits and takes QLOCK in the same step (or
//! leaves the work to whoever has QLOCK), and [`settle`](RawSemaphore::settle) gives the permits to
//! the first nodes, for as many as they suffice. There is thus no moment at which the permits are
//! counted and the queue not yet looked at, or the other way round: an acquirer either finds the
//! permits in the word or is found in the queue.
//!
//! The releaser's compare-exchange is its last access if it takes no QLOCK, and `settle`'s is its
//! last if it does: a waiter that was granted its permits may free the semaphore at once.
//!
//! # Orderings
//!
//! - A release releases, an acquisition acquires: what was done under the permit. Relaxed on
//!   either side, and `semaphore/release_happens_before_acquire` reports a data race.
//! - QLOCK as in the mutex: `semaphore/two_waiters` reports a data race on the nodes.

use raddle_platform::suspend::{Interrupted, Limits, assert_unpinned};
use raddle_platform::{Atomic, Object, ObjectKind, Ordering, Platform, RaceCell};

use crate::block::block;
use crate::patience::{Backoff, yield_until};
use crate::queue::{Chain, GRANTED, Granter, List, Waiter, lock_bit, try_lock_bit};

const QLOCK: usize = 1;
const WAITERS: usize = 2;
/// The lowest bit of the permits.
const SHIFT: u32 = 2;

/// The most permits that a semaphore can hold.
pub(super) const MAX_PERMITS: usize = usize::MAX >> 3;

/// A semaphore's state and queue.
pub(crate) struct RawSemaphore<P: Platform> {
    word: P::AtomicUsize,
    /// Accessed under QLOCK only.
    list: RaceCell<List<P>, P>,
}

impl RawSemaphore<raddle_platform::Native> {
    pub(super) const fn new(permits: usize) -> Self {
        assert!(permits <= MAX_PERMITS, "a semaphore cannot hold more than MAX_PERMITS");
        Self {
            word: raddle_platform::native::AtomicUsize::new(permits << SHIFT),
            list: RaceCell::new(List::EMPTY),
        }
    }
}

impl<P: Platform> RawSemaphore<P> {
    #[track_caller]
    pub(super) fn new_in(permits: usize) -> Self {
        assert!(permits <= MAX_PERMITS, "a semaphore cannot hold more than MAX_PERMITS");
        Self { word: P::AtomicUsize::new(permits << SHIFT), list: RaceCell::new_in(List::EMPTY) }
    }

    pub(super) fn available(&self) -> usize {
        self.word.load(Ordering::Relaxed) >> SHIFT
    }

    #[inline]
    pub(super) fn try_acquire(&self, count: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (QLOCK | WAITERS) == 0 && word >> SHIFT >= count {
            // ORDERING: pairs with the releasing compare-exchange in `release`, for what was done
            // under the permit.
            match self.word.compare_exchange_weak(
                word,
                word - (count << SHIFT),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("semaphore acquire");
        }
        false
    }

    #[inline]
    pub(super) fn acquire(&self, count: usize, limits: Limits) -> Result<(), Interrupted> {
        assert_unpinned::<P>();
        if self.try_acquire(count) { Ok(()) } else { self.acquire_slow(count, limits) }
    }

    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, count: usize, limits: Limits) -> Result<(), Interrupted> {
        if yield_until::<P>(|| self.try_acquire(count)) {
            return Ok(());
        }
        block::<P>(limits, Waiter::new(self, count))
    }

    /// Takes up to `count` permits away, and returns how many.
    pub(super) fn forget(&self, count: usize) -> usize {
        let mut backoff = Backoff::new();
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let taken = count.min(word >> SHIFT);
            if taken == 0 {
                return 0;
            }
            if word & QLOCK != 0 {
                // The holder may be about to give these permits away.
                backoff.pause::<P>();
                word = self.word.load(Ordering::Relaxed);
                continue;
            }
            let next = word - (taken << SHIFT);
            match self.word.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return taken,
                Err(found) => word = found,
            }
            P::retry("semaphore forget");
        }
    }

    #[inline]
    pub(super) fn release(&self, count: usize) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            assert!(
                (word >> SHIFT) + count <= MAX_PERMITS,
                "a semaphore cannot hold more than MAX_PERMITS"
            );
            let work = word & (QLOCK | WAITERS) == WAITERS;
            let lock = if work { QLOCK } else { 0 };
            // ORDERING: releases what was done under the permit to whoever gets it; acquires, for
            // the case of work, the nodes as the releasing compare-exchange in `settle` left them.
            // If there is no work this is the last access: the semaphore may be gone afterwards.
            match self.word.compare_exchange_weak(
                word,
                (word + (count << SHIFT)) | lock,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) if work => break,
                Ok(_) => return,
                Err(found) => word = found,
            }
            P::retry("semaphore release");
        }
        self.release_to_waiters();
    }

    #[cold]
    #[inline(never)]
    fn release_to_waiters(&self) {
        // SAFETY: `release` has taken QLOCK.
        unsafe { self.settle(self.list()).publish() };
    }

    /// # Safety
    /// The caller holds QLOCK.
    unsafe fn list(&self) -> List<P> {
        // SAFETY: QLOCK excludes everybody else.
        unsafe { self.list.with(|list| *list) }
    }
}

impl<P: Platform> Granter<P> for RawSemaphore<P> {
    fn lock_queue_or_take(&self, count: usize) -> Option<List<P>> {
        let mut backoff = Backoff::new();
        loop {
            if self.try_acquire(count) {
                return None;
            }
            let word = self.word.load(Ordering::Relaxed);
            if word & QLOCK != 0 {
                backoff.pause::<P>();
                continue;
            }
            if word & WAITERS == 0 && word >> SHIFT >= count {
                // It has just become so.
                P::retry("semaphore acquire");
                continue;
            }
            if try_lock_bit::<P>(&self.word, QLOCK, word) {
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
        let mut given = 0;
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // Nobody else takes permits while QLOCK is set, so what was counted once stays there.
            while let Some(first) = list.front() {
                // SAFETY: QLOCK is held, and the node is linked.
                let want = unsafe { (*first).want() };
                if (word >> SHIFT) - given < want {
                    break;
                }
                given += want;
                // SAFETY: QLOCK is held, and the list is not empty.
                unsafe { list.pop_into(&mut chain) };
            }
            // SAFETY: QLOCK excludes everybody else.
            unsafe { self.list.with_mut(|kept| *kept = list) };
            let waiters = if list.is_empty() { 0 } else { WAITERS };
            let next = (((word >> SHIFT) - given) << SHIFT) | waiters;
            // ORDERING: releases the list to the next holder of QLOCK; acquires, for the permits
            // that are given away here, what was done under them.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return chain,
                Err(found) => word = found,
            }
            P::retry("semaphore settle");
        }
    }

    fn take_back(&self, count: usize) {
        self.release(count);
    }

    fn object(&self) -> Object {
        Object { kind: ObjectKind::Semaphore, number: self.word.number() }
    }
}
