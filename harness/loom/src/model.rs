//! Checks one program: every execution that loom explores, and an honest verdict.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Once;

use raddle_coverage::Hits;
use serde::{Deserialize, Serialize};

use crate::mutation::Mutation;
use crate::world::{self, Counts, Panic, Session, World};
use crate::{cpu, threads};

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Every execution that loom knows was explored, and none failed.
    Exhausted,
    /// Every execution with at most so many preemptions was explored, and none failed.
    Bounded(usize),
    /// None of those explored until time ran out failed. **Not a proof, and not a pass.**
    TimedOut,
    /// One failed.
    Failed(Failure),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("Exhausted"),
            Self::Bounded(bound) => write!(f, "Bounded({bound})"),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::Failed(_) => f.write_str("Failed"),
        }
    }
}

/// An execution that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The messages of all panics in the execution, in order; a panic that was caught is among
    /// them.
    pub messages: Vec<String>,
    /// The last operations before the last panic, with their sites.
    pub history: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.messages {
            writeln!(f, "{message}")?;
        }
        write!(f, "the last operations:\n{}", self.history)
    }
}

/// A verdict, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub verdict: Verdict,
    /// How many executions were explored.
    pub executions: u64,
    /// How much processor time it took.
    pub elapsed: Duration,
    /// The operations of all executions together.
    pub counts: Counts,
    /// How often the mutation did something other than the code says.
    pub mutated: u64,
    /// After which sites in production code a thread's waker was called, and how often.
    pub wakes: BTreeMap<String, u64>,
    /// The sites in production code that they came from.
    #[serde(skip)]
    pub hits: Hits,
}

impl Report {
    /// Executions per second of processor time.
    pub fn rate(&self) -> f64 {
        self.executions as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// How to check a program.
#[derive(Clone, Debug)]
#[must_use]
pub struct Model {
    preemption_bound: Option<usize>,
    max_duration: Duration,
    pub(crate) mutation: Option<Mutation>,
    checkpoint: Option<Checkpoint>,
    on_progress: Option<fn(u64, Duration)>,
    on_failure: Option<fn(&Report)>,
}

/// A file that leads to one execution: the choices that loom makes on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint {
    /// Write it before the execution of this number, counted from 1, is begun.
    Write {
        /// Where.
        file: PathBuf,
        /// The number.
        before: u64,
    },
    /// Run the execution that this one leads to, and no other. The program and its bound must be
    /// those that it was written for.
    Replay(PathBuf),
}

impl Default for Model {
    fn default() -> Self {
        Self {
            preemption_bound: None,
            max_duration: Duration::from_secs(60),
            mutation: None,
            checkpoint: None,
            on_progress: None,
            on_failure: None,
        }
    }
}

/// Branch points of one execution. loom reserves memory for so many; an execution that needs more
/// fails, for it probably never ends.
const MAX_BRANCHES: usize = 20_000;

/// How often progress is told.
const TELL_EACH: Duration = Duration::from_secs(1);

/// Ends a check from inside: what an execution that was not begun unwinds with.
struct TimeIsUp;

/// What loom's `Fn + Send + Sync` bounds ask for and its single thread makes true.
struct OneThread<T>(T);

// SAFETY: `Builder::check` calls its closure on the thread that called it, and on no other.
unsafe impl<T> Send for OneThread<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for OneThread<T> {}

impl Model {
    /// No bound on preemptions, at most a minute of processor time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Explores only executions with at most `preemptions` preemptions.
    pub fn preemption_bound(mut self, preemptions: Option<usize>) -> Self {
        self.preemption_bound = preemptions;
        self
    }

    /// Gives up, with [`Verdict::TimedOut`], after so much processor time.
    pub fn max_duration(mut self, duration: Duration) -> Self {
        self.max_duration = duration;
        self
    }

    /// Does something other than the code says, at one site. [`Report::mutated`] tells whether any
    /// execution came there.
    pub fn mutate(mut self, mutation: Option<Mutation>) -> Self {
        self.mutation = mutation;
        self
    }

    /// Writes or reads a checkpoint. A replay in which nothing fails ends with
    /// [`Verdict::TimedOut`]: there is more to explore.
    pub fn checkpoint(mut self, checkpoint: Option<Checkpoint>) -> Self {
        self.checkpoint = checkpoint;
        self
    }

    /// Calls `f` every second of processor time, with the executions and the time so far.
    pub fn on_progress(mut self, f: fn(u64, Duration)) -> Self {
        self.on_progress = Some(f);
        self
    }

    /// Calls `f` as soon as an execution has failed, before anything unwinds: destructors run in a
    /// world that loom has given up, so the process may abort in one. A process of its own exits
    /// from `f`.
    pub fn on_failure(mut self, f: fn(&Report)) -> Self {
        self.on_failure = Some(f);
        self
    }

    /// Runs `program` through all of its executions.
    pub fn check(&self, program: impl Fn() + 'static) -> Report {
        install_hook();
        let session = Rc::new(Session::new(self.clone()));
        let mut builder = loom::model::Builder::new();
        builder.max_branches = MAX_BRANCHES;
        builder.preemption_bound = self.preemption_bound;
        // Where one of these ends the check, loom returns as if it were done (and looks only every
        // 20,000 executions); so `execute` looks at the time instead. The environment could set
        // them too, and must not change what a verdict means.
        builder.max_duration = None;
        builder.max_permutations = None;
        (builder.checkpoint_file, builder.checkpoint_interval) = match self.checkpoint.clone() {
            None => (None, usize::MAX),
            // loom writes the file before each execution whose number is a multiple. Nobody looks
            // at those that follow.
            Some(Checkpoint::Write { file, before }) => (Some(file), before as usize),
            Some(Checkpoint::Replay(file)) => (Some(file), usize::MAX),
        };
        builder.max_threads = loom::MAX_THREADS;
        let whole = OneThread((Rc::clone(&session), program));
        let result = catch_unwind(AssertUnwindSafe(|| {
            builder.check(move || {
                let whole = &whole;
                execute(&whole.0.0, &whole.0.1);
            });
        }));
        // SAFETY: null is always valid. A failed execution may have left its world behind.
        unsafe { world::set(core::ptr::null()) };
        let verdict = match result {
            Err(panic) if panic.is::<TimeIsUp>() => Verdict::TimedOut,
            Err(_) => Verdict::Failed(session.failure()),
            Ok(()) => self.preemption_bound.map_or(Verdict::Exhausted, Verdict::Bounded),
        };
        session.report(verdict)
    }
}

/// One execution, on loom's main thread.
fn execute(session: &Rc<Session>, program: &impl Fn()) {
    if session.is_over() {
        // No panic hook is called: nothing has failed.
        resume_unwind(Box::new(TimeIsUp));
    }
    session.executions.set(session.executions.get() + 1);
    let world = World::new(Rc::clone(session));
    // SAFETY: taken away below; where this function unwinds instead, by `check`.
    unsafe { world::set(&world) };
    let main = world.add_thread("main".to_owned());
    threads::run(main, program);
    let ended = world.threads.borrow()[main].end.panic.borrow_mut().take();
    let ended = ended.map_or_else(|| finish(&world), Err);
    if let Err(panic) = ended {
        session.fail();
        resume_unwind(panic);
    }
    // SAFETY: null is always valid.
    unsafe { world::set(core::ptr::null()) };
}

/// The end of an execution whose main thread ended well.
fn finish(world: &World) -> std::thread::Result<()> {
    threads::on_pooled_stack(&world.session, || {
        catch_unwind(AssertUnwindSafe(|| {
            threads::join_the_rest();
            // Inside the execution: the values hold loom objects, and operate on them.
            drop(world.globals.take());
        }))
    })
}

impl Session {
    fn elapsed(&self) -> Duration {
        cpu::now().saturating_sub(self.started)
    }

    /// Whether no further execution is to begin.
    fn is_over(&self) -> bool {
        let (elapsed, executions) = (self.elapsed(), self.executions.get());
        if let Some(tell) = self.model.on_progress
            && elapsed >= self.told.get() + TELL_EACH
        {
            self.told.set(elapsed);
            tell(executions, elapsed);
        }
        let replayed = matches!(self.model.checkpoint, Some(Checkpoint::Replay(_)));
        elapsed >= self.model.max_duration || replayed && executions > 0
    }

    /// What to report when a signal ends the process; none if that came at a bad moment.
    pub(crate) fn interrupted(&self, thread: usize, signal: &str) -> Option<Report> {
        let mut messages: Vec<_> =
            self.panics.try_borrow().ok()?.iter().map(|panic| panic.message.clone()).collect();
        messages.push(format!("thread {thread}: the process was ended by {signal}"));
        let history = self.history.try_borrow().ok()?.render();
        Some(self.report(Verdict::Failed(Failure { messages, history })))
    }

    fn report(&self, verdict: Verdict) -> Report {
        Report {
            verdict,
            executions: self.executions.get(),
            elapsed: self.elapsed(),
            counts: self.counts.get(),
            mutated: self.mutated.get(),
            wakes: self.sites.wakes(),
            hits: match self.sites.hits() {
                Ok(hits) => hits,
                Err(why) => panic!("{why}"),
            },
        }
    }

    fn failure(&self) -> Failure {
        let panics = self.panics.borrow();
        Failure {
            messages: panics.iter().map(|panic| panic.message.clone()).collect(),
            history: panics.last().map(|panic| panic.history.render()).unwrap_or_default(),
        }
    }

    /// The model has failed.
    fn fail(&self) {
        if self.broken.replace(true) {
            return;
        }
        if let Some(on_failure) = self.model.on_failure {
            on_failure(&self.report(Verdict::Failed(self.failure())));
        }
    }
}

/// Whether loom itself raised the panic: then the model has failed, whoever catches it.
fn raised_by_loom(info: &PanicHookInfo<'_>) -> bool {
    info.location().is_some_and(|at| at.file().contains("loom-0.7"))
}

/// Makes panics inside of a model part of its report, and leaves all others alone.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let inside = world::try_with(|world| {
                let payload = info.payload_as_str().unwrap_or("a panic without a message");
                let site = info.location().map(ToString::to_string).unwrap_or_default();
                let message = format!("thread {}: {payload}, at {site}", world.current());
                let session = Rc::clone(&world.session);
                if let Ok(mut panics) = session.panics.try_borrow_mut() {
                    let history = session.history.borrow().clone();
                    panics.push(Panic { message, history });
                }
                session
            });
            match inside {
                None => previous(info),
                Some(session) if raised_by_loom(info) => session.fail(),
                Some(_) => {}
            }
        }));
    });
}
