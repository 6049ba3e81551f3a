//! Shared memory: what a load reads, and which happens-before edges an access makes.
//!
//! [`Memory`] is the interface. [`Sequential`] implements it with one value per location: each
//! load reads the latest store, whatever the orderings say. The orderings are not ignored, though:
//! they decide which happens-before edges there are, and by these the races on plain data are
//! found. So a missing Acquire or Release shows where it leaves data unprotected, and does not
//! show where only the value of another atomic would be old.
//!
//! The edges are those of C++20: a store releases what its thread did (Release) or what its last
//! release fence covered (Relaxed); a read-modify-write continues the release sequence of the store
//! that it reads; a load acquires at once (Acquire) or at the next acquire fence (Relaxed). A
//! SeqCst fence is an acquire and a release fence: with one value per location the total order
//! of SeqCst has nothing to forbid.

use core::panic::Location as Site;
use core::sync::atomic::Ordering;

use crate::objects::{Handle, Objects};
use crate::vector::{Clock, Moment, View};

/// Two accesses that must not come together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conflict {
    /// What the earlier one was.
    pub(crate) earlier: &'static str,
    pub(crate) thread: u32,
    pub(crate) site: &'static Site<'static>,
}

/// An access by a thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) thread: u32,
    pub(crate) site: &'static Site<'static>,
}

/// Why an access is a failure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is not ordered with another one.
    Race(Conflict),
    /// What it accesses has been destroyed, or is no object.
    Gone,
}

/// A model of memory. The weak one to come will ask the log of decisions which store a load reads.
pub(crate) trait Memory {
    /// A new location.
    fn create(&mut self, views: &mut [View], by: Access, value: u64) -> Handle;
    /// Reads.
    fn load(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        order: Ordering,
    ) -> Result<u64, Fault>;
    /// Writes.
    fn store(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        order: Ordering,
        value: u64,
    ) -> Result<(), Fault>;
    /// Reads, and writes what `new` makes of it; writes nothing if that is nothing, and then the
    /// second ordering holds. Returns what was read.
    fn update(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        orders: (Ordering, Ordering),
        new: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<u64, Fault>;
    /// A fence.
    fn fence(&mut self, views: &mut [View], by: Access, order: Ordering);
    /// The value, for somebody with exclusive access, who may then write it.
    fn exclusive(&mut self, views: &[View], by: Access, at: Handle) -> Result<&mut u64, Fault>;
    /// The end of a location.
    fn destroy(&mut self, views: &[View], by: Access, at: Handle) -> Result<(), Fault>;
    /// The latest value, without an access.
    fn peek(&mut self, at: Handle) -> Option<u64>;
    /// The creation number of a location.
    fn number(&self, at: Handle) -> u32;
    /// Whether the location was created in this memory.
    fn owns(&self, at: Handle) -> bool;
}

/// One atomic variable.
#[derive(Debug)]
struct Location {
    value: u64,
    /// What a load that reads `value` can acquire.
    released: Clock,
    /// The last exclusive access, or the creation.
    exclusive: (Moment, &'static Site<'static>),
    /// For each thread, when it was last here, and where in the source.
    uses: Vec<Option<(u32, &'static Site<'static>)>>,
}

/// Sequentially consistent memory.
#[derive(Debug, Default)]
pub(crate) struct Sequential {
    locations: Objects<Location>,
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

impl Location {
    fn acquire(&self, view: &mut View, order: Ordering) {
        if acquires(order) {
            view.clock.join(&self.released);
        } else {
            view.unacquired.join(&self.released);
        }
    }

    /// A store begins a new release sequence.
    fn release(&mut self, view: &mut View, thread: u32, order: Ordering) {
        if releases(order) {
            self.released.copy_from(&view.clock);
            view.tick(thread);
        } else {
            self.released.copy_from(&view.released);
        }
    }

    /// A read-modify-write continues the one that it reads.
    fn add_release(&mut self, view: &mut View, thread: u32, order: Ordering) {
        if releases(order) {
            self.released.join(&view.clock);
            view.tick(thread);
        } else {
            self.released.join(&view.released);
        }
    }

    fn check_exclusive(&self, clock: &Clock) -> Result<(), Fault> {
        let (moment, site) = self.exclusive;
        if !moment.seen_by(clock) {
            let earlier = "created or borrowed exclusively";
            return Err(Fault::Race(Conflict { earlier, thread: moment.thread, site }));
        }
        for (thread, at) in self.uses.iter().enumerate() {
            let thread = thread as u32;
            if let Some((time, site)) = *at
                && clock.of(thread) < time
            {
                return Err(Fault::Race(Conflict { earlier: "used", thread, site }));
            }
        }
        Ok(())
    }
}

impl Sequential {
    /// The location, for an access by anybody.
    #[inline]
    fn shared(&mut self, view: &View, by: Access, at: Handle) -> Result<&mut Location, Fault> {
        let location = self.locations.get_mut(at).ok_or(Fault::Gone)?;
        let (moment, site) = location.exclusive;
        if moment.thread != by.thread && !moment.seen_by(&view.clock) {
            let earlier = "created or borrowed exclusively";
            return Err(Fault::Race(Conflict { earlier, thread: moment.thread, site }));
        }
        let index = by.thread as usize;
        if index >= location.uses.len() {
            location.uses.resize(index + 1, None);
        }
        location.uses[index] = Some((view.clock.of(by.thread), by.site));
        Ok(location)
    }
}

impl Memory for Sequential {
    fn create(&mut self, views: &mut [View], by: Access, value: u64) -> Handle {
        let time = views[by.thread as usize].clock.of(by.thread);
        let exclusive = (Moment { thread: by.thread, time }, by.site);
        let (handle, recycled) = self.locations.create();
        match recycled {
            Some(location) => {
                location.value = value;
                location.released.clear();
                location.exclusive = exclusive;
                location.uses.clear();
            }
            None => self.locations.fill(
                handle,
                Location { value, released: Clock::default(), exclusive, uses: Vec::new() },
            ),
        }
        handle
    }

    #[inline]
    fn load(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        order: Ordering,
    ) -> Result<u64, Fault> {
        let view = &mut views[by.thread as usize];
        let location = self.shared(view, by, at)?;
        location.acquire(view, order);
        Ok(location.value)
    }

    #[inline]
    fn store(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        order: Ordering,
        value: u64,
    ) -> Result<(), Fault> {
        let view = &mut views[by.thread as usize];
        let location = self.shared(view, by, at)?;
        location.value = value;
        location.release(view, by.thread, order);
        Ok(())
    }

    #[inline]
    fn update(
        &mut self,
        views: &mut [View],
        by: Access,
        at: Handle,
        (success, failure): (Ordering, Ordering),
        new: impl FnOnce(u64) -> Option<u64>,
    ) -> Result<u64, Fault> {
        let view = &mut views[by.thread as usize];
        let location = self.shared(view, by, at)?;
        let old = location.value;
        match new(old) {
            Some(new) => {
                location.value = new;
                location.acquire(view, success);
                location.add_release(view, by.thread, success);
            }
            None => location.acquire(view, failure),
        }
        Ok(old)
    }

    fn fence(&mut self, views: &mut [View], by: Access, order: Ordering) {
        let view = &mut views[by.thread as usize];
        if acquires(order) {
            view.clock.join(&view.unacquired);
        }
        if releases(order) {
            view.released.copy_from(&view.clock);
            view.tick(by.thread);
        }
    }

    fn exclusive(&mut self, views: &[View], by: Access, at: Handle) -> Result<&mut u64, Fault> {
        let clock = &views[by.thread as usize].clock;
        let location = self.locations.get_mut(at).ok_or(Fault::Gone)?;
        location.check_exclusive(clock)?;
        let moment = Moment { thread: by.thread, time: clock.of(by.thread) };
        location.exclusive = (moment, by.site);
        Ok(&mut location.value)
    }

    fn destroy(&mut self, views: &[View], by: Access, at: Handle) -> Result<(), Fault> {
        let clock = &views[by.thread as usize].clock;
        let location = self.locations.get_mut(at).ok_or(Fault::Gone)?;
        location.check_exclusive(clock)?;
        self.locations.destroy(at);
        Ok(())
    }

    fn peek(&mut self, at: Handle) -> Option<u64> {
        self.locations.get_mut(at).map(|location| location.value)
    }

    fn number(&self, at: Handle) -> u32 {
        self.locations.number(at)
    }

    fn owns(&self, at: Handle) -> bool {
        self.locations.owns(at)
    }
}
