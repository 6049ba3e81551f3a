//! Operations that only note the place of their caller.

use std::cell::RefCell;
use std::panic::Location;

pub(crate) use std::sync::atomic::Ordering;

thread_local! {
    static PLACES: RefCell<Vec<(u32, u32)>> = const { RefCell::new(Vec::new()) };
}

/// Where operations were called, in this thread: lines and columns.
pub(crate) fn places() -> Vec<(u32, u32)> {
    PLACES.take()
}

fn note(location: &Location<'_>) {
    PLACES.with_borrow_mut(|places| places.push((location.line(), location.column())));
}

#[derive(Default)]
pub(crate) struct Atomic(std::cell::Cell<u32>);

impl Atomic {
    #[track_caller]
    pub(crate) fn load(&self, _: Ordering) -> u32 {
        note(Location::caller());
        self.0.get()
    }
    #[track_caller]
    pub(crate) fn store(&self, value: u32, _: Ordering) {
        note(Location::caller());
        self.0.set(value);
    }
    #[track_caller]
    pub(crate) fn swap(&self, value: u32, _: Ordering) -> u32 {
        note(Location::caller());
        self.0.replace(value)
    }
    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u32, _: Ordering) -> u32 {
        note(Location::caller());
        self.0.replace(self.0.get() + value)
    }
    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        _: u32,
        new: u32,
        _: Ordering,
        _: Ordering,
    ) -> Result<u32, u32> {
        note(Location::caller());
        Ok(self.0.replace(new))
    }
}

#[derive(Default)]
pub(crate) struct Cell(std::cell::Cell<u32>);

impl Cell {
    #[track_caller]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&u32) -> R) -> R {
        note(Location::caller());
        f(&self.0.get())
    }
    /// # Safety
    /// None is needed; the block around the call is one of the forms.
    #[track_caller]
    pub(crate) unsafe fn with_mut<R>(&self, f: impl FnOnce(&mut u32) -> R) -> R {
        note(Location::caller());
        f(&mut self.0.get())
    }
}

pub(crate) struct Driver;

impl Driver {
    #[track_caller]
    pub(crate) fn tick(&mut self, _: &mut Vec<u32>) {
        note(Location::caller());
    }
}

pub(crate) trait Clock {
    #[track_caller]
    fn now() -> u32;
}

pub(crate) struct Now;

impl Clock for Now {
    fn now() -> u32 {
        note(Location::caller());
        1
    }
}

pub(crate) trait Platform {
    type Clock: Clock;
    #[track_caller]
    fn fence(order: Ordering, handshakes: &[&()]);
    #[track_caller]
    fn retry(reason: &str);
    #[track_caller]
    fn spin_loop();
}

pub(crate) struct World;

impl Platform for World {
    type Clock = Now;
    fn fence(_: Ordering, _: &[&()]) {
        note(Location::caller());
    }
    fn retry(_: &str) {
        note(Location::caller());
    }
    fn spin_loop() {
        note(Location::caller());
    }
}
