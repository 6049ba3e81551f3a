//! A table of simulated objects: what the memory of an atomic or a checker holds is only its
//! handle.
//!
//! A handle has a stamp that no other object of the operating-system thread has, so the use of
//! an object that was destroyed is noticed even when its place has a new owner.

use core::cell::Cell;

/// Names an object of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    index: u32,
    stamp: u32,
}

#[derive(Debug)]
struct Place<T> {
    stamp: u32,
    alive: bool,
    value: Option<T>,
}

/// The objects of one kind, in one world.
#[derive(Debug)]
pub(crate) struct Objects<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    first_stamp: u32,
    next_stamp: u32,
}

thread_local! {
    /// Where the stamps of the next table begin.
    static STAMPS: Cell<u32> = const { Cell::new(1) };
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        let first = STAMPS.get();
        Self { places: Vec::new(), free: Vec::new(), first_stamp: first, next_stamp: first }
    }
}

impl<T> Drop for Objects<T> {
    fn drop(&mut self) {
        STAMPS.set(self.next_stamp.max(STAMPS.get()));
    }
}

impl<T> Objects<T> {
    /// A new object, and the remains of an old one if its place is taken over; if not, the caller
    /// [fills](Self::fill) it.
    pub(crate) fn create(&mut self) -> (Handle, Option<&mut T>) {
        let stamp = self.next_stamp;
        self.next_stamp = stamp.wrapping_add(1);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.places.push(Place { stamp, alive: true, value: None });
                (self.places.len() - 1) as u32
            }
        };
        let place = &mut self.places[index as usize];
        place.stamp = stamp;
        place.alive = true;
        (Handle { index, stamp }, place.value.as_mut())
    }

    pub(crate) fn fill(&mut self, handle: Handle, value: T) {
        self.places[handle.index as usize].value = Some(value);
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let place = self.places.get_mut(handle.index as usize)?;
        if place.stamp != handle.stamp || !place.alive {
            return None;
        }
        place.value.as_mut()
    }

    /// Ends an object.
    pub(crate) fn destroy(&mut self, handle: Handle) {
        if let Some(place) = self.places.get_mut(handle.index as usize)
            && place.stamp == handle.stamp
            && place.alive
        {
            place.alive = false;
            self.free.push(handle.index);
        }
    }

    /// How many objects of the table were created before this one.
    pub(crate) fn number(&self, handle: Handle) -> u32 {
        handle.stamp.wrapping_sub(self.first_stamp)
    }

    /// Whether the object was created in this table.
    pub(crate) fn owns(&self, handle: Handle) -> bool {
        (self.first_stamp..self.next_stamp).contains(&handle.stamp)
    }
}
