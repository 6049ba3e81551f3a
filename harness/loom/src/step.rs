//! One operation of a model thread: it is counted, noted under its site, kept in the history, and
//! [mutated](crate::mutation) where the check asks for that.

use core::panic::Location;
use core::sync::atomic::Ordering;

use crate::history::{Effect, Operation, Record};
use crate::mutation::{Change, Weaker};
use crate::world::{World, with};

/// What an operation counts as: the second lock against running in another world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Atomics,
    Parker,
    Clock,
    Rng,
    Driver,
    /// Not among the things that a scenario declares.
    Other,
}

/// One operation of a model thread, from before it calls into loom until after.
pub(crate) struct Step {
    thread: usize,
    operation: Operation,
    site: &'static Location<'static>,
    change: Option<Change>,
}

impl Step {
    /// Begins an operation on an object.
    #[track_caller]
    pub(crate) fn on(
        kind: Kind,
        object: (&'static str, u32),
        name: &'static str,
        order: Option<Ordering>,
    ) -> Self {
        let operation = Operation { name, object: Some(object), order, failure: None };
        Self::start(kind, operation, Location::caller())
    }

    /// Begins a compare-exchange.
    #[track_caller]
    pub(crate) fn exchange(
        object: (&'static str, u32),
        name: &'static str,
        success: Ordering,
        failure: Ordering,
    ) -> Self {
        let (object, order, failure) = (Some(object), Some(success), Some(failure));
        let operation = Operation { name, object, order, failure };
        Self::start(Kind::Atomics, operation, Location::caller())
    }

    /// Begins an operation that has no object.
    #[track_caller]
    pub(crate) fn plain(kind: Kind, name: &'static str, order: Option<Ordering>) -> Self {
        let operation = Operation { name, object: None, order, failure: None };
        Self::start(kind, operation, Location::caller())
    }

    /// Begins the call of a thread's waker. A `Waker` does not know who calls it: where the thread
    /// last was in production code stands for the site.
    #[track_caller]
    pub(crate) fn wake() -> Self {
        let operation = Operation { name: "wake token", object: None, order: None, failure: None };
        let caller = Location::caller();
        with(|world| {
            let mut step = Self::begin(world, Kind::Parker, operation, caller);
            if let Some(after) = world.last[step.thread].get() {
                world.session.sites.note_wake(after);
                step.change = world.change(after).filter(|change| *change == Change::DropWake);
            }
            step
        })
    }

    fn start(kind: Kind, operation: Operation, site: &'static Location<'static>) -> Self {
        with(|world| {
            let mut step = Self::begin(world, kind, operation, site);
            if world.session.sites.note(step.thread, operation, site) {
                world.last[step.thread].set(Some(site));
                step.change = world.change(site).filter(|change| *change != Change::DropWake);
                world.dropping.set(step.change == Some(Change::Drop));
            }
            step
        })
    }

    fn begin(
        world: &World,
        kind: Kind,
        operation: Operation,
        site: &'static Location<'static>,
    ) -> Self {
        let mut counts = world.session.counts.get();
        match kind {
            Kind::Atomics => counts.atomics += 1,
            Kind::Parker => counts.parker += 1,
            Kind::Clock => counts.clock += 1,
            Kind::Rng => counts.rng += 1,
            Kind::Driver => counts.driver += 1,
            Kind::Other => {}
        }
        world.session.counts.set(counts);
        let thread = world.current();
        debug_assert!(world.agrees_with_loom(), "a switch was not noticed");
        world.session.history.borrow_mut().begin(thread, operation, site);
        Self { thread, operation, site, change: None }
    }

    /// Who does it.
    pub(crate) fn thread(&self) -> usize {
        self.thread
    }

    /// Others ran inside a part of the operation; this thread runs again.
    pub(crate) fn resumed(&self) {
        with(|world| world.set_current(self.thread));
    }

    /// The ordering to do it with, where the code says `order`.
    pub(crate) fn order(&self, order: Ordering) -> Ordering {
        match self.change {
            Some(Change::Order(Weaker { from, to })) if from == order => mutated(to),
            _ => order,
        }
    }

    /// The ordering for a compare-exchange to fail with, where the code says `order`.
    pub(crate) fn failure(&self, order: Ordering) -> Ordering {
        match self.change {
            Some(Change::Failure(Weaker { from, to })) if from == order => mutated(to),
            _ => order,
        }
    }

    /// Whether a wake-up is lost.
    pub(crate) fn is_dropped(&self) -> bool {
        self.change == Some(Change::DropWake) && mutated(true)
    }

    /// It is a compare-exchange of `current`, with this result. Returns what to say of it.
    pub(crate) fn exchanged<T: Copy>(&self, current: T, result: Result<T, T>) -> Result<T, T> {
        let succeeded = result.is_ok();
        with(|world| world.session.sites.outcome(self.operation, self.site, succeeded));
        match (self.change, result) {
            (Some(Change::OkToErr), Ok(old)) => mutated(Err(old)),
            (Some(Change::ErrToOk), Err(_)) => mutated(Ok(current)),
            _ => result,
        }
    }

    /// The operation has taken effect, and this thread runs again.
    pub(crate) fn end(self, effect: Effect) {
        with(|world| {
            world.set_current(self.thread);
            let Self { thread, operation, site, .. } = self;
            world.session.history.borrow_mut().end(Record { thread, operation, effect, site });
        });
    }
}

/// Notes an operation that has no effect in this world, and so no place in its history.
#[track_caller]
pub(crate) fn note(name: &'static str) {
    let site = Location::caller();
    let operation = Operation { name, object: None, order: None, failure: None };
    with(|world| world.session.sites.note(world.current(), operation, site));
}

/// Whether the notification that is being made is to be lost.
pub(crate) fn is_dropping() -> bool {
    with(|world| world.dropping.replace(false)) && mutated(true)
}

/// Something other than the code says is done: `instead`.
fn mutated<T>(instead: T) -> T {
    with(|world| world.session.mutated.set(world.session.mutated.get() + 1));
    instead
}

impl World {
    /// What is to be done otherwise at `site`.
    fn change(&self, site: &Location<'_>) -> Option<Change> {
        let mutation = self.session.model.mutation.as_ref()?;
        mutation.is_at(site).then_some(mutation.change)
    }
}
