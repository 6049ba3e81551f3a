//! Broken twin of a wait group: there is one place for a waiter.

use core::task::{Poll, Waker};

use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// Something that is not done yet, and who waits for it: in as many places as there are.
struct Group<P: Platform, const PLACES: usize> {
    locked: P::AtomicBool,
    state: RaceCell<State<PLACES>, P>,
}

struct State<const PLACES: usize> {
    done: bool,
    waiters: [Option<Waker>; PLACES],
}

impl<P: Platform, const PLACES: usize> Group<P, PLACES> {
    fn new() -> Self {
        let state = State { done: false, waiters: [const { None }; PLACES] };
        Self { locked: P::AtomicBool::new(false), state: RaceCell::new_in(state) }
    }

    fn locked<R>(&self, change: impl FnOnce(&mut State<PLACES>) -> R) -> R {
        // A look before each try: two that spin on a write keep a model checker busy for ever.
        // ORDERING: the swap pairs with the releasing one below.
        while self.locked.load(Ordering::Relaxed) || self.locked.swap(true, Ordering::Acquire) {
            P::spin_loop();
        }
        // SAFETY: locked.
        let result = unsafe { self.state.with_mut(change) };
        // ORDERING: pairs with the acquiring swap above.
        self.locked.swap(false, Ordering::Release);
        result
    }

    fn wait(&self, waiter: usize) {
        let wait = suspend::wait::<P, _>(Limits::NONE, |context| {
            let waker = context.waker().clone();
            self.locked(|state| {
                if state.done {
                    return Poll::Ready(());
                }
                state.waiters[waiter % PLACES] = Some(waker);
                Poll::Pending
            })
        });
        assert!(wait.is_ok(), "a wait without limits");
    }

    fn done(&self) {
        let waiters = self.locked(|state| {
            state.done = true;
            core::mem::replace(&mut state.waiters, [const { None }; PLACES])
        });
        waiters.into_iter().flatten().for_each(Waker::wake);
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
    let needs = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "twin/group_two_waiters",
            "without a bug, the twin wakes both waiters",
            two_waiters::<P, 2>,
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
