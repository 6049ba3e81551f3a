//! What must hold, written once and run by every harness.
//!
//! A [`Scenario`] states one property of a production crate and a small program that would break
//! it. It is generic over the platform, so the model checker, the simulator and the hammer run the
//! very same source, and what they run is the code that ships. [`all`] is a value: a harness goes
//! through the whole list and says what it left out and why ([`Needs::unmet`]).
//!
//! Some scenarios are **broken twins**: they run a copy of the code with a planted bug and
//! [expect](Expect) the harness to report it. A harness that stays silent on a twin has
//! failed, for its silence elsewhere then means nothing.
//!
//! # How to add a scenario
//!
//! 1. Write a file `src/<subject>.rs` (or find the one that is there) with
//!    `pub(crate) fn list<P: Platform>() -> Vec<Scenario>`.
//! 2. Declare it below: `mod <subject>;`, and its line in [`all`].
//! 3. A scenario is a generic function and an entry:
//!
//! ```
//! use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
//! use raddle_scenarios::{Needs, Scenario, scope};
//!
//! fn no_ticket_is_given_twice<P: Platform>() {
//!     let next = P::AtomicUsize::new(0);
//!     let (first, second) = scope::<P, _>(|threads| {
//!         let other = threads.spawn(|| next.fetch_add(1, Ordering::Relaxed));
//!         (next.fetch_add(1, Ordering::Relaxed), other.join())
//!     });
//!     assert_ne!(first, second);
//! }
//!
//! fn list<P: Platform>() -> Vec<Scenario> {
//!     vec![Scenario::new(
//!         "tickets/no_ticket_is_given_twice",
//!         "two threads that take a ticket get different ones",
//!         no_ticket_is_given_twice::<P>,
//!     )
//!     .needs(Needs::ATOMICS.threads(1))]
//! }
//! # use raddle_platform::Native;
//! # list::<Native>()[0].run();
//! ```
//!
//! Keep it small: two threads besides the main one where they suffice, at most three; a handful of
//! operations each. One property, so that a failure says what broke. Threads come from [`scope`]
//! or [`spawn`], waiting from the platform's parker or from the primitive under test; anything of
//! std that synchronises would hide the very bug that is looked for.

mod broadcast;
#[path = "../tests/broken/mod.rs"]
mod broken;
mod cancel;
mod cells;
mod channel;
mod combinators;
mod condvar;
mod crowd;
mod ends;
mod epoch;
mod event_count;
mod files;
mod freed;
mod io;
mod join;
mod mutex;
mod nested;
mod oneshot;
mod ownership;
mod parker;
mod pinned;
mod polled;
mod queue;
mod rendezvous;
mod run_loop;
mod runtime;
mod rwlock;
mod scheduler;
mod semaphore;
mod shard;
mod task;
mod threads;
mod timer;
mod transaction;
mod versioned;
mod wait_group;
mod waiters;
mod watch;
mod whole;

pub use shard::Shard;
pub use threads::{JoinHandle, Scope, ScopedJoinHandle, scope, spawn};

use raddle_platform::Platform;

/// Every scenario there is, in the world `P`.
pub fn all<P: Platform>() -> Vec<Scenario> {
    let lists: [fn() -> Vec<Scenario>; _] = [
        ownership::list::<P>,
        parker::list::<P>,
        mutex::list::<P>,
        rwlock::list::<P>,
        condvar::list::<P>,
        semaphore::list::<P>,
        wait_group::list::<P>,
        queue::list::<P>,
        runtime::list::<P>,
        broken::list::<P>,
        run_loop::list::<P>,
        scheduler::list::<P>,
        task::list::<P>,
        join::list::<P>,
        io::list::<P>,
        files::list::<P>,
        timer::list::<P>,
        cancel::list::<P>,
        whole::list::<P>,
        event_count::list::<P>,
        channel::list::<P>,
        rendezvous::list::<P>,
        oneshot::list::<P>,
        watch::list::<P>,
        broadcast::list::<P>,
        crowd::list::<P>,
        combinators::list::<P>,
        ends::list::<P>,
        epoch::list::<P>,
        cells::list::<P>,
        versioned::list::<P>,
        pinned::list::<P>,
        transaction::list::<P>,
    ];
    lists.into_iter().flat_map(|list| list()).collect()
}

/// One property, and the program that would break it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `subject/property_in_snake_case`: unique in the list; the command line selects by it.
    pub name: &'static str,
    /// The property, in one sentence.
    pub property: &'static str,
    /// What the program uses.
    pub needs: Needs,
    /// The preemption bound within which a model checker finishes in seconds; none if it finishes
    /// without.
    pub bound: Option<usize>,
    /// What a harness must report.
    pub expect: Expect,
    /// Whether an incomplete exploration counts as a pass. It is printed as incomplete all the
    /// same.
    pub may_time_out: bool,
    /// Whether it leaves memory behind on purpose: what it shows is that this does no other harm.
    pub leaks: bool,
    run: fn(),
}

impl Scenario {
    /// A scenario that must hold, needs atomics and is explored without a bound. The methods
    /// below change that.
    pub const fn new(name: &'static str, property: &'static str, run: fn()) -> Self {
        Self {
            name,
            property,
            needs: Needs::ATOMICS,
            bound: None,
            expect: Expect::Holds,
            may_time_out: false,
            leaks: false,
            run,
        }
    }

    /// Declares what the program uses, instead of atomics only.
    #[must_use]
    pub const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// Suggests a preemption bound to model checkers.
    #[must_use]
    pub const fn bound(mut self, preemptions: usize) -> Self {
        self.bound = Some(preemptions);
        self
    }

    /// Makes it a broken twin: the harness must report a failure whose message contains
    /// `message_part`.
    #[must_use]
    pub const fn fails(mut self, message_part: &'static str) -> Self {
        self.expect = Expect::Fails(message_part);
        self
    }

    /// Makes it a broken twin: the harness must report a data race.
    #[must_use]
    pub const fn races(mut self) -> Self {
        self.expect = Expect::Races;
        self
    }

    /// Makes it a broken twin: the harness must report that nobody can go on.
    #[must_use]
    pub const fn deadlocks(mut self) -> Self {
        self.expect = Expect::Deadlocks;
        self
    }

    /// Lets an incomplete exploration count as a pass.
    #[must_use]
    pub const fn may_time_out(mut self) -> Self {
        self.may_time_out = true;
        self
    }

    /// Says that it leaves memory behind on purpose.
    #[must_use]
    pub const fn leaks(mut self) -> Self {
        self.leaks = true;
        self
    }

    /// Runs the program once, in the world that is current on the calling thread.
    ///
    /// # Panics
    /// When the property does not hold.
    pub fn run(&self) {
        (self.run)();
    }
}

/// What a harness must report about a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the property holds.
    Holds,
    /// A failure whose message contains this.
    Fails(&'static str),
    /// A data race, in the harness's own words.
    Races,
    /// A deadlock or a lost wake-up, in the harness's own words.
    Deadlocks,
}

/// What a scenario uses. A harness leaves out a scenario that needs what it has not, and counts
/// the operations of each declared kind: **zero of one fails the scenario**, because then the code
/// ran in another world than the harness believes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Atomics or fences.
    pub atomics: bool,
    /// Threads besides the main one.
    pub threads: usize,
    /// Parking.
    pub parker: bool,
    /// The clock, or a deadline.
    pub clock: bool,
    /// Randomness.
    pub rng: bool,
    /// A driver to sleep on and to notify.
    pub driver: bool,
    /// Sockets and signals.
    pub io: bool,
    /// The planted bug is an access that no happens-before edge orders: only a race detector
    /// reports it.
    pub race_detection: bool,
    /// The planted bug needs a load that sees an old store.
    pub weak_memory: bool,
    /// More steps than an exhaustive search goes through: for harnesses that sample.
    pub long: bool,
    /// The order in which tasks are taken where nothing perturbs it: who asserts it needs it.
    pub task_order: bool,
    /// The planted bug shows in few of all schedules: somebody must search for them.
    pub rare: bool,
}

impl Needs {
    /// Nothing.
    pub const NONE: Self = Self {
        atomics: false,
        threads: 0,
        parker: false,
        clock: false,
        rng: false,
        driver: false,
        io: false,
        race_detection: false,
        weak_memory: false,
        long: false,
        task_order: false,
        rare: false,
    };
    /// Atomics, on the main thread only.
    pub const ATOMICS: Self = Self { atomics: true, ..Self::NONE };

    /// `count` threads besides the main one.
    #[must_use]
    pub const fn threads(mut self, count: usize) -> Self {
        self.threads = count;
        self
    }
    /// Parking.
    #[must_use]
    pub const fn parker(mut self) -> Self {
        self.parker = true;
        self
    }
    /// The clock, or a deadline.
    #[must_use]
    pub const fn clock(mut self) -> Self {
        self.clock = true;
        self
    }
    /// Randomness.
    #[must_use]
    pub const fn rng(mut self) -> Self {
        self.rng = true;
        self
    }
    /// A driver to sleep on and to notify.
    #[must_use]
    pub const fn driver(mut self) -> Self {
        self.driver = true;
        self
    }
    /// Sockets and signals.
    #[must_use]
    pub const fn io(mut self) -> Self {
        self.io = true;
        self
    }
    /// A race detector.
    #[must_use]
    pub const fn race_detection(mut self) -> Self {
        self.race_detection = true;
        self
    }
    /// Loads that see old stores.
    #[must_use]
    pub const fn weak_memory(mut self) -> Self {
        self.weak_memory = true;
        self
    }
    /// A harness that samples executions.
    #[must_use]
    pub const fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Tasks that are taken in the usual order.
    #[must_use]
    pub const fn task_order(mut self) -> Self {
        self.task_order = true;
        self
    }

    /// A harness that searches for the schedule.
    #[must_use]
    pub const fn rare(mut self) -> Self {
        self.rare = true;
        self
    }

    /// What is needed and not `offered`, in words; empty if the scenario can run.
    pub fn unmet(&self, offered: &Self) -> Vec<String> {
        let kinds = [
            (self.atomics, offered.atomics, "atomics"),
            (self.parker, offered.parker, "a parker"),
            (self.clock, offered.clock, "a clock"),
            (self.rng, offered.rng, "randomness"),
            (self.driver, offered.driver, "a driver"),
            (self.io, offered.io, "I/O"),
            (self.race_detection, offered.race_detection, "race detection"),
            (self.weak_memory, offered.weak_memory, "weak memory"),
            (self.long, offered.long, "executions that are sampled: it is too long for all"),
            (self.task_order, offered.task_order, "tasks in the usual order"),
            (self.rare, offered.rare, "a search for its schedule, which chance hardly meets"),
        ];
        let mut unmet: Vec<_> = kinds
            .into_iter()
            .filter(|&(needed, offered, _)| needed && !offered)
            .map(|(_, _, kind)| kind.to_owned())
            .collect();
        if self.threads > offered.threads {
            unmet.push(format!("{} threads (of {})", self.threads, offered.threads));
        }
        unmet
    }
}
