//! Looks whether there is something to wait for, and only then says that it waits.

use core::array;
use core::task::Waker;

use raddle_platform::{Atomic, Clock, Ordering, Parker, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

const EVENTS: usize = 4;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "check_then_park",
        property: "whoever parks for an event is woken by it",
        planted: wake_is_lost::<P, false>,
        corrected: wake_is_lost::<P, true>,
    }
}

struct Event<P: Platform> {
    happened: P::AtomicBool,
    waits: P::AtomicBool,
    /// The sleeper was woken for the event.
    woken: P::AtomicBool,
    /// Nobody will wake it for the event any more. A run in which the wake is lost ends by this, not by a
    /// timeout.
    over: P::AtomicBool,
}

impl<P: Platform> Event<P> {
    fn happens(&self, sleeper: &Waker) {
        // ORDERING: one side of a handshake, written before `waits` is read; the other side is in
        // `is_needed`.
        self.happened.swap(true, Ordering::SeqCst);
        // ORDERING: the second half of the handshake.
        if self.waits.load(Ordering::SeqCst) {
            // ORDERING: pairs with the acquiring swaps of the sleeper.
            self.woken.swap(true, Ordering::Release);
            sleeper.wake_by_ref();
        }
        // ORDERING: pairs with the acquiring load of the sleeper.
        self.over.swap(true, Ordering::Release);
        sleeper.wake_by_ref();
    }

    /// Whether the event is still to be waited for.
    fn is_needed<const CORRECT: bool>(&self) -> bool {
        if CORRECT {
            // ORDERING: the other side of the handshake: written before `happened` is read.
            self.waits.swap(true, Ordering::SeqCst);
            // ORDERING: as above.
            return !self.happened.load(Ordering::SeqCst);
        }
        // ORDERING: as above.
        let needed = !self.happened.load(Ordering::SeqCst);
        // The planted bug: the event may have happened since, and seen nobody wait.
        // ORDERING: as above.
        self.waits.swap(true, Ordering::SeqCst);
        needed
    }

    /// Waits for the event; whether its wake was lost.
    fn wait<const CORRECT: bool>(&self) -> bool {
        if !self.is_needed::<CORRECT>() {
            return false;
        }
        loop {
            // ORDERING: pairs with the releasing swap of `happens`.
            if self.woken.swap(false, Ordering::Acquire) {
                return false;
            }
            // ORDERING: pairs with the last swap of `happens`: what it did before is seen.
            if self.over.load(Ordering::Acquire) {
                return !self.woken.load(Ordering::Relaxed);
            }
            P::Parker::park();
        }
    }
}

/// One thread waits for some events in turn, the other makes them happen.
fn wake_is_lost<P: Platform, const CORRECT: bool>() -> bool {
    let events: [_; EVENTS] = array::from_fn(|_| Event::<P> {
        happened: P::AtomicBool::new(false),
        waits: P::AtomicBool::new(false),
        woken: P::AtomicBool::new(false),
        over: P::AtomicBool::new(false),
    });
    // The last run may have left a wake, after which the first park would return at once.
    P::Parker::park_until(P::Clock::now());
    let sleeper = P::Parker::waker();
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            events.iter().for_each(|event| event.happens(&sleeper));
        });
        start.wait();
        events.iter().filter(|event| event.wait::<CORRECT>()).count() > 0
    })
}
