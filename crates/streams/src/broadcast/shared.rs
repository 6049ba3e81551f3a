//! What publishers and subscribers share: the tail word, and the steps that change it.

use core::ptr;

use crossbeam_utils::CachePadded;
use raddle_ownership::Arc;
use raddle_parking_lot::EventCount;
use raddle_parking_lot::spin::{Backoff, SpinGuard, Spinlock};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

use super::Policy;
use super::chunk::Chunk;
use super::error::{Exhausted, Failure};
use super::state::{Garbage, Hindrance, Place, Share, State};

/// The claims in the tail word. A thread adds at most three in vain to a chunk, as the head of the module
/// says, so there is room for twenty thousand threads.
const CLAIMS: u64 = (1 << 16) - 1;
const CLOSED: u64 = 1 << 16;
const NUMBER_SHIFT: u32 = 17;
/// The last chunk that has a number: with the next one the tail word would begin anew, and subscribers
/// would take old chunks for new ones.
pub(super) const LAST_NUMBER: u64 = (1 << (64 - NUMBER_SHIFT)) - 1;

/// The end of a stream that is open.
const OPEN: u64 = u64::MAX;

/// A publisher's next chunk, which it allocates before it takes the lock.
pub(super) type Spare<T, P> = Option<Share<T, P>>;

pub(super) struct Shared<T, P: Platform> {
    /// Drawn at the head of the module. Publishers hand it from one to the other with each item, so
    /// nothing else that they need stands beside it.
    tail: CachePadded<P::AtomicU64>,
    /// Whether claims are void until another chunk is opened, as somebody has found out.
    refusing: P::AtomicBool,
    /// The sequence number at which a closed stream ends.
    end: P::AtomicU64,
    /// Slots in a chunk; a power of two.
    size: usize,
    /// The chunk with number `n` at `n % ring.len()`, from its opening until it is given up.
    ring: Box<[P::AtomicPtr<Chunk<T, P>>]>,
    state: CachePadded<Spinlock<State<T, P>, P>>,
    /// Subscribers that wait for an item.
    pub(super) items: EventCount<P>,
    /// Publishers that wait for a subscriber.
    pub(super) space: EventCount<P>,
}

/// Where a new subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first item that is published from now on.
    Now,
    /// With the first item of the oldest chunk that the stream keeps: what was given up because the stream
    /// was full is missing, although a subscriber may have it in its hand (or, with
    /// [`Policy::DropNewest`], in its backlog), and so are chunks that all have left. What others have
    /// received is there if it stands in a chunk that somebody is still at, or in one that is not full.
    Oldest,
}

enum Opening {
    /// Opened, and its first slot claimed: the word before which that claim was made.
    Claimed(u64),
    /// Somebody else has opened it.
    Again,
    /// A chunk is needed.
    NoSpare,
    Full,
    Unwritten,
    Closed,
    /// The last chunk is used up.
    Exhausted,
}

/// Why nothing was published.
pub(super) enum Refusal {
    Full,
    Closed,
}

impl<T, P: Platform> Shared<T, P> {
    pub(super) fn new(capacity: usize) -> Self {
        Self::starting_with(capacity, 1)
    }

    /// A stream whose first chunk has the number `first`.
    pub(super) fn starting_with(capacity: usize, first: u64) -> Self {
        assert!((1..=LAST_NUMBER).contains(&first), "chunks are numbered from 1");
        assert!(capacity > 0, "a stream holds one item at least");
        let size = (capacity / 4).clamp(1, 64);
        let size = 1 << size.ilog2();
        // A chunk is given up as a whole. So that `capacity` items are there although the oldest
        // chunk is nearly used up, there is one more.
        let most = capacity.div_ceil(size) + usize::from(size > 1);
        let ring = (0..most.next_power_of_two()).map(|_| P::AtomicPtr::new(ptr::null_mut()));
        Self {
            // As if the chunk before had been used up.
            tail: CachePadded::new(P::AtomicU64::new(((first - 1) << NUMBER_SHIFT) | size as u64)),
            refusing: P::AtomicBool::new(false),
            end: P::AtomicU64::new(OPEN),
            size,
            ring: ring.collect(),
            state: CachePadded::new(Spinlock::new(State::new(size, most, first))),
            items: EventCount::new_in(),
            space: EventCount::new_in(),
        }
    }

    pub(super) fn lock(&self) -> SpinGuard<'_, State<T, P>, P> {
        self.state.lock()
    }

    #[inline]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The sequence number of an item.
    #[inline]
    pub(super) fn sequence(&self, number: u64, index: usize) -> u64 {
        number * self.size as u64 + index as u64
    }

    /// Whether no item is there from `sequence` on, and none will be.
    pub(super) fn ends_at(&self, sequence: u64) -> bool {
        sequence >= self.end.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// The number of the chunk that was opened last.
    pub(super) fn last_opened(&self) -> u64 {
        self.tail.load(Ordering::Relaxed) >> NUMBER_SHIFT
    }

    /// How many items were published, as a sequence number.
    pub(super) fn published(&self) -> u64 {
        let word = self.tail.load(Ordering::Relaxed);
        let end = self.end.load(Ordering::Relaxed);
        self.sequence(word >> NUMBER_SHIFT, self.claimed(word)).min(end)
    }

    #[inline]
    fn claimed(&self, word: u64) -> usize {
        ((word & CLAIMS) as usize).min(self.size)
    }

    #[inline]
    fn is_claim(&self, word: u64) -> bool {
        word & CLOSED == 0 && word & CLAIMS < self.size as u64
    }

    /// Publishes `value`, or gives it back.
    #[inline]
    pub(super) fn publish(&self, value: T, spare: &mut Spare<T, P>) -> Result<(), (Refusal, T)> {
        if !self.refusing.load(Ordering::Relaxed)
            && let Some(claim) = self.claim()
        {
            self.fill(claim, value);
            return Ok(());
        }
        self.publish_slow(value, spare)
    }

    /// Claims a slot of the last chunk.
    #[inline]
    fn claim(&self) -> Option<u64> {
        // ORDERING: pairs with the swap in `extend`, for the ring and the chunk.
        let claim = self.tail.fetch_add(1, Ordering::Acquire);
        self.is_claim(claim).then_some(claim)
    }

    /// Writes to the slot that was claimed.
    #[inline]
    fn fill(&self, claim: u64, value: T) {
        let number = (claim >> NUMBER_SHIFT) as usize;
        let chunk = self.ring[number & (self.ring.len() - 1)].load(Ordering::Relaxed);
        // SAFETY: a chunk is given up only when all of its slots are written, and this one is not.
        unsafe { (*chunk).slot((claim & CLAIMS) as usize).write(value) };
        self.items.notify_all();
    }

    #[cold]
    #[inline(never)]
    fn publish_slow(&self, value: T, spare: &mut Spare<T, P>) -> Result<(), (Refusal, T)> {
        let mut backoff = Backoff::new();
        // HAMMER-WAIT-LOOP: broadcast-unwritten
        loop {
            // The look keeps those from claiming in vain who come again and again.
            if self.is_claim(self.tail.load(Ordering::Relaxed))
                && let Some(claim) = self.claim()
            {
                self.fill(claim, value);
                return Ok(());
            }
            // Dropped when the claimed slot is written: destructors are foreign code, and everybody
            // waits for the slot.
            let mut garbage = Garbage::new();
            match self.extend(spare, &mut garbage) {
                Opening::Claimed(claim) => {
                    self.fill(claim, value);
                    return Ok(());
                }
                Opening::Again => P::retry("broadcast::publish"),
                Opening::NoSpare => *spare = Some(Arc::new_in(Chunk::new(self.size))),
                Opening::Unwritten => backoff.pause::<P>(),
                Opening::Full => return Err((Refusal::Full, value)),
                Opening::Closed => return Err((Refusal::Closed, value)),
                Opening::Exhausted => {
                    // Made before the lock is taken.
                    self.close(Some(Failure::new(Exhausted)));
                }
            }
        }
    }

    /// Opens the next chunk.
    fn extend(&self, spare: &mut Spare<T, P>, garbage: &mut Garbage<T, P>) -> Opening {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Opening::Closed;
        }
        if self.is_claim(self.tail.load(Ordering::Relaxed)) {
            return Opening::Again;
        }
        match state.hindrance() {
            Some(Hindrance::Full) => {
                self.refusing.store(true, Ordering::Relaxed);
                return Opening::Full;
            }
            Some(Hindrance::Unwritten) => return Opening::Unwritten,
            None => {}
        }
        let number = state.tail() + 1;
        if number > LAST_NUMBER {
            return Opening::Exhausted;
        }
        let Some(chunk) = spare.take() else { return Opening::NoSpare };
        let place = number as usize & (self.ring.len() - 1);
        self.ring[place].store(Arc::as_ptr(&chunk).cast_mut(), Ordering::Relaxed);
        state.push(chunk, garbage);
        state.free_passed(garbage);
        let claim = number << NUMBER_SHIFT;
        // ORDERING: pairs with the claiming read-modify-writes, for the ring and the chunk.
        self.tail.swap(claim + 1, Ordering::Release);
        // The look spares the publishers a line that has changed, nearly always.
        if self.refusing.load(Ordering::Relaxed) {
            self.refusing.store(false, Ordering::Relaxed);
        }
        drop(state);
        Opening::Claimed(claim)
    }

    /// Closes the stream. Returns whether it was open.
    pub(super) fn close(&self, failure: Option<Failure<P>>) -> bool {
        let mut garbage = Garbage::new();
        let mut state = self.lock();
        if state.closed.is_some() {
            return false;
        }
        let word = self.tail.fetch_or(CLOSED, Ordering::Relaxed);
        self.refusing.store(true, Ordering::Relaxed);
        state.closed = Some(self.claimed(word));
        state.failure = failure;
        self.end.store(self.sequence(word >> NUMBER_SHIFT, self.claimed(word)), Ordering::Relaxed);
        state.free_passed(&mut garbage);
        drop(state);
        self.items.notify_all();
        self.space.notify_all();
        // Last: destructors are foreign code.
        drop(garbage);
        true
    }

    /// A publisher is gone.
    pub(super) fn drop_publisher(&self) {
        let last = {
            let mut state = self.lock();
            state.publishers -= 1;
            state.publishers == 0
        };
        if last {
            self.close(None);
        }
    }

    /// Registers a subscriber.
    pub(super) fn subscribe(&self, policy: Policy, start: Start) -> (Place<T, P>, Option<u64>) {
        let mut state = self.lock();
        let word = self.tail.load(Ordering::Relaxed);
        let claimed = state.closed.unwrap_or(self.claimed(word));
        let (number, index) = match start {
            Start::Oldest => (state.first(), 0),
            Start::Now if claimed < self.size && state.closed.is_none() => {
                (word >> NUMBER_SHIFT, claimed)
            }
            // Past the end, if the stream is closed.
            Start::Now => ((word >> NUMBER_SHIFT) + 1, 0),
        };
        state.subscribers += 1;
        let place = Place { index, ..state.place(number) };
        let backlog = if policy == Policy::DropNewest {
            Some(state.add_backlog(number, place.chunk.is_some()))
        } else {
            state.arrive(number, policy);
            None
        };
        (place, backlog)
    }

    /// Registers another subscriber like the one that is at chunk `number`, and not through yet if
    /// it `stays`.
    pub(super) fn join(
        &self,
        number: u64,
        policy: Policy,
        backlog: Option<u64>,
        stays: bool,
    ) -> Option<u64> {
        let mut state = self.lock();
        state.subscribers += 1;
        match backlog {
            Some(id) if stays => return Some(state.clone_backlog(id)),
            None if stays => state.arrive(number, policy),
            _ => {}
        }
        None
    }

    /// Where a subscriber at chunk `number` goes on; it has `left` the one before.
    pub(super) fn advance(
        &self,
        number: u64,
        policy: Policy,
        backlog: Option<u64>,
        left: bool,
    ) -> Place<T, P> {
        let mut garbage = Garbage::new();
        let mut state = self.lock();
        let was_full = state.is_full();
        let place = if let Some(id) = backlog {
            let word = self.tail.load(Ordering::Relaxed);
            let claimed = state.closed.unwrap_or(self.claimed(word));
            if left {
                state.put_down(id);
            }
            state.find_in_backlog(id, number, claimed)
        } else {
            if left {
                state.depart(number - 1, policy);
                state.arrive(number, policy);
            }
            state.find(number)
        };
        if left {
            state.free_passed(&mut garbage);
        }
        let freed = was_full && !state.is_full();
        drop(state);
        if freed {
            self.space.notify_all();
        }
        // Last: destructors are foreign code.
        drop(garbage);
        place
    }

    /// A subscriber at chunk `number` needs nothing any more.
    pub(super) fn retire(&self, number: u64, policy: Policy, backlog: Option<u64>) {
        let mut garbage = Garbage::new();
        let mut state = self.lock();
        let was_full = state.is_full();
        match backlog {
            Some(id) => state.remove_backlog(id, &mut garbage),
            None => state.depart(number, policy),
        }
        state.free_passed(&mut garbage);
        let freed = was_full && !state.is_full();
        drop(state);
        if freed {
            self.space.notify_all();
        }
        // Last: destructors are foreign code.
        drop(garbage);
    }
}
