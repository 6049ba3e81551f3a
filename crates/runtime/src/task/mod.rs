//! Tasks: fibers and futures, one life cycle.

mod builder;
mod fiber;
mod future;
mod header;
mod join;
mod output;
pub(crate) mod state;

use core::cell::Cell;
use core::ptr::NonNull;

use raddle_platform::{Event, Platform, RaceCell, Strand};

pub use builder::Builder;
pub(crate) use fiber::{FiberTask, Switch, Yielder};
pub(crate) use future::FutureTask;
pub(crate) use header::{ANYWHERE, Header, Links, Ran, TaskRef, Vtable, borrowed_waker};
pub use join::JoinHandle;
pub use output::JoinError;
pub(crate) use output::catch;

use crate::scheduler::{Shared, Worker, schedule_new};
use state::{JOIN_INTEREST, JOIN_WAKER, State};

fn new_header<P: Platform>(
    shared: NonNull<Shared<P>>,
    vtable: &'static Vtable<P>,
    home: usize,
    name: Option<Box<str>>,
) -> Header<P> {
    // SAFETY: whoever spawns holds the runtime.
    let id = unsafe { shared.as_ref() }.next_task_id();
    P::event(&Event::Spawned { task: id, name: name.as_deref() });
    Header {
        state: State::new(),
        vtable,
        waker_vtable: header::waker_vtable::<P>(),
        next: RaceCell::new_in(core::ptr::null_mut()),
        home: RaceCell::new_in(home),
        shared,
        id,
        name,
        links: RaceCell::new_in(Links { previous: None, next: None }),
        join_waker: RaceCell::new_in(None),
        yielder: Cell::new(core::ptr::null()),
        yielded: Cell::new(false),
        strand: P::Strand::child(),
    }
}

/// Ends a task whose output is written; the scheduler's reference is the caller's to give up.
///
/// # Safety
/// The calling worker runs the task.
unsafe fn complete<P: Platform>(header: NonNull<Header<P>>, worker: &Worker<P>) -> Ran {
    worker.shared.registry.remove(header);
    // SAFETY: by the caller's promise.
    unsafe { publish_end(header) };
    Ran::Done
}

/// Publishes the output to the join handle, or drops it if that is gone.
///
/// # Safety
/// The caller runs the task or rejects it, and has written its output.
unsafe fn publish_end<P: Platform>(header: NonNull<Header<P>>) {
    // SAFETY: the scheduler's reference is still there.
    let task = unsafe { header.as_ref() };
    P::event(&Event::Completed { task: task.id });
    let before = task.state.finish();
    if before & JOIN_INTEREST == 0 {
        // SAFETY: the handle is gone, so the output and the waker's place are the caller's. Their
        // destructors are the user's code: its panic ends here, as nobody is left to hear of it.
        let dropped = output::catch::<P, _>(|| unsafe {
            drop(task.join_waker.with_mut(Option::take));
            (task.vtable.drop_output)(header);
        });
        // A payload may panic in its destructor again.
        core::mem::forget(dropped);
    } else if before & JOIN_WAKER != 0 {
        // SAFETY: JOIN_WAKER was set when DONE was, so the place is the caller's.
        let waker = unsafe { task.join_waker.with_mut(Option::take) };
        if let Some(waker) = waker {
            // Foreign code, if somebody else's executor polls the handle.
            core::mem::forget(output::catch::<P, _>(|| waker.wake()));
        }
    }
}

/// Hands a new task to the scheduler, or ends it as cancelled if the runtime is shutting down.
///
/// # Safety
/// `header` was just allocated, with an output of type `T`; its two references are given away.
pub(crate) unsafe fn launch<T, P: Platform>(
    shared: &Shared<P>,
    header: NonNull<Header<P>>,
) -> JoinHandle<T, P> {
    // SAFETY: the second reference is the handle's.
    let handle = unsafe { JoinHandle::new(TaskRef::from_raw(header)) };
    if shared.registry.insert(header) {
        // SAFETY: creation made the caller the owner of the queue entry.
        unsafe { schedule_new(header) };
    } else {
        // SAFETY: the task was never queued; the scheduler's reference goes with it.
        unsafe {
            (header.as_ref().vtable.reject)(header);
            publish_end(header);
            drop(TaskRef::from_raw(header));
        }
    }
    handle
}

/// A waker of the calling fiber (or thread): whoever holds it can end a wait of that fiber early,
/// so that it looks at its condition again.
pub fn current_waker<P: Platform>() -> core::task::Waker {
    raddle_platform::suspend::with_current::<P, _>(|current| current.waker())
}

/// The id of the calling fiber, unique in its runtime; `None` outside fibers.
pub fn current_id<P: Platform>() -> Option<u64> {
    Worker::<P>::current().and_then(Worker::current_fiber).map(|fiber| fiber.id)
}
