//! Reads two accounts, and writes back what is no longer true.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

/// How often each thread transfers.
const TRANSFERS: u64 = 2;
const BALANCE: u64 = 100;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "lost_update",
        property: "what two accounts hold together stays the same",
        planted: money_is_lost::<P, false>,
        corrected: money_is_lost::<P, true>,
    }
}

fn transfer<P: Platform, const CORRECT: bool>(from: &P::AtomicU64, to: &P::AtomicU64) {
    if CORRECT {
        from.fetch_sub(1, Ordering::Relaxed);
        to.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let (rich, poor) = (from.load(Ordering::Relaxed), to.load(Ordering::Relaxed));
    // The planted bug: the other thread may have transferred meanwhile.
    from.store(rich - 1, Ordering::Relaxed);
    to.store(poor + 1, Ordering::Relaxed);
}

/// Two threads transfer in opposite directions.
fn money_is_lost<P: Platform, const CORRECT: bool>() -> bool {
    let (one, other) = (P::AtomicU64::new(BALANCE), P::AtomicU64::new(BALANCE));
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            (0..TRANSFERS).for_each(|_| transfer::<P, CORRECT>(&one, &other));
        });
        start.wait();
        (0..TRANSFERS).for_each(|_| transfer::<P, CORRECT>(&other, &one));
    });
    one.load(Ordering::Relaxed) + other.load(Ordering::Relaxed) != 2 * BALANCE
}
