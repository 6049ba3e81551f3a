//! Threads for scenarios: `std::thread`'s shapes over the platform's threads.
//!
//! The result travels through a checked cell, not through a channel or a lock: the only
//! happens-before edges are those that the platform's `spawn` and `join` give, so nothing here
//! hides a missing one in the code under test, and nothing adds operations for a model checker to
//! interleave.

use core::any::Any;
use core::cell::RefCell;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use raddle_platform::{Platform, RaceCell, Threads};

/// Where a thread leaves its result. Shared by exactly the thread, which writes before it ends,
/// and its handle, which reads after the join and frees.
struct Slot<T, P: Platform>(*mut RaceCell<Option<T>, P>);

// SAFETY: the two owners' accesses are ordered by the join; `T` moves between the threads.
unsafe impl<T: Send, P: Platform> Send for Slot<T, P> {}

impl<T, P: Platform> Slot<T, P> {
    #[track_caller]
    fn new() -> Self {
        Self(Box::into_raw(Box::new(RaceCell::new_in(None))))
    }

    fn fill(&self, value: T) {
        // SAFETY: the handle neither reads nor frees before the thread has ended.
        unsafe { (*self.0).with_mut(|slot| *slot = Some(value)) };
    }

    /// # Safety
    /// The thread has been joined; called once.
    unsafe fn take(&self) -> Option<T> {
        // SAFETY: the pointer came from a box, and the caller promises that nobody else uses it.
        let cell = unsafe { Box::from_raw(self.0) };
        // SAFETY: as above. The access is checked, so that a join without an edge is reported.
        unsafe { cell.with_mut(Option::take) }
    }
}

/// A thread that [`spawn`] started. A scenario joins every thread: dropping the handle leaks the
/// result's place.
pub struct JoinHandle<T, P: Platform> {
    slot: Slot<T, P>,
    thread: <P::Threads as Threads>::JoinHandle,
}

impl<T, P: Platform> JoinHandle<T, P> {
    /// The thread's result. A panic of the thread goes on in the caller.
    ///
    /// # Panics
    /// When the thread panicked.
    #[track_caller]
    pub fn join(self) -> T {
        let end = P::Threads::join(self.thread);
        // SAFETY: joined just now, and `self` is consumed.
        let value = unsafe { self.slot.take() };
        match (end, value) {
            (Ok(()), Some(value)) => value,
            (Ok(()), None) => unreachable!("a thread that did not panic left its result"),
            (Err(panic), _) => resume_unwind(panic),
        }
    }
}

/// Starts a thread.
///
/// # Panics
/// When the platform has no thread left.
#[track_caller]
pub fn spawn<P: Platform, T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T, P> {
    // SAFETY: everything is 'static.
    unsafe { spawn_unchecked(body) }
}

/// # Safety
/// What `body` and `T` borrow outlives the thread.
#[track_caller]
unsafe fn spawn_unchecked<P: Platform, T: Send>(
    body: impl FnOnce() -> T + Send,
) -> JoinHandle<T, P> {
    let slot = Slot::<T, P>::new();
    let theirs = Slot::<T, P>(slot.0);
    let body: Box<dyn FnOnce() + Send> = Box::new(move || {
        // Named as a whole, or the closure would capture the raw pointer alone, which is not Send.
        let theirs = theirs;
        theirs.fill(body());
    });
    // SAFETY: only the lifetime changes; the caller promises that the borrows last.
    let body: Box<dyn FnOnce() + Send + 'static> = unsafe { core::mem::transmute(body) };
    match P::Threads::spawn("scenario".to_owned(), body) {
        Ok(thread) => JoinHandle { slot, thread },
        Err(error) => panic!("a scenario's thread could not start: {error}"),
    }
}

/// Starts threads that may borrow from outside the [`scope`].
pub struct Scope<'scope, 'env: 'scope, P: Platform> {
    /// The handles of all threads; those that were joined are empty. Never dropped, only taken
    /// (and then empty): a destructor that could look at 'scope would forbid borrowing `self` for
    /// it.
    running: ManuallyDrop<RefCell<Vec<Rc<dyn Running + 'scope>>>>,
    platform: PhantomData<fn() -> P>,
    /// Both lifetimes are invariant, for the reasons that std's scope has.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// A thread of a [`Scope`].
pub struct ScopedJoinHandle<'scope, T, P: Platform> {
    thread: Rc<RefCell<Option<JoinHandle<T, P>>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
}

/// Joins a thread whose result nobody asked for.
trait Running {
    fn finish(&self) -> Result<(), Box<dyn Any + Send>>;
}

impl<T, P: Platform> Running for RefCell<Option<JoinHandle<T, P>>> {
    fn finish(&self) -> Result<(), Box<dyn Any + Send>> {
        let Some(handle) = self.borrow_mut().take() else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| drop(handle.join())))
    }
}

impl<T, P: Platform> ScopedJoinHandle<'_, T, P> {
    /// The thread's result. A panic of the thread goes on in the caller.
    ///
    /// # Panics
    /// When the thread panicked.
    #[track_caller]
    pub fn join(self) -> T {
        let handle = self.thread.borrow_mut().take();
        match handle {
            Some(handle) => handle.join(),
            None => unreachable!("only the scope's end takes the handle, and it consumes `self`"),
        }
    }
}

impl<'scope, P: Platform> Scope<'scope, '_, P> {
    /// Starts a thread. The scope joins it at its end, if nobody did before.
    ///
    /// # Panics
    /// When the platform has no thread left.
    #[track_caller]
    pub fn spawn<T: Send + 'scope>(
        &'scope self,
        body: impl FnOnce() -> T + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, T, P> {
        // SAFETY: the scope joins the thread before 'scope ends, whatever happens to the handle.
        let handle = unsafe { spawn_unchecked(body) };
        let thread = Rc::new(RefCell::new(Some(handle)));
        self.running.borrow_mut().push(Rc::clone(&thread) as Rc<dyn Running + 'scope>);
        ScopedJoinHandle { thread, scope: PhantomData }
    }
}

/// Calls `body` with a [`Scope`], and joins all of its threads before it returns.
///
/// # Panics
/// When `body` or a thread panicked.
#[track_caller]
pub fn scope<'env, P: Platform, R>(
    body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env, P>) -> R,
) -> R {
    let scope = Scope {
        running: ManuallyDrop::new(RefCell::new(Vec::new())),
        platform: PhantomData,
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let threads = scope.running.take();
    // All are joined, also when one panicked: they may borrow what the caller is about to drop.
    let ends: Vec<_> = threads.iter().map(|thread| thread.finish()).collect();
    match (result, ends.into_iter().find_map(Result::err)) {
        (Ok(result), None) => result,
        (Err(panic), _) | (Ok(_), Some(panic)) => resume_unwind(panic),
    }
}
