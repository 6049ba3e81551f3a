//! Staying out of the way of whoever was faster.

use raddle_platform::{Platform, Threads};

/// Pauses that get longer; then offers the processor to other threads. Never suspends a fiber, so it
/// may be called while pinned: whoever is in the way is no fiber of the same worker, since nobody is
/// suspended while in anybody's way.
pub(crate) struct Backoff {
    rounds: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { rounds: 0 }
    }

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
