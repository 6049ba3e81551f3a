//! Broken twins of `broadcast`: one planted bug each.
//!
//! The twin is a stream with chunks of one slot, of which the last is kept. Nothing is freed really: a
//! chunk that is given up is a mark in a checked cell.

use raddle_parking_lot::EventCount;
use raddle_platform::suspend::Limits;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// No bug: the twin itself holds, so what is reported of the others is the planted bug.
const NONE: u8 = 0;
/// Who sleeps is woken before the item is there.
const WAKES_TOO_EARLY: u8 = 1;
/// A subscriber goes on with the oldest item that is kept, and does not say so.
const LAG_UNREPORTED: u8 = 2;
/// A chunk is given up although somebody has still to write to it.
const FREED_UNWRITTEN: u8 = 3;
/// An item is there before its value.
const READY_TOO_WEAK: u8 = 4;

const ITEMS: usize = 2;

struct Slot<P: Platform> {
    ready: P::AtomicBool,
    value: RaceCell<usize, P>,
    /// Whether the slot's memory is there.
    there: RaceCell<bool, P>,
}

struct Stream<P: Platform, const BUG: u8> {
    claims: P::AtomicUsize,
    oldest: P::AtomicUsize,
    slots: [Slot<P>; ITEMS],
    items: EventCount<P>,
}

impl<P: Platform, const BUG: u8> Stream<P, BUG> {
    fn new() -> Self {
        let slot = || Slot {
            ready: P::AtomicBool::new(false),
            value: RaceCell::new_in(0),
            there: RaceCell::new_in(true),
        };
        Self {
            claims: P::AtomicUsize::new(0),
            oldest: P::AtomicUsize::new(0),
            slots: [slot(), slot()],
            items: EventCount::new_in(),
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        // ORDERING: pairs with the store in `fill`, for the value.
        self.slots[index].ready.load(Ordering::Acquire)
    }

    fn fill(&self, index: usize) {
        let slot = &self.slots[index];
        // SAFETY: a `bool` whose accesses are the check.
        unsafe { slot.there.with(|there| assert!(*there, "used after it was freed")) };
        // SAFETY: claimed, and nobody reads before it is ready.
        unsafe { slot.value.with_mut(|value| *value = index) };
        if BUG == READY_TOO_WEAK {
            slot.ready.store(true, Ordering::Relaxed);
        } else {
            // ORDERING: pairs with the load in `is_ready`, for the value.
            slot.ready.store(true, Ordering::Release);
        }
    }

    fn publish(&self) -> usize {
        let index = self.claims.fetch_add(1, Ordering::Relaxed);
        if BUG == WAKES_TOO_EARLY {
            self.items.notify_all();
        }
        self.fill(index);
        if BUG != WAKES_TOO_EARLY {
            self.items.notify_all();
        }
        index
    }

    /// Gives up what lies before `index`, where nobody reads.
    fn free_before(&self, index: usize) {
        for (before, slot) in self.slots.iter().enumerate().take(index) {
            while BUG != FREED_UNWRITTEN && !self.is_ready(before) {
                P::spin_loop();
            }
            // SAFETY: as in `fill`.
            unsafe { slot.there.with_mut(|there| *there = false) };
        }
    }

    /// The next item from `next` on, and how many are lost before it.
    fn recv(&self, next: usize) -> (usize, usize) {
        let attempt = || {
            let oldest = self.oldest.load(Ordering::Relaxed).max(next);
            self.is_ready(oldest).then_some(oldest)
        };
        let found = self.items.wait(Limits::NONE, attempt).expect("a wait without limits");
        // SAFETY: it is ready, and nobody writes any more.
        let item = unsafe { self.slots[found].value.with(|value| *value) };
        (item, if BUG == LAG_UNREPORTED { 0 } else { found - next })
    }
}

fn publish_against_receive<P: Platform, const BUG: u8>() {
    let stream = Stream::<P, BUG>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| stream.publish());
        assert_eq!(stream.recv(0), (0, 0));
    });
}

fn lag<P: Platform, const BUG: u8>() {
    let stream = Stream::<P, BUG>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            for _ in 0..ITEMS {
                let published = stream.publish();
                stream.oldest.store(published, Ordering::Relaxed);
            }
        });
        let (mut next, mut received, mut told) = (0, 0, 0);
        while next < ITEMS {
            let (item, lost) = stream.recv(next);
            (next, received, told) = (item + 1, received + 1, told + lost);
        }
        assert_eq!(received + told, ITEMS, "nothing is lost silently");
    });
}

fn two_publishers<P: Platform, const BUG: u8>() {
    let stream = Stream::<P, BUG>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| stream.publish());
        let ours = stream.publish();
        stream.free_before(ours);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let plain = Needs::ATOMICS.threads(1);
    let parks = plain.parker();
    vec![
        Scenario::new(
            "twin/stream_publish_against_receive",
            "without a bug, the twin wakes who sleeps",
            publish_against_receive::<P, NONE>,
        )
        .needs(parks)
        .bound(3),
        Scenario::new(
            "broken/stream_wakes_too_early",
            "twin: who sleeps is woken before the item is there",
            publish_against_receive::<P, WAKES_TOO_EARLY>,
        )
        .needs(parks)
        .bound(3)
        .deadlocks(),
        Scenario::new(
            "broken/stream_ready_too_weak",
            "twin: an item is there before its value",
            publish_against_receive::<P, READY_TOO_WEAK>,
        )
        .needs(parks.race_detection().weak_memory())
        .races(),
        Scenario::new(
            "twin/stream_lag",
            "without a bug, the twin tells what is lost",
            lag::<P, NONE>,
        )
        .needs(parks)
        .bound(2),
        Scenario::new(
            "broken/stream_lag_unreported",
            "twin: a subscriber that lags goes on without a word",
            lag::<P, LAG_UNREPORTED>,
        )
        .needs(parks)
        .bound(2)
        .fails("nothing is lost silently"),
        Scenario::new(
            "twin/stream_two_publishers",
            "without a bug, the twin keeps a chunk until it is written",
            two_publishers::<P, NONE>,
        )
        .needs(plain),
        Scenario::new(
            "broken/stream_freed_unwritten",
            "twin: a chunk is given up although somebody has still to write to it",
            two_publishers::<P, FREED_UNWRITTEN>,
        )
        .needs(plain)
        .races(),
    ]
}
