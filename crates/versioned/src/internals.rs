//! For harnesses only: what happens by itself elsewhere.

use raddle_platform::Platform;

use crate::epoch::janitor;
use crate::{Versioned, world};

/// Starts the collector of what threads leave behind, also where
/// [`collector_looks`](raddle_platform::CellBounds::collector_looks) says that there is none.
pub fn call_collector<P: Platform>() {
    world::of::<P>().epochs.janitor.call();
}

/// Collects for all threads once, as the collector does.
pub fn collect_for_all<P: Platform>() {
    janitor::look(&world::of::<P>().epochs);
}

/// Where the cell stands in the order in which transactions write.
pub fn number<T: Send + Sync + 'static, P: Platform>(cell: &Versioned<T, P>) -> u64 {
    cell.raw().id(&world::of::<P>())
}
