//! Runs a program in the simulator.

use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::control::{self, Control, Render, Script};
use crate::decisions::Trace;
use crate::divergence::Replayed;
use crate::execution::Execution;
use crate::faults::{Faults, Plan};
use crate::machine::{self, Machine};
use crate::report::Report;
use crate::seeds::{self, Purpose, Stream};
use crate::sites::Sites;
use crate::strategy::{Pct, PctBound, Policy, Random, Replay, RoundRobin, Strategy};
use crate::trace::{Observer, Record, Tap};
use crate::watchdog;
use crate::world::{Setup, with};

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
#[derive(Clone)]
#[must_use]
pub struct Simulation {
    seed: Option<u64>,
    pub(crate) strategy: Strategy,
    pub(crate) granularity: Granularity,
    pub(crate) limits: Limits,
    pub(crate) spurious_wakes: bool,
    pub(crate) faults: Faults,
    pub(crate) script: Script,
    renders: Vec<(String, Render)>,
    record: Record,
    pub(crate) observer: Option<Observer>,
    sites: Option<Rc<Sites>>,
    /// What PCT has measured; clones share it, so they must run the same program.
    measured: Rc<Cell<Option<(u32, u64)>>>,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Simulation");
        shown.field("seed", &self.seed).field("strategy", &self.strategy);
        shown.field("granularity", &self.granularity).field("limits", &self.limits);
        shown.field("faults", &self.faults).field("record", &self.record);
        shown.finish_non_exhaustive()
    }
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
            script: Script::default(),
            renders: Vec::new(),
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
        self.seed(trace.seed).scripted(trace.control.clone()).strategy(Strategy::Replay(trace))
    }

    /// Sets the orders about time.
    pub(crate) fn scripted(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// Shows `render`'s text beside what the program [shows](crate::inspect) of itself: for state
    /// that the test keeps outside of the program.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use raddle_vopr::Simulation;
    ///
    /// let served = Arc::new(AtomicU32::new(0));
    /// let shown = Arc::clone(&served);
    /// let simulation =
    ///     Simulation::new().inspect("served", move || shown.load(Ordering::Relaxed).to_string());
    /// let mut execution = simulation.start(|| _ = served.fetch_add(1, Ordering::Relaxed));
    /// execution.run_until_quiescent();
    /// assert_eq!(execution.state()[0].1, "1");
    /// ```
    pub fn inspect(mut self, name: &str, render: impl Fn() -> String + 'static) -> Self {
        control::add(&mut self.renders, name, Rc::new(render));
        self
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

    /// What goes wrong.
    pub fn faults_on(&self) -> &Faults {
        &self.faults
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
        let seed = self.root();
        let bound = match self.chosen(seed) {
            Strategy::Pct { depth } => Some(self.measure(program, depth.max(1))),
            _ => None,
        };
        let (setup, seed) = self.setup(seed, bound, false);
        Report::new(seed, machine::run(setup, program), bound)
    }

    /// An execution that stands still at its beginning; `owned` if time comes by orders only.
    pub(crate) fn begin<'p>(&self, program: Box<dyn FnOnce() + 'p>, owned: bool) -> Execution<'p> {
        let seed = self.root();
        let bound = match (self.chosen(seed), self.measured.get()) {
            (Strategy::Pct { depth }, Some((threads, steps))) => {
                Some(PctBound { threads, steps, depth: depth.max(1) })
            }
            _ => None,
        };
        let (mut setup, seed) = self.setup(seed, bound, owned);
        setup.watch = watchdog::watch_alone(self.limits.silence);
        let machine = Machine::new(setup, program);
        if owned && self.script.is_empty() {
            machine.inside(|| with(|world| world.order(Some(0))));
        }
        Execution::new(machine, seed, bound)
    }

    /// The root seed: the explicit one, else that of the environment, else the constant.
    ///
    /// # Panics
    /// When a seed from the environment is none.
    pub fn root_seed(&self) -> u64 {
        self.root()
    }

    fn root(&self) -> u64 {
        seeds::root(self.seed).unwrap_or_else(|error| panic!("{error}")).0
    }

    /// The strategy of a seed.
    fn chosen(&self, seed: u64) -> Strategy {
        match &self.strategy {
            Strategy::Portfolio => portfolio(seed),
            other => other.clone(),
        }
    }

    /// What an execution begins with, and its seed: that of a trace, where one is replayed.
    fn setup(&self, root: u64, bound: Option<PctBound>, owned: bool) -> (Setup, u64) {
        let (mut seed, mut replayed) = (root, None);
        let mut replay = |trace: Trace, decisions: usize, tail: Option<u64>| {
            seed = trace.seed;
            let trace = Rc::new(trace);
            replayed = Some(Replayed::new(Rc::clone(&trace), decisions, tail.is_none()));
            Box::new(Replay::new(trace, decisions, tail))
        };
        let policy: Box<dyn Policy> = match (self.chosen(root), bound) {
            (Strategy::Pct { .. }, Some(bound)) => Box::new(Pct::new(root, bound)),
            (Strategy::Portfolio | Strategy::Random | Strategy::Pct { .. }, _) => {
                Box::new(Random::new(root))
            }
            (Strategy::Sticky, _) => Box::new(Random::sticky(root)),
            (Strategy::RoundRobin, _) => Box::new(RoundRobin::default()),
            (Strategy::Replay(trace), _) => replay(trace, usize::MAX, None),
            (Strategy::Prefix { trace, decisions, tail }, _) => {
                replay(trace, decisions, Some(tail))
            }
        };
        let tap = Tap::new(&self.record, self.observer.clone());
        (self.setup_with(seed, policy, replayed, tap, owned), seed)
    }

    fn setup_with(
        &self,
        seed: u64,
        policy: Box<dyn Policy>,
        replayed: Option<Replayed>,
        tap: Option<Box<Tap>>,
        owned: bool,
    ) -> Setup {
        let watch = watchdog::watch(self.limits.silence);
        let Self { granularity, limits, spurious_wakes, .. } = *self;
        let plan = Plan::of(&self.faults, seed);
        let sites = self.sites.clone();
        let control = Control::new(&self.script, self.renders.clone(), owned);
        Setup {
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
            control,
        }
    }

    /// How long the program is: by one execution that depends on no seed, so that a seed alone
    /// says how its run goes.
    fn measure(&self, program: &dyn Fn(), depth: u32) -> PctBound {
        let (threads, steps) = self.measured.get().unwrap_or_else(|| {
            let policy = Box::new(RoundRobin::default());
            let setup = self.setup_with(seeds::DEFAULT_ROOT, policy, None, None, false);
            let outcome = machine::run(setup, program);
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
