//! The mutex's word.
//!
//! ```text
//!  63                                            4   3          2        1       0
//! +-----------------------------------------------+----------+--------+-------+--------+
//! |  address of the first queued node, or nothing | STARVING | WAKING | QLOCK | LOCKED |
//! +-----------------------------------------------+----------+--------+-------+--------+
//! ```
//!
//! | bit      | meaning                        | set by                     | cleared by            |
//! |----------|--------------------------------|----------------------------|-----------------------|
//! | LOCKED   | somebody has the mutex         | who takes it; a granter    | the owner             |
//! | QLOCK    | somebody changes the queue     | anybody, if it was clear   | the same              |
//! | WAKING   | a woken waiter is on its way   | who unlinks it, with QLOCK | that waiter           |
//! | STARVING | the first node gets the mutex  | that waiter, with QLOCK    | the granter           |
//! | address  | the queue is not empty         | the holder of QLOCK        | the holder of QLOCK   |
//!
//! | LOCKED | QLOCK | WAKING | STARVING | queue | what it means                                     |
//! |--------|-------|--------|----------|-------|---------------------------------------------------|
//! | 0      | 0     | 0      | 0        | empty | free: what the fast path takes                    |
//! | 1      | 0     | 0      | 0        | empty | held: what the fast path releases                 |
//! | 1      | 0     | 0      | 0        | some  | held; the owner will wake the first node          |
//! | 1      | 0     | 1      | 0        | any   | held; the owner need not wake anybody             |
//! | 0      | 0     | 1      | 0        | any   | free; the woken waiter or a newcomer takes it     |
//! | 1      | 0     | 0      | 1        | some  | held; the owner will hand it to the first node    |
//! | any    | 1     | any    | any      | any   | the holder of QLOCK will look at LOCKED once more |
//! | 0      | 0     | 0      | any      | some  | never                                             |
//! | any    | 0     | 1      | 1        | any   | never                                             |
//!
//! # The protocol
//!
//! Locking sets LOCKED by compare-exchange, whoever comes: this is *barging*, without which every
//! critical section of a busy mutex would last as long as a wake-up. Who cannot have the mutex
//! looks a few times more, then queues. Unlocking clears LOCKED; if there is a queue and nobody is
//! on its way, the same compare-exchange takes QLOCK, and [`settle`](RawMutex::settle) unlinks and
//! wakes the first node. The woken one owns WAKING: until it has decided, further unlockers leave
//! the queue alone, so that a hot mutex with waiters costs one read-modify-write an unlock and no
//! system call. If it finds the mutex taken again, it queues in front and gives WAKING back in the
//! same step. A waiter that has lost so more than `BOUNDS.barges` times, or for `BOUNDS.barge_ns`,
//! sets STARVING, which closes the mutex to newcomers: the next unlocker hands it over. (If that
//! waiter gives up, to the one behind it.) So overtaking is bounded.
//!
//! QLOCK never makes an unlocker wait. Whoever holds it clears it by `settle`, whose
//! compare-exchange fails if LOCKED changed in between and then looks again; so an unlocker that
//! finds QLOCK set just clears LOCKED and goes. And as clearing LOCKED is its last access unless
//! it has QLOCK, and nobody leaves the queue while it has, a mutex may be freed by whoever locks
//! it next (`mutex/freed_right_after`). A subtraction instead of the compare-exchange would be a
//! little faster, but would have to look at the queue after the mutex was given up.
//!
//! # Orderings
//!
//! Every write to the word is a read-modify-write, so each acquiring one synchronises with all
//! releasing ones before it, whoever came between.
//!
//! - Lock acquires, unlock releases: the critical sections. Relaxed on either side, and
//!   `mutex/exclusion` reports a data race on the value.
//! - Taking QLOCK acquires, `settle` releases: the links and wakers in the nodes. Relaxed on
//!   either side, and `mutex/no_lost_wakeup_of_three` reports a data race on a node.
//! - `settle` also acquires: when it hands the mutex over, the unlocker's critical section must
//!   reach the waiter through it (`mutex/handover_under_barging`).

use raddle_platform::suspend::{Interrupted, Limits, assert_unpinned};
use raddle_platform::{Atomic, AtomicInt, Event, Object, ObjectKind, Ordering, Platform};

use super::acquire::Acquire;
use crate::block::block;
use crate::patience::{Backoff, yield_until};
use crate::queue::{Chain, GRANTED, List, WOKEN, lock_bit, try_lock_bit};

pub(super) const LOCKED: usize = 1;
pub(super) const QLOCK: usize = 2;
pub(super) const WAKING: usize = 4;
pub(super) const STARVING: usize = 8;
const FLAGS: usize = LOCKED | QLOCK | WAKING | STARVING;

/// A mutex without a value.
pub(crate) struct RawMutex<P: Platform> {
    word: P::AtomicUsize,
}

impl RawMutex<raddle_platform::Native> {
    pub(super) const fn new() -> Self {
        Self { word: raddle_platform::native::AtomicUsize::new(0) }
    }
}

impl<P: Platform> RawMutex<P> {
    #[track_caller]
    pub(super) fn new_in() -> Self {
        Self { word: P::AtomicUsize::new(0) }
    }

    /// What events call this mutex.
    #[inline]
    pub(super) fn object(&self) -> Object {
        Object { kind: ObjectKind::Mutex, number: self.word.number() }
    }

    /// Tells that the caller has the mutex.
    #[inline]
    pub(super) fn tell_acquired(&self) {
        P::event(&Event::Acquired { object: self.object(), shared: false });
    }

    /// Tells that the caller is about to unlock.
    #[inline]
    pub(super) fn tell_released(&self) {
        P::event(&Event::Released { object: self.object() });
    }

    #[inline]
    pub(crate) fn lock(&self) {
        assert_unpinned::<P>();
        // ORDERING: pairs with the releasing compare-exchange in `unlock`, for the value.
        let free = self.word.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        if free.is_err() {
            self.lock_slow();
        }
    }

    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        // ORDERING: pairs with the releasing compare-exchange in `unlock`, for the value.
        let free = self.word.compare_exchange(0, LOCKED, Ordering::Acquire, Ordering::Relaxed);
        free.is_ok() || self.try_lock_slow(0)
    }

    #[cold]
    #[inline(never)]
    fn lock_slow(&self) {
        match self.lock_within(Limits::NONE) {
            Ok(()) => {}
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    /// Locks, yielding and then suspending, until a limit.
    pub(super) fn lock_within(&self, limits: Limits) -> Result<(), Interrupted> {
        if self.yield_to_lock(0) {
            return Ok(());
        }
        block::<P>(limits, Acquire::new(self))
    }

    /// Yields for the mutex; `mine` is WAKING if the caller owns that bit.
    pub(super) fn yield_to_lock(&self, mine: usize) -> bool {
        yield_until::<P>(|| self.try_lock_slow(mine))
    }

    /// Takes the mutex if it is free and open, whatever stands in the rest of the word; `mine` is
    /// WAKING if the caller owns that bit, and is cleared then.
    pub(super) fn try_lock_slow(&self, mine: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (LOCKED | STARVING) == 0 {
            let next = (word | LOCKED) & !mine;
            // ORDERING: pairs with the releasing compare-exchange in `unlock`, for the value.
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("mutex lock");
        }
        false
    }

    pub(super) fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) & LOCKED != 0
    }

    /// Whether somebody is queued.
    pub(super) fn has_queue(&self) -> bool {
        self.word.load(Ordering::Relaxed) & !FLAGS != 0
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING: pairs with the acquiring compare-exchanges that lock, for the value.
        let alone = self.word.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed);
        if alone.is_err() {
            self.unlock_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn unlock_slow(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let work = word & !FLAGS != 0 && word & (QLOCK | WAKING) == 0;
            let next = if work { (word & !LOCKED) | QLOCK } else { word & !LOCKED };
            // ORDERING: releases the value to whoever locks next; acquires, for the case of work,
            // the nodes as the releasing compare-exchange in `settle` left them. If there is no
            // work this is the last access: the mutex may be gone afterwards.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if work => break,
                Ok(_) => return,
                Err(found) => word = found,
            }
            P::retry("mutex unlock");
        }
        // SAFETY: QLOCK is held since the exchange above.
        unsafe { self.settle(List::from_word(word, FLAGS), 0, 0).publish() };
    }

    /// Unlocks, and hands the mutex to the first in the queue if there is one.
    pub(super) fn unlock_fair(&self) {
        // ORDERING: pairs with the acquiring compare-exchanges that lock, for the value.
        let alone = self.word.compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed);
        if alone.is_err() {
            let list = self.lock_queue();
            // SAFETY: QLOCK is held. The first node is treated as a starving one: `settle` takes
            // it out and gives it what the caller gives up.
            unsafe { self.settle(list, LOCKED, STARVING).publish() };
        }
    }

    /// Takes QLOCK, and with it the list.
    pub(super) fn lock_queue(&self) -> List<P> {
        List::from_word(lock_bit::<P>(&self.word, QLOCK), FLAGS)
    }

    /// As [`lock_queue`](Self::lock_queue), unless the mutex is free: then takes that. `mine` is
    /// WAKING if the caller owns that bit; it is cleared when the mutex is taken.
    pub(super) fn lock_queue_or_lock(&self, mine: usize) -> Option<List<P>> {
        let mut backoff = Backoff::new();
        loop {
            if self.try_lock_slow(mine) {
                return None;
            }
            let word = self.word.load(Ordering::Relaxed);
            if word & QLOCK != 0 {
                backoff.pause::<P>();
                continue;
            }
            if try_lock_bit::<P>(&self.word, QLOCK, word) {
                return Some(List::from_word(word, FLAGS));
            }
        }
    }

    /// Clears QLOCK, changes the flags (`clear` first, then `set`), puts `list` back, and unlinks
    /// whoever can go on. The result is to be published; nothing else may follow.
    ///
    /// # Safety
    /// The caller holds QLOCK, and `list` is the list that it got with it. LOCKED is in `clear`
    /// only if the caller owns the mutex, WAKING only if it owns that; STARVING is in `set` only
    /// for the first node and if nobody else can be STARVING.
    pub(super) unsafe fn settle(&self, mut list: List<P>, clear: usize, set: usize) -> Chain<P> {
        let mut chain = Chain::new(WOKEN);
        let mut verdict = None;
        if set & STARVING != 0 && clear & LOCKED == 0 {
            // First of all: from here on nobody locks, so that a mutex which is found free below
            // stays so until it is handed over (`mutex/unlock_against_a_waiter_that_starves`).
            self.word.fetch_or(STARVING, Ordering::Relaxed);
        }
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let mut flags = (word & (LOCKED | WAKING | STARVING) & !clear) | set;
            if verdict.is_none() && flags & LOCKED == 0 && !list.is_empty() {
                if flags & STARVING != 0 {
                    verdict = Some(GRANTED);
                } else if flags & WAKING == 0 {
                    verdict = Some(WOKEN);
                }
                if let Some(verdict) = verdict {
                    // SAFETY: QLOCK is held, and the list is not empty.
                    unsafe { list.pop_into(&mut chain) };
                    chain.set_verdict(verdict);
                }
            }
            // Once a node is unlinked its verdict stands, also if a newcomer was faster: nobody
            // can lock while STARVING is in the word, or while the caller has the mutex that it
            // gives up; and a woken waiter may find the mutex taken.
            match verdict {
                Some(GRANTED) => flags = (flags | LOCKED) & !STARVING,
                Some(_) => flags |= WAKING,
                None if list.is_empty() => flags &= !STARVING,
                None => {}
            }
            // ORDERING: releases the nodes to the next holder of QLOCK, and, if `clear` holds
            // LOCKED, the value; acquires, for a mutex that is handed over, the value from who
            // unlocked while the caller held QLOCK.
            match self.word.compare_exchange_weak(
                word,
                flags | list.to_word(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return chain,
                Err(found) => word = found,
            }
            P::retry("mutex settle");
        }
    }

    /// Queues the nodes of `chain`, which waited for something else until now. They are MOVED from
    /// here on. The caller need not have the mutex: the nodes' owners borrow it until their
    /// verdict.
    ///
    /// # Safety
    /// The nodes' owners expect this, and handle what a waiter for a mutex must handle.
    pub(crate) unsafe fn requeue(&self, mut chain: Chain<P>) {
        let mut list = self.lock_queue();
        while let Some(node) = chain.take_first() {
            // SAFETY: QLOCK is held; the node is unlinked, alive until its verdict, and pinned.
            unsafe {
                (*node).mark_moved();
                list.push_back(node);
            }
        }
        // SAFETY: QLOCK is held. This is the last access: the mutex may be gone afterwards.
        unsafe { self.settle(list, 0, 0).publish() };
    }
}
