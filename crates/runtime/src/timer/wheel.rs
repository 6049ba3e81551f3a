//! A hierarchical timing wheel (Varghese and Lauck, SOSP 1987), exact to the nanosecond.
//!
//! Most timers are timeouts that never fire: setting and clearing one must be cheap, whatever
//! else is set. A wheel does both in constant time. Time is cut into *ticks* of 16 µs, and a tick
//! number into digits of 6 bits. The wheel has a level for each digit and a slot for each value:
//!
//! ```text
//! cursor   0 . 0 . 3 . 17 . 40        the tick that the wheel has come to
//! timer    0 . 0 . 3 . 29 .  5        differs first in digit 1: level 1, slot 29
//!                      ^^
//! ```
//!
//! A timer lies at the level of the first digit in which its tick differs from the cursor. When
//! the cursor comes to the slot, the digit differs no more, and the slot's timers are dealt out to
//! lower levels (*cascade*), at most once a level. Two things follow from that placement:
//!
//! - A timer's slot depends on its tick and the cursor only, and stays right while the cursor moves
//!   up to the slot. So timers of one tick always lie together, in the order in which they were
//!   set, and a cascade, which keeps the order of a list, keeps it.
//! - All slots in use at a level come after the cursor's own digit there, and everything at a level
//!   is due before anything at the next. So the earliest slot is the lowest bit of the lowest level
//!   in use: one bitmap a level, and no empty slot is ever visited, however far time jumps.
//!
//! Timers of the cursor's tick, and late ones, lie in a list of their own, sorted by deadline: the
//! ticks are short so that this list is, too. From there a timer fires at the first
//! [`advance`](Wheel::advance) whose `now` has reached its deadline: never early, not rounded to a
//! tick, and in the order of deadlines, those of equal deadlines in the order they were set.
//!
//! Nine levels hold all 64 bits of nanoseconds. The wheel is plain data: its lock, its clock and
//! the waking are the caller's.

mod entry;
#[cfg(test)]
mod tests;

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::task::Waker;

pub(crate) use entry::Entry;
use entry::{List, Node, Place};
use raddle_platform::{Instant, Native, Platform};

/// A tick is 2^14 ns.
const TICK_BITS: u32 = 14;
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// As many digits as the largest tick has.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(DIGIT_BITS) as usize;

fn tick(instant: Instant) -> u64 {
    instant.as_nanos() >> TICK_BITS
}

/// The timers of one slot.
#[derive(Clone, Copy)]
struct Slot {
    list: List,
    /// No entry is due before. Exact until the earliest entry is removed, which would otherwise
    /// take a search for the second.
    earliest: Instant,
}

const EMPTY: Slot = Slot { list: List::new(), earliest: Instant::FAR_FUTURE };

struct Level {
    /// Bit `i` is set while slot `i` has entries.
    occupied: u64,
    slots: [Slot; SLOTS],
}

/// Timers in the order of their deadlines.
pub(crate) struct Wheel<P: Platform = Native> {
    /// The tick that time has come to. Never moves back, even if time does.
    cursor: u64,
    /// Entries whose tick is not after `cursor`, sorted by deadline.
    current: List,
    levels: Box<[Level]>,
    len: usize,
    /// How many timers were ever set: the number of the last one.
    set: u64,
    platform: PhantomData<fn() -> P>,
}

// SAFETY: what it points to are entries that whoever inserted them lets only the wheel touch, from
// whichever thread it is on; the wakers in them are Send.
unsafe impl<P: Platform> Send for Wheel<P> {}

impl<P: Platform> Wheel<P> {
    /// An empty wheel that starts at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        let level = || Level { occupied: 0, slots: [EMPTY; SLOTS] };
        Self {
            cursor: tick(now),
            current: List::new(),
            levels: (0..LEVELS).map(|_| level()).collect(),
            len: 0,
            set: 0,
            platform: PhantomData,
        }
    }

    /// How many timers are set.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of the timer that was set last, from 1.
    pub(crate) fn last_number(&self) -> u64 {
        self.set
    }

    /// Sets a timer: the first [`advance`](Self::advance) that reaches `deadline` hands out
    /// `waker`. Returns whether `deadline` is before what [`next_deadline`](Self::next_deadline)
    /// was, so that whoever sleeps until then must be told.
    ///
    /// Constant time, except among the timers of the current tick.
    ///
    /// # Safety
    /// The entry is in no wheel. Until it fired or was removed it stays alive and where it is, and
    /// nobody touches it but through this wheel, which outlives it.
    pub(crate) unsafe fn insert(
        &mut self,
        entry: NonNull<Entry<P>>,
        deadline: Instant,
        waker: Waker,
    ) -> bool {
        let is_earliest = self.next_deadline().is_none_or(|next| deadline < next);
        // SAFETY: the entry is alive.
        let mut node = unsafe { Entry::node(entry) };
        // SAFETY: by the caller's promise nobody else touches the entry.
        let state = unsafe { node.as_mut() };
        debug_assert_eq!(state.place, Place::Nowhere, "a timer is set once at a time");
        self.set += 1;
        state.number = self.set;
        state.deadline = deadline;
        state.waker = Some(waker);
        // SAFETY: alive, pinned and in no list.
        unsafe {
            if tick(deadline) <= self.cursor {
                state.place = Place::Current;
                self.current.insert_sorted(node);
            } else {
                self.file(node);
            }
        }
        self.len += 1;
        is_earliest
    }

    /// Clears a timer, and hands back its number and waker unless it has fired. Does nothing to an
    /// entry that is in no wheel. To drop a waker may run anything: do it when the wheel's lock is released.
    ///
    /// Constant time.
    ///
    /// # Safety
    /// The entry is in this wheel or in none.
    pub(crate) unsafe fn remove(&mut self, entry: NonNull<Entry<P>>) -> Option<(u64, Waker)> {
        // SAFETY: the entry is alive.
        let mut node = unsafe { Entry::node(entry) };
        // SAFETY: entries are touched by their wheel only, and this is it.
        let state = unsafe { node.as_mut() };
        let (number, waker) = (state.number, state.waker.take());
        match core::mem::replace(&mut state.place, Place::Nowhere) {
            Place::Nowhere => return None,
            // SAFETY: its place says that it is in this list.
            Place::Current => unsafe { self.current.unlink(node) },
            Place::Slot { level, slot } => {
                let level = &mut self.levels[usize::from(level)];
                let list = &mut level.slots[usize::from(slot)].list;
                // SAFETY: its place says that it is in this list.
                unsafe { list.unlink(node) };
                if list.is_empty() {
                    level.occupied &= !(1 << slot);
                }
            }
        }
        self.len -= 1;
        waker.map(|waker| (number, waker))
    }

    /// When to call [`advance`](Self::advance) next: the earliest deadline, or, if the earliest
    /// timer was removed, an instant not after it. `None` if no timer is set.
    ///
    /// Constant time.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next = self.current.front_deadline().or_else(|| {
            let (level, slot) = self.first_slot()?;
            Some(self.levels[level].slots[slot].earliest)
        });
        debug_assert_eq!(next.is_none(), self.len() == 0, "no timer is out of reach");
        next
    }

    /// Hands out the numbers and wakers of all timers whose deadline is not after `now`, in the order
    /// of their deadlines. They are to be woken when the wheel's lock is released.
    ///
    /// Takes time in proportion to the timers that fire or cascade, a few times in its life each.
    pub(crate) fn advance(&mut self, now: Instant, fire: &mut impl FnMut(u64, Waker)) {
        let target = tick(now);
        loop {
            self.fire_current(now, fire);
            // What is left of the current tick is after `now`; so is then everything else.
            if !self.current.is_empty() {
                return;
            }
            let first =
                self.first_slot().map(|(level, slot)| (level, slot, self.start(level, slot)));
            match first {
                Some((level, slot, start)) if start <= target => {
                    self.cursor = start;
                    self.cascade(level, slot);
                }
                _ => {
                    self.cursor = self.cursor.max(target);
                    return;
                }
            }
        }
    }

    fn fire_current(&mut self, now: Instant, fire: &mut impl FnMut(u64, Waker)) {
        while self.current.front_deadline().is_some_and(|deadline| deadline <= now) {
            let Some(mut node) = self.current.pop_front() else { return };
            // SAFETY: it was linked a moment ago, so it is alive. After this block its owner may
            // free it, as soon as the wheel's lock is released.
            let (number, waker) = unsafe {
                node.as_mut().place = Place::Nowhere;
                (node.as_ref().number, node.as_mut().waker.take())
            };
            self.len -= 1;
            if let Some(waker) = waker {
                fire(number, waker);
            }
        }
    }

    /// Links a node whose tick is after the cursor into its slot.
    ///
    /// # Safety
    /// The node is alive and in no list, and stays where it is until it is unlinked.
    unsafe fn file(&mut self, mut node: NonNull<Node>) {
        // SAFETY: alive, and touched by nobody else.
        let state = unsafe { node.as_mut() };
        let tick = tick(state.deadline);
        let level = ((tick ^ self.cursor).ilog2() / DIGIT_BITS) as usize;
        let slot = (tick >> (level as u32 * DIGIT_BITS)) as usize % SLOTS;
        state.place = Place::Slot { level: level as u8, slot: slot as u8 };
        let deadline = state.deadline;
        self.levels[level].occupied |= 1 << slot;
        let slot = &mut self.levels[level].slots[slot];
        if slot.list.is_empty() {
            slot.earliest = deadline;
        }
        slot.earliest = slot.earliest.min(deadline);
        // SAFETY: by the caller's promise.
        unsafe { slot.list.push_back(node) };
    }

    /// The slot that comes first, as level and index.
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot: the cursor's digits above the level, the slot's index, zeros.
    fn start(&self, level: usize, slot: usize) -> u64 {
        let shift = level as u32 * DIGIT_BITS;
        let above = self.cursor >> shift >> DIGIT_BITS << DIGIT_BITS;
        (above | slot as u64) << shift
    }

    /// Deals the slot that the cursor has come to out to the lower levels and the current tick.
    fn cascade(&mut self, level: usize, slot: usize) {
        debug_assert!(self.current.is_empty(), "earlier timers have fired");
        self.levels[level].occupied &= !(1 << slot);
        let mut list = core::mem::replace(&mut self.levels[level].slots[slot], EMPTY).list;
        while let Some(mut node) = list.pop_front() {
            // SAFETY: it was linked a moment ago: alive, pinned, and now in no list.
            unsafe {
                if tick(node.as_ref().deadline) == self.cursor {
                    node.as_mut().place = Place::Current;
                    self.current.push_back(node);
                } else {
                    self.file(node);
                }
            }
        }
        self.current.sort();
    }
}
