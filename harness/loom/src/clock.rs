//! Time that moves when a wait times out, and at no other moment.
//!
//! The clock shows the latest deadline that has come. What it shows decides what code does next,
//! so loom must try both orders of a reading and a deadline; but a clock carries no happens-before
//! edge, so it must not be an atomic. loom's `Condvar::notify_one` with nobody waiting is exactly
//! that: a point of dependence without any effect on memory.

use core::time::Duration;

use raddle_platform::{Clock, Instant};

use crate::history::Effect;
use crate::world::{Kind, Step, touch, with};

/// See the module.
#[derive(Debug)]
pub struct LoomClock;

/// 2020-01-01 00:00 UTC: where the wall clock of every execution starts.
const WALL_START: Duration = Duration::from_secs(1_577_836_800);

/// Whether the clock shows `deadline` or later.
pub(crate) fn reached(deadline: Instant) -> bool {
    touch(|world| &world.clock);
    with(|world| world.now.get()) >= deadline.as_nanos()
}

/// `deadline` comes.
pub(crate) fn advance(deadline: Instant) {
    touch(|world| &world.clock);
    with(|world| world.now.set(world.now.get().max(deadline.as_nanos())));
}

#[track_caller]
fn read(name: &'static str) -> u64 {
    let step = Step::plain(Kind::Clock, name, None);
    touch(|world| &world.clock);
    let now = with(|world| world.now.get());
    step.end(Effect::Value(now));
    now
}

impl Clock for LoomClock {
    fn now() -> Instant {
        Instant::from_nanos(read("now"))
    }
    fn wall() -> Duration {
        WALL_START + Duration::from_nanos(read("wall"))
    }
}
