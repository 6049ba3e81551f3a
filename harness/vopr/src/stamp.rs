//! Where in an execution a line of a log was written.

use core::fmt;
use core::time::Duration;

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::node::ROOT;
use crate::world::{self, World};

/// Stamps what a program writes with [`tracing`](https://docs.rs/tracing) by virtual time, node,
/// thread, task and step: with these the line is found in the trace, and a debugger goes there. The
/// clock of the system would say another time in each run.
///
/// ```
/// use raddle_platform::{Clock, Parker, Platform};
/// use raddle_vopr::{Sim, Simulation, Stamp};
/// use std::time::Duration;
///
/// let subscriber = tracing_subscriber::fmt().with_timer(Stamp).finish();
/// tracing::subscriber::with_default(subscriber, || {
///     Simulation::new().seed(1).run(|| {
///         let later = <Sim as Platform>::Clock::now() + Duration::from_millis(5);
///         <Sim as Platform>::Parker::park_until(later);
///         // 5ms node 0 thread 0 step 3  INFO …: the time has come
///         tracing::info!("the time has come");
///     });
/// });
/// ```
///
/// A subscriber sees one thread of the operating system, on which all simulated threads run: an
/// entered span counts for whichever of them runs. Attach fields to events instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp;

/// What a stamp says.
struct Place {
    now: Duration,
    node: usize,
    name: Option<String>,
    thread: u32,
    task: Option<u64>,
    step: u64,
}

impl Place {
    fn of(world: &World) -> Self {
        let thread = world.current as usize;
        let node = world.threads.get(thread).map_or(ROOT, |thread| thread.node);
        Self {
            now: Duration::from_nanos(world.now),
            node,
            name: (node != ROOT).then(|| world.hosts[node].name.clone()),
            thread: world.current,
            task: world.running.get(thread).and_then(|running| running.task),
            step: world.steps,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, node, name, thread, task, step } = self;
        write!(f, "{now:?} node {node}")?;
        if let Some(name) = name {
            write!(f, " ({name})")?;
        }
        write!(f, " thread {thread}")?;
        if let Some(task) = task {
            write!(f, " task {task}")?;
        }
        write!(f, " step {step}")
    }
}

impl FormatTime for Stamp {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        if !world::is_there() {
            return to.write_str("outside of a simulation");
        }
        match world::try_with(|world| Place::of(world)) {
            Some(place) => write!(to, "{place}"),
            None => to.write_str("between two steps"),
        }
    }
}
