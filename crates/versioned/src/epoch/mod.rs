//! Epoch reclamation: what was taken out of a shared structure is freed when nobody can still read
//! it.
//!
//! A reader that follows a shared pointer may be about to read what a writer takes away in that
//! moment. So a reader [pins](pin) itself before it looks, and a writer does not free what it took
//! away, but [retires](Guard::retire) it: it is freed when everybody who was pinned at that time
//! has gone. A pin costs two loads and two stores of the thread's own; it waits for nobody.
//!
//! ```
//! use raddle_versioned::epoch;
//!
//! let guard = epoch::pin();
//! guard.retire(Box::new([0_u8; 1024])); // nobody new can find it; somebody pinned may still read it
//! drop(guard);
//! ```
//!
//! A pin must not live across a suspension: everybody's garbage would wait for it. A guard is
//! `!Send`, and in debug builds each call that may block asserts that no pin is held. (An `.await` of a
//! future that is not `Send` is not such a call: nobody notices.) What must
//! outlive a suspension is a [`Snapshot`](crate::Snapshot) or an `Arc`.
//!
//! # The protocol
//!
//! The world has an *era*, a counter that only grows. A thread that was ever pinned has a
//! *participant*, in a list that only grows; the participant of a thread that ends is taken over
//! by a later one.
//!
//! 1. *Pin*: read the era, write it to the participant's `era`, pass a light fence. (0 there means
//!    not pinned. Nested pins only count.)
//! 2. *Unpin*: write 0 there.
//! 3. *Retire*: put what was unlinked into the participant's bag.
//! 4. *Collect*: take what is in a bag and *seal* it: add one to the era, and stamp it with the era
//!    before. Pass a heavy fence. Look at all participants, and find the oldest era of those that are
//!    pinned. Free what has a stamp below that, and not above one's own: what somebody else has sealed
//!    in the same bag since was perhaps unlinked after the look (`epoch/two_that_collect`).
//!
//! Let `r` be the stamp of something that a collector frees, and R a reader. What the collector saw
//! in R's `era` is one of these:
//!
//! * *a pin with an era above `r`*. Then R has read that era from the sealing or from one after it,
//!   by an acquiring load from releasing read-modify-writes, so all that happened before the sealing,
//!   the unlinking among it, is before what R reads under this pin. R cannot find it.
//! * *something older than R's pin*. The fences decide: R's store of its era and R's reads have the
//!   light one between them, the unlinking and the collector's look the heavy one. One of them is
//!   first, and if the look missed the store, then R's reads do not miss the unlinking.
//! * *something later than R's pin*: the end of that pin, or a later one. Both are releasing stores
//!   and the look acquires, so R's reads happened before the freeing.
//!
//! | location | written by | how |
//! |---|---|---|
//! | `World::era` | collectors | `fetch_add` |
//! | `Participant::era` | its thread | stores |
//! | `Participant::taken` | who takes it over; its thread at the end | read-modify-writes |
//! | the bag | whoever has its lock: its thread, and the collector of idle threads' garbage | |
//!
//! | ordering | with | without it |
//! |---|---|---|
//! | era load at the pin: Acquire | the Release of the sealing | none: loom's light fences are full |
//! | era store at pin: Release | the Acquire of the look | `epoch/pinned_again` |
//! | era store at unpin: Release | the Acquire of the look | `epoch/read_against_retire` |
//! | light fence | heavy fence | `epoch/read_against_retire` |
//!
//! # Who frees, and when
//!
//! A thread collects its own bag at its outermost unpin when it has retired
//! [`garbage_batch`](raddle_platform::CellBounds::garbage_batch) things since the last time. What stays
//! behind (less than a batch, or kept by somebody's pin) is the business of a thread of its own, the
//! *collector*: it begins when a bag becomes non-empty, looks at all bags every few
//! milliseconds and ends when they have been empty for a while. So everything is freed also when all
//! threads are idle, or have ended. Destructors run on a thread that is not pinned, in no order; one
//! that panics does so at the end of somebody's outermost pin, or on the collector's thread, which goes
//! on.
//!
//! The garbage of a thread is bounded: one that has `garbage_limit` things in its bag waits, at its
//! outermost unpin, until the pins that keep them are gone. (Only what a thread retires under a
//! single pin of its own is not counted against it before that pin ends.)
//!
//! A thread that ends while it is pinned (somebody forgot a guard) leaves its participant pinned for
//! ever: references under that guard may have gone anywhere.
//!
//! The idea of stamps and of a look at everybody is that of Fraser (*Practical lock-freedom*, 2004)
//! and of quiescent-state and interval-based reclamation; what is different from the usual three
//! epochs is that the era does not wait for readers, so one pass frees what nobody keeps.

mod bag;
mod guard;
pub(crate) mod janitor;
mod participant;
mod stats;

pub use guard::{Guard, collect, pin, pin_in};
pub use stats::{Stats, stats};

pub(crate) use participant::Participant;

use core::task::Poll;
use core::time::Duration;

use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Atomic, AtomicInt, Clock, Ordering, Platform};

/// The part of a [`World`](crate::world::World) that is about epochs.
pub(crate) struct Epochs<P: Platform> {
    era: P::AtomicU64,
    /// The participant that was added last; each points to the one before.
    participants: P::AtomicPtr<Participant<P>>,
    pub(crate) janitor: janitor::Janitor<P>,
}

impl<P: Platform> Epochs<P> {
    pub(crate) fn new() -> Self {
        Self {
            era: P::AtomicU64::new(1),
            participants: P::AtomicPtr::new(core::ptr::null_mut()),
            janitor: janitor::Janitor::new(),
        }
    }

    /// The era now. What was sealed before it came is before what the caller reads from here on.
    #[inline(always)]
    fn now(&self) -> u64 {
        // ORDERING: pairs with the release of `seal`: who is pinned in a later era than a stamp has
        // seen what was unlinked before that sealing.
        // ORDERING-AUDIT: who pins goes on to a light fence, which is a full one in loom.
        self.era.load(Ordering::Acquire)
    }

    /// Ends the era. Returns it, as the stamp of what was unlinked until now.
    fn seal(&self) -> u64 {
        // ORDERING: releases what was unlinked to the pins of later eras (`now`), whoever else seals before
        // them: read-modify-writes go on with the release sequence.
        self.era.fetch_add(1, Ordering::Release)
    }

    /// All participants, from the newest.
    fn participants(&self) -> impl Iterator<Item = &Participant<P>> {
        // ORDERING: pairs with the releasing compare-exchange in `add`, for the participant.
        let first: *const Participant<P> = self.participants.load(Ordering::Acquire);
        // SAFETY: participants are freed with the world only.
        core::iter::successors(unsafe { first.as_ref() }, |participant| unsafe {
            participant.next().as_ref()
        })
    }

    /// The oldest era in which somebody is pinned. What has a lower stamp, and was unlinked before
    /// the caller's heavy fence, is nobody's any more.
    fn oldest_pin(&self) -> u64 {
        self.participants().filter_map(Participant::pinned_since).min().unwrap_or(u64::MAX)
    }

    /// Adds a participant for good.
    fn add(&self, participant: Box<Participant<P>>) -> &Participant<P> {
        let new = Box::into_raw(participant);
        let mut first = self.participants.load(Ordering::Relaxed);
        loop {
            // SAFETY: not shared before the compare-exchange.
            unsafe { (*new).set_next(first) };
            // ORDERING: releases the participant to `participants`.
            match self.participants.compare_exchange_weak(
                first,
                new,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                // SAFETY: freed with the world only.
                Ok(_) => return unsafe { &*new },
                Err(found) => {
                    P::retry("epoch participant");
                    first = found;
                }
            }
        }
    }
}

/// Sleeps until it is time for another look.
fn pause<P: Platform>() {
    let deadline = P::Clock::now() + Duration::from_nanos(P::CELL_BOUNDS.collector_ns);
    // Ends with the deadline, since it waits for nothing.
    let _timed_out = suspend::wait::<P, ()>(Limits::until(deadline), |_| Poll::Pending);
}

impl<P: Platform> Drop for Epochs<P> {
    fn drop(&mut self) {
        let mut next = core::ptr::null_mut();
        self.participants.with_mut(|first| next = *first);
        while !next.is_null() {
            // SAFETY: it came from a box. No thread has the world any more, so nobody is pinned and
            // its garbage can go with it.
            let participant = unsafe { Box::from_raw(next) };
            next = participant.next().cast_mut();
        }
    }
}
