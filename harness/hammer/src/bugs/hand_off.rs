//! Two who release hand their permits to the same waiter.

use core::array;

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

const WAITERS: usize = 3;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "double_hand_off",
        property: "each waiter is handed one permit",
        planted: permit_is_handed_twice::<P, false>,
        corrected: permit_is_handed_twice::<P, true>,
    }
}

/// A place in the queue, and the permits that its waiter was handed.
struct Place<P: Platform> {
    taken: P::AtomicBool,
    permits: P::AtomicU32,
}

impl<P: Platform> Place<P> {
    /// Takes the waiter out of its place, if it still stands there.
    fn take<const CORRECT: bool>(&self) -> bool {
        if CORRECT {
            return self.taken.swap(false, Ordering::Relaxed);
        }
        let taken = self.taken.load(Ordering::Relaxed);
        // The planted bug: another one may have taken it out meanwhile.
        if taken {
            self.taken.store(false, Ordering::Relaxed);
        }
        taken
    }
}

/// Two threads hand permits to whom they find in the queue.
fn permit_is_handed_twice<P: Platform, const CORRECT: bool>() -> bool {
    let queue: [_; WAITERS] = array::from_fn(|_| Place::<P> {
        taken: P::AtomicBool::new(true),
        permits: P::AtomicU32::new(0),
    });
    let release = || {
        for place in &queue {
            if place.take::<CORRECT>() {
                place.permits.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            release();
        });
        start.wait();
        release();
    });
    queue.iter().any(|place| place.permits.load(Ordering::Relaxed) != 1)
}
