//! Staying out of the way of whoever was faster.

use raddle_platform::{Platform, suspend};

/// Pauses that get longer, then gives way to others.
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
            suspend::with_current::<P, _>(|current| current.yield_now());
        }
    }
}
