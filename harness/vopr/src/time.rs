//! Virtual time: it stands still while threads run, and comes with the deadlines that somebody
//! waits for. Each node has its own clocks, and one that jumps does so alone. Only the root's monotonic
//! one shows the world's time, until it jumps.

use core::time::Duration;

use raddle_platform::{Clock, Instant};

use crate::history::{Effect, Name, Operation};
use crate::world::{Class, Failed, World, operate, stop};

/// See the module.
#[derive(Debug)]
pub struct SimClock;

/// 2020-01-01 00:00 UTC: where the wall clock of every simulation starts.
const WALL_START_NS: u64 = 1_577_836_800 * 1_000_000_000;

/// Reads a clock of the world, which may be wrong where the faults of clocks are on.
#[track_caller]
fn read(name: Name, clock: impl FnOnce(&mut World) -> Result<u64, Failed>) -> u64 {
    let now = operate(Operation::plain(name), Class::Memory, |world, _| {
        world.counts.clock += 1;
        let now = clock(world);
        let effect = Effect::Value(*now.as_ref().unwrap_or(&0));
        Ok((now, effect))
    });
    now.unwrap_or_else(|Failed| stop())
}

impl Clock for SimClock {
    fn now() -> Instant {
        Instant::from_nanos(read(Name::Now, |world| {
            world.clock_jump()?;
            Ok(world.now + world.host().clocks.monotonic_ns)
        }))
    }
    fn wall() -> Duration {
        Duration::from_nanos(read(Name::Wall, |world| {
            let error = world.wall_error()?;
            Ok((WALL_START_NS + world.now).saturating_add_signed(error))
        }))
    }
}
