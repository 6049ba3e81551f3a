//! What a world is told, and what it is asked.

/// A place in the source that asks [`Platform::buggify`](crate::Platform::buggify).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(pub &'static str);

impl Site {
    /// What waits is polled again although nobody woke it. A future must bear that at any time.
    pub const SPURIOUS_POLL: Self = Self("spurious poll");
}

/// What [`Platform::choose`](crate::Platform::choose) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Choice {
    /// Which worker a thief asks first.
    StealVictim,
    /// Which worker gets a task that was spawned from outside.
    Placement,
    /// Where a worker puts a task that it spawned and that may run anywhere: first (0), or where
    /// all workers look (1).
    Spawn,
    /// Where a worker looks for its next task: first (0) in the order that serves most programs
    /// best, or in one that begins elsewhere.
    NextTask,
}

/// What tasks and threads have, and wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Which one: the [number](crate::Atomic::number) of its first word, or a task's id.
    pub number: u64,
}

impl core::fmt::Display for Object {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}#{}", self.kind.name(), self.number)
    }
}

impl core::fmt::Debug for Object {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// The kinds of [`Object`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A mutex, which has one owner.
    Mutex,
    /// A read-write lock, which has one owner or several.
    RwLock,
    /// A condition variable.
    Condvar,
    /// A semaphore: anybody may release it.
    Semaphore,
    /// A wait group: anybody may be done.
    WaitGroup,
    /// An event count: anybody may notify.
    EventCount,
    /// A channel, whose other side is waited for.
    Channel,
    /// The end of a task.
    Task,
    /// A scope, whose end waits for its tasks.
    Scope,
}

impl ObjectKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mutex => "mutex",
            Self::RwLock => "rwlock",
            Self::Condvar => "condvar",
            Self::Semaphore => "semaphore",
            Self::WaitGroup => "wait-group",
            Self::EventCount => "event-count",
            Self::Channel => "channel",
            Self::Task => "task",
            Self::Scope => "scope",
        }
    }
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
    /// The running task or thread cannot have `object` now, and will sleep for it. Told again by
    /// each poll that finds it so.
    WaitsFor {
        /// What it waits for.
        object: Object,
    },
    /// The running task or thread has `object` from now on.
    Acquired {
        /// What it has.
        object: Object,
        /// Whether others may have it at the same time.
        shared: bool,
    },
    /// `object` is given back.
    Released {
        /// What was had.
        object: Object,
    },
    /// A timer was set.
    TimerSet {
        /// The worker whose wheel it is on.
        worker: usize,
        /// The how manieth of that wheel, from 1.
        timer: u64,
        /// When it fires: the monotonic clock's nanoseconds.
        deadline_ns: u64,
    },
    /// A timer was taken back before it fired.
    TimerCleared {
        /// The worker whose wheel it was on.
        worker: usize,
        /// The how manieth of that wheel.
        timer: u64,
    },
    /// A timer's time has come: whoever waits for it is about to be woken.
    TimerFired {
        /// The worker whose wheel it was on.
        worker: usize,
        /// The how manieth of that wheel.
        timer: u64,
    },
    /// One operation is about to wake several sleepers.
    BatchWoken {
        /// How many.
        count: usize,
    },
    /// What an operation waited for is there: a call on the socket would not block.
    IoReady {
        /// The socket's descriptor.
        handle: i32,
    },
    /// An operation that moves bytes, or is on a file, has completed.
    IoResult {
        /// The descriptor, where the operation is on one.
        handle: Option<i32>,
        /// The result: how many bytes, or a new descriptor.
        result: u32,
    },
    /// An operation has failed.
    IoError {
        /// The descriptor, where the operation is on one.
        handle: Option<i32>,
        /// The error.
        errno: i32,
    },
    /// A scope began.
    ScopeOpened {
        /// The scope.
        scope: Object,
    },
    /// All of a scope's tasks have ended, and so does it.
    ScopeClosed {
        /// The scope.
        scope: Object,
    },
    /// A scope's tasks were cancelled.
    ScopeCancelled {
        /// The scope.
        scope: Object,
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
    /// The program has come to a place that somebody wants to find again in a trace.
    Checkpoint {
        /// The place.
        name: &'a str,
        /// What the program wants to be known there.
        value: u64,
    },
}

macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// The kinds of [`Event`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $(#[doc = concat!("[`Event::", stringify!($kind), "`].")] $kind),+
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The name in traces, which is the one in the source.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }
        }

        impl Event<'_> {
            /// The kind. (An event without one does not compile.)
            pub const fn kind(&self) -> EventKind {
                match self { $(Self::$kind { .. } => EventKind::$kind),+ }
            }
        }
    };
}

kinds! {
    Spawned, Scheduled, Yielded, Parked, Woken, Completed, Cancelled, WaitsFor, Acquired, Released,
    TimerSet, TimerCleared, TimerFired, BatchWoken, IoReady, IoResult, IoError, ScopeOpened,
    ScopeClosed, ScopeCancelled, Stolen, Checkpoint,
}
