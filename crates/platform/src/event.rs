//! What a world is told, and what it is asked.

/// A place in the source that asks [`Platform::buggify`](crate::Platform::buggify).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(pub &'static str);

/// What [`Platform::choose`](crate::Platform::choose) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// Which worker a thief asks first.
    StealVictim,
    /// Which worker gets a task that was spawned from outside.
    Placement,
}

/// What happened. Tasks, workers and objects are named by creation ids, never by addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A task came into being.
    Spawned {
        /// The task's id.
        task: u64,
        /// Its name, if it has one.
        name: Option<&'a str>,
    },
    /// A worker begins to run a task.
    Scheduled {
        /// The task's id.
        task: u64,
        /// The worker's index.
        worker: usize,
    },
    /// A task gave way and stays runnable.
    Yielded {
        /// The task's id.
        task: u64,
    },
    /// A task sleeps until somebody wakes it.
    Parked {
        /// The task's id.
        task: u64,
    },
    /// A sleeping task becomes runnable.
    Woken {
        /// The task's id.
        task: u64,
    },
    /// A task ended.
    Completed {
        /// The task's id.
        task: u64,
    },
    /// A task was cancelled; it learns of it at its next cancellation point.
    Cancelled {
        /// The task's id.
        task: u64,
    },
    /// A thief moved tasks.
    Stolen {
        /// The worker that gave.
        from: usize,
        /// The worker that took.
        to: usize,
        /// How many tasks.
        count: usize,
    },
}
