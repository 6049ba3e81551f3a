//! The race checker: loom's `UnsafeCell<()>` beside the data.

use loom::cell::{ConstPtr, MutPtr, UnsafeCell};
use raddle_platform::Race;

use crate::history::Effect;
use crate::world::{self, Kind, Step, with};

/// Reports two accesses of which one is a write and that no happens-before edge orders, and two
/// that are open at the same time.
#[derive(Debug)]
pub struct LoomRace {
    cell: UnsafeCell<()>,
    number: u32,
}

// SAFETY: the cell guards no data; loom tracks the accesses. All model threads share one
// operating-system thread.
unsafe impl Send for LoomRace {}
// SAFETY: as above.
unsafe impl Sync for LoomRace {}

impl Drop for LoomRace {
    /// The destruction of the data is a write. (tokio-rs/loom#349: by itself its cell does not say so.)
    fn drop(&mut self) {
        if world::trusted() {
            drop(self.cell.get_mut());
        }
    }
}

/// An open shared access.
#[derive(Debug)]
pub struct Reading {
    _open: ConstPtr<()>,
}

/// An open exclusive access.
#[derive(Debug)]
pub struct Writing {
    _open: MutPtr<()>,
}

// SAFETY: what the tokens hold are numbers of loom's objects; the pointer is never read.
unsafe impl Send for Reading {}
// SAFETY: as above.
unsafe impl Sync for Reading {}
// SAFETY: as above.
unsafe impl Send for Writing {}
// SAFETY: as above.
unsafe impl Sync for Writing {}

impl Race for LoomRace {
    type Read = Reading;
    type Write = Writing;

    fn new() -> Self {
        let number = with(|world| world.number_object());
        Self { cell: UnsafeCell::new(()), number }
    }

    fn read(&self) -> Reading {
        let step = Step::on(Kind::Other, ("cell", self.number), "read", None);
        let open = self.cell.get();
        step.end(Effect::Done);
        Reading { _open: open }
    }

    fn write(&self) -> Writing {
        let step = Step::on(Kind::Other, ("cell", self.number), "write", None);
        let open = self.cell.get_mut();
        step.end(Effect::Done);
        Writing { _open: open }
    }
}
