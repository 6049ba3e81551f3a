//! How much garbage there is, and who keeps it.

use core::time::Duration;

use raddle_platform::{Atomic, Clock, Ordering, Platform};

use super::{Epochs, Participant};
use crate::world;

/// What waits to be freed in a world, and for whom; see [`stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Threads that have been pinned and have not ended.
    pub threads: usize,
    /// Threads that are pinned now.
    pub pinned: usize,
    /// What was retired and is not freed yet.
    pub limbo_items: usize,
    /// Its size in bytes, without what it owns on the heap.
    pub limbo_bytes: usize,
    /// For how long somebody is known to be pinned: since the collector first saw that pin. Zero if
    /// there is no pin that it has seen; it looks while there is garbage.
    pub oldest_pin: Duration,
}

/// The state of epochs in the world `P`, as it was some time during the call. O(threads).
///
/// ```
/// use raddle_versioned::{Native, epoch};
/// let guard = epoch::pin();
/// guard.retire(Box::new(7_u64));
/// let stats = epoch::stats::<Native>();
/// assert!(stats.pinned >= 1 && stats.limbo_items >= 1 && stats.limbo_bytes >= 8);
/// ```
pub fn stats<P: Platform>() -> Stats {
    let world = world::of::<P>();
    let now = P::Clock::now().as_nanos();
    let mut stats = Stats::default();
    for participant in world.epochs.participants() {
        let (items, bytes) = participant.limbo();
        stats.threads += usize::from(participant.is_taken());
        stats.limbo_items += items;
        stats.limbo_bytes += bytes;
        if let Some(era) = participant.pinned_since() {
            stats.pinned += 1;
            if let Some(since) = participant.seen_pinned(era) {
                let age = Duration::from_nanos(now.saturating_sub(since));
                stats.oldest_pin = stats.oldest_pin.max(age);
            }
        }
    }
    stats
}

impl<P: Platform> Epochs<P> {
    /// Keeps in mind since when who is pinned. Only the collector calls it.
    pub(super) fn note_pins(&self) {
        // Two pins of one thread that follow each other shall not look like one.
        self.seal();
        let now = P::Clock::now().as_nanos();
        for participant in self.participants() {
            if let Some(era) = participant.pinned_since()
                && participant.seen_pinned(era).is_none()
            {
                participant.seen_at.store(now, Ordering::Relaxed);
                // ORDERING: pairs with the acquiring load in `seen_pinned`, for the time.
                participant.seen_era.store(era, Ordering::Release);
            }
        }
    }
}

impl<P: Platform> Participant<P> {
    /// When the pin of `era` was seen first.
    fn seen_pinned(&self, era: u64) -> Option<u64> {
        // ORDERING: pairs with the releasing store in `note_pins`, for the time.
        let seen = self.seen_era.load(Ordering::Acquire);
        (seen == era).then(|| self.seen_at.load(Ordering::Relaxed))
    }
}
