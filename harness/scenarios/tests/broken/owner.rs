//! Broken twin of a lock that finds its caller waiting for itself: the owner's name outlives the
//! ownership.

use raddle_platform::{Atomic, Ordering, Platform};

use crate::{Needs, Scenario, scope};

/// A lock that notes who has it; `CLEARS`, and that nobody has.
struct Owned<P: Platform, const CLEARS: bool> {
    locked: P::AtomicBool,
    owner: P::AtomicU32,
}

const NOBODY: u32 = 0;

impl<P: Platform, const CLEARS: bool> Owned<P, CLEARS> {
    fn new() -> Self {
        Self { locked: P::AtomicBool::new(false), owner: P::AtomicU32::new(NOBODY) }
    }

    fn lock(&self, me: u32) {
        // ORDERING: pairs with the releasing swap in `unlock`.
        while self.locked.swap(true, Ordering::Acquire) {
            assert_ne!(self.owner.load(Ordering::Relaxed), me, "a deadlock that is none");
            P::spin_loop();
        }
        self.owner.swap(me, Ordering::Relaxed);
    }

    fn unlock(&self) {
        if CLEARS {
            self.owner.swap(NOBODY, Ordering::Relaxed);
        }
        // ORDERING: pairs with the acquiring swap in `lock`.
        self.locked.swap(false, Ordering::Release);
    }
}

/// One locks again while the other has locked, and not yet said so.
fn locked_again<P: Platform, const CLEARS: bool>() {
    let lock = Owned::<P, CLEARS>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            lock.lock(1);
            lock.unlock();
        });
        for _ in 0..2 {
            lock.lock(2);
            lock.unlock();
        }
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1);
    vec![
        Scenario::new(
            "twin/owner_locked_again",
            "without a bug, the twin takes nobody for its own owner",
            locked_again::<P, true>,
        )
        .needs(needs)
        .bound(3),
        Scenario::new(
            "broken/owner_is_never_cleared",
            "twin: who had the lock before is told that it waits for itself",
            locked_again::<P, false>,
        )
        .needs(needs)
        .bound(3)
        .fails("a deadlock that is none"),
    ]
}
