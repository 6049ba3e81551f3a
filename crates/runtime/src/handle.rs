//! The way to a runtime: from outside, and for code that runs in it.

use core::fmt;
use core::future::Future;

use raddle_ownership::Arc;
use raddle_platform::{Choice, Native, Platform, SlotKey, Threads};

use crate::scheduler::{Shared, Worker};
use crate::task::{Builder, JoinHandle};

/// A way to a runtime: spawns on it from any thread. Clones are cheap, and do not keep the runtime
/// running.
pub struct Handle<P: Platform = Native> {
    pub(crate) shared: Arc<Shared<P>, P>,
}

impl<P: Platform> Clone for Handle<P> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<P: Platform> fmt::Debug for Handle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.workers())
            .field("driver", &self.driver_name())
            .finish()
    }
}

impl<P: Platform> Handle<P> {
    /// The runtime that the calling code runs in: that of its worker, or the one whose
    /// [`block_on`](crate::Runtime::block_on) drives it.
    ///
    /// # Panics
    /// Outside every runtime.
    pub fn current() -> Self {
        Self::try_current().unwrap_or_else(|| {
            panic!("no runtime here: call this from a task, or inside Runtime::block_on or ::run")
        })
    }

    /// As [`current`](Handle::current), `None` outside every runtime.
    pub fn try_current() -> Option<Self> {
        if let Some(worker) = Worker::<P>::current() {
            return Some(Self { shared: worker.shared.clone() });
        }
        let entered: *const Self = P::Threads::slot(SlotKey::Runtime).cast_const().cast();
        // SAFETY: `enter` puts a handle there that outlives its closure.
        unsafe { entered.as_ref() }.cloned()
    }

    /// Makes this the current runtime of the calling thread while `f` runs.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore<P: Platform>(*mut (), core::marker::PhantomData<P>);
        impl<P: Platform> Drop for Restore<P> {
            fn drop(&mut self) {
                P::Threads::set_slot(SlotKey::Runtime, self.0);
            }
        }
        let this = core::ptr::from_ref(self).cast_mut().cast();
        let before = P::Threads::set_slot(SlotKey::Runtime, this);
        let _restore = Restore::<P>(before, core::marker::PhantomData);
        f()
    }

    /// Spawns a fiber; see [`spawn`](crate::spawn).
    pub fn spawn<F, T>(&self, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Builder::new_in().spawn_on_runtime(self, body)
    }

    /// Spawns a future; see [`spawn_async`](crate::spawn_async).
    pub fn spawn_async<F>(&self, future: F) -> JoinHandle<F::Output, P>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Builder::new_in().spawn_async_on_runtime(self, future)
    }

    /// How many workers the runtime has.
    pub fn workers(&self) -> usize {
        self.shared.workers()
    }

    /// The workers' I/O driver: `"io_uring"`, `"epoll"`, ….
    pub fn driver_name(&self) -> &'static str {
        self.shared.driver_name()
    }

    /// How many tasks are alive. O(tasks).
    pub fn alive_tasks(&self) -> usize {
        self.shared.registry.tasks().len()
    }
}

/// Calls `f` with the runtime that the caller runs in, without counting a reference on a worker.
pub(crate) fn with_current<P: Platform, R>(f: impl FnOnce(&Shared<P>) -> R) -> R {
    match Worker::<P>::current() {
        Some(worker) => f(&worker.shared),
        None => f(&Handle::<P>::current().shared),
    }
}

/// The driver that an operation of the calling thread goes to: its own worker's, or one of the
/// current runtime's. `None` outside every runtime.
pub(crate) fn nearest_worker<P: Platform>() -> Option<(Arc<Shared<P>, P>, usize)> {
    if let Some(worker) = Worker::<P>::current() {
        return Some((worker.shared.clone(), worker.index));
    }
    let handle = Handle::<P>::try_current()?;
    let worker = P::choose(Choice::Placement, handle.workers());
    Some((handle.shared, worker))
}
