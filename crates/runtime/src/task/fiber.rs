//! Fibers: tasks with a stack of their own.
//!
//! A fiber that was never run is a closure in an allocation, and may be stolen. The worker that
//! first runs it becomes its home, gives it a stack, and is from then on the only one that runs
//! it: a suspended stack may hold anything, and no compiler checks that it may move between
//! threads (rust-lang/unsafe-code-guidelines#602).
//!
//! ```text
//!    worker's stack            fiber's stack (from the worker's pool)
//!   ┌───────────────┐         ┌────────────────────────────┐ base
//!   │ run loop      │         │ entry: catch(body)         │
//!   │ FiberTask::run│ resume  │ the user's frames          │
//!   │  ············─┼────────▶│ park / yield_now           │
//!   │  ◀············┼─────────┼─ Yielder::suspend(Switch)  │
//!   └───────────────┘ suspend │ ···                        │
//!                             └────────────────────────────┘ guard page
//! ```

use core::cell::{Cell, UnsafeCell};
use core::convert::Infallible;
use core::ptr::NonNull;

use corosensei::{Coroutine, CoroutineResult};
use raddle_platform::{Context, Platform, RaceCell};

use super::header::{Header, Ran, Vtable};
use super::output::{JoinError, catch};
use super::{complete, new_header};
use crate::scheduler::{Shared, Worker};
use crate::stack::FiberStack;

/// Why a fiber switches to its worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// It stays runnable.
    Yield,
    /// It waits for a wake.
    Park,
    /// It has ended, and is never resumed. (Not by returning: see [`Context`].)
    End,
}

/// What a fiber suspends itself with.
pub(crate) type Yielder = corosensei::Yielder<(), Switch>;
type Stackful = Coroutine<(), Switch, Infallible, FiberStack>;

/// A fiber's allocation. The header comes first, so a pointer to it is a pointer to the whole.
#[repr(C)]
pub(crate) struct FiberTask<F, T, P: Platform> {
    header: Header<P>,
    /// Taken by the worker that starts the fiber.
    body: RaceCell<Option<F>, P>,
    /// Its home worker's.
    coroutine: UnsafeCell<Option<Stackful>>,
    /// The worker's until DONE, then the join handle's (or the worker's, if that is gone).
    output: RaceCell<Option<Result<T, JoinError>>, P>,
    stack_size: usize,
    context: Cell<Option<<P::Context as Context>::Handle>>,
}

impl<F: FnOnce() -> T, T, P: Platform> FiberTask<F, T, P> {
    /// A fiber in state SCHEDULED with two references, which are the caller's.
    pub(crate) fn allocate(
        shared: NonNull<Shared<P>>,
        home: usize,
        name: Option<Box<str>>,
        stack_size: usize,
        body: F,
    ) -> NonNull<Header<P>> {
        let vtable = &const {
            Vtable {
                run: Self::run,
                reject: Self::reject,
                take_output: Self::take_output,
                drop_output: Self::drop_output,
                free: Self::free,
            }
        };
        let task = Box::new(Self {
            header: new_header(shared, vtable, home, name),
            body: RaceCell::new_in(Some(body)),
            coroutine: UnsafeCell::new(None),
            output: RaceCell::new_in(None),
            stack_size,
            context: Cell::new(None),
        });
        NonNull::from(Box::leak(task)).cast()
    }

    /// # Safety
    /// `header` heads a `Self` that is alive.
    unsafe fn of<'a>(header: NonNull<Header<P>>) -> &'a Self {
        // SAFETY: by the caller's promise, and the header is the first field.
        unsafe { header.cast::<Self>().as_ref() }
    }

    /// See [`Vtable::run`].
    ///
    /// # Safety
    /// `header` heads a `Self`, which the calling worker took from a queue.
    unsafe fn run(header: NonNull<Header<P>>, worker: &Worker<P>) -> Ran {
        // SAFETY: the worker took the task from a queue, so it is alive.
        let task = unsafe { Self::of(header) };
        // SAFETY: only the home worker touches the coroutine, only here, and a fiber does not run
        // itself. In place, because a switch costs less than moving it out and back.
        let place = unsafe { &mut *task.coroutine.get() };
        if !task.header.yielded.replace(false) {
            let cancelled = task.header.state.start();
            if place.is_none() {
                match task.begin(header, worker, cancelled) {
                    Ok(begun) => *place = Some(begun),
                    // SAFETY: this worker runs the task.
                    Err(error) => return unsafe { task.end(header, worker, Err(error)) },
                }
            }
        }
        let Some(coroutine) = place else {
            unreachable!("a fiber that yielded has a stack");
        };
        worker.enter_fiber(header);
        if let Some(context) = task.context.get() {
            P::Context::switch_to(context);
        }
        let result = coroutine.resume(());
        P::Context::switched();
        worker.leave_fiber();
        match result {
            CoroutineResult::Yield(Switch::Yield) => {
                task.header.yielded.set(true);
                Ran::Yielded
            }
            CoroutineResult::Yield(Switch::Park) if task.header.state.park() => Ran::Woken,
            CoroutineResult::Yield(Switch::Park) => Ran::Parked,
            CoroutineResult::Return(never) => match never {},
            CoroutineResult::Yield(Switch::End) => {
                if let Some(context) = task.context.take() {
                    P::Context::destroy(context);
                }
                if let Some(mut coroutine) = place.take() {
                    // SAFETY: the fiber has moved out all that it had: no frame on its stack has
                    // anything to drop.
                    unsafe { coroutine.force_reset() };
                    worker.give_stack(coroutine.into_stack());
                }
                // SAFETY: this worker runs the task, whose output is written.
                unsafe { complete(header, worker) }
            }
        }
    }

    /// The first run: the worker becomes the home and lends a stack. `header` is this task's, as
    /// it was allocated: it may free what `&self` may only read.
    fn begin(
        &self,
        header: NonNull<Header<P>>,
        worker: &Worker<P>,
        cancelled: bool,
    ) -> Result<Stackful, JoinError> {
        // SAFETY: the task runs here, and nobody else touches its body and home before it parks.
        let body = unsafe {
            self.header.home.with_mut(|home| *home = worker.index);
            self.body.with_mut(Option::take)
        };
        let Some(body) = body else { unreachable!("a fiber begins once") };
        let stack = match worker.take_stack(self.stack_size) {
            Ok(stack) => stack,
            Err(error) => {
                catch::<P, _>(|| drop(body))?;
                return Err(JoinError::NoStack(error));
            }
        };
        // SAFETY: the name lives in the task, which outlives its stack's use.
        unsafe { stack.set_label(self.header.id, self.header.name.as_deref()) };
        self.context.set(Some(P::Context::create(stack.usable())));
        let entry = move |yielder: &Yielder, ()| -> Infallible {
            P::Context::switched();
            // SAFETY: the task outlives its coroutine, which runs on its home worker only.
            let task = unsafe { Self::of(header) };
            task.header.yielder.set(core::ptr::from_ref(yielder).cast());
            // What is destroyed is destroyed on this stack, where a destructor that waits parks the
            // fiber; on the worker's own stack it would block the worker.
            let output = match cancelled {
                false => catch::<P, _>(body),
                true => catch::<P, _>(|| drop(body)).and(Err(JoinError::Cancelled)),
            };
            if task.header.state.is_wanted() {
                // SAFETY: the output is the running task's until DONE.
                unsafe { task.output.with_mut(|place| *place = Some(output)) };
            } else {
                // A payload may panic in its destructor again.
                core::mem::forget(catch::<P, _>(|| drop(output)));
            }
            let worker = Worker::<P>::current();
            let Some(worker) = worker else { unreachable!("a fiber runs on its worker") };
            P::Context::switch_for_good(worker.context());
            yielder.suspend(Switch::End);
            unreachable!("a fiber that has ended is not resumed");
        };
        // SAFETY: the closure may borrow for less than `'static`, but whoever spawned it promised
        // that what it borrows lives until the task has ended.
        Ok(unsafe { Coroutine::with_stack_unchecked(stack, entry) })
    }

    /// Ends a fiber that never got a stack.
    ///
    /// # Safety
    /// The caller is the worker that runs it, and `header` is its own.
    unsafe fn end(
        &self,
        header: NonNull<Header<P>>,
        worker: &Worker<P>,
        output: Result<T, JoinError>,
    ) -> Ran {
        // SAFETY: the output is the running task's until DONE.
        unsafe { self.output.with_mut(|place| *place = Some(output)) };
        // SAFETY: by the caller's promise; the output is written.
        unsafe { complete(header, worker) }
    }

    /// See [`Vtable::reject`].
    ///
    /// # Safety
    /// `header` heads a `Self` that was never queued, and the caller owns its queue entry.
    unsafe fn reject(header: NonNull<Header<P>>) {
        // SAFETY: the caller owns the queue entry of a task that never ran.
        let task = unsafe { Self::of(header) };
        task.header.state.start();
        // SAFETY: the caller stands in for the worker, so body and output are its own.
        unsafe {
            let body = task.body.with_mut(Option::take);
            let output = catch::<P, _>(|| drop(body)).and(Err(JoinError::Cancelled));
            task.output.with_mut(|place| *place = Some(output));
        }
    }

    /// See [`Vtable::take_output`].
    ///
    /// # Safety
    /// `header` heads a `Self` that is done, the output is the caller's, and `place` has its type.
    unsafe fn take_output(header: NonNull<Header<P>>, place: *mut ()) {
        // SAFETY: the caller holds a reference, and owns the output since the task is done. The
        // place has the type that the vtable names.
        unsafe {
            let output = Self::of(header).output.with_mut(Option::take);
            place.cast::<Option<Result<T, JoinError>>>().write(output);
        }
    }

    /// See [`Vtable::drop_output`].
    ///
    /// # Safety
    /// `header` heads a `Self` that is done, and the output is the caller's.
    unsafe fn drop_output(header: NonNull<Header<P>>) {
        // SAFETY: as in `take_output`.
        drop(unsafe { Self::of(header).output.with_mut(Option::take) });
    }

    /// See [`Vtable::free`].
    ///
    /// # Safety
    /// `header` heads a `Self` from `allocate`, whose last reference was given up.
    unsafe fn free(header: NonNull<Header<P>>) {
        // SAFETY: the caller gave up the last reference; the allocation came from `allocate`.
        drop(unsafe { Box::from_raw(header.cast::<Self>().as_ptr()) });
    }
}
