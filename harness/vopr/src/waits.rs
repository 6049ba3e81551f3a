//! Who has what, and who waits for what, as the program tells it: for the report of a deadlock.

use core::fmt::Write;
use core::panic::Location;
use std::collections::BTreeMap;

use raddle_platform::{Event, Object, ObjectKind};

use crate::history::Place;

/// Who has something or waits for it: a task, or the thread that runs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    Thread(u32),
    Task(u64),
}

type Site = &'static Location<'static>;

/// A task that has not ended.
#[derive(Debug)]
struct Task {
    name: Option<String>,
    runs: bool,
}

/// The wait-for graph of an execution.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    tasks: BTreeMap<u64, Task>,
    /// Few at a time: what was acquired last is released first, mostly.
    holders: Vec<(Object, Actor, Site)>,
    waiting: BTreeMap<Actor, Vec<(Object, Site)>>,
}

impl Waits {
    /// `actor` told `event`.
    pub(crate) fn told(&mut self, actor: Actor, event: &Event<'_>, site: Site) {
        match *event {
            Event::Spawned { task, name } => {
                self.tasks.insert(task, Task { name: name.map(str::to_owned), runs: false });
            }
            Event::Scheduled { task, .. } => {
                self.waiting.remove(&Actor::Task(task));
                self.set_runs(task, true);
            }
            Event::Parked { task } | Event::Yielded { task } => self.set_runs(task, false),
            Event::Completed { task } => {
                self.tasks.remove(&task);
                self.waiting.remove(&Actor::Task(task));
            }
            Event::WaitsFor { object } => {
                let waiting = self.waiting.entry(actor).or_default();
                if waiting.iter().all(|(known, _)| *known != object) {
                    waiting.push((object, site));
                }
            }
            Event::Acquired { object, .. } => {
                self.waiting.remove(&actor);
                self.holders.push((object, actor, site));
            }
            Event::Released { object } => self.released(actor, object),
            _ => {}
        }
    }

    fn set_runs(&mut self, task: u64, runs: bool) {
        if let Some(task) = self.tasks.get_mut(&task) {
            task.runs = runs;
        }
    }

    /// Guards may be dropped by others than those that made them.
    fn released(&mut self, actor: Actor, object: Object) {
        let same = |holder: &(Object, Actor, Site)| holder.0 == object;
        let own = self.holders.iter().rposition(|holder| same(holder) && holder.1 == actor);
        if let Some(place) = own.or_else(|| self.holders.iter().rposition(same)) {
            self.holders.swap_remove(place);
        }
    }

    /// A thread that slept goes on.
    pub(crate) fn resumed(&mut self, thread: u32) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&Actor::Thread(thread));
        }
    }

    fn name(&self, actor: Actor) -> String {
        match actor {
            Actor::Thread(thread) => format!("thread {thread}"),
            Actor::Task(task) => match self.tasks.get(&task) {
                Some(Task { name: Some(name), .. }) => format!("task {task} ({name})"),
                _ => format!("task {task}"),
            },
        }
    }

    /// Who keeps `object` from others.
    fn owners(&self, object: Object) -> impl Iterator<Item = (Actor, Option<Site>)> + '_ {
        let task = (object.kind == ObjectKind::Task).then_some(Actor::Task(object.number));
        let task = task.filter(|_| self.tasks.contains_key(&object.number));
        let holders = self.holders.iter().filter(move |holder| holder.0 == object);
        task.map(|task| (task, None))
            .into_iter()
            .chain(holders.map(|(_, actor, site)| (*actor, Some(*site))))
    }

    /// What is known of those that wait: a line for each, and the circle, if there is one.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for (&actor, objects) in &self.waiting {
            for &(object, site) in objects {
                let _ = write!(text, "\n  {} waits for {object}", self.name(actor));
                self.describe_owners(object, &mut text);
                let _ = write!(text, ", at {}", Place(site));
            }
        }
        for (&task, state) in &self.tasks {
            let actor = Actor::Task(task);
            if !state.runs && !self.waiting.contains_key(&actor) {
                let _ = write!(text, "\n  {} is suspended", self.name(actor));
            }
        }
        if let Some(circle) = self.circle() {
            let names: Vec<_> = circle.iter().map(|actor| self.name(*actor)).collect();
            let _ = write!(text, "\n  in a circle: {}", names.join(" waits for "));
        }
        text
    }

    fn describe_owners(&self, object: Object, text: &mut String) {
        let mut owners = self.owners(object).peekable();
        let owned = matches!(object.kind, ObjectKind::Mutex | ObjectKind::RwLock);
        if owned && owners.peek().is_none() {
            text.push_str(", which nobody has: a wake-up was lost, or its owner has ended with it");
        }
        for (owner, site) in owners {
            let _ = write!(text, ", which {}", self.name(owner));
            match site {
                Some(site) => {
                    let _ = write!(text, " has since {}", Place(site));
                }
                None => text.push_str(" is, and it has not ended"),
            }
        }
    }

    /// Those who wait for one another, the first once more at the end.
    fn circle(&self) -> Option<Vec<Actor>> {
        self.waiting.keys().find_map(|&start| {
            let mut path = vec![start];
            self.follow(start, &mut path).then_some(path)
        })
    }

    /// Looks for a way back to the first of `path`.
    fn follow(&self, from: Actor, path: &mut Vec<Actor>) -> bool {
        for &(object, _) in self.waiting.get(&from).into_iter().flatten() {
            for (owner, _) in self.owners(object) {
                let known = path.contains(&owner);
                if known && owner != path[0] {
                    continue;
                }
                path.push(owner);
                if known || self.follow(owner, path) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
}
