//! Broken twin of a wait group: there is one place for a waiter.

use core::task::Waker;

use raddle_platform::{Atomic, Ordering, Parker, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

const WAITERS: usize = 2;

/// Something that is not done yet, and who waits for it: in as many places as there are.
struct Group<P: Platform, const PLACES: usize> {
    done: P::AtomicBool,
    /// Which waiter stands in each place, counted from 1.
    places: [P::AtomicUsize; PLACES],
    /// What wakes each waiter: its own until it stands in a place, then of who takes it out.
    wakers: [RaceCell<Option<Waker>, P>; WAITERS],
}

impl<P: Platform, const PLACES: usize> Group<P, PLACES> {
    fn new() -> Self {
        Self {
            done: P::AtomicBool::new(false),
            places: [(); PLACES].map(|()| P::AtomicUsize::new(0)),
            wakers: [RaceCell::new_in(None), RaceCell::new_in(None)],
        }
    }

    fn wait(&self, waiter: usize) {
        // SAFETY: nobody else uses it before the waiter stands in a place.
        unsafe { self.wakers[waiter].with_mut(|waker| *waker = Some(P::Parker::waker())) };
        // ORDERING: pairs with the swap in `done`: either that one finds the waiter, or the waiter
        // sees what came before it.
        self.places[waiter % PLACES].swap(waiter + 1, Ordering::AcqRel);
        // ORDERING: pairs with the releasing swap in `done`.
        while !self.done.load(Ordering::Acquire) {
            P::Parker::park();
        }
    }

    fn done(&self) {
        // ORDERING: pairs with the acquiring load in `wait`.
        self.done.swap(true, Ordering::Release);
        for place in &self.places {
            // ORDERING: pairs with the swap in `wait`.
            let Some(waiter) = place.swap(0, Ordering::AcqRel).checked_sub(1) else { continue };
            // SAFETY: whoever takes a waiter out of its place has its waker.
            if let Some(waker) = unsafe { self.wakers[waiter].with_mut(Option::take) } {
                waker.wake();
            }
        }
    }
}

fn two_waiters<P: Platform, const PLACES: usize>() {
    let group = Group::<P, PLACES>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| group.wait(0));
        threads.spawn(|| group.wait(1));
        group.done();
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(WAITERS).parker();
    vec![
        Scenario::new(
            "twin/group_two_waiters",
            "without a bug, the twin wakes both waiters",
            two_waiters::<P, WAITERS>,
        )
        .needs(needs)
        .bound(2),
        Scenario::new(
            "broken/group_with_one_place",
            "twin: a second waiter takes the first one's place, and nobody wakes the first",
            two_waiters::<P, 1>,
        )
        .needs(needs)
        .bound(2)
        .deadlocks(),
    ]
}
