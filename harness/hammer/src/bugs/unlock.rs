//! Looks at a lock once more after it was unlocked: its next owner may have freed it.

use core::array;

use raddle_platform::{Atomic, Ordering, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

const LOCKS: usize = 3;
/// How often the next owner tries each.
const TRIES: usize = 6;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "unlock_after_free",
        property: "nobody touches a lock after its next owner has freed it",
        planted: freed_lock_is_touched::<P, false>,
        corrected: freed_lock_is_touched::<P, true>,
    }
}

/// Its memory stays, and a canary says whether it would be gone.
struct Lock<P: Platform> {
    locked: P::AtomicBool,
    alive: P::AtomicBool,
}

impl<P: Platform> Lock<P> {
    /// Unlocks, and looks whether somebody is to be woken. Whether the lock was gone by then.
    fn unlock<const CORRECT: bool>(&self) -> bool {
        let look = || !self.alive.load(Ordering::Relaxed);
        let early = CORRECT && look();
        // ORDERING: pairs with the acquiring exchange of `lock_and_free`.
        self.locked.swap(false, Ordering::Release);
        // The planted bug: the lock is no longer this thread's.
        early || !CORRECT && look()
    }

    fn lock_and_free(&self) {
        for _ in 0..TRIES {
            // ORDERING: pairs with the releasing swap of `unlock`.
            let locked =
                self.locked.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            if locked.is_ok() {
                self.alive.store(false, Ordering::Relaxed);
                return;
            }
            P::spin_loop();
        }
    }
}

/// One thread unlocks, the other locks and frees, since it is the last to use them.
fn freed_lock_is_touched<P: Platform, const CORRECT: bool>() -> bool {
    let locks: [_; LOCKS] = array::from_fn(|_| Lock::<P> {
        locked: P::AtomicBool::new(true),
        alive: P::AtomicBool::new(true),
    });
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            locks.iter().for_each(Lock::lock_and_free);
        });
        start.wait();
        locks.iter().filter(|lock| lock.unlock::<CORRECT>()).count() > 0
    })
}
