//! Virtual time: it stands still while threads run, and comes with the deadlines that somebody
//! waits for.

use core::time::Duration;

use raddle_platform::{Clock, Instant};

use crate::history::{Effect, Name, Operation};
use crate::world::{Class, operate};

/// See the module.
#[derive(Debug)]
pub struct SimClock;

/// 2020-01-01 00:00 UTC: where the wall clock of every simulation starts.
const WALL_START: Duration = Duration::from_secs(1_577_836_800);

#[track_caller]
fn read(name: Name) -> u64 {
    operate(Operation::plain(name), Class::Memory, |world, _| {
        world.counts.clock += 1;
        Ok((world.now, Effect::Value(world.now)))
    })
}

impl Clock for SimClock {
    fn now() -> Instant {
        Instant::from_nanos(read(Name::Now))
    }
    fn wall() -> Duration {
        WALL_START + Duration::from_nanos(read(Name::Wall))
    }
}
