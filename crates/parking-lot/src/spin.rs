//! Waiting without suspending: for the queue's bit, and before a park. And how long that may be
//! in vain.

use core::time::Duration;
use raddle_platform::{Clock, Instant, Platform, Threads, suspend};

/// Pauses between looks at something that somebody else changes within a few instructions, such
/// as QLOCK. The other thread may have been preempted there, so in the end the processor is
/// offered to it.
pub(crate) struct Backoff {
    rounds: u32,
}

/// 2^0 + … + 2^6 pauses, about 127 of them, before the first yield.
const ROUNDS_OF_PAUSES: u32 = 7;

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { rounds: 0 }
    }

    pub(crate) fn pause<P: Platform>(&mut self) {
        if self.rounds < ROUNDS_OF_PAUSES {
            for _ in 0..1_u32 << self.rounds {
                P::spin_loop();
            }
            self.rounds += 1;
        } else {
            P::Threads::yield_now();
        }
    }
}

/// Tries `attempt` for a while before its caller parks: a thread by the clock, because the length
/// of a pause differs tenfold between processors; a fiber by yielding to its scheduler, which has
/// better things to run than a busy wait.
pub(crate) fn spin<P: Platform>(mut attempt: impl FnMut() -> bool) -> bool {
    if suspend::in_fiber::<P>() {
        for _ in 0..P::BOUNDS.lock_yields {
            suspend::with_current::<P, _>(|current| current.yield_now());
            if attempt() {
                return true;
            }
        }
        return false;
    }
    if P::BOUNDS.lock_spin_ns == 0 {
        return false;
    }
    let end: Instant = P::Clock::now() + Duration::from_nanos(P::BOUNDS.lock_spin_ns);
    let mut pauses = 1_u32;
    loop {
        for _ in 0..pauses {
            P::spin_loop();
        }
        if attempt() {
            return true;
        }
        if P::Clock::now() >= end {
            return false;
        }
        pauses = (pauses * 2).min(MAX_PAUSES);
    }
}

/// The longest run of pauses between two looks.
const MAX_PAUSES: u32 = 32;

/// How often, and since when, a woken waiter found that a newcomer was faster.
pub(crate) struct Losses {
    count: u32,
    first: Option<Instant>,
}

impl Losses {
    pub(crate) const NONE: Self = Self { count: 0, first: None };

    /// Counts one more. Returns whether it is time that the waiter gets what it waits for.
    pub(crate) fn one_too_many<P: Platform>(&mut self) -> bool {
        self.count += 1;
        if self.count > P::BOUNDS.barges {
            return true;
        }
        let now = P::Clock::now();
        let first = *self.first.get_or_insert(now);
        now.as_nanos() - first.as_nanos() >= P::BOUNDS.barge_ns
    }
}
