//! The buffer of a channel with room: a ring whose slots say whose turn it is.
//!
//! This is Vyukov's bounded queue, with stamps of laps and indices (so that the capacity need not be a
//! power of two), and with what a channel needs besides: it can be closed, and waited for.
//!
//! ```text
//!           63            k+2       2        1         0
//!          +----------------+-------+--------+---------+
//!  tail    |  lap           | index | CLOSED | WAITING |   senders claim here; receivers wait
//!          +----------------+-------+--------+---------+
//!  head    |  lap           | index | CLOSED | WAITING |   receivers claim here; senders wait
//!          +----------------+-------+--------+---------+
//!  stamp   |  lap           | index |   0    |  FULL   |   one for each slot
//!          +----------------+-------+--------+---------+
//! ```
//!
//! A *position* is a lap and an index. The slot of position `p` goes round:
//!
//! | stamp          | meaning                                  | changed by                     |
//! |----------------|------------------------------------------|--------------------------------|
//! | `p`            | free for who claims `p` in `tail`        | that sender, to `p + FULL`     |
//! | `p + FULL`     | full for who claims `p` in `head`        | that receiver, to `p + 1 lap`  |
//!
//! | bit     | in      | meaning                                       | set by          | cleared by |
//! |---------|---------|-----------------------------------------------|-----------------|------------|
//! | WAITING | `tail`  | receivers sleep, or are about to              | such a receiver | a sender, if nobody is queued, under the queue's lock |
//! | WAITING | `head`  | senders sleep, or are about to                | such a sender   | a receiver, likewise |
//! | CLOSED  | `tail`  | nothing is claimed any more: the end is there | `close`         | nobody     |
//! | CLOSED  | `head`  | the same, for senders that sleep              | `close`, second | nobody     |
//!
//! # Falling asleep without a fence
//!
//! Who claims read-modify-writes `tail` or `head` anyway. So who wants to sleep for a change of that
//! word leaves a mark in it (`EventCount::wait_marked`), and looks once more. The claims and the mark are
//! in one modification order: a claim before the mark is seen by the look, and one after it sees the
//! mark and wakes. On the path of messages there is neither a fence nor a look at another word.
//!
//! The look sees *claims*, not stamps: a position that is claimed but whose stamp has not come is about
//! to come, and is waited for ([`Backoff`]), never slept for (`channel/each_item_once`).
//!
//! # Orderings
//!
//! - Values go by the stamps: a store releases, the load before a claim acquires. Relaxed on either
//!   side, and `channel/each_item_once` reports a data race on the value.
//! - The mark releases and who found it acquires it (`wake_*`), so that the node behind it is there in
//!   the queue when it is looked at. All writes to the word are read-modify-writes, so the mark heads
//!   a release sequence that every later value belongs to.
//! - CLOSED is released, and acquired by who finds the channel at its end: what was done before the last
//!   sender went is visible to a receiver then (`channel/end_happens_after`), and what was done before the
//!   last receiver went to a sender (`channel/failed_send_happens_after`). A send that succeeds does not
//!   pay for that.

use core::mem::MaybeUninit;

use crossbeam_utils::CachePadded;
use raddle_parking_lot::EventCount;
use raddle_parking_lot::spin::Backoff;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};

use super::{Empty, Full};

const WAITING: usize = 1;
const CLOSED: usize = 2;
/// What is not a position in `head` and `tail`.
const FLAGS: usize = WAITING | CLOSED;
/// In a stamp.
const FULL: usize = 1;
/// One index further.
const ONE: usize = 4;

/// The most that a channel can hold.
pub(super) const MAX_CAPACITY: usize = usize::MAX >> 8;

struct Slot<T, P: Platform> {
    stamp: P::AtomicUsize,
    value: RaceCell<MaybeUninit<T>, P>,
}

/// See the head of this file.
pub(super) struct Array<T, P: Platform> {
    tail: CachePadded<P::AtomicUsize>,
    head: CachePadded<P::AtomicUsize>,
    slots: Box<[Slot<T, P>]>,
    /// The lowest bit of the lap.
    lap: usize,
    /// Receivers that wait for something in the buffer.
    pub(super) receivers: EventCount<P>,
    /// Senders that wait for room.
    pub(super) senders: EventCount<P>,
}

/// A slot that the caller has claimed.
struct Claim<'a, T, P: Platform> {
    slot: &'a Slot<T, P>,
    /// What stood in the word when the position was claimed.
    word: usize,
    /// What the slot's stamp will be.
    stamp: usize,
}

impl<T, P: Platform> Array<T, P> {
    /// A buffer for `capacity` values, which is not 0.
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity <= MAX_CAPACITY, "a channel cannot hold more than MAX_CAPACITY");
        let slot = |index: usize| Slot {
            stamp: P::AtomicUsize::new(index * ONE),
            value: RaceCell::new_in(MaybeUninit::uninit()),
        };
        Self {
            tail: CachePadded::new(P::AtomicUsize::new(0)),
            head: CachePadded::new(P::AtomicUsize::new(0)),
            slots: (0..capacity).map(slot).collect(),
            lap: capacity.next_power_of_two() * ONE,
            receivers: EventCount::new_in(),
            senders: EventCount::new_in(),
        }
    }

    #[inline]
    fn slot(&self, position: usize) -> &Slot<T, P> {
        let index = (position & (self.lap - 1)) / ONE;
        // SAFETY: positions come from `next`, which keeps the index below the number of slots.
        unsafe { self.slots.get_unchecked(index) }
    }

    #[inline]
    fn next(&self, position: usize) -> usize {
        let index = (position & (self.lap - 1)) / ONE;
        if index + 1 < self.slots.len() {
            position + ONE
        } else {
            (position & !(self.lap - 1)).wrapping_add(self.lap)
        }
    }

    /// Claims room for one value.
    #[inline]
    fn claim_room(&self) -> Result<Claim<'_, T, P>, Full> {
        let mut backoff = Backoff::new();
        let mut tail = self.tail.load(Ordering::Relaxed);
        // HAMMER-WAIT-LOOP: channel-slot
        loop {
            if tail & CLOSED != 0 {
                // ORDERING: pairs with the releasing fetch_or in `close`: what came before the end.
                self.tail.load(Ordering::Acquire);
                return Err(Full::Disconnected);
            }
            let position = tail & !FLAGS;
            let slot = self.slot(position);
            // ORDERING: pairs with the releasing store in `take`: the value before has been read.
            if slot.stamp.load(Ordering::Acquire) == position {
                let next = self.next(position) | (tail & FLAGS);
                let claimed = self.tail.compare_exchange_weak(
                    tail,
                    next,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                match claimed {
                    Ok(_) => return Ok(Claim { slot, word: tail, stamp: position | FULL }),
                    Err(found) => tail = found,
                }
                P::retry("channel send");
                continue;
            }
            let head = self.head.load(Ordering::Relaxed);
            if (head & !FLAGS).wrapping_add(self.lap) == position {
                // Both or none: who sleeps is woken by the flag in `head`.
                if head & CLOSED == 0 {
                    return Err(Full::Full);
                }
                // ORDERING: pairs with the second releasing fetch_or in `close`.
                self.head.load(Ordering::Acquire);
                return Err(Full::Disconnected);
            }
            let before = tail;
            tail = self.tail.load(Ordering::Relaxed);
            if tail == before {
                // A receiver has claimed what is in the slot, and is about to take it.
                backoff.pause::<P>();
            }
        }
    }

    /// Claims the oldest value.
    #[inline]
    fn claim_value(&self) -> Result<Claim<'_, T, P>, Empty> {
        let mut backoff = Backoff::new();
        let mut head = self.head.load(Ordering::Relaxed);
        // HAMMER-WAIT-LOOP: channel-slot
        loop {
            let position = head & !FLAGS;
            let slot = self.slot(position);
            // ORDERING: pairs with the releasing store in `fill`, for the value.
            if slot.stamp.load(Ordering::Acquire) == position | FULL {
                let next = self.next(position) | (head & FLAGS);
                let claimed = self.head.compare_exchange_weak(
                    head,
                    next,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                match claimed {
                    Ok(_) => {
                        let stamp = position.wrapping_add(self.lap);
                        return Ok(Claim { slot, word: head, stamp });
                    }
                    Err(found) => head = found,
                }
                P::retry("channel receive");
                continue;
            }
            // ORDERING: pairs with the releasing fetch_or in `close`: what came before the end.
            let tail = self.tail.load(Ordering::Acquire);
            if tail & !FLAGS == position {
                return Err(if tail & CLOSED != 0 { Empty::Disconnected } else { Empty::Empty });
            }
            let before = head;
            head = self.head.load(Ordering::Relaxed);
            if head == before {
                // A sender has claimed the slot, and is about to fill it.
                backoff.pause::<P>();
            }
        }
    }

    /// Puts `value` into the buffer. `take_value` is called if there is room.
    #[inline]
    pub(super) fn try_send(&self, take_value: impl FnOnce() -> T) -> Result<(), Full> {
        let claim = self.claim_room()?;
        // SAFETY: the slot is free, and was claimed.
        unsafe { claim.slot.value.with_mut(|slot| _ = slot.write(take_value())) };
        // ORDERING: pairs with the acquiring load in `claim_value`, for the value.
        claim.slot.stamp.store(claim.stamp, Ordering::Release);
        if claim.word & WAITING != 0 {
            self.wake_receivers(1);
        }
        Ok(())
    }

    /// Takes the oldest value.
    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, Empty> {
        let claim = self.claim_value()?;
        // SAFETY: the slot is full, and was claimed.
        let value = unsafe { claim.slot.value.with_mut(|slot| slot.assume_init_read()) };
        // ORDERING: pairs with the acquiring load in `claim_room`: the value has been read.
        claim.slot.stamp.store(claim.stamp, Ordering::Release);
        if claim.word & WAITING != 0 {
            self.wake_senders(1);
        }
        Ok(value)
    }

    /// A receiver has queued, and is about to sleep.
    pub(super) fn mark_receiver(&self) {
        // ORDERING: pairs with the acquiring load in `wake_receivers`, for the queue.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.tail.fetch_or(WAITING, Ordering::Release);
    }

    /// A sender has queued, and is about to sleep.
    pub(super) fn mark_sender(&self) {
        // ORDERING: pairs with the acquiring load in `wake_senders`, for the queue.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.head.fetch_or(WAITING, Ordering::Release);
    }

    #[cold]
    fn wake_receivers(&self, count: usize) {
        // ORDERING: pairs with the releasing fetch_or in `mark_receiver`.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.tail.load(Ordering::Acquire);
        self.receivers.notify_marked(count, || {
            self.tail.fetch_and(!WAITING, Ordering::Relaxed);
        });
    }

    #[cold]
    fn wake_senders(&self, count: usize) {
        // ORDERING: pairs with the releasing fetch_or in `mark_sender`.
        // ORDERING-AUDIT: loom runs read-modify-writes of all words in one order, so there the node is
        // found anyway.
        self.head.load(Ordering::Acquire);
        self.senders.notify_marked(count, || {
            self.head.fetch_and(!WAITING, Ordering::Relaxed);
        });
    }

    /// Ends the channel behind what is in the buffer. Returns whether it had not ended before.
    pub(super) fn close(&self) -> bool {
        // ORDERING: pairs with the acquiring loads in `claim_value` and `claim_room`.
        let tail = self.tail.fetch_or(CLOSED, Ordering::Release);
        if tail & CLOSED != 0 {
            return false;
        }
        // ORDERING: pairs with the acquiring load of the head in `claim_room`.
        let head = self.head.fetch_or(CLOSED, Ordering::Release);
        if tail & WAITING != 0 {
            self.wake_receivers(usize::MAX);
        }
        if head & WAITING != 0 {
            self.wake_senders(usize::MAX);
        }
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Relaxed) & CLOSED != 0
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many values there are, or were a moment ago.
    pub(super) fn len(&self) -> usize {
        let head = self.head.load(Ordering::Relaxed) & !FLAGS;
        let tail = self.tail.load(Ordering::Relaxed) & !FLAGS;
        if (tail.wrapping_sub(head) as isize) < 0 {
            // Not of one moment: the head has gone on since the tail that we see.
            return 0;
        }
        let index = |position: usize| (position & (self.lap - 1)) / ONE;
        let laps = (tail & !(self.lap - 1)).wrapping_sub(head & !(self.lap - 1)) / self.lap;
        let count = laps.wrapping_mul(self.capacity()).wrapping_add(index(tail));
        let count = count.wrapping_sub(index(head));
        // The tail may have gone on since the head that we see, too.
        count.min(self.capacity())
    }
}

impl<T, P: Platform> Drop for Array<T, P> {
    fn drop(&mut self) {
        let tail = self.tail.with_mut(|tail| *tail & !FLAGS);
        let mut position = self.head.with_mut(|head| *head & !FLAGS);
        while position != tail {
            let index = (position & (self.lap - 1)) / ONE;
            // SAFETY: what is between head and tail is full, and nobody else has the buffer.
            unsafe { self.slots[index].value.get_mut().assume_init_drop() };
            position = self.next(position);
        }
    }
}
