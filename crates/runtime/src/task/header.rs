//! The part of a task that does not depend on what it runs, and the pointer to it.

use core::cell::Cell;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::task::{RawWaker, RawWakerVTable, Waker};

use raddle_platform::{Event, Platform, RaceCell};

use super::state::State;
use crate::scheduler::{Shared, Worker, schedule};

/// The home of a task that may run anywhere.
pub(crate) const ANYWHERE: usize = usize::MAX;

/// How a task left the worker.
pub(crate) enum Ran {
    /// It is parked; it may already run elsewhere.
    Parked,
    /// It is to be queued again, behind the others: a wake came while it ran.
    Woken,
    /// A fiber gave way and is still in state RUNNING.
    Yielded,
    /// It ended; the scheduler's reference is the worker's to release.
    Done,
}

/// What to do with a task, by kind and types.
pub(crate) struct Vtable<P: Platform> {
    /// Runs it until it gives way. The caller took it from a queue.
    pub(crate) run: unsafe fn(NonNull<Header<P>>, &Worker<P>) -> Ran,
    /// Writes the output of a task that was never run and never will be.
    pub(crate) reject: unsafe fn(NonNull<Header<P>>),
    /// Moves the output to the address given, an `Option<Result<T, JoinError>>`.
    pub(crate) take_output: unsafe fn(NonNull<Header<P>>, *mut ()),
    /// Drops the output in place.
    pub(crate) drop_output: unsafe fn(NonNull<Header<P>>),
    /// Frees the allocation.
    pub(crate) free: unsafe fn(NonNull<Header<P>>),
}

/// Places in the registry's list; guarded by the shard's lock.
#[derive(Default)]
pub(crate) struct Links<P: Platform> {
    pub(crate) previous: Option<NonNull<Header<P>>>,
    pub(crate) next: Option<NonNull<Header<P>>>,
}

/// The head of every task's allocation.
pub(crate) struct Header<P: Platform> {
    pub(crate) state: State<P>,
    pub(crate) vtable: &'static Vtable<P>,
    /// That of all wakers of this task. Kept here because the address of a promoted constant may
    /// differ from one use to the next, and `Waker::will_wake` compares addresses.
    pub(crate) waker_vtable: &'static RawWakerVTable,
    /// The link of the one queue that the task stands in; belongs to whoever owns the entry.
    pub(crate) next: RaceCell<*mut Header<P>, P>,
    /// The worker that alone may run it, or [`ANYWHERE`]. Written by the worker that first runs a
    /// fiber, before its first park releases; read by wakers that acquired from that park.
    pub(crate) home: RaceCell<usize, P>,
    /// The runtime. Alive as long as the task is not done: see [`schedule`].
    pub(crate) shared: NonNull<Shared<P>>,
    pub(crate) id: u64,
    pub(crate) name: Option<Box<str>>,
    pub(crate) links: RaceCell<Links<P>, P>,
    /// The join handle's while JOIN_WAKER is clear and the task not done; else the worker's.
    pub(crate) join_waker: RaceCell<Option<Waker>, P>,
    /// Where a fiber suspends; its worker's alone.
    pub(crate) yielder: Cell<*const ()>,
    /// Whether a fiber gave way by yielding, so that it is still in state RUNNING; its worker's.
    pub(crate) yielded: Cell<bool>,
    /// What the world keeps with the task.
    pub(crate) strand: P::Strand,
}

/// A counted pointer to a task.
pub(crate) struct TaskRef<P: Platform>(NonNull<Header<P>>);

// SAFETY: the header's shared fields are atomics or guarded by the protocols that they name, and
// `yielder` and `yielded` are touched by the home worker alone.
unsafe impl<P: Platform> Send for TaskRef<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for TaskRef<P> {}

impl<P: Platform> TaskRef<P> {
    /// Takes over a reference.
    ///
    /// # Safety
    /// The caller owns one reference to the task and gives it away.
    pub(crate) unsafe fn from_raw(header: NonNull<Header<P>>) -> Self {
        Self(header)
    }

    /// A new reference.
    ///
    /// # Safety
    /// The task is alive.
    pub(crate) unsafe fn retain(header: NonNull<Header<P>>) -> Self {
        // SAFETY: alive by the caller's promise.
        unsafe { header.as_ref() }.state.acquire_reference();
        Self(header)
    }

    pub(crate) fn header(&self) -> &Header<P> {
        // SAFETY: the reference keeps the allocation alive.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Header<P>> {
        self.0
    }

    /// Wakes the task.
    pub(crate) fn wake(&self) {
        if self.header().state.wake() {
            // SAFETY: the wake made this thread the owner of the queue entry.
            unsafe { schedule(self.0) };
        }
    }

    /// Cancels the task: a fiber learns of it at its next cancellation point, a future is dropped.
    pub(crate) fn cancel(&self) {
        let header = self.header();
        if header.state.is_done() {
            return;
        }
        let (first, must_queue) = header.state.cancel();
        if first {
            P::event(&Event::Cancelled { task: header.id });
        }
        if must_queue {
            // SAFETY: cancelling made this thread the owner of the queue entry.
            unsafe { schedule(self.0) };
        }
    }

    /// A waker that owns this reference.
    pub(crate) fn into_waker(self) -> Waker {
        let vtable = self.header().waker_vtable;
        let raw = RawWaker::new(ManuallyDrop::new(self).0.as_ptr().cast(), vtable);
        // SAFETY: the vtable's functions keep the contract of `RawWaker`: the data is a counted
        // pointer to a task, and tasks may be woken from any thread.
        unsafe { Waker::from_raw(raw) }
    }
}

impl<P: Platform> Clone for TaskRef<P> {
    fn clone(&self) -> Self {
        self.header().state.acquire_reference();
        Self(self.0)
    }
}

impl<P: Platform> Drop for TaskRef<P> {
    fn drop(&mut self) {
        if self.header().state.release_reference() {
            // SAFETY: that was the last reference.
            unsafe { (self.header().vtable.free)(self.0) };
        }
    }
}

/// A waker that borrows the reference of whoever runs the task.
///
/// # Safety
/// The task outlives the result.
pub(crate) unsafe fn borrowed_waker<P: Platform>(
    header: NonNull<Header<P>>,
) -> ManuallyDrop<Waker> {
    // SAFETY: the task is alive, by the caller's promise.
    let vtable = unsafe { header.as_ref() }.waker_vtable;
    let raw = RawWaker::new(header.as_ptr().cast(), vtable);
    // SAFETY: as in `into_waker`; the reference that the waker would release is never released.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

pub(super) fn waker_vtable<P: Platform>() -> &'static RawWakerVTable {
    &const { RawWakerVTable::new(clone_waker::<P>, wake::<P>, wake_by_ref::<P>, drop_waker::<P>) }
}

/// # Safety
/// `data` is the data of a task's waker.
unsafe fn borrow<P: Platform>(data: *const ()) -> ManuallyDrop<TaskRef<P>> {
    // SAFETY: task wakers are made from non-null header pointers.
    ManuallyDrop::new(TaskRef(unsafe { NonNull::new_unchecked(data.cast_mut().cast()) }))
}

/// # Safety
/// `data` is the data of a task's waker.
unsafe fn clone_waker<P: Platform>(data: *const ()) -> RawWaker {
    // SAFETY: the data is a task waker's.
    let task = unsafe { borrow::<P>(data) };
    task.header().state.acquire_reference();
    RawWaker::new(data, task.header().waker_vtable)
}

/// # Safety
/// `data` is the data of a task's waker, whose reference is given away.
unsafe fn wake<P: Platform>(data: *const ()) {
    // SAFETY: the data is a task waker's, and waking by value gives its reference away.
    let task = ManuallyDrop::into_inner(unsafe { borrow::<P>(data) });
    task.wake();
}

/// # Safety
/// `data` is the data of a task's waker.
unsafe fn wake_by_ref<P: Platform>(data: *const ()) {
    // SAFETY: the data is a task waker's.
    unsafe { borrow::<P>(data) }.wake();
}

/// # Safety
/// `data` is the data of a task's waker, whose reference is given away.
unsafe fn drop_waker<P: Platform>(data: *const ()) {
    // SAFETY: the data is a task waker's, and its reference ends here.
    drop(ManuallyDrop::into_inner(unsafe { borrow::<P>(data) }));
}
