//! A runtime: made, used from plain threads, shut down.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::time::Duration;
use std::io;

use raddle_ownership::Arc;
use raddle_parking_lot::WaitGroup;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::driver::{Config, Kind};
use raddle_platform::native::stack;
use raddle_platform::{Clock, Native, Parker, Platform, Threads, suspend};

use crate::handle::Handle;
use crate::scheduler::{Shared, Worker};
use crate::task::{self, JoinError, JoinHandle};

/// How long [`Runtime`]'s destructor waits for tasks that do not end.
const SHUTDOWN_ON_DROP: Duration = Duration::from_secs(10);
/// How long a shutdown that is past its deadline waits for workers that are between tasks.
const GRACE: Duration = Duration::from_millis(100);

/// How to make a runtime.
///
/// What is not set here is taken from the environment, then from the defaults:
///
/// | setting | variable | default |
/// |---|---|---|
/// | [`workers`](Builder::workers) | `RADDLE_WORKERS` | available parallelism |
/// | [`driver`](Builder::driver) | `RADDLE_DRIVER` = `uring` or `epoll` | io_uring where the kernel allows it |
/// | [`stack_size`](Builder::stack_size) | | 256 KiB |
///
/// ```
/// use raddle_runtime::runtime::Builder;
/// let runtime = Builder::new().workers(2).build()?;
/// assert_eq!(runtime.handle().workers(), 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<P: Platform = Native> {
    workers: Option<usize>,
    driver: Option<Kind>,
    stack_size: usize,
    thread_name: String,
    platform: PhantomData<P>,
}

impl<P: Platform> Default for Builder<P> {
    fn default() -> Self {
        Self::new_in()
    }
}

impl Builder<Native> {
    /// The defaults.
    pub fn new() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> Builder<P> {
    /// The defaults, in the world `P`.
    pub fn new_in() -> Self {
        Self {
            workers: None,
            driver: None,
            stack_size: stack::DEFAULT_STACK_SIZE,
            thread_name: "raddle-worker".into(),
            platform: PhantomData,
        }
    }

    /// How many worker threads, at least 1 and at most 1024.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Which I/O driver.
    pub fn driver(mut self, kind: Kind) -> Self {
        self.driver = Some(kind);
        self
    }

    /// The size of fibers' stacks in bytes, unless a fiber's own builder says otherwise. It is
    /// address space: only the pages that a fiber touches take memory.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// What the worker threads are called, followed by `-` and their index.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// `InvalidInput` for a setting or an environment variable that makes no sense, with what to
    /// do about it; otherwise the operating system's, when it refuses a thread or a driver.
    pub fn build(self) -> io::Result<Runtime<P>> {
        let workers = self.resolve_workers()?;
        let config = Config { kind: self.resolve_driver()?, ..Config::default() };
        stack::install_overflow_handler()?;
        let shared = Arc::new_in(Shared::new(workers, config, self.stack_size));
        let boot = Arc::new_in(Boot {
            starting: WaitGroup::new_in(),
            running: WaitGroup::new_in(),
            failure: Spinlock::new(None),
        });
        boot.starting.add(workers);
        boot.running.add(workers);
        let mut threads = Vec::with_capacity(workers);
        for index in 0..workers {
            let (shared, for_worker) = (shared.clone(), boot.clone());
            let body = Box::new(move || work(shared, index, &for_worker));
            let name = format!("{}-{index}", self.thread_name);
            match P::Threads::spawn(name, body) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    *boot.failure.lock() = Some(error);
                    boot.starting.done();
                    boot.running.done();
                }
            }
        }
        boot.starting.wait();
        let failure = boot.failure.lock().take();
        let runtime = Runtime { handle: Handle { shared }, boot, threads: Cell::new(threads) };
        match failure {
            // The runtime's destructor stops the workers that did start.
            Some(error) => Err(error),
            None => Ok(runtime),
        }
    }

    fn resolve_workers(&self) -> io::Result<usize> {
        let (workers, source) = match (self.workers, P::variable("RADDLE_WORKERS")) {
            (Some(workers), _) => (Some(workers), String::from("Builder::workers")),
            (None, None) => (Some(P::Threads::available_parallelism()), String::new()),
            (None, Some(text)) => (text.trim().parse().ok(), format!("RADDLE_WORKERS={text}")),
        };
        workers.filter(|workers| (1..=1024).contains(workers)).ok_or_else(|| {
            let message = format!("{source}: the number of workers must be 1 to 1024");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })
    }

    fn resolve_driver(&self) -> io::Result<Kind> {
        if let Some(kind) = self.driver {
            return Ok(kind);
        }
        match P::variable("RADDLE_DRIVER").as_deref() {
            None | Some("") => Ok(Kind::Probe),
            Some("uring") => Ok(Kind::Uring),
            Some("epoll") => Ok(Kind::Epoll),
            Some(other) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("RADDLE_DRIVER={other}: give `uring` or `epoll`, or unset it to probe"),
            )),
        }
    }
}

/// What the starting thread and the workers share.
struct Boot<P: Platform> {
    /// Workers that have not made their driver yet.
    starting: WaitGroup<P>,
    /// Workers whose loop has not ended.
    running: WaitGroup<P>,
    failure: Spinlock<Option<io::Error>, P>,
}

/// A worker thread.
fn work<P: Platform>(shared: Arc<Shared<P>, P>, index: usize, boot: &Boot<P>) {
    let worker = stack::prepare_thread().and_then(|()| Worker::new(shared, index));
    match worker {
        Ok(worker) => {
            boot.starting.done();
            worker.run();
            if !worker.has_no_fibers() {
                // Fibers that were left behind may have lent out this thread's thread-locals:
                // its end would free them.
                core::mem::forget(worker);
                boot.running.done();
                loop {
                    P::Parker::park();
                }
            }
        }
        Err(error) => {
            *boot.failure.lock() = Some(error);
            boot.starting.done();
        }
    }
    boot.running.done();
}

/// Workers that run fibers and futures.
///
/// Dropping it [shuts it down](Runtime::shutdown) and waits for up to ten seconds.
///
/// ```
/// use raddle_runtime::{Native, Runtime, spawn};
///
/// let runtime: Runtime = Runtime::new()?;
/// let sum: u64 = runtime.run(|| {
///     let fibers: Vec<_> = (0..10).map(|n| spawn::<Native, _, _>(move || n * n)).collect();
///     fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum()
/// })
/// .unwrap();
/// assert_eq!(sum, 285);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "dropping a runtime shuts it down"]
pub struct Runtime<P: Platform = Native> {
    handle: Handle<P>,
    boot: Arc<Boot<P>, P>,
    threads: Cell<Vec<<P::Threads as Threads>::JoinHandle>>,
}

impl<P: Platform> fmt::Debug for Runtime<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("handle", &self.handle).finish()
    }
}

impl Runtime<Native> {
    /// A runtime with the defaults of [`Builder`].
    ///
    /// # Errors
    /// See [`Builder::build`].
    pub fn new() -> io::Result<Self> {
        Builder::new().build()
    }
}

impl<P: Platform> Runtime<P> {
    /// A way to this runtime, for other threads.
    pub fn handle(&self) -> Handle<P> {
        self.handle.clone()
    }

    /// Runs `body` in a fiber and waits for it, blocking the calling thread.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn run<F, T>(&self, body: F) -> Result<T, JoinError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.spawn(body).join()
    }

    /// Drives `future` on the calling thread, which blocks while it is pending. What it spawns
    /// goes to this runtime, whose timers and drivers it uses. In one of this runtime's fibers, the
    /// fiber waits.
    ///
    /// # Panics
    /// In a task of another runtime, whose spawns and timers already go to that one: there
    /// `runtime.spawn_async(future).join()` does it.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let drive = || suspend::block_on::<P, _>(future);
        match Worker::<P>::current() {
            None => self.handle.enter(drive),
            Some(worker) if core::ptr::eq(&*worker.shared, &*self.handle.shared) => drive(),
            Some(_) => panic!(
                "Runtime::block_on was called in a task of another runtime: spawn the future \
                 there, and join it (`runtime.spawn_async(future).join()`)"
            ),
        }
    }

    /// Spawns a fiber.
    pub fn spawn<F, T>(&self, body: F) -> JoinHandle<T, P>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.handle.spawn(body)
    }

    /// Spawns a future.
    pub fn spawn_async<F>(&self, future: F) -> JoinHandle<F::Output, P>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn_async(future)
    }

    /// Ends the runtime: takes no new tasks, cancels those that are alive, and waits until they
    /// have ended, for at most `timeout`.
    ///
    /// A fiber that has not ended by then is left as it is, with its stack and what it owns: it is
    /// not unwound, and a worker that is busy in one is left behind.
    ///
    /// # Errors
    /// How many tasks were left when the time was over; it is never 0.
    ///
    /// # Panics
    /// On a worker of this very runtime, which would wait for itself.
    pub fn shutdown(self, timeout: Duration) -> Result<(), ShutdownError> {
        self.end(timeout)
    }

    fn end(&self, timeout: Duration) -> Result<(), ShutdownError> {
        let shared = &self.handle.shared;
        assert!(
            Worker::<P>::current_of(shared).is_none(),
            "a runtime cannot be shut down by one of its own tasks"
        );
        let threads = self.threads.take();
        if threads.is_empty() {
            return Ok(());
        }
        let deadline = P::Clock::now() + timeout;
        shared.begin_shutdown();
        let mut ended = self.boot.running.wait_until(deadline);
        if !ended {
            shared.stop();
            ended = self.boot.running.wait_until(P::Clock::now() + GRACE);
        }
        // One look decides: tasks that end after it are told as left.
        let tasks_left = shared.registry.tasks().len();
        if !ended && tasks_left == 0 {
            // No task keeps a worker busy: the last have ended just now.
            self.boot.running.wait();
            ended = true;
        }
        if ended && tasks_left == 0 {
            for thread in threads {
                // A worker catches what its tasks panic with; its own panic is a bug, and has been
                // printed by the panic hook.
                drop(P::Threads::join(thread));
            }
            shared.wait_for_guests();
            return Ok(());
        }
        // Whoever wakes one of these tasks later still reaches the runtime.
        core::mem::forget(shared.clone());
        Err(ShutdownError { tasks_left })
    }
}

impl<P: Platform> Drop for Runtime<P> {
    fn drop(&mut self) {
        if Worker::<P>::current_of(&self.handle.shared).is_some() {
            // It cannot wait for itself: the workers end on their own, after their last task.
            self.handle.shared.begin_shutdown();
            core::mem::forget(self.handle.clone());
            return;
        }
        // Nobody is left to hear of tasks that do not end; they are leaked, not lost silently.
        if let Err(error) = self.end(SHUTDOWN_ON_DROP) {
            eprintln!("raddle: the runtime was dropped: {error}");
        }
    }
}

/// Tasks did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownError {
    /// How many are left, leaked with their stacks.
    pub tasks_left: usize,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tasks did not end before the deadline and were left as they are; give them more \
             time, or let them end when a blocking call returns `Cancelled`",
            self.tasks_left
        )
    }
}

impl core::error::Error for ShutdownError {}

/// Spawns a fiber on the current runtime: on this worker, to run next, or wherever there is room.
///
/// # Panics
/// Outside every runtime.
pub fn spawn<P: Platform, F, T>(body: F) -> JoinHandle<T, P>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    task::Builder::new_in().spawn(body)
}

/// Spawns a future on the current runtime; it may move between workers while it waits.
///
/// # Panics
/// Outside every runtime.
pub fn spawn_async<P: Platform, F>(future: F) -> JoinHandle<F::Output, P>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    task::Builder::new_in().spawn_async(future)
}

/// Spawns a fiber that only the worker `index` runs.
///
/// # Panics
/// Outside every runtime, and if there is no such worker.
pub fn spawn_on<P: Platform, F, T>(index: usize, body: F) -> JoinHandle<T, P>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    task::Builder::new_in().worker(index).spawn(body)
}

/// Spawns a fiber that only this worker runs, so that it need not be `Send`.
///
/// # Panics
/// Outside a worker.
pub fn spawn_local<P: Platform, F, T>(body: F) -> JoinHandle<T, P>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    task::Builder::new_in().spawn_local(body)
}

/// Gives way to other tasks: a fiber goes behind the others of its worker; a plain thread yields
/// to the operating system.
pub fn yield_now<P: Platform>() {
    if !Worker::<P>::current().is_some_and(Worker::yield_fiber) {
        P::Threads::yield_now();
    }
}

/// A future that lets the other tasks run once before it is ready.
pub fn yield_async() -> impl Future<Output = ()> {
    let mut yielded = false;
    core::future::poll_fn(move |context| {
        if yielded {
            return core::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        core::task::Poll::Pending
    })
}
