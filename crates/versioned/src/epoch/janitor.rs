//! The collector: frees what threads left behind, also when all of them are idle.
//!
//! ```text
//! ABSENT --a bag becomes non-empty--> PRESENT: the thread that made it so starts the collector
//! PRESENT --all bags were empty often enough--> ABSENT, and one more look
//! ```
//!
//! It is a thread of its own, since nobody else may be there. It exists only while there is garbage,
//! or was lately: so an idle program has no thread that wakes up for nothing, and a world that is
//! tested comes to its end.
//!
//! The handshake: a thread writes its bag and then reads `state`; the collector writes ABSENT and
//! then reads the bags. With a `SeqCst` fence between the two on both sides, one sees the other, so
//! no garbage is left without somebody who looks (`epoch/garbage_of_an_idle_thread`). If the system
//! refuses a thread, the next one whose bag becomes non-empty tries again.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use raddle_platform::{Atomic, Ordering, Platform, Threads};

use super::Epochs;
use crate::world;

const ABSENT: u32 = 0;
const PRESENT: u32 = 1;

pub(crate) struct Janitor<P: Platform> {
    state: P::AtomicU32,
    handshake: P::Handshake,
}

impl<P: Platform> Janitor<P> {
    pub(super) fn new() -> Self {
        Self { state: P::AtomicU32::new(ABSENT), handshake: P::Handshake::default() }
    }

    /// The caller has put the first thing into its bag.
    pub(super) fn told_of_garbage(&self) {
        if P::CELL_BOUNDS.collector_looks > 0 {
            self.call();
        }
    }

    /// Starts the collector, if it is not there.
    pub(crate) fn call(&self) {
        // ORDERING: pairs with the fence of `leaves`; stands between the bag and the state.
        // ORDERING-AUDIT: who has put something into its bag has pinned itself before, and pins have a full
        // fence in loom.
        P::fence(Ordering::SeqCst, &[&self.handshake]);
        if self.state.load(Ordering::Relaxed) == ABSENT && self.enter() {
            let name = "raddle-collector".to_owned();
            if P::Threads::spawn(name, Box::new(run::<P>)).is_err() {
                // COVERAGE-EXCLUDE(loom): no thread is refused there
                // COVERAGE-EXCLUDE(vopr): no thread is refused there
                self.state.swap(ABSENT, Ordering::Relaxed);
            }
        }
    }

    fn enter(&self) -> bool {
        self.state.swap(PRESENT, Ordering::Relaxed) == ABSENT
    }

    /// The collector goes, unless there is garbage again. Returns whether it does.
    fn leaves(&self, epochs: &Epochs<P>) -> bool {
        self.state.swap(ABSENT, Ordering::Relaxed);
        // ORDERING: pairs with the fence of `call`; stands between the state and the bags.
        // ORDERING-AUDIT: the lock of each bag does the same, but for who becomes a participant meanwhile;
        // a collector that has seen such a one waits for its pin, and loom would let it wait for ever.
        P::fence(Ordering::SeqCst, &[&self.handshake]);
        let garbage = epochs.participants().any(|participant| participant.limbo().0 > 0);
        // If not it who saw the garbage and comes back, then the thread that made it has started
        // another.
        !(garbage && self.enter())
    }
}

/// Collects for everybody once. Returns whether there was something.
pub(crate) fn look<P: Platform>(epochs: &Epochs<P>) -> bool {
    epochs.note_pins();
    let mut found = false;
    for participant in epochs.participants() {
        if participant.limbo().0 == 0 {
            continue;
        }
        found = true;
        // A destructor that panics has said so by the panic hook, and is not the last one.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| participant.collect()))
            && P::Threads::tearing_down()
        {
            resume_unwind(panic);
        }
    }
    found
}

/// What the collector's thread does.
fn run<P: Platform>() {
    let world = world::of::<P>();
    let epochs = &world.epochs;
    let mut in_vain = 0;
    loop {
        super::pause::<P>();
        in_vain = if look(epochs) { 0 } else { in_vain + 1 };
        if in_vain >= P::CELL_BOUNDS.collector_looks {
            if epochs.janitor.leaves(epochs) {
                return;
            }
            in_vain = 0;
        }
    }
}
