//! An execution that runs as far as it is told.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use crate::control::{self, Goal};
use crate::decisions::{Certificate, Decision, Kind, Trace};
use crate::machine::Machine;
use crate::report::{Failure, FailureKind, Report};
use crate::simulation::Simulation;
use crate::strategy::PctBound;
use crate::trace::{Error, ThreadState};
use crate::world::World;

/// How far an [`Execution`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Somebody can run.
    Running,
    /// Nobody can run until time advances.
    Quiescent,
    /// All threads have ended, or the execution has failed.
    Over,
}

/// A program in a simulation that stands still between the calls of these methods, and whose time
/// comes only as far as [`advance`](Self::advance) says.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
/// use raddle_runtime::{Runtime, runtime, sleep};
/// use raddle_vopr::{Progress, Sim, Simulation};
///
/// let woken = Arc::new(Mutex::new(false));
/// let theirs = Arc::clone(&woken);
/// let mut execution = Simulation::new().seed(3).start(move || {
///     let runtime: Runtime<Sim> = runtime::Builder::new_in().workers(1).build().unwrap();
///     runtime.run(move || {
///         sleep::<Sim>(Duration::from_secs(60)).unwrap();
///         *theirs.lock().unwrap() = true;
///     }).unwrap();
/// });
/// execution.step_n(10);
/// assert_eq!(execution.steps(), 10);
///
/// // A deadline minus a nanosecond does not fire; the deadline does.
/// assert_eq!(execution.run_until_quiescent(), Progress::Quiescent);
/// execution.advance(Duration::from_secs(60) - Duration::from_nanos(1));
/// assert!(!*woken.lock().unwrap());
/// execution.advance(Duration::from_secs(1));
/// assert!(*woken.lock().unwrap());
///
/// // The trace has the orders in it: a replay needs nobody to give them.
/// let trace = execution.take_trace();
/// execution.finish().unwrap();
/// # let _ = trace;
/// ```
///
/// Dropped before its end, it is abandoned: nothing of the program runs any more, no destructor
/// either.
#[must_use]
pub struct Execution<'p> {
    /// There until the end.
    machine: Option<Machine>,
    seed: u64,
    bound: Option<PctBound>,
    /// The program may borrow for so long.
    program: PhantomData<&'p ()>,
}

/// What an execution that stands still does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upcoming {
    /// The thread that is in an operation's beginning.
    pub thread: ThreadState,
    /// Who could go on instead, and what else could happen: one entry, if nothing is to be decided.
    /// As far as it is known now; faults come on top.
    pub options: Vec<String>,
    /// The decision of the trace that comes next, if one is replayed.
    pub logged: Option<Decision>,
}

impl fmt::Debug for Execution<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Execution");
        shown.field("seed", &self.seed).field("steps", &self.steps());
        shown.field("decisions", &self.decisions()).field("now", &self.now()).finish()
    }
}

impl<'p> Execution<'p> {
    pub(crate) fn new(machine: Machine, seed: u64, bound: Option<PctBound>) -> Self {
        Self { machine: Some(machine), seed, bound, program: PhantomData }
    }

    fn machine(&self) -> &Machine {
        match &self.machine {
            Some(machine) => machine,
            // It is taken only by what takes or drops the whole.
            None => unreachable!("the execution has been finished"),
        }
    }

    fn look<R>(&self, f: impl FnOnce(&World) -> R) -> R {
        self.machine().look(f)
    }

    fn go(&self, goal: Option<Goal>) -> Progress {
        self.machine().go_until(goal);
        self.progress()
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        self.look(|world| {
            if world.failure.is_some() || world.live == 0 {
                Progress::Over
            } else if world.is_at_rest() {
                Progress::Quiescent
            } else {
                Progress::Running
            }
        })
    }

    /// Runs `count` operations of the platform, of whichever threads, unless nobody can run before.
    pub fn step_n(&mut self, count: u64) -> Progress {
        let last = self.steps().saturating_add(count);
        self.go(Some(Box::new(move |world| world.steps > last)))
    }

    /// Runs until nobody can run at the present time: each thread has ended, or waits for somebody
    /// or for a deadline that is still to come.
    pub fn run_until_quiescent(&mut self) -> Progress {
        self.go(None)
    }

    /// Lets time come as far as `by` from now, with all deadlines until then, and runs until nobody
    /// can run any more. (As in every execution, a deadline may come while others run.)
    pub fn advance(&mut self, by: Duration) -> Progress {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.machine().inside(|| {
            crate::world::with(|world| world.order(Some(world.now.saturating_add(by))));
        });
        self.go(None)
    }

    /// Runs until `reached` holds before an operation; it is asked before each.
    pub fn run_until(&mut self, mut reached: impl FnMut(&Position) -> bool + 'static) -> Progress {
        self.go(Some(Box::new(move |world| reached(&Position::of(world, true)))))
    }

    /// Where it stands, in numbers.
    pub fn position(&self) -> Position {
        self.look(|world| Position::of(world, world.stands_before_operation()))
    }

    /// How many operations were done.
    pub fn steps(&self) -> u64 {
        self.position().steps
    }

    /// How many decisions were taken.
    pub fn decisions(&self) -> u64 {
        self.position().decisions
    }

    /// The virtual time.
    pub fn now(&self) -> Duration {
        self.position().now
    }

    /// The certificate of all decisions so far.
    pub fn certificate(&self) -> Certificate {
        self.look(|world| world.certificate)
    }

    /// All threads, by number.
    pub fn threads(&self) -> Vec<ThreadState> {
        let all = |world: &World| {
            (0..world.threads.len() as u32).map(|number| world.describe(number)).collect()
        };
        self.look(all)
    }

    /// What it does next; nothing where nobody can run.
    pub fn peek(&self) -> Option<Upcoming> {
        if self.progress() != Progress::Running {
            return None;
        }
        self.look(|world| {
            let logged = world.replayed.as_ref();
            Some(Upcoming {
                thread: world.describe(world.current),
                options: world.options(Kind::Schedule, 0),
                logged: logged.and_then(|it| it.next(world.decisions.len())),
            })
        })
    }

    /// What the program [shows](crate::inspect) of itself, and what
    /// [`Simulation::inspect`] shows of it: names and texts.
    pub fn state(&self) -> Vec<(String, String)> {
        let renders = self.look(|world| world.control.renders.clone());
        control::render_all(&renders)
    }

    /// How it failed, if it has.
    pub fn failure(&self) -> Option<Failure> {
        self.look(|world| world.failure.clone())
    }

    /// Whether it is the execution of the trace so far, if it replays one.
    ///
    /// # Errors
    /// As [`Report::replayed`].
    pub fn verify(&self) -> Result<(), Error> {
        let parted = self.look(|world| {
            let parted = world.replayed.as_ref().and_then(|it| it.parted());
            world.divergence.clone().or_else(|| parted.cloned().map(Box::new))
        });
        match parted {
            None => Ok(()),
            Some(report) if report.is_unexpected_end() => Err(Error::UnexpectedEnd(report)),
            Some(report) => Err(Error::Divergence(report)),
        }
    }

    /// What has determined the execution so far: its seed, its decisions, the orders about time.
    pub fn take_trace(&self) -> Trace {
        self.look(|world| Trace {
            seed: self.seed,
            decisions: world.decisions.clone(),
            prefixes: world.prefixes.clone(),
            control: world.control.obeyed(),
        })
    }

    /// Lets time come as it likes and runs to the end.
    pub fn finish(mut self) -> Report {
        self.machine().inside(|| {
            crate::world::with(World::release);
        });
        self.machine().go_until(None);
        match self.machine.take() {
            Some(machine) => Report::new(self.seed, machine.end(), self.bound),
            None => unreachable!("the execution has been finished"),
        }
    }
}

impl Drop for Execution<'_> {
    fn drop(&mut self) {
        let Some(machine) = self.machine.take() else { return };
        machine.inside(|| {
            let message = "the execution was dropped before its end".to_owned();
            crate::world::with(|world| world.fail(FailureKind::Abandoned, message));
        });
        drop(machine.end());
    }
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many operations were done.
    pub steps: u64,
    /// How many decisions were taken.
    pub decisions: u64,
    /// The virtual time.
    pub now: Duration,
    /// The thread that runs, or ran last.
    pub thread: u32,
    /// The task that it has told it runs.
    pub task: Option<u64>,
}

impl Position {
    /// `begun` says whether the last operation has only begun.
    fn of(world: &World, begun: bool) -> Self {
        Self {
            steps: world.steps - u64::from(begun),
            decisions: world.decisions.len() as u64,
            now: Duration::from_nanos(world.now),
            thread: world.current,
            task: world.running.get(world.current as usize).and_then(|it| it.task),
        }
    }
}

impl Simulation {
    /// Makes `program` the main thread of an execution that stands still at its beginning.
    ///
    /// [`Strategy::Pct`](crate::Strategy::Pct) needs the length of the program: where no
    /// [`run`](Self::run) has measured it before, a random walk takes its place.
    ///
    /// # Panics
    /// Inside of another simulation; and when a seed from the environment is none.
    pub fn start<'p>(&self, program: impl FnOnce() + 'p) -> Execution<'p> {
        self.begin(Box::new(program), true)
    }
}
