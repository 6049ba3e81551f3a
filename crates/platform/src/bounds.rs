//! The sizes that a model checker shrinks.

/// Capacities, spin budgets and fairness bounds of one platform.
///
/// Logic never depends on the values: shrinking them only brings edges (a full ring, an exhausted
/// budget, a hand-off) within the reach of small scenarios.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Slots of a worker's run queue; a power of two.
    pub run_queue_slots: usize,
    /// Tasks that a worker takes from its LIFO slot before it looks at its queue again.
    pub lifo_runs: u32,
    /// Ticks of a worker between two looks at the injector, the timers and the driver.
    pub maintenance_ticks: u32,
    /// How often a waiter looks after a contended lock before it parks. It yields before each look,
    /// a fiber to its scheduler and a thread to the system's.
    pub lock_looks: u32,
    /// How often a queued waiter may lose the lock to a newcomer before the lock is handed to it.
    pub barges: u32,
    /// How long a queued waiter waits at most until the lock is handed to it, in nanoseconds.
    pub barge_ns: u64,
    /// Rounds of pauses, each twice as long as the one before, between looks at something that changes
    /// within a few instructions; then a thread yields the processor.
    pub pause_rounds: u32,
    /// Looks at a spinning lock before a thread yields the processor.
    pub spins: u32,
    /// Rounds of an idle worker's search for work before it sleeps.
    pub idle_searches: u32,
    /// Shards of the registry of tasks for each worker, where there are several; a power of two.
    pub registry_shards: usize,
    /// Completions that a driver hands over at a time. And wakers that are taken out of a queue at a time,
    /// if that is less than their own bound.
    pub completion_batch: usize,
}

/// The same for cells that are read while others replace them: garbage, retries and versions.
#[derive(Clone, Copy, Debug)]
pub struct CellBounds {
    /// What a thread replaces in versioned cells until it looks what of it can be freed.
    pub garbage_batch: usize,
    /// What of a thread's garbage may wait to be freed. Who makes more waits, too.
    pub garbage_limit: usize,
    /// How often the collector of idle threads' garbage looks in vain before it ends; with 0 it
    /// never begins.
    pub collector_looks: u32,
    /// How long the collector of idle threads' garbage sleeps between looks, in nanoseconds.
    pub collector_ns: u64,
    /// How often the update of a versioned cell starts over.
    pub update_retries: u32,
    /// How often a transaction starts over.
    pub transaction_retries: u32,
    /// Versions of one cell that snapshots may keep.
    pub versions: u32,
}
