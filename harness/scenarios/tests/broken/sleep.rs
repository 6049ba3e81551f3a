//! Broken twins of sleeping and waking: one planted bug each.
//!
//! The handshake without a bug is `parker/sleep_against_notify`.

use raddle_platform::{Atomic, Ordering, Parker, Platform};

use crate::{Needs, Scenario, scope};

/// Both sides store, then load, without a fence in between.
fn handshake_without_fence<P: Platform>() {
    let sleeping = P::AtomicBool::new(false);
    let reason = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let (sleeping, reason) = (&sleeping, &reason);
        threads.spawn(move || {
            reason.store(true, Ordering::Relaxed);
            if sleeping.load(Ordering::Relaxed) {
                waker.wake();
            }
        });
        sleeping.store(true, Ordering::Relaxed);
        while !reason.load(Ordering::Relaxed) {
            P::Parker::park();
        }
    });
}

/// A sleeper that looks before it says that it will sleep.
fn looks_too_early<P: Platform>() {
    let sleeping = P::AtomicBool::new(false);
    let reason = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let (sleeping, reason) = (&sleeping, &reason);
        threads.spawn(move || {
            // ORDERING: pairs with the other accesses; the bug is the order of the steps.
            reason.swap(true, Ordering::AcqRel);
            if sleeping.swap(false, Ordering::AcqRel) {
                waker.wake();
            }
        });
        // ORDERING: as above.
        if !reason.load(Ordering::Acquire) {
            sleeping.swap(true, Ordering::AcqRel);
            P::Parker::park();
        }
    });
}

const EMPTY: u32 = 0;
const PARKED: u32 = 1;
const NOTIFIED: u32 = 2;

/// A parker of three states; `KEEPS`, whose token is kept if nobody is parked yet.
fn unpark_against_park<P: Platform, const KEEPS: bool>() {
    let state = P::AtomicU32::new(EMPTY);
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let state = &state;
        threads.spawn(move || {
            let parked = if KEEPS {
                // ORDERING: pairs with the acquiring accesses below.
                state.swap(NOTIFIED, Ordering::Release) == PARKED
            } else {
                // ORDERING: as above.
                state
                    .compare_exchange(PARKED, NOTIFIED, Ordering::Release, Ordering::Relaxed)
                    .is_ok()
            };
            if parked {
                waker.wake();
            }
        });
        // ORDERING: pairs with the releasing accesses above.
        let empty = state.compare_exchange(EMPTY, PARKED, Ordering::Acquire, Ordering::Acquire);
        if empty.is_ok() {
            // ORDERING: as above.
            while state.load(Ordering::Acquire) != NOTIFIED {
                P::Parker::park();
            }
        }
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1).parker();
    vec![
        Scenario::new(
            "broken/sleep_against_notify_without_fence",
            "twin: both look before the other's store has come through",
            handshake_without_fence::<P>,
        )
        .needs(needs.weak_memory())
        .deadlocks(),
        Scenario::new(
            "broken/sleeper_looks_too_early",
            "twin: the notification falls between the look and the announcement",
            looks_too_early::<P>,
        )
        .needs(needs)
        .deadlocks(),
        Scenario::new(
            "twin/unpark_against_park",
            "without a bug, the twin keeps its token for who parks later",
            unpark_against_park::<P, true>,
        )
        .needs(needs),
        Scenario::new(
            "broken/unpark_is_lost",
            "twin: an unpark finds nobody parked, and is forgotten",
            unpark_against_park::<P, false>,
        )
        .needs(needs)
        .deadlocks(),
    ]
}
