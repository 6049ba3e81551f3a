//! Who takes the decisions.

use std::rc::Rc;

use crate::decisions::{Kind, Trace};
use crate::seeds::{Purpose, Stream};

/// How the decisions of an execution are taken.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// By the seed, one of the random walk, a walk that switches rarely, and PCT of depth 2 and 3:
    /// what one of them is bad at, another finds.
    Portfolio,
    /// A random walk: each runnable thread is as likely as the others.
    Random,
    /// A random walk that stays with one thread for a while: what needs many steps of one thread
    /// against few of another is rare in a uniform walk.
    Sticky,
    /// Probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010): random priorities,
    /// lowered at `depth - 1` random steps. A bug that needs `depth` ordered events is found with a
    /// probability that [has a bound](PctBound). The number of steps is measured by an execution
    /// under [`RoundRobin`](Self::RoundRobin) before. Time takes part as a thread; who yields
    /// falls below all others. An execution that takes twice the measured steps goes on as a random
    /// walk: a thread that never waits would have the others starve.
    Pct {
        /// How many ordered events the bugs looked for need; at least 1.
        depth: u32,
    },
    /// Each runnable thread in turn; time advances when nobody can run, or when it could have for
    /// a thousand decisions; nothing is spurious.
    RoundRobin,
    /// The decisions of a trace, and no others: an execution that asks for another is reported as a
    /// divergence.
    Replay(Trace),
    /// The first decisions of a trace, then a random walk from the seed `tail`.
    Prefix {
        /// Where the first decisions come from.
        trace: Trace,
        /// How many of them.
        decisions: usize,
        /// The seed of the walk.
        tail: u64,
    },
}

/// What PCT promises for a bug of its depth: at least `1 / (threads * steps^(depth - 1))` per run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PctBound {
    /// The threads of the measured execution; time counts as one, if anybody waited for it.
    pub threads: u32,
    /// The steps at which it could be decided who runs.
    pub steps: u64,
    /// The depth.
    pub depth: u32,
}

impl PctBound {
    /// The bound as a probability.
    pub fn probability(self) -> f64 {
        let exponent = i32::try_from(self.depth.saturating_sub(1)).unwrap_or(i32::MAX);
        1.0 / (f64::from(self.threads.max(1)) * (self.steps.max(1) as f64).powi(exponent))
    }
}

impl core::fmt::Display for PctBound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { threads, steps, depth } = *self;
        write!(
            f,
            "a bug of depth {depth} is found with probability {:.2e} at least per run \
             ({threads} threads, {steps} steps)",
            self.probability()
        )
    }
}

/// What can happen next. The options are numbered: runnable threads, time, parked threads.
pub(crate) struct Enabled<'a> {
    /// By number.
    pub(crate) runnable: &'a [u32],
    /// Whether somebody waits for a deadline.
    pub(crate) time: bool,
    /// Who could be woken for no reason, by number.
    pub(crate) parked: &'a [u32],
    /// Who ran last.
    pub(crate) current: u32,
    /// That one has nothing better to do: it spins or yields.
    pub(crate) yields: bool,
}

impl Enabled<'_> {
    pub(crate) fn options(&self) -> usize {
        self.runnable.len() + usize::from(self.time) + self.parked.len()
    }
}

/// Why the log does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// The execution asks for what the log does not have at this place.
    Asks { kind: Kind, options: usize },
    /// The execution has ended, and the log has not.
    Ended,
}

/// A strategy at work in one execution.
pub(crate) trait Policy {
    /// What happens next, of at least one option.
    fn schedule(&mut self, enabled: &Enabled<'_>) -> Result<usize, Misfit>;
    /// Another choice, of at least two options.
    fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Misfit>;
    /// Another choice among two or more, which is not 0 in `rate` of 65,536 cases.
    fn rare(&mut self, kind: Kind, options: usize, rate: u32) -> Result<usize, Misfit>;
    /// The execution has ended by itself.
    fn end(&self) -> Result<(), Misfit> {
        Ok(())
    }
}

/// How often things of low probability happen, in 65,536 cases. Each seed has its own rates: some
/// bugs need many, some need none.
#[derive(Clone, Copy, Debug)]
struct Rates {
    time: u32,
    wake: u32,
    exchange: u32,
}

impl Rates {
    fn of(seed: u64) -> Self {
        let mut time = Stream::of(seed, Purpose::Time, 1);
        let mut fault = Stream::of(seed, Purpose::Fault, 1);
        Self {
            time: [64, 1024, 8192, 32768][time.below(4)],
            wake: [0, 0, 256, 4096][fault.below(4)],
            exchange: [0, 1024, 16384][fault.below(3)],
        }
    }
}

/// The streams of a seed that decide.
struct Dice {
    schedule: Stream,
    time: Stream,
    fault: Stream,
    network: Stream,
    disk: Stream,
    rates: Rates,
}

impl Dice {
    fn new(seed: u64) -> Self {
        Self {
            schedule: Stream::of(seed, Purpose::Schedule, 0),
            time: Stream::of(seed, Purpose::Time, 0),
            fault: Stream::of(seed, Purpose::Fault, 0),
            network: Stream::of(seed, Purpose::Network, 0),
            disk: Stream::of(seed, Purpose::Disk, 0),
            rates: Rates::of(seed),
        }
    }

    fn spurious(&mut self, enabled: &Enabled<'_>) -> Option<usize> {
        if enabled.parked.is_empty() || self.rates.wake == 0 || !self.fault.chance(self.rates.wake)
        {
            return None;
        }
        let parked = self.fault.below(enabled.parked.len());
        Some(enabled.options() - enabled.parked.len() + parked)
    }

    fn choose(&mut self, kind: Kind, options: usize) -> usize {
        match kind {
            Kind::WeakExchange => usize::from(self.fault.chance(self.rates.exchange)),
            Kind::Network => self.network.below(options),
            Kind::Disk => self.disk.below(options),
            Kind::Choose | Kind::Schedule | Kind::Fault => self.schedule.below(options),
        }
    }

    fn rare(&mut self, options: usize, rate: u32) -> usize {
        if self.fault.chance(rate) { 1 + self.fault.below(options - 1) } else { 0 }
    }

    /// Whether time comes now.
    fn time(&mut self, enabled: &Enabled<'_>) -> bool {
        enabled.time && (enabled.runnable.is_empty() || self.time.chance(self.rates.time))
    }

    /// Any runnable thread, or time.
    fn walk(&mut self, enabled: &Enabled<'_>) -> usize {
        let runnable = enabled.runnable.len();
        if self.time(enabled) {
            return runnable;
        }
        if runnable > 1 { self.schedule.below(runnable) } else { 0 }
    }
}

/// See [`Strategy::Random`].
pub(crate) struct Random {
    dice: Dice,
    /// How often another thread may run than the one that does, in 65,536 steps.
    switch: u32,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed), switch: 65_536 }
    }

    /// See [`Strategy::Sticky`]. Each seed has its own rate.
    pub(crate) fn sticky(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let switch = [16_384, 4_096, 1_024][dice.schedule.below(3)];
        Self { dice, switch }
    }
}

impl Policy for Random {
    fn rare(&mut self, _: Kind, options: usize, rate: u32) -> Result<usize, Misfit> {
        Ok(self.dice.rare(options, rate))
    }

    #[inline]
    fn schedule(&mut self, enabled: &Enabled<'_>) -> Result<usize, Misfit> {
        let dice = &mut self.dice;
        if let Some(option) = dice.spurious(enabled) {
            return Ok(option);
        }
        if self.switch == 65_536 {
            return Ok(dice.walk(enabled));
        }
        let runnable = enabled.runnable.len();
        if dice.time(enabled) {
            return Ok(runnable);
        }
        if runnable <= 1 {
            return Ok(0);
        }
        if !enabled.yields && !dice.schedule.chance(self.switch) {
            let current = enabled.runnable.iter().position(|thread| *thread == enabled.current);
            if let Some(current) = current {
                return Ok(current);
            }
        }
        Ok(dice.schedule.below(runnable))
    }

    fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Misfit> {
        Ok(self.dice.choose(kind, options))
    }
}

/// See [`Strategy::Pct`].
pub(crate) struct Pct {
    dice: Dice,
    depth: u32,
    /// The priority of each thread; the highest runs. Those above `depth` are the initial ones.
    priorities: Vec<Option<u64>>,
    /// Time takes part as a thread.
    time: u64,
    /// Steps at which whoever runs falls, the last first.
    changes: Vec<u64>,
    step: u64,
    /// Below all others, for whoever spins or yields; counts down.
    low: u64,
    /// After so many steps a walk decides.
    fair_after: u64,
}

/// Priorities: yielders fall below [`LOW`], change points give `LOW + depth - i`, and the initial
/// ones lie above `HIGH`.
const LOW: u64 = 1 << 40;
const HIGH: u64 = 1 << 41;

impl Pct {
    pub(crate) fn new(seed: u64, bound: PctBound) -> Self {
        let mut dice = Dice::new(seed);
        let mut changes: Vec<_> = (1..bound.depth)
            .map(|_| 1 + dice.schedule.below(bound.steps.max(1) as usize) as u64)
            .collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        let time = HIGH | dice.schedule.next_u64() >> 24;
        let fair_after = bound.steps.saturating_mul(2).saturating_add(1000);
        let (depth, priorities) = (bound.depth, Vec::new());
        Self { dice, depth, priorities, time, changes, step: 0, low: LOW, fair_after }
    }

    fn priority(&mut self, thread: u32) -> &mut u64 {
        let index = thread as usize;
        if index >= self.priorities.len() {
            self.priorities.resize(index + 1, None);
        }
        self.priorities[index].get_or_insert_with(|| HIGH | self.dice.schedule.next_u64() >> 24)
    }

    /// The option with the highest priority.
    fn highest(&mut self, enabled: &Enabled<'_>) -> usize {
        let mut best = (0, 0);
        for (option, &thread) in enabled.runnable.iter().enumerate() {
            let priority = *self.priority(thread);
            if priority > best.0 {
                best = (priority, option);
            }
        }
        if enabled.time && (self.time > best.0 || enabled.runnable.is_empty()) {
            return enabled.runnable.len();
        }
        best.1
    }

    fn lower(&mut self, enabled: &Enabled<'_>, option: usize, priority: u64) {
        match enabled.runnable.get(option) {
            Some(&thread) => *self.priority(thread) = priority,
            None => self.time = priority,
        }
    }
}

impl Policy for Pct {
    fn rare(&mut self, _: Kind, options: usize, rate: u32) -> Result<usize, Misfit> {
        Ok(self.dice.rare(options, rate))
    }

    fn schedule(&mut self, enabled: &Enabled<'_>) -> Result<usize, Misfit> {
        if let Some(option) = self.dice.spurious(enabled) {
            return Ok(option);
        }
        self.step += 1;
        if self.step > self.fair_after {
            return Ok(self.dice.walk(enabled));
        }
        if enabled.yields && enabled.runnable.contains(&enabled.current) {
            // A spinning thread of the highest priority would spin for ever.
            self.low -= 1;
            let low = self.low;
            *self.priority(enabled.current) = low;
        }
        while self.changes.last().is_some_and(|step| *step <= self.step) {
            self.changes.pop();
            let option = self.highest(enabled);
            let left = self.changes.len() as u64;
            self.lower(enabled, option, LOW + 1 + left.min(u64::from(self.depth)));
        }
        Ok(self.highest(enabled))
    }

    fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Misfit> {
        Ok(self.dice.choose(kind, options))
    }
}

/// See [`Strategy::RoundRobin`].
#[derive(Default)]
pub(crate) struct RoundRobin {
    chosen: usize,
    /// How often time could have come since it came.
    passed: u32,
}

impl Policy for RoundRobin {
    fn rare(&mut self, _: Kind, _: usize, _: u32) -> Result<usize, Misfit> {
        Ok(0)
    }

    fn schedule(&mut self, enabled: &Enabled<'_>) -> Result<usize, Misfit> {
        self.passed += u32::from(enabled.time);
        if enabled.time && (self.passed > 1000 || enabled.runnable.is_empty()) {
            self.passed = 0;
            return Ok(enabled.runnable.len());
        }
        let after = enabled.runnable.iter().position(|thread| *thread > enabled.current);
        Ok(after.unwrap_or(0))
    }

    fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Misfit> {
        if matches!(kind, Kind::WeakExchange | Kind::Network | Kind::Disk) {
            return Ok(0);
        }
        self.chosen += 1;
        Ok(self.chosen % options)
    }
}

/// See [`Strategy::Replay`] and [`Strategy::Prefix`].
pub(crate) struct Replay {
    trace: Rc<Trace>,
    /// So many of its decisions.
    length: usize,
    next: usize,
    /// Who goes on at the end of the log.
    tail: Option<Random>,
}

impl Replay {
    pub(crate) fn new(trace: Rc<Trace>, length: usize, tail: Option<u64>) -> Self {
        let length = length.min(trace.decisions.len());
        Self { trace, length, next: 0, tail: tail.map(Random::new) }
    }

    /// The log's next choice, if it goes so far.
    fn take(&mut self, kind: Kind, options: usize) -> Result<Option<usize>, Misfit> {
        let misfit = Misfit::Asks { kind, options };
        if self.next == self.length {
            return if self.tail.is_some() { Ok(None) } else { Err(misfit) };
        }
        let decision = self.trace.decisions[self.next];
        if (decision.kind(), decision.options()) != (kind, options) {
            return Err(misfit);
        }
        self.next += 1;
        Ok(Some(decision.chosen()))
    }
}

impl Policy for Replay {
    fn rare(&mut self, kind: Kind, options: usize, rate: u32) -> Result<usize, Misfit> {
        match (self.take(kind, options)?, &mut self.tail) {
            (Some(chosen), _) => Ok(chosen),
            (None, Some(tail)) => tail.rare(kind, options, rate),
            (None, None) => Ok(0),
        }
    }

    fn schedule(&mut self, enabled: &Enabled<'_>) -> Result<usize, Misfit> {
        let options = enabled.options();
        if options == 1 {
            return Ok(0);
        }
        match (self.take(Kind::Schedule, options)?, &mut self.tail) {
            (Some(chosen), _) => Ok(chosen),
            (None, Some(tail)) => tail.schedule(enabled),
            (None, None) => Ok(0),
        }
    }

    fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Misfit> {
        match (self.take(kind, options)?, &mut self.tail) {
            (Some(chosen), _) => Ok(chosen),
            (None, Some(tail)) => tail.choose(kind, options),
            (None, None) => Ok(0),
        }
    }

    fn end(&self) -> Result<(), Misfit> {
        if self.next < self.length { Err(Misfit::Ended) } else { Ok(()) }
    }
}
