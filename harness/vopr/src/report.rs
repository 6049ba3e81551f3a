//! What came of an execution.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decisions::{Certificate, Trace};
use crate::divergence::Divergence;
use crate::faults::Fired;
use crate::machine::Outcome;
use crate::strategy::PctBound;
use crate::trace::{Error, Events};

/// Which oracle spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The main thread panicked, or another one that nobody joined.
    Panic,
    /// Nobody can go on, and no deadline is left to come.
    Deadlock,
    /// Two accesses that no happens-before edge orders, or one to what has been destroyed.
    DataRace,
    /// A limit of steps or of virtual time was reached.
    Livelock,
    /// The main thread has ended, and another one never will.
    Leak,
    /// The program broke the contract of the platform: it closed a socket that was in use, say.
    Misuse,
    /// The execution asked for other decisions than those of the trace that it replays.
    Divergence,
    /// There was no room for the events to record, and the recording was set up to
    /// [fail](crate::trace::Overflow::Fail) then.
    Recording,
    /// An [observer](crate::trace::Observer) has seen enough.
    Abandoned,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "panic",
            Self::Deadlock => "deadlock",
            Self::DataRace => "data race",
            Self::Livelock => "livelock",
            Self::Leak => "leak",
            Self::Misuse => "misuse",
            Self::Divergence => "divergence",
            Self::Recording => "recording",
            Self::Abandoned => "abandoned",
        })
    }
}

/// How an execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which oracle spoke.
    pub kind: FailureKind,
    /// The messages of all panics in the execution, caught or not, and the oracle's last.
    pub messages: Vec<String>,
    /// The step at which it failed.
    pub step: u64,
    /// The last operations before, with their sites.
    pub history: String,
}

impl Failure {
    /// The oracle's own message.
    pub fn message(&self) -> &str {
        self.messages.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.messages {
            writeln!(f, "{message}")?;
        }
        write!(f, "at step {}; the last operations:\n{}", self.step, self.history)
    }
}

/// Whether an execution passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All threads have ended, and no oracle spoke. This says something about one execution only.
    Passed,
    /// An oracle spoke.
    Failed(Failure),
}

/// How many operations of each kind an execution did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Atomic accesses and fences.
    pub atomics: u64,
    /// Calls of the parker.
    pub parker: u64,
    /// Readings of the clock, and waits with a deadline.
    pub clock: u64,
    /// Random numbers.
    pub rng: u64,
    /// Calls of drivers.
    pub driver: u64,
    /// Calls on sockets, and operations on them that were submitted.
    pub io: u64,
    /// Threads besides the main one.
    pub threads: u64,
}

impl Counts {
    /// The larger of both, kind by kind.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            atomics: self.atomics.max(other.atomics),
            parker: self.parker.max(other.parker),
            clock: self.clock.max(other.clock),
            rng: self.rng.max(other.rng),
            driver: self.driver.max(other.driver),
            io: self.io.max(other.io),
            threads: self.threads.max(other.threads),
        }
    }
}

/// What crashes of nodes, or a failed execution, left behind without running a destructor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abandoned {
    /// Threads that had not ended.
    pub threads: u64,
    /// Their stacks. (These are used again in the next execution.)
    pub stack_bytes: u64,
    /// Crashes of nodes.
    pub crashes: u64,
    /// What the execution has allocated on the heap and not freed, less what its report has: what
    /// was abandoned, and what a program keeps elsewhere. Known where the program's allocator
    /// [counts](crate::heap). Stacks of fibers are no part of the heap.
    pub heap_bytes: Option<u64>,
}

/// A verdict, and what it rests on.
#[derive(Clone, Debug)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// The root seed.
    pub seed: u64,
    /// Operations of the platform.
    pub steps: u64,
    /// Decisions among two options or more.
    pub decisions: u64,
    /// The schedule certificate.
    pub certificate: Certificate,
    /// How far the clock went.
    pub virtual_time: Duration,
    /// What replays the execution.
    pub trace: Trace,
    /// The operations, by kind.
    pub counts: Counts,
    /// How often each kind of fault struck.
    pub faults: Fired,
    /// What was abandoned.
    pub abandoned: Abandoned,
    /// Under PCT, what it promises.
    pub bound: Option<PctBound>,
    /// What was observed, if anything was to be.
    pub events: Option<Events>,
    /// What the program [showed](crate::inspect) of itself at the end: names and texts.
    pub state: Vec<(String, String)>,
    /// In a replay, where the execution left its trace. It may have failed otherwise, too.
    pub divergence: Option<Box<Divergence>>,
}

impl Report {
    pub(crate) fn new(seed: u64, outcome: Outcome, bound: Option<PctBound>) -> Self {
        let Outcome { failure, steps, decisions, certificate, prefixes, control, .. } = outcome;
        Self {
            verdict: failure.map_or(Verdict::Passed, Verdict::Failed),
            seed,
            steps,
            decisions: decisions.len() as u64,
            certificate,
            virtual_time: Duration::from_nanos(outcome.now),
            trace: Trace { seed, decisions, prefixes, control },
            counts: outcome.counts,
            faults: outcome.faults,
            abandoned: outcome.abandoned,
            bound,
            events: outcome.events,
            state: outcome.state,
            divergence: outcome.divergence,
        }
    }

    /// The failure, if there is one.
    pub fn failure(&self) -> Option<&Failure> {
        match &self.verdict {
            Verdict::Passed => None,
            Verdict::Failed(failure) => Some(failure),
        }
    }

    /// Nothing, if the execution was the one of the trace that it replayed, or replayed none.
    ///
    /// # Errors
    /// [`Error::UnexpectedEnd`] if it asked for more decisions than the trace has,
    /// [`Error::Divergence`] if it left the trace before.
    pub fn replayed(&self) -> Result<(), Error> {
        match &self.divergence {
            None => Ok(()),
            Some(report) if report.is_unexpected_end() => Err(Error::UnexpectedEnd(report.clone())),
            Some(report) => Err(Error::Divergence(report.clone())),
        }
    }

    /// Nothing, if the execution passed.
    ///
    /// # Panics
    /// When it failed, with everything that is needed to reproduce it. A trace of more than
    /// 10,000 decisions is not printed: the seed leads there too, and
    /// [`Simulation::save_trace`](crate::Simulation::save_trace) keeps it.
    #[track_caller]
    pub fn unwrap(&self) {
        const PRINTED: u64 = 10_000;
        let Some(failure) = self.failure() else { return };
        if self.decisions <= PRINTED {
            panic!("{failure}seed: {:#x}\ntrace: {}", self.seed, self.trace);
        }
        panic!("{failure}seed: {:#x}\ntrace: {} decisions, not printed", self.seed, self.decisions);
    }
}
