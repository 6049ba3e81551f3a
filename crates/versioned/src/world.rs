//! What the cells of one world share.

use raddle_platform::global::{Handle, Key};
use raddle_platform::{Atomic, Platform};

use crate::clock::VersionClock;
use crate::epoch::Epochs;

/// One for each world.
pub(crate) struct World<P: Platform> {
    pub(crate) epochs: Epochs<P>,
    pub(crate) clock: VersionClock<P>,
    /// The id of the next cell that a transaction writes to.
    pub(crate) next_cell: P::AtomicU64,
}

static WORLD: Key = Key::new("raddle-versioned");

/// The one of the world `P`. Takes a lock of the platform's, so hot paths get it from the thread's
/// participant instead.
pub(crate) fn of<P: Platform>() -> Handle<World<P>> {
    P::global(&WORLD, || World {
        epochs: Epochs::new(),
        clock: VersionClock::new(),
        next_cell: P::AtomicU64::new(1),
    })
}
