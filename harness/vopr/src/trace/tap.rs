//! Where a recorder and an observer listen to a running execution.

use core::cell::RefCell;
use core::fmt;
use core::panic::Location;
use std::rc::Rc;

use super::event::{Contents, Event, Events};
use super::observed::Observed;
use super::record::{Full, Level, Record, Recorder, Stamp, level_of, text_of};
use crate::control::render_all;
use crate::decisions::{Certificate, Decision, Kind};
use crate::history::{Effect, Operation};
use crate::report::FailureKind;
use crate::seeds::{self, Purpose};
use crate::world::{Failed, State, World};

/// Whether an execution goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It is abandoned: the report's verdict is [`FailureKind::Abandoned`].
    Abandon,
}

/// What an observer is called for.
#[derive(Clone, Copy, Debug)]
pub enum Occasion<'a> {
    /// A decision is about to be taken.
    Decision {
        /// What is decided.
        kind: Kind,
        /// Among how many.
        options: usize,
        /// What the replayed trace says, if one is replayed.
        logged: Option<Decision>,
    },
    /// Something was observed.
    Event(&'a Event),
}

/// An execution that stands still while an observer looks at it.
pub struct Moment<'a> {
    world: &'a World,
    /// Why the observer is called.
    pub occasion: Occasion<'a>,
}

impl fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("occasion", &self.occasion).finish_non_exhaustive()
    }
}

/// A simulated thread, for a reader.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ThreadState {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// `runs`, `can run`, `waits`, `waits until … ns`, `joins`, `has ended`.
    pub state: String,
    /// The operation that it is in or is about to do.
    pub operation: String,
    /// Where that stands in the source.
    pub site: String,
    /// The worker that runs on it, if it has told so.
    pub worker: Option<u64>,
    /// The task that runs on it, if it has told so.
    pub task: Option<u64>,
}

impl Moment<'_> {
    /// How many operations have begun.
    pub fn step(&self) -> u64 {
        self.world.steps
    }

    /// How many decisions have been taken.
    pub fn decision(&self) -> u64 {
        self.world.decisions.len() as u64
    }

    /// The virtual time in nanoseconds.
    pub fn time_ns(&self) -> u64 {
        self.world.now
    }

    /// The certificate of all decisions so far.
    pub fn certificate(&self) -> Certificate {
        self.world.certificate
    }

    /// The thread that runs, or ran last.
    pub fn thread(&self) -> u32 {
        self.world.current
    }

    /// All threads, by number.
    pub fn threads(&self) -> Vec<ThreadState> {
        (0..self.world.threads.len() as u32).map(|number| self.world.describe(number)).collect()
    }

    /// What can be decided, by option.
    pub fn options(&self) -> Vec<String> {
        match self.occasion {
            Occasion::Decision { kind, options, .. } => self.world.options(kind, options),
            Occasion::Event(_) => Vec::new(),
        }
    }

    /// What the program [shows](crate::inspect) of itself: names and texts.
    pub fn state(&self) -> Vec<(String, String)> {
        render_all(&self.world.control.renders)
    }

    /// The last operations as lines, oldest first.
    pub fn last(&self, count: usize) -> Vec<String> {
        self.world.watch.history.tail(count)
    }
}

/// Is called at each decision, and at each operation that has taken effect; the execution waits
/// for it. It must not use the simulated platform.
#[derive(Clone)]
pub struct Observer(Rc<RefCell<Observe>>);

type Observe = dyn FnMut(&Moment<'_>) -> Flow;

impl Observer {
    /// An observer that calls `f`.
    pub fn new(f: impl FnMut(&Moment<'_>) -> Flow + 'static) -> Self {
        Self(Rc::new(RefCell::new(f)))
    }

    /// Passes on what another observer was called for.
    pub(crate) fn call_again(&self, moment: &Moment<'_>) -> Flow {
        (self.0.borrow_mut())(moment)
    }

    fn call(&self, world: &World, occasion: Occasion<'_>) -> Flow {
        (self.0.borrow_mut())(&Moment { world, occasion })
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// What listens.
#[derive(Debug)]
pub(crate) struct Tap {
    recorder: Option<Recorder>,
    observer: Option<Observer>,
    /// What one of them wants to hear of.
    level: Level,
}

impl Tap {
    /// Nothing, if nobody wants to listen.
    pub(crate) fn new(record: &Record, observer: Option<Observer>) -> Option<Box<Self>> {
        let wanted = record.level > Level::Decisions;
        let recorder = wanted.then(|| Recorder::new(record.clone()));
        let level = if observer.is_some() { Level::Operations } else { record.level };
        (wanted || observer.is_some()).then(|| Box::new(Self { recorder, observer, level }))
    }

    /// What was recorded.
    pub(crate) fn finish(self) -> Option<Events> {
        self.recorder.map(Recorder::finish)
    }
}

impl World {
    /// An operation has taken effect.
    #[inline]
    pub(crate) fn note(
        &mut self,
        thread: u32,
        operation: Operation,
        effect: Effect,
        site: &'static Location<'static>,
    ) {
        self.watch.history.push(thread, operation, effect, site);
        self.reach(thread, operation, site);
        if let Some(tap) = &self.tap
            && tap.level >= level_of(operation.name)
            && !self.quiet
        {
            let stamp = self.stamp(thread, site);
            self.observed(&stamp, |recorder| recorder.operation(&stamp, operation, effect));
        }
    }

    /// The program tells something.
    pub(crate) fn told(
        &mut self,
        site: &'static Location<'static>,
        kind: &str,
        fields: &[(String, Contents)],
    ) {
        if self.tap.is_some() && !self.quiet {
            let stamp = self.stamp(self.current, site);
            self.observed(&stamp, |recorder| recorder.told(&stamp, kind, fields));
        }
    }

    /// A fault has struck.
    pub(crate) fn tell_fault(&mut self, fields: &[(String, Contents)]) {
        let site = self.threads.get(self.current as usize).map(|thread| thread.doing.1);
        self.told(site.unwrap_or_else(|| Location::caller()), Observed::FAULT, fields);
    }

    /// The seeds of the streams that decide and that the program draws from.
    pub(crate) fn tell_seeds(&mut self) {
        for purpose in Purpose::ALL {
            let fields = [
                ("purpose".to_owned(), Contents::Text(purpose.tag().into())),
                ("seed".to_owned(), Contents::Number(seeds::derive(self.seed, purpose, 0))),
            ];
            self.told(Location::caller(), Observed::SEED, &fields);
        }
    }

    fn stamp(&self, thread: u32, site: &'static Location<'static>) -> Stamp {
        let decision = self.decisions.len() as u64;
        Stamp { step: self.steps, decision, time_ns: self.now, thread, site }
    }

    #[cold]
    fn observed(&mut self, stamp: &Stamp, record: impl Fn(&mut Recorder) -> Result<(), Full>) {
        let Some(mut tap) = self.tap.take() else { return };
        if let Some(recorder) = &mut tap.recorder
            && let Err(Full) = record(recorder)
        {
            let message = format!(
                "the room for events is used up at {}: give it more bytes, record less, or let it \
                 drop events",
                text_of(stamp.site)
            );
            self.fail(FailureKind::Recording, message);
        }
        if let Some(observer) = &tap.observer {
            // The same way as into a file, so that what is shown is what is recorded.
            let mut alone = Recorder::new(Record::level(Level::Operations));
            let written = record(&mut alone);
            debug_assert!(written.is_ok(), "there is room for one event");
            for event in alone.finish().iter() {
                self.show(observer, Occasion::Event(&event));
            }
        }
        self.tap = Some(tap);
    }

    /// A decision is about to be taken.
    pub(crate) fn before_decision(&mut self, kind: Kind, options: usize) -> Result<(), Failed> {
        if self.tap.as_ref().is_none_or(|tap| tap.observer.is_none()) {
            return Ok(());
        }
        let Some(tap) = self.tap.take() else { return Ok(()) };
        if let Some(observer) = &tap.observer {
            let logged = self.replayed.as_ref().and_then(|log| log.next(self.decisions.len()));
            self.show(observer, Occasion::Decision { kind, options, logged });
        }
        self.tap = Some(tap);
        if self.failure.is_some() { Err(Failed) } else { Ok(()) }
    }

    fn show(&mut self, observer: &Observer, occasion: Occasion<'_>) {
        if self.failure.is_none() && observer.call(self, occasion) == Flow::Abandon {
            let message = "the execution was abandoned by its observer".to_owned();
            self.fail(FailureKind::Abandoned, message);
        }
    }

    /// What a decision is among, by option.
    pub(crate) fn options(&self, kind: Kind, options: usize) -> Vec<String> {
        if kind != Kind::Schedule {
            return match kind {
                Kind::WeakExchange => {
                    vec!["it takes effect".to_owned(), "it fails spuriously".to_owned()]
                }
                Kind::Fault if options == 2 => vec!["nothing".to_owned(), "a fault".to_owned()],
                _ => (0..options).map(|option| option.to_string()).collect(),
            };
        }
        let name = |number: &u32| {
            let name = self.threads.get(*number as usize).map_or("", |thread| &thread.name);
            format!("thread {number} ({name})")
        };
        let mut all: Vec<_> = self.runnable.iter().map(name).collect();
        if self.time_can_come() {
            all.push("time advances".to_owned());
        }
        if self.spurious_wakes {
            let wake = |number| format!("spurious wake of {}", name(number));
            all.extend(self.parked.iter().map(wake));
        }
        all
    }

    /// A thread, for a reader.
    pub(crate) fn describe(&self, number: u32) -> ThreadState {
        let thread = &self.threads[number as usize];
        let state = match thread.state {
            State::Runnable if number == self.current => "runs".to_owned(),
            State::Runnable => "can run".to_owned(),
            State::Waiting { deadline: Some(deadline), .. } => {
                format!("waits until {deadline} ns")
            }
            State::Waiting { .. } => "waits".to_owned(),
            State::Joining => "joins".to_owned(),
            State::Paused => "is paused by a fault".to_owned(),
            State::Ended => "has ended".to_owned(),
            State::Abandoned => "was abandoned by a crash".to_owned(),
        };
        let running = self.running.get(number as usize).copied().unwrap_or_default();
        ThreadState {
            number,
            name: thread.name.clone(),
            state,
            operation: thread.doing.0.to_string(),
            site: text_of(thread.doing.1),
            worker: running.worker,
            task: running.task,
        }
    }
}

/// What runs on a simulated thread, as far as it has told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running {
    pub(crate) worker: Option<u64>,
    pub(crate) task: Option<u64>,
}

/// Takes an event of the platform apart: its kind, and its fields. Its derived text form is
/// `Kind { name: value, … }`, so kinds that come to be need nothing here.
pub(crate) fn take_apart(event: &raddle_platform::Event<'_>) -> (String, Vec<(String, Contents)>) {
    let text = format!("{event:?}");
    let (kind, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let rest = rest.strip_prefix("{ ").and_then(|it| it.strip_suffix(" }")).unwrap_or(rest);
    let mut fields = Vec::new();
    for field in split(rest) {
        let (name, value) = field.split_once(": ").unwrap_or(("contents", field));
        // What is optional is a field if it is there.
        let value = match value.strip_prefix("Some(").and_then(|it| it.strip_suffix(')')) {
            Some(value) => value,
            None if value == "None" => continue,
            None => value,
        };
        let contents = match value.parse() {
            Ok(number) => Contents::Number(number),
            Err(_) => {
                let text = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                Contents::Text(text.unwrap_or(value).into())
            }
        };
        fields.push((name.to_owned(), contents));
    }
    (kind.to_owned(), fields)
}

/// Splits at the commas that are in no brackets and in no text.
fn split(fields: &str) -> Vec<&str> {
    let (mut all, mut start, mut depth, mut quoted, mut escaped) = (Vec::new(), 0, 0, false, false);
    for (at, character) in fields.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                all.push(fields[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(fields[start..].trim());
    all.retain(|field| !field.is_empty());
    all
}

/// What an event says of who runs.
pub(crate) fn running(event: &raddle_platform::Event<'_>, mut before: Running) -> Running {
    use raddle_platform::Event as Told;
    match *event {
        Told::Scheduled { task, worker } => {
            before = Running { worker: Some(worker as u64), task: Some(task) };
        }
        Told::Yielded { task } | Told::Parked { task } | Told::Completed { task }
            if before.task == Some(task) =>
        {
            before.task = None;
        }
        _ => {}
    }
    before
}

#[cfg(test)]
mod tests {
    use raddle_platform::Event;

    use super::{Contents, split, take_apart};

    #[test]
    fn events_are_taken_apart_by_what_they_print() {
        let number = |name: &str, value| (name.to_owned(), Contents::Number(value));
        let text = |name: &str, value: &str| (name.to_owned(), Contents::Text(value.into()));
        let spawned = Event::Spawned { task: 7, name: Some("a, \"b\" {") };
        let fields = vec![number("task", 7), text("name", "a, \\\"b\\\" {")];
        assert_eq!(take_apart(&spawned), ("Spawned".to_owned(), fields));
        let nameless = Event::Spawned { task: 7, name: None };
        assert_eq!(take_apart(&nameless).1, [number("task", 7)]);
        let stolen = Event::Stolen { from: 1, to: 2, count: 3 };
        let fields = vec![number("from", 1), number("to", 2), number("count", 3)];
        assert_eq!(take_apart(&stolen), ("Stolen".to_owned(), fields));
        assert_eq!(
            split("a: 1, b: B { c: 2, d: 3 }, e: 4"),
            ["a: 1", "b: B { c: 2, d: 3 }", "e: 4"]
        );
    }
}
