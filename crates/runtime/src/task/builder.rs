//! Spawning: fibers and futures, anywhere, on one worker, or here.

use core::future::Future;
use core::ptr::NonNull;

use raddle_platform::{Native, Platform};

use super::{ANYWHERE, FiberTask, FutureTask, JoinHandle, TaskRef, launch};
use crate::cancel::CancellationToken;
use crate::handle::{Handle, with_current};
use crate::scheduler::{Shared, Worker};

/// How to spawn a task: its name, stack, worker and cancellation token.
///
/// ```
/// use raddle_runtime::{Runtime, task::Builder};
///
/// let runtime: Runtime = Runtime::new()?;
/// let answer = runtime.run(|| {
///     let builder = Builder::new().name("deep").stack_size(1 << 20);
///     builder.spawn(|| 6 * 7).join()
/// });
/// assert_eq!(answer.unwrap().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder<P: Platform = Native> {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
    worker: Option<usize>,
    token: Option<CancellationToken<P>>,
}

impl<P: Platform> Default for Builder<P> {
    fn default() -> Self {
        Self::new_in()
    }
}

impl Builder<Native> {
    /// The defaults: no name, the runtime's stack size, any worker, no token.
    pub const fn new() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> Builder<P> {
    /// The defaults, in the world `P`.
    pub const fn new_in() -> Self {
        Self { name: None, stack_size: None, worker: None, token: None }
    }

    /// What messages and dumps call the task.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of a fiber's stack in bytes, rounded up to pages. It is address space: only the
    /// pages that the fiber touches take memory. Futures have no stack.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// The worker, below the runtime's number of workers, that alone runs the task.
    pub fn worker(mut self, index: usize) -> Self {
        self.worker = Some(index);
        self
    }

    /// Cancels the task with `token`.
    pub fn token(mut self, token: &CancellationToken<P>) -> Self {
        self.token = Some(token.clone());
        self
    }

    /// Spawns a fiber on the current runtime.
    ///
    /// # Panics
    /// Outside every runtime, and if the worker does not exist.
    pub fn spawn<F, T>(self, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: body and output are `Send` and `'static`.
        with_current(|shared| unsafe { self.spawn_fiber(shared, body) })
    }

    /// Spawns a fiber on a runtime, from anywhere.
    ///
    /// # Panics
    /// If the worker does not exist.
    pub fn spawn_on_runtime<F, T>(self, runtime: &Handle<P>, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // SAFETY: body and output are `Send` and `'static`.
        unsafe { self.spawn_fiber(&runtime.shared, body) }
    }

    /// Spawns a fiber that only the calling worker runs, so that it need not be `Send`.
    ///
    /// # Panics
    /// Outside a worker, and if another worker was asked for.
    pub fn spawn_local<F, T>(mut self, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let worker = self.pin_here();
        // SAFETY: all is `'static` and stays on this thread: the task is pinned to its worker, and
        // the handle of an output that is not `Send` is not `Send` either.
        unsafe { self.spawn_fiber(&worker.shared, body) }
    }

    /// Spawns a future on the current runtime.
    ///
    /// # Panics
    /// Outside every runtime, and if the worker does not exist.
    pub fn spawn_async<F>(self, future: F) -> JoinHandle<F::Output, P>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: future and output are `Send` and `'static`.
        with_current(|shared| unsafe { self.spawn_future(shared, future) })
    }

    /// Spawns a future on a runtime, from anywhere.
    ///
    /// # Panics
    /// If the worker does not exist.
    pub fn spawn_async_on_runtime<F>(
        self,
        runtime: &Handle<P>,
        future: F,
    ) -> JoinHandle<F::Output, P>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: future and output are `Send` and `'static`.
        unsafe { self.spawn_future(&runtime.shared, future) }
    }

    /// Spawns a future that only the calling worker polls, so that it need not be `Send`.
    ///
    /// # Panics
    /// Outside a worker, and if another worker was asked for.
    pub fn spawn_local_async<F>(mut self, future: F) -> JoinHandle<F::Output, P>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let worker = self.pin_here();
        // SAFETY: as in `spawn_local`.
        unsafe { self.spawn_future(&worker.shared, future) }
    }

    fn pin_here<'a>(&mut self) -> &'a Worker<P> {
        let Some(worker) = Worker::<P>::current() else {
            panic!("a local task is spawned from a worker: call this from a task");
        };
        let asked = *self.worker.get_or_insert(worker.index);
        assert_eq!(asked, worker.index, "a local task runs on the worker that spawns it");
        worker
    }

    fn home(&self, shared: &Shared<P>) -> usize {
        let Some(worker) = self.worker else { return ANYWHERE };
        let workers = shared.workers();
        assert!(worker < workers, "worker {worker} of {workers}: the first worker is 0");
        worker
    }

    /// # Safety
    /// Body and output may be used on whichever threads the task and its handle get to, and for
    /// as long.
    pub(crate) unsafe fn spawn_fiber<F, T>(self, shared: &Shared<P>, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T,
    {
        let home = self.home(shared);
        let stack_size = self.stack_size.unwrap_or(shared.stack_size);
        let place = NonNull::from(shared);
        let Some(token) = self.token else {
            let task = FiberTask::allocate(place, home, self.name, stack_size, body);
            // SAFETY: the task was just allocated, with an output of type `T`.
            return unsafe { launch(shared, task) };
        };
        let (membership, key) = token.reserve();
        let body = move || {
            let _until_the_end = membership;
            body()
        };
        let task = FiberTask::allocate(place, home, self.name, stack_size, body);
        // SAFETY: both references are still there.
        token.enter_task(key, unsafe { TaskRef::retain(task) });
        // SAFETY: the task was just allocated, with an output of type `T`.
        unsafe { launch(shared, task) }
    }

    /// # Safety
    /// As in [`spawn_fiber`](Builder::spawn_fiber).
    pub(crate) unsafe fn spawn_future<F: Future>(
        self,
        shared: &Shared<P>,
        future: F,
    ) -> JoinHandle<F::Output, P> {
        let home = self.home(shared);
        let place = NonNull::from(shared);
        let Some(token) = self.token else {
            let task = FutureTask::allocate(place, home, self.name, future);
            // SAFETY: the task was just allocated, with an output of the future's type.
            return unsafe { launch(shared, task) };
        };
        let (membership, key) = token.reserve();
        let future = async move {
            let _until_the_end = membership;
            future.await
        };
        let task = FutureTask::allocate(place, home, self.name, future);
        // SAFETY: both references are still there.
        token.enter_task(key, unsafe { TaskRef::retain(task) });
        // SAFETY: the task was just allocated, with an output of the future's type.
        unsafe { launch(shared, task) }
    }
}
