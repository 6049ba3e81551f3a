//! The clock of versions, and the snapshots that stand still at a point of it.
//!
//! Nobody who writes moves the clock: a snapshot does, when it is taken. It is *at* the time that it
//! found, and sees what has a stamp up to that. A version's stamp is the time at some moment after it
//! was published and before anybody relied on its being there: who finds a version without a stamp
//! gives it one first. (Wei et al., *Constant-time snapshots with applications to concurrent data
//! structures*, 2021.) So writers share a word that they only read, as long as there are no snapshots.
//!
//! **A snapshot never sees a part.** Whoever takes one moves the clock from `s` to `s + 1`, passes a
//! fence, and looks at cells. Whoever stamps has published before, passes a fence, and reads the
//! clock. If the snapshot does not see what was published, then the fences are in this order and the
//! stamp is `s + 1` or more; if it does, it waits for the stamp, or gives it. Without either fence:
//! `transaction/snapshot_is_never_mixed`.
//!
//! **Pruning leaves what a snapshot may look for.** A version is unlinked if no snapshot is at a time
//! from its own stamp to before that of the next newer one, `m`. A snapshot writes its slot before it
//! moves the clock. Who prunes has acquired `m` from somebody who read it on the clock, and all
//! writes of the clock are read-modify-writes that release: so whoever moved the clock before it
//! showed `m` has its slot seen, and all others are at `m` or later. A slot is *settling* until its
//! time is known; then everything from the time that was read before is kept.
//!
//! ```text
//! slot   0                 nobody's
//!        time << 1 | 1     settling: it will be at `time` or later
//!        time << 1         at `time`
//! ```

use core::cell::Cell;
use core::ptr;

use crossbeam_utils::CachePadded;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

const SETTLING: u64 = 1;

pub(crate) struct VersionClock<P: Platform> {
    time: CachePadded<P::AtomicU64>,
    /// The slot that was added last; each points to the one before.
    slots: P::AtomicPtr<Slot<P>>,
    /// How many slots there are.
    count: P::AtomicU32,
}

/// Where a snapshot says at which time it is. Freed with its world only.
pub(crate) struct Slot<P: Platform> {
    word: CachePadded<P::AtomicU64>,
    /// Of all slots of the world.
    pub(crate) number: u32,
    /// Never changes after the slot was added.
    next: Cell<*const Slot<P>>,
}

// SAFETY: `next` does not change once the slot is shared.
unsafe impl<P: Platform> Sync for Slot<P> {}

impl<P: Platform> VersionClock<P> {
    pub(crate) fn new() -> Self {
        Self {
            time: CachePadded::new(P::AtomicU64::new(1)),
            slots: P::AtomicPtr::new(ptr::null_mut()),
            count: P::AtomicU32::new(0),
        }
    }

    /// The time, for who has published something and gives it a stamp.
    pub(crate) fn now_after_publishing(&self) -> u64 {
        // ORDERING: pairs with the fence of `enter`; stands between what was published and the time.
        // No handshake to name: nothing is read on the strength of it that was not acquired.
        P::fence(Ordering::SeqCst, &[]);
        // ORDERING: pairs with the releasing read-modify-writes of `enter`, for the slots.
        self.time.load(Ordering::Acquire)
    }

    /// Takes a slot, `last` if that is free, and moves the clock. Returns the slot and its time.
    pub(crate) fn enter(&self, last: *const Slot<P>) -> (&Slot<P>, u64) {
        let since = self.time.load(Ordering::Relaxed);
        // SAFETY: null, or a slot of this world.
        let slot = match unsafe { last.as_ref() } {
            Some(last) if last.claim(since) => last,
            _ => self.find_slot(since),
        };
        // ORDERING: pairs with the acquiring load of `now_after_publishing`: releases the slot to who prunes.
        let time = self.time.fetch_add(1, Ordering::Release);
        slot.word.swap(time << 1, Ordering::Relaxed);
        // ORDERING: pairs with the fence of `now_after_publishing`; stands between the clock and what
        // the snapshot will look at.
        P::fence(Ordering::SeqCst, &[]);
        (slot, time)
    }

    #[cold]
    fn find_slot(&self, since: u64) -> &Slot<P> {
        if let Some(free) = self.slots().find(|slot| slot.claim(since)) {
            return free;
        }
        let new = Box::into_raw(Box::new(Slot {
            word: CachePadded::new(P::AtomicU64::new(since << 1 | SETTLING)),
            number: self.count.fetch_add(1, Ordering::Relaxed),
            next: Cell::new(ptr::null()),
        }));
        let mut first = self.slots.load(Ordering::Relaxed);
        loop {
            // SAFETY: not shared before the compare-exchange.
            unsafe { (*new).next.set(first) };
            // ORDERING: releases the slot to `slots`.
            match self.slots.compare_exchange_weak(first, new, Ordering::Release, Ordering::Relaxed)
            {
                // SAFETY: freed with the world only.
                Ok(_) => return unsafe { &*new },
                Err(found) => {
                    P::retry("snapshot slot");
                    first = found;
                }
            }
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot<P>> {
        // ORDERING: pairs with the releasing compare-exchange in `find_slot`, for the slot.
        let first: *const Slot<P> = self.slots.load(Ordering::Acquire);
        // SAFETY: slots are freed with the world only.
        core::iter::successors(unsafe { first.as_ref() }, |slot| unsafe {
            slot.next.get().as_ref()
        })
    }

    /// Whether a snapshot is, or will be, at a time from `from` to before `to`, which somebody has
    /// read on the clock.
    pub(crate) fn somebody_is_between(&self, from: u64, to: u64) -> bool {
        self.slots().any(|slot| slot.is_between(from, to))
    }

    /// Whether a snapshot is being taken.
    pub(crate) fn somebody_is_settling(&self) -> bool {
        self.slots().any(|slot| slot.word.load(Ordering::Relaxed) & SETTLING != 0)
    }

    /// How many snapshots there are.
    pub(crate) fn snapshots(&self) -> usize {
        self.slots().filter(|slot| slot.word.load(Ordering::Relaxed) != 0).count()
    }
}

impl<P: Platform> Slot<P> {
    fn claim(&self, since: u64) -> bool {
        let settling = since << 1 | SETTLING;
        self.word.load(Ordering::Relaxed) == 0
            && self.word.compare_exchange(0, settling, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn is_between(&self, from: u64, to: u64) -> bool {
        // ORDERING: pairs with the releasing swap in `leave`: what a snapshot has read, it read before it
        // is freed. (What is read from a snapshot is not read under a pin.)
        // ORDERING-AUDIT: the heavy fence before anything is freed acquires it as well, but not for
        // ThreadSanitizer, which knows no fences.
        let word = self.word.load(Ordering::Acquire);
        let time = word >> 1;
        match word & SETTLING {
            _ if word == 0 => false,
            SETTLING => time < to,
            _ => from <= time && time < to,
        }
    }

    /// The snapshot is no more.
    pub(crate) fn leave(&self) {
        // ORDERING: releases what the snapshot has read to who prunes.
        self.word.swap(0, Ordering::Release);
    }
}

impl<P: Platform> Drop for VersionClock<P> {
    fn drop(&mut self) {
        let mut next = ptr::null_mut();
        self.slots.with_mut(|first| next = *first);
        while !next.is_null() {
            // SAFETY: it came from a box, and no snapshot is there without its world.
            next = unsafe { Box::from_raw(next) }.next.get().cast_mut();
        }
    }
}
