//! Runs a program in the simulator.

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use crate::decisions::Trace;
use crate::divergence::Replayed;
use crate::faults::{Faults, Plan};
use crate::machine::{self, Outcome};
use crate::report::{Report, Verdict};
use crate::seeds::{self, Purpose, Stream};
use crate::sites::Sites;
use crate::strategy::{Pct, PctBound, Policy, Random, Replay, RoundRobin, Strategy};
use crate::trace::{Observer, Record, Tap};
use crate::watchdog;
use crate::world::Setup;

/// Between which operations another thread may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Granularity {
    /// Before every operation on shared memory, and all of the below.
    #[default]
    Atomics,
    /// Before an operation that starts, ends, wakes, waits, spins or yields, and on the driver.
    /// Faster, and blind to what happens between two atomics.
    Blocking,
}

/// When an execution is given up as a livelock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations of the platform.
    pub steps: u64,
    /// Virtual time.
    pub virtual_time: Duration,
    /// Real time without any operation of the platform. A loop that never comes back to the
    /// simulator cannot be stopped: the watchdog prints where it was, and ends the process.
    pub silence: Duration,
}

impl Limits {
    pub(crate) fn virtual_ns(&self) -> u64 {
        u64::try_from(self.virtual_time.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 1_000_000,
            virtual_time: Duration::from_secs(365 * 24 * 3600),
            silence: Duration::from_secs(10),
        }
    }
}

/// How to run a program.
///
/// ```
/// use raddle_platform::{Atomic, Ordering, Platform};
/// use raddle_scenarios::scope;
/// use raddle_vopr::{FailureKind, Sim, Simulation};
///
/// // Two threads add one, each with a load and a store: an update may be lost.
/// let lost_update = || {
///     let counter = <Sim as Platform>::AtomicUsize::new(0);
///     let add = || {
///         let value = counter.load(Ordering::Relaxed);
///         counter.store(value + 1, Ordering::Relaxed);
///     };
///     scope::<Sim, _>(|threads| {
///         threads.spawn(add);
///         add();
///     });
///     assert_eq!(counter.load(Ordering::Relaxed), 2, "an update was lost");
/// };
/// let mut reports = (0..100).map(|seed| Simulation::new().seed(seed).run(lost_update));
/// let report = reports.find(|report| report.failure().is_some()).expect("found");
/// let failure = report.failure().expect("it failed");
/// assert_eq!(failure.kind, FailureKind::Panic);
///
/// // The trace leads to the very same failure.
/// let again = Simulation::new().replay(report.trace.clone()).run(lost_update);
/// assert_eq!(again.failure(), Some(failure));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Simulation {
    seed: Option<u64>,
    pub(crate) strategy: Strategy,
    pub(crate) granularity: Granularity,
    pub(crate) limits: Limits,
    pub(crate) spurious_wakes: bool,
    pub(crate) faults: Faults,
    record: Record,
    observer: Option<Observer>,
    sites: Option<Rc<Sites>>,
    /// What PCT has measured; clones share it, so they must run the same program.
    measured: Rc<Cell<Option<(u32, u64)>>>,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: None,
            strategy: Strategy::Portfolio,
            granularity: Granularity::default(),
            limits: Limits::default(),
            spurious_wakes: true,
            faults: Faults::none(),
            record: Record::default(),
            observer: None,
            sites: None,
            measured: Rc::default(),
        }
    }
}

impl Simulation {
    /// A portfolio of strategies at the granularity of atomics. The seed is `RADDLE_SEED`, else `CI_SEED`, else
    /// a constant.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the root seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets who decides.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self.measured = Rc::default();
        self
    }

    /// Takes seed and decisions from a trace.
    pub fn replay(self, trace: Trace) -> Self {
        self.seed(trace.seed).strategy(Strategy::Replay(trace))
    }

    /// Sets where threads may switch.
    pub fn granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Sets when an execution is given up.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether a park may end although nobody woke the thread: as if a wake had come late that
    /// was meant for something which it waited for before. On by default. Only a program that parks
    /// for itself, without a condition of its own to look at again, must do without.
    pub fn spurious_wakes(mut self, on: bool) -> Self {
        self.spurious_wakes = on;
        self
    }

    /// Sets what goes wrong besides. Nothing, by default.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Sets what is recorded besides the decisions. Recording changes no execution.
    pub fn record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// Sets who looks on.
    pub fn observe(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Counts in `sites` what is done where, in all executions. That changes none.
    pub fn sites(mut self, sites: Rc<Sites>) -> Self {
        self.sites = Some(sites);
        self
    }

    /// Runs `program` once, as the main thread. Where the strategy is
    /// [`Strategy::Pct`] it is called once more before, to measure.
    ///
    /// # Panics
    /// Inside of another simulation; and when a seed from the environment is none.
    pub fn run(&self, program: impl Fn()) -> Report {
        self.run_dyn(&program)
    }

    fn run_dyn(&self, program: &dyn Fn()) -> Report {
        let root = seeds::root(self.seed).unwrap_or_else(|error| panic!("{error}"));
        let (mut seed, mut bound) = (root.0, None);
        let strategy = match &self.strategy {
            Strategy::Portfolio => portfolio(seed),
            other => other.clone(),
        };
        let mut replayed = None;
        let policy: Box<dyn Policy> = match strategy {
            Strategy::Portfolio | Strategy::Random => Box::new(Random::new(seed)),
            Strategy::Sticky => Box::new(Random::sticky(seed)),
            Strategy::RoundRobin => Box::new(RoundRobin::default()),
            Strategy::Pct { depth } => {
                let measured = self.measure(program, depth.max(1));
                bound = Some(measured);
                Box::new(Pct::new(seed, measured))
            }
            Strategy::Replay(trace) => {
                seed = trace.seed;
                let trace = Rc::new(trace);
                replayed = Some(Replayed::new(Rc::clone(&trace), usize::MAX, true));
                Box::new(Replay::new(trace, usize::MAX, None))
            }
            Strategy::Prefix { trace, decisions, tail } => {
                seed = trace.seed;
                let trace = Rc::new(trace);
                replayed = Some(Replayed::new(Rc::clone(&trace), decisions, false));
                Box::new(Replay::new(trace, decisions, Some(tail)))
            }
        };
        let tap = Tap::new(&self.record, self.observer.clone());
        let outcome = self.execute(seed, policy, program, replayed, tap);
        let Outcome {
            failure, steps, decisions, certificate, now, counts, faults, abandoned, ..
        } = outcome;
        Report {
            verdict: failure.map_or(Verdict::Passed, Verdict::Failed),
            seed,
            steps,
            decisions: decisions.len() as u64,
            certificate,
            virtual_time: Duration::from_nanos(now),
            trace: Trace { seed, decisions, prefixes: outcome.prefixes },
            counts,
            faults,
            abandoned,
            bound,
            events: outcome.events,
            divergence: outcome.divergence,
        }
    }

    fn execute(
        &self,
        seed: u64,
        policy: Box<dyn Policy>,
        program: &dyn Fn(),
        replayed: Option<Replayed>,
        tap: Option<Box<Tap>>,
    ) -> Outcome {
        let watch = watchdog::watch(self.limits.silence);
        let Self { granularity, limits, spurious_wakes, .. } = *self;
        let plan = Plan::of(&self.faults, seed);
        let sites = self.sites.clone();
        let setup = Setup {
            seed,
            policy,
            granularity,
            limits,
            spurious_wakes,
            plan,
            watch,
            replayed,
            tap,
            sites,
        };
        machine::run(setup, program)
    }

    /// How long the program is: by one execution that depends on no seed, so that a seed alone
    /// says how its run goes.
    fn measure(&self, program: &dyn Fn(), depth: u32) -> PctBound {
        let (threads, steps) = self.measured.get().unwrap_or_else(|| {
            let policy = Box::new(RoundRobin::default());
            let outcome = self.execute(seeds::DEFAULT_ROOT, policy, program, None, None);
            // Time takes part as a thread, where it can move.
            let threads = outcome.counts.threads as u32
                + 1
                + u32::from(outcome.counts.clock + outcome.counts.io > 0);
            (threads, outcome.decisions.len().max(1) as u64)
        });
        self.measured.set(Some((threads, steps)));
        PctBound { threads, steps, depth }
    }
}

/// The strategy of one seed, where each seed may have another.
fn portfolio(seed: u64) -> Strategy {
    match Stream::of(seed, Purpose::Schedule, 1).below(6) {
        0 => Strategy::Pct { depth: 2 },
        1 => Strategy::Pct { depth: 3 },
        2 | 3 => Strategy::Sticky,
        _ => Strategy::Random,
    }
}
