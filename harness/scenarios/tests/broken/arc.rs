//! Broken twins of `Arc`: one planted bug each, which a harness must find.
//!
//! The twin counts as `Arc` does, but neither allocates nor frees: the block is the scenario's, and
//! its destruction and its freeing are marks in checked cells. So a harness that finds nothing has
//! done no harm.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// No bug: the twin itself holds, so what is reported of the others is the planted bug.
const NONE: u8 = 0;
/// The last drop does not acquire what the earlier ones released.
const NO_ACQUIRE: u8 = 1;
/// A drop does not release.
const NO_RELEASE: u8 = 2;
/// An upgrade looks at the count and increments it in two steps.
const UPGRADE_IN_TWO_STEPS: u8 = 3;
/// `get_mut` looks at the two counts without a lock.
const UNLOCKED_GET_MUT: u8 = 4;
/// All strong references together own no weak one: who frees is asked of two counts.
const NO_COMMON_WEAK: u8 = 5;

/// An upgrade does not mind a count of zero.
const UPGRADE_IGNORES_ZERO: u8 = 6;

/// The weak count while `is_unique` looks.
const LOCKED: usize = usize::MAX;

/// What the references share.
struct Block<P: Platform, const BUG: u8> {
    strong: P::AtomicUsize,
    weak: P::AtomicUsize,
    /// Whether the value is alive.
    alive: RaceCell<bool, P>,
    /// Whether the memory is there.
    there: P::AtomicBool,
}

impl<P: Platform, const BUG: u8> Block<P, BUG> {
    /// A block with so many strong and weak references.
    fn new(strong: usize, weak: usize) -> Self {
        let common = usize::from(BUG != NO_COMMON_WEAK);
        Self {
            strong: P::AtomicUsize::new(strong),
            weak: P::AtomicUsize::new(weak + common),
            alive: RaceCell::new_in(true),
            there: P::AtomicBool::new(true),
        }
    }

    /// A use of the value by an owner of a strong reference.
    fn read(&self) {
        // SAFETY: a `bool` that is only ever accessed here and in `destroy` and `write`; whether
        // these overlap is the check.
        unsafe { self.alive.with(|alive| assert!(*alive, "used after its destruction")) };
    }

    /// A use that must be exclusive.
    fn write(&self) {
        // SAFETY: as in `read`.
        unsafe { self.alive.with_mut(|alive| assert!(*alive, "used after its destruction")) };
    }

    fn destroy(&self) {
        // SAFETY: as in `read`.
        unsafe {
            self.alive.with_mut(|alive| {
                assert!(*alive, "destroyed twice");
                *alive = false;
            });
        }
    }

    fn free(&self) {
        assert!(self.there.swap(false, Ordering::Relaxed), "freed twice");
    }

    fn drop_strong(&self) {
        let old = if BUG == NO_RELEASE {
            self.strong.fetch_sub(1, Ordering::Relaxed)
        } else {
            // ORDERING: pairs with the load below.
            self.strong.fetch_sub(1, Ordering::Release)
        };
        if old != 1 {
            return;
        }
        if BUG == NO_ACQUIRE {
            self.strong.load(Ordering::Relaxed);
        } else {
            // ORDERING: pairs with the decrement above, in other threads.
            self.strong.load(Ordering::Acquire);
        }
        self.destroy();
        if BUG != NO_COMMON_WEAK {
            self.drop_weak();
        } else if self.weak.load(Ordering::Relaxed) == 0 {
            self.free();
        }
    }

    fn drop_weak(&self) {
        // ORDERING: pairs with the load below.
        if self.weak.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // ORDERING: pairs with the decrement above, in other threads.
        self.weak.load(Ordering::Acquire);
        if BUG != NO_COMMON_WEAK || self.strong.load(Ordering::Relaxed) == 0 {
            self.free();
        }
    }

    fn upgrade(&self) -> bool {
        if BUG == UPGRADE_IGNORES_ZERO {
            self.strong.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let mut strong = self.strong.load(Ordering::Relaxed);
        if BUG == UPGRADE_IN_TWO_STEPS {
            if strong != 0 {
                self.strong.fetch_add(1, Ordering::Relaxed);
            }
            return strong != 0;
        }
        while strong != 0 {
            match self.strong.compare_exchange_weak(
                strong,
                strong + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => {
                    P::retry("broken::arc::upgrade");
                    strong = found;
                }
            }
        }
        false
    }

    fn downgrade(&self) {
        let mut weak = self.weak.load(Ordering::Relaxed);
        loop {
            if weak == LOCKED {
                P::spin_loop();
                weak = self.weak.load(Ordering::Relaxed);
                continue;
            }
            match self.weak.compare_exchange_weak(
                weak,
                weak + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(found) => {
                    P::retry("broken::arc::downgrade");
                    weak = found;
                }
            }
        }
    }

    fn is_unique(&self) -> bool {
        if BUG == UNLOCKED_GET_MUT {
            // ORDERING: pairs with the decrements.
            return self.weak.load(Ordering::Acquire) == 1
                && self.strong.load(Ordering::Acquire) == 1;
        }
        // ORDERING: Acquire pairs with the decrement in `drop_weak`.
        if self.weak.compare_exchange(1, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // ORDERING: pairs with the decrement in `drop_strong`.
        let unique = self.strong.load(Ordering::Acquire) == 1;
        self.weak.swap(1, Ordering::Relaxed);
        unique
    }
}

fn drops<P: Platform, const BUG: u8>() {
    let block = Block::<P, BUG>::new(2, 0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            block.read();
            block.drop_strong();
        });
        block.read();
        block.drop_strong();
    });
}

fn upgrade_against_drop<P: Platform, const BUG: u8>() {
    let block = Block::<P, BUG>::new(1, 1);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            if block.upgrade() {
                block.read();
                block.drop_strong();
            }
            block.drop_weak();
        });
        block.drop_strong();
    });
}

fn get_mut_against_downgrade<P: Platform, const BUG: u8>() {
    let block = Block::<P, BUG>::new(2, 0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            block.downgrade();
            block.drop_strong();
            if block.upgrade() {
                block.read();
                block.drop_strong();
            }
            block.drop_weak();
        });
        if block.is_unique() {
            block.write();
        }
        block.drop_strong();
    });
}

fn weak_against_strong<P: Platform, const BUG: u8>() {
    let block = Block::<P, BUG>::new(1, 1);
    scope::<P, _>(|threads| {
        threads.spawn(|| block.drop_weak());
        block.drop_strong();
    });
    assert!(!block.there.load(Ordering::Relaxed), "never freed");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1);
    let races = needs.race_detection();
    vec![
        Scenario::new(
            "twin/arc_drops",
            "without a bug, the twin destroys its value after every use",
            drops::<P, NONE>,
        )
        .needs(needs),
        Scenario::new(
            "twin/arc_upgrade_against_drop",
            "without a bug, the twin's upgrade gives a value that stays",
            upgrade_against_drop::<P, NONE>,
        )
        .needs(needs),
        Scenario::new(
            "twin/arc_weak_against_strong",
            "without a bug, the twin's memory is freed once",
            weak_against_strong::<P, NONE>,
        )
        .needs(needs),
        Scenario::new(
            "twin/arc_get_mut_against_downgrade",
            "without a bug, the twin's get_mut overlooks nobody",
            get_mut_against_downgrade::<P, NONE>,
        )
        .needs(needs),
        Scenario::new(
            "broken/arc_drop_without_acquire",
            "twin: the last drop destroys the value without having seen the uses by others",
            drops::<P, NO_ACQUIRE>,
        )
        .needs(races)
        .races(),
        Scenario::new(
            "broken/arc_drop_without_release",
            "twin: a drop does not publish the uses before it",
            drops::<P, NO_RELEASE>,
        )
        .needs(races)
        .races(),
        Scenario::new(
            "broken/arc_upgrade_in_two_steps",
            "twin: an upgrade revives a value that is being destroyed",
            upgrade_against_drop::<P, UPGRADE_IN_TWO_STEPS>,
        )
        .needs(races)
        .races(),
        Scenario::new(
            "broken/arc_upgrade_ignores_zero",
            "twin: an upgrade gives a value that is gone",
            upgrade_against_drop::<P, UPGRADE_IGNORES_ZERO>,
        )
        .needs(races)
        .races(),
        Scenario::new(
            "broken/arc_get_mut_without_lock",
            "twin: get_mut overlooks a Weak that is made between its two looks",
            get_mut_against_downgrade::<P, UNLOCKED_GET_MUT>,
        )
        .needs(races.rare())
        .races(),
        Scenario::new(
            "broken/arc_without_common_weak",
            "twin: both the last Arc and the last Weak free the memory",
            weak_against_strong::<P, NO_COMMON_WEAK>,
        )
        .needs(races)
        .fails("free"),
    ]
}
