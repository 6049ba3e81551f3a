//! Broken twin of a wait queue with timeouts: those that wake and those that time out lock the
//! same list with different locks.

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// The waiters that are queued, one bit each; `ONE`, under one lock.
struct Queue<P: Platform, const ONE: bool> {
    waking: P::AtomicBool,
    timing_out: P::AtomicBool,
    waiters: RaceCell<u32, P>,
}

impl<P: Platform, const ONE: bool> Queue<P, ONE> {
    fn new(waiters: u32) -> Self {
        Self {
            waking: P::AtomicBool::new(false),
            timing_out: P::AtomicBool::new(false),
            waiters: RaceCell::new_in(waiters),
        }
    }

    /// Takes the `chosen` waiters out, under `lock`, and returns which of them were there.
    fn take(&self, lock: &P::AtomicBool, chosen: u32) -> u32 {
        // ORDERING: pairs with the releasing swap below.
        while lock.swap(true, Ordering::Acquire) {
            P::spin_loop();
        }
        // SAFETY: locked; that both use one lock is the check.
        let taken = unsafe {
            self.waiters.with_mut(|waiters| {
                let taken = *waiters & chosen;
                *waiters &= !chosen;
                taken
            })
        };
        // ORDERING: pairs with the acquiring swap above.
        lock.swap(false, Ordering::Release);
        taken
    }

    fn wake_all(&self) -> u32 {
        self.take(&self.waking, u32::MAX)
    }

    fn time_out(&self, waiter: u32) -> u32 {
        self.take(if ONE { &self.waking } else { &self.timing_out }, 1 << waiter)
    }
}

fn wake_against_timeout<P: Platform, const ONE: bool>() {
    let queue = Queue::<P, ONE>::new(0b11);
    let (woken, timed_out) = scope::<P, _>(|threads| {
        let timed_out = threads.spawn(|| queue.time_out(1));
        (queue.wake_all(), timed_out.join())
    });
    assert_eq!((woken & timed_out, woken | timed_out), (0, 0b11), "each leaves the queue once");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1);
    vec![
        Scenario::new(
            "twin/queue_wake_against_timeout",
            "without a bug, each of the twin's waiters leaves its queue once",
            wake_against_timeout::<P, true>,
        )
        .needs(needs),
        Scenario::new(
            "broken/queue_under_two_locks",
            "twin: a timeout takes a waiter out of the list that a wake is going through",
            wake_against_timeout::<P, false>,
        )
        .needs(needs.race_detection())
        .races(),
    ]
}
