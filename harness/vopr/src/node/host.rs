//! What the world keeps of each node.

use std::sync::Arc;

use raddle_platform::global::Table;

use crate::seeds::{Purpose, Stream};
use crate::vector::Clock;
use crate::waits::Waits;
use crate::world::World;

/// The node that every simulation has: the program of the test is on it.
pub(crate) const ROOT: usize = 0;

/// What a node runs, each time that it starts.
pub(crate) type Main = Arc<dyn Fn() + Send + Sync>;

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its main function runs.
    Up,
    /// Its main function has returned.
    Ended,
    /// It has crashed, or was killed.
    Down,
}

/// A machine, and the program on it.
pub(crate) struct Host {
    pub(crate) name: String,
    /// The root's is the body of the test.
    pub(crate) main: Option<Main>,
    /// What had been seen when it was made.
    pub(crate) born: Clock,
    pub(crate) stage: Stage,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How many threads it has had since.
    pub(crate) started: u32,
    pub(crate) main_thread: u32,
    /// Faults may crash it.
    pub(crate) fragile: bool,
    /// A fault has, and the agenda has its restart.
    pub(crate) restart_due: bool,
    /// Tokens of those who wait for its end.
    pub(crate) watchers: Vec<u32>,
    /// Not there while one of them is made.
    pub(crate) globals: Option<Table>,
    /// What had been seen when each global was made; by key.
    pub(crate) global_views: Vec<(String, Clock)>,
    pub(crate) waits: Waits,
    pub(crate) clocks: Clocks,
}

impl Host {
    pub(crate) fn new(name: &str, main: Option<Main>, clocks: Clocks) -> Self {
        Self {
            name: name.to_owned(),
            main,
            born: Clock::default(),
            stage: Stage::Up,
            restarts: 0,
            started: 0,
            main_thread: 0,
            fragile: true,
            restart_due: false,
            watchers: Vec::new(),
            globals: Some(Table::default()),
            global_views: Vec::new(),
            waits: Waits::default(),
            clocks,
        }
    }
}

/// How the clocks of a node differ from the world's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Clocks {
    /// What its monotonic clock showed at the world's beginning, and by how much it has jumped since.
    /// The root's shows the world's time until it jumps.
    pub(crate) monotonic_ns: u64,
    /// Nanoseconds between its wall clock and what it should be.
    pub(crate) wall_offset_ns: i64,
    /// How much faster its wall clock runs, in a million.
    pub(crate) drift: i64,
}

/// By how much a wall clock runs too fast or too slow, in a million.
const DRIFTS: [i64; 4] = [-500, -50, 50, 500];

impl Clocks {
    /// Those of a node after so many restarts. Monotonic clocks of two nodes have nothing to do
    /// with one another, and one begins anew with each start: whoever takes a point of one to
    /// another node, or to a file, is wrong by hours.
    pub(crate) fn of(seed: u64, node: usize, restarts: u32, skewed: bool) -> Self {
        let scope = 1 << 62 | (node as u64) << 32 | u64::from(restarts);
        let mut stream = Stream::of(seed, Purpose::Fault, scope);
        let monotonic_ns = 1_000_000_000 * (1 + stream.below(9_999) as u64);
        // The clock of a machine is as good or bad after a restart as it was before.
        let scope = 1 << 62 | (node as u64) << 32;
        let drift = DRIFTS[Stream::of(seed, Purpose::Time, scope).below(DRIFTS.len())];
        Self {
            monotonic_ns: if node == ROOT { 0 } else { monotonic_ns },
            wall_offset_ns: 0,
            drift: if skewed { drift } else { 0 },
        }
    }
}

impl World {
    /// The node of the thread that runs.
    pub(crate) fn node(&self) -> usize {
        self.threads.get(self.current as usize).map_or(ROOT, |thread| thread.node)
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        let node = self.node();
        &mut self.hosts[node]
    }

    /// What the random values of the next thread on `node` come from. It depends on what this node
    /// has started, and on no other.
    pub(crate) fn next_scope(&mut self, node: usize) -> u64 {
        let host = &mut self.hosts[node];
        let index = u64::from(host.started);
        host.started += 1;
        (node as u64) << 48 | u64::from(host.restarts) << 32 | index
    }

    /// A point of the monotonic clock of the node that runs, as the world's time.
    pub(crate) fn world_time(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_sub(self.hosts[self.node()].clocks.monotonic_ns)
    }

    /// What is known of those that wait, on all nodes.
    pub(crate) fn describe_waits(&self) -> String {
        let several = self.hosts.len() > 1;
        let describe = |host: &Host| {
            let text = host.waits.describe();
            match several && !text.is_empty() {
                true => format!("\n  on {}:{text}", host.name),
                false => text,
            }
        };
        self.hosts.iter().map(describe).collect()
    }
}
