//! Goes through a recorded execution, forwards and back.

use core::cell::{Cell, RefCell};
use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::execution::{Execution, Position, Progress, Upcoming};
use crate::report::Report;
use crate::simulation::Simulation;
use crate::trace::{Error, Event, Flow, Moment, Observer, Occasion, Recording, ThreadState};

/// Where a [`Replayer`] is to stop.
pub enum Stop {
    /// When so many operations are done.
    Step(u64),
    /// When so many decisions are taken.
    Decision(u64),
    /// At the first operation at or after this virtual time.
    Time(Duration),
    /// When so many events were observed: operations, and what the program told. Those of one
    /// operation come together.
    Event(u64),
    /// When the program has told something of this task.
    Task(u64),
    /// When this thread has done something.
    Thread(u32),
    /// When this has happened.
    When(Box<dyn FnMut(&Event) -> bool>),
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(number) => write!(f, "Step({number})"),
            Self::Decision(number) => write!(f, "Decision({number})"),
            Self::Time(time) => write!(f, "Time({time:?})"),
            Self::Event(number) => write!(f, "Event({number})"),
            Self::Task(number) => write!(f, "Task({number})"),
            Self::Thread(number) => write!(f, "Thread({number})"),
            Self::When(_) => f.write_str("When(…)"),
        }
    }
}

/// What the observer of a replay leaves for the replayer.
#[derive(Default)]
struct Seen {
    /// How many events there were.
    events: Cell<u64>,
    last: RefCell<Option<Event>>,
    stop: RefCell<Option<Stop>>,
    hit: Cell<bool>,
}

impl Seen {
    fn note(&self, moment: &Moment<'_>) {
        let Occasion::Event(event) = moment.occasion else { return };
        self.events.set(self.events.get() + 1);
        let hit = match &mut *self.stop.borrow_mut() {
            Some(Stop::Event(number)) => self.events.get() >= *number,
            Some(Stop::Task(task)) => event.field("task") == Some(*task),
            Some(Stop::Thread(thread)) => event.thread == *thread,
            Some(Stop::When(reached)) => reached(event),
            _ => false,
        };
        self.hit.set(self.hit.get() | hit);
        *self.last.borrow_mut() = Some(event.clone());
    }

    /// Whether to stop before the operation that comes next.
    fn reached(&self, at: &Position) -> bool {
        self.hit.get()
            || match &*self.stop.borrow() {
                Some(Stop::Step(number)) => at.steps >= *number,
                Some(Stop::Decision(number)) => at.decisions >= *number,
                Some(Stop::Time(time)) => at.now >= *time,
                _ => false,
            }
    }
}

/// A debugger of one recorded execution, for programs: it drives the execution by the trace, stops
/// where it is told, and goes back by running again.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
/// use raddle_scenarios::scope;
/// use raddle_vopr::{Replayer, Sim, Simulation, Stop, inspect};
///
/// let program = || {
///     let counter = <Sim as Platform>::AtomicUsize::new(0);
///     let (shown, seen) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
///     let theirs = Arc::clone(&shown);
///     inspect("seen", move || theirs.lock().unwrap().to_string());
///     scope::<Sim, _>(|threads| {
///         threads.spawn(|| counter.fetch_add(1, Ordering::Relaxed));
///         *shown.lock().unwrap() = counter.fetch_add(1, Ordering::Relaxed) + 1;
///     });
///     drop(seen);
/// };
/// let simulation = Simulation::new().seed(1);
/// let report = simulation.run(program);
///
/// let mut replayer = Replayer::new(&simulation.replay(report.trace.clone()), program);
/// replayer.run_to(Stop::When(Box::new(|event| event.kind() == "fetch_add")));
/// let place = replayer.position();
/// let upcoming = replayer.peek().expect("it goes on");
/// assert_ne!(upcoming.thread.operation, "");
///
/// // Back, and here again: the same place, with the same state.
/// let state = (replayer.state(), replayer.threads());
/// replayer.back();
/// assert_eq!(replayer.position().steps, place.steps - 1);
/// replayer.seek(place.steps);
/// assert_eq!((replayer.state(), replayer.threads()), state);
///
/// assert!(replayer.verify().is_ok());
/// assert_eq!(replayer.finish().certificate, report.certificate);
/// ```
pub struct Replayer<'p> {
    simulation: Simulation,
    program: Rc<dyn Fn() + 'p>,
    execution: Execution<'p>,
    seen: Rc<Seen>,
}

impl fmt::Debug for Replayer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayer").field("execution", &self.execution).finish_non_exhaustive()
    }
}

impl<'p> Replayer<'p> {
    /// One that stands at the beginning of `program` under `simulation`, which mostly is one that
    /// [replays](Simulation::replay) a trace: without, it is the execution of its seed.
    ///
    /// # Panics
    /// As [`Simulation::start`].
    pub fn new(simulation: &Simulation, program: impl Fn() + 'p) -> Self {
        let seen = Rc::new(Seen::default());
        let notes = Rc::clone(&seen);
        let before = simulation.observer.clone();
        let observer = Observer::new(move |moment| {
            notes.note(moment);
            match &before {
                Some(before) => before.call_again(moment),
                None => Flow::Continue,
            }
        });
        let simulation = simulation.clone().observe(observer);
        let program: Rc<dyn Fn() + 'p> = Rc::new(program);
        let execution = begin(&simulation, &program);
        Self { simulation, program, execution, seen }
    }

    /// One for a trace file, whose format, settings and damage were verified by reading it.
    ///
    /// # Errors
    /// The scenario or the build is another one than the trace's, or its settings are not to be had
    /// here.
    pub fn open(
        recording: &Recording,
        scenario: &str,
        program: impl Fn() + 'p,
    ) -> Result<Self, Error> {
        recording.header.verify_scenario(scenario)?;
        recording.header.verify_build()?;
        Ok(Self::new(&recording.simulation()?, program))
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        self.execution.position()
    }

    /// How many events were observed.
    pub fn events(&self) -> u64 {
        self.seen.events.get()
    }

    /// The event that was observed last.
    pub fn last(&self) -> Option<Event> {
        self.seen.last.borrow().clone()
    }

    /// What comes next; nothing at the end.
    pub fn peek(&self) -> Option<Upcoming> {
        self.execution.peek()
    }

    /// Goes on by one operation, and says what was observed last; nothing at the end.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not go back")]
    pub fn next(&mut self) -> Option<Event> {
        let over = self.execution.progress() == Progress::Over;
        self.execution.step_n(1);
        self.last().filter(|_| !over)
    }

    /// Runs to the end.
    pub fn run(&mut self) -> Progress {
        self.execution.run_until_quiescent()
    }

    /// Runs to a place, by one operation at least, or to the end.
    pub fn run_to(&mut self, stop: Stop) -> Progress {
        let start = self.position().steps;
        self.seen.hit.set(false);
        *self.seen.stop.borrow_mut() = Some(stop);
        let seen = Rc::clone(&self.seen);
        let progress = self.execution.run_until(move |at| at.steps > start && seen.reached(at));
        *self.seen.stop.borrow_mut() = None;
        progress
    }

    /// Goes back to the beginning.
    pub fn reset(&mut self) {
        self.seen.events.set(0);
        *self.seen.last.borrow_mut() = None;
        self.execution = begin(&self.simulation, &self.program);
    }

    /// Goes to where `steps` operations are done; back by running again.
    pub fn seek(&mut self, steps: u64) -> Progress {
        if steps < self.position().steps {
            self.reset();
        }
        let more = steps - self.position().steps;
        match more {
            0 => self.execution.progress(),
            more => self.execution.step_n(more),
        }
    }

    /// Goes back by one operation.
    pub fn back(&mut self) -> Progress {
        self.seek(self.position().steps.saturating_sub(1))
    }

    /// All threads, by number.
    pub fn threads(&self) -> Vec<ThreadState> {
        self.execution.threads()
    }

    /// What the program [shows](crate::inspect) of itself.
    pub fn state(&self) -> Vec<(String, String)> {
        self.execution.state()
    }

    /// Whether the replay is the recorded execution, so far.
    ///
    /// # Errors
    /// As [`Report::replayed`].
    pub fn verify(&self) -> Result<(), Error> {
        self.execution.verify()
    }

    /// Runs to the end, and reports.
    pub fn finish(self) -> Report {
        self.execution.finish()
    }
}

fn begin<'p>(simulation: &Simulation, program: &Rc<dyn Fn() + 'p>) -> Execution<'p> {
    let program = Rc::clone(program);
    simulation.begin(Box::new(move || program()), false)
}
