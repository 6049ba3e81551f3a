//! Broken twins of the event count: one planted bug each, of which each loses a wake-up.
//!
//! The waiters' queue is a single place for a waker here, behind a word that says whether it is taken.

use raddle_platform::{Atomic, Ordering, Parker, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

const NOBODY: u32 = 0;
const QUEUED: u32 = 1;

/// What a copy has of the protocol.
#[derive(Clone, Copy)]
struct Parts {
    /// A fence between the store and the load of both sides.
    fence: bool,
    /// An attempt after the waiter has queued.
    second_look: bool,
}

struct Count<P: Platform> {
    changed: P::AtomicBool,
    word: P::AtomicU32,
    waker: RaceCell<Option<core::task::Waker>, P>,
    handshake: P::Handshake,
}

impl<P: Platform> Count<P> {
    fn meet(&self, parts: Parts) {
        if parts.fence {
            // ORDERING: pairs with itself on the other side.
            P::fence(Ordering::SeqCst, &[&self.handshake]);
        }
    }

    fn wait(&self, parts: Parts) {
        if self.changed.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the notifier reads it only after the word says so.
        unsafe { self.waker.with_mut(|waker| *waker = Some(P::Parker::waker())) };
        // ORDERING: pairs with the acquiring swap in `notify`, for the waker.
        self.word.swap(QUEUED, Ordering::Release);
        self.meet(parts);
        if parts.second_look && self.changed.load(Ordering::Relaxed) {
            return;
        }
        // ORDERING: pairs with the releasing swap in `notify`.
        while self.word.load(Ordering::Acquire) == QUEUED {
            P::Parker::park();
        }
    }

    fn change_and_notify(&self, parts: Parts) {
        self.changed.store(true, Ordering::Relaxed);
        self.meet(parts);
        // ORDERING: pairs with the accesses in `wait`, for the waker.
        if self.word.load(Ordering::Relaxed) == QUEUED
            && self.word.swap(NOBODY, Ordering::AcqRel) == QUEUED
        {
            // SAFETY: the waiter wrote it before it queued, and reads nothing of it.
            if let Some(waker) = unsafe { self.waker.with_mut(Option::take) } {
                waker.wake();
            }
        }
    }
}

fn wait_against_notify<P: Platform, const FENCE: bool, const SECOND_LOOK: bool>() {
    let parts = Parts { fence: FENCE, second_look: SECOND_LOOK };
    let count = Count::<P> {
        changed: P::AtomicBool::new(false),
        word: P::AtomicU32::new(NOBODY),
        waker: RaceCell::new_in(None),
        handshake: P::Handshake::default(),
    };
    scope::<P, _>(|threads| {
        threads.spawn(|| count.wait(parts));
        count.change_and_notify(parts);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1).parker();
    vec![
        Scenario::new(
            "twin/event_count",
            "without a bug, the twin wakes its waiter",
            wait_against_notify::<P, true, true>,
        )
        .needs(needs),
        Scenario::new(
            "broken/event_count_without_fence",
            "twin: neither side sees what the other has just stored",
            wait_against_notify::<P, false, true>,
        )
        .needs(needs.weak_memory())
        .deadlocks(),
        Scenario::new(
            "broken/event_count_without_second_look",
            "twin: the change comes between the look and the queue",
            wait_against_notify::<P, true, false>,
        )
        .needs(needs)
        .deadlocks(),
    ]
}
