//! Short waits: for another thread that is in the middle of a few instructions.

use raddle_platform::{Atomic, Ordering, Platform, RaceCell, Threads};

/// Pauses between looks at something that another thread is about to change. That thread may have been
/// preempted there, so in the end the processor is offered to it.
pub(crate) struct Pauses {
    rounds: u32,
}

impl Pauses {
    pub(crate) const fn new() -> Self {
        Self { rounds: 0 }
    }

    /// Waits a little: longer at each call.
    #[cold]
    pub(crate) fn pause<P: Platform>(&mut self) {
        if self.rounds < P::BOUNDS.pause_rounds {
            for _ in 0..1_u32 << self.rounds {
                P::spin_loop();
            }
            self.rounds += 1;
        } else {
            P::Threads::yield_now();
        }
    }
}

/// A value behind a spinning lock. Who holds it never suspends, wakes nobody, and runs no foreign code.
///
/// | `locked` | meaning | who may change it |
/// |---|---|---|
/// | false | free | anybody, to true |
/// | true | held | the holder, to false |
pub(crate) struct Spinlock<T, P: Platform> {
    /// Written by swaps only.
    locked: P::AtomicBool,
    value: RaceCell<T, P>,
}

struct Unlock<'a, P: Platform>(&'a P::AtomicBool);

impl<P: Platform> Drop for Unlock<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: pairs with the acquiring swap in `locked`.
        self.0.swap(false, Ordering::Release);
    }
}

impl<T, P: Platform> Spinlock<T, P> {
    pub(crate) fn new(value: T) -> Self {
        Self { locked: P::AtomicBool::new(false), value: RaceCell::new_in(value) }
    }

    /// The number by which reports name what the lock is a part of.
    pub(crate) fn number(&self) -> u64 {
        self.locked.number()
    }

    /// Calls `f` with the value, while nobody else has it.
    #[inline]
    pub(crate) fn locked<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // ORDERING: pairs with the releasing swap in `Unlock`.
        while self.locked.swap(true, Ordering::Acquire) {
            self.wait();
        }
        let _unlock = Unlock::<P>(&self.locked);
        // SAFETY: the lock is held.
        unsafe { self.value.with_mut(f) }
    }

    #[cold]
    fn wait(&self) {
        let mut pauses = Pauses::new();
        // HAMMER-WAIT-LOOP: streams-lock
        while self.locked.load(Ordering::Relaxed) {
            pauses.pause::<P>();
        }
    }
}
