//! Broken twins of a run queue: one planted bug each.

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// No bug.
const NONE: u8 = 0;
/// The owner, who is alone at the other end, pops without an exchange.
const POP_IN_TWO_STEPS: u8 = 1;
/// A push does not publish what it put into the slot.
const RELAXED_PUBLISH: u8 = 2;

const SLOTS: usize = 2;

/// A ring that nobody reuses: the owner pushes and pops, thieves pop.
struct Ring<P: Platform, const BUG: u8> {
    head: P::AtomicUsize,
    tail: P::AtomicUsize,
    slots: [RaceCell<u32, P>; SLOTS],
}

impl<P: Platform, const BUG: u8> Ring<P, BUG> {
    fn new() -> Self {
        Self {
            head: P::AtomicUsize::new(0),
            tail: P::AtomicUsize::new(0),
            slots: [RaceCell::new_in(0), RaceCell::new_in(0)],
        }
    }

    /// By the owner.
    fn push(&self, task: u32) {
        let tail = self.tail.load(Ordering::Relaxed);
        // SAFETY: nobody reads the slot before the tail is behind it.
        unsafe { self.slots[tail].with_mut(|slot| *slot = task) };
        if BUG == RELAXED_PUBLISH {
            self.tail.swap(tail + 1, Ordering::Relaxed);
        } else {
            // ORDERING: pairs with the acquiring load in `steal`.
            self.tail.swap(tail + 1, Ordering::Release);
        }
    }

    fn steal(&self) -> Option<u32> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // ORDERING: pairs with the releasing swap in `push`.
            if head >= self.tail.load(Ordering::Acquire) {
                return None;
            }
            match self.head.compare_exchange_weak(
                head,
                head + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(found) => head = found,
            }
            P::retry("broken::ring::steal");
        }
        // SAFETY: pushed, and nobody writes to it again.
        Some(unsafe { self.slots[head].with(|slot| *slot) })
    }

    /// By the owner.
    fn pop(&self) -> Option<u32> {
        if BUG != POP_IN_TWO_STEPS {
            return self.steal();
        }
        let head = self.head.load(Ordering::Relaxed);
        if head >= self.tail.load(Ordering::Relaxed) {
            return None;
        }
        self.head.swap(head + 1, Ordering::Relaxed);
        // SAFETY: pushed by the caller.
        Some(unsafe { self.slots[head].with(|slot| *slot) })
    }
}

fn pop_against_steal<P: Platform, const BUG: u8>() {
    let ring = Ring::<P, BUG>::new();
    ring.push(1);
    let taken = scope::<P, _>(|threads| {
        let thief = threads.spawn(|| ring.steal());
        ring.push(2);
        let ours = [ring.pop(), ring.pop()];
        [ours[0], ours[1], thief.join()]
    });
    let mut taken: Vec<_> = taken.into_iter().flatten().collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2], "each task is taken once");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1);
    vec![
        Scenario::new(
            "twin/ring_pop_against_steal",
            "without a bug, each of the twin's tasks is taken once",
            pop_against_steal::<P, NONE>,
        )
        .needs(needs),
        Scenario::new(
            "broken/ring_pops_in_two_steps",
            "twin: the owner pops the task that a thief has just stolen",
            pop_against_steal::<P, POP_IN_TWO_STEPS>,
        )
        .needs(needs)
        .fails("each task is taken once"),
        Scenario::new(
            "broken/ring_publishes_relaxed",
            "twin: a thief reads a slot before it sees what was pushed there",
            pop_against_steal::<P, RELAXED_PUBLISH>,
        )
        .needs(needs.race_detection())
        .races(),
    ]
}
