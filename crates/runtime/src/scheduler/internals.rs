//! Parts of the scheduler, for the harnesses: no program can use them.
//!
//! A whole runtime has more threads and operations than a model checker gets through. What is here
//! takes it apart: the caller's threads play the workers and do single steps of their protocols
//! ([`RunQueues`], [`Sleepers`], [`LifeCycle`], [`Lock`]), or they *are* the workers and run the
//! production run loop until no task is left ([`crew`]).

use core::future::Future;
use core::ptr::NonNull;
use core::task::Poll;

use raddle_ownership::Arc;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::driver::{Config, Kind};
use raddle_platform::{Atomic, Driver, Ordering, Platform};

use super::idle::Idle;
use super::{Shared, Worker};
use crate::handle::Handle;
use crate::task::state::State;
use crate::task::{ANYWHERE, FutureTask, Header, TaskRef};

/// The run queues and timers of a runtime without workers: the caller's threads play the workers.
pub struct RunQueues<P: Platform> {
    shared: Arc<Shared<P>, P>,
}

impl<P: Platform> core::fmt::Debug for RunQueues<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RunQueues").finish_non_exhaustive()
    }
}

impl<P: Platform> RunQueues<P> {
    /// The queues of `workers` workers.
    pub fn new(workers: usize) -> Self {
        Self { shared: Arc::new_in(Shared::new(workers, Config::default(), 0)) }
    }

    /// The way to the runtime that these queues belong to. Nobody runs what is spawned there.
    pub fn handle(&self) -> Handle<P> {
        Handle { shared: self.shared.clone() }
    }

    /// A new task, with one reference: its scheduler's.
    fn task(&self) -> NonNull<Header<P>> {
        let never = core::future::poll_fn(|_| Poll::<()>::Pending);
        let place = NonNull::from(&*self.shared);
        let task = FutureTask::allocate(place, ANYWHERE, None, never);
        // SAFETY: the second reference, the join handle's, is not needed.
        unsafe { drop(TaskRef::from_raw(task)) };
        task
    }

    /// Queues a new task at the back of `worker`'s ring, and returns its id.
    ///
    /// # Safety
    /// One thread at a time plays `worker`, and that is the caller.
    pub unsafe fn push(&self, worker: usize) -> u64 {
        let task = self.task();
        // SAFETY: the caller plays the worker; creation made it the owner of the entry.
        unsafe {
            let id = task.as_ref().id;
            self.shared.remotes[worker].ring.owner_push(task, &self.shared.injector);
            id
        }
    }

    /// Takes the task at the front of `worker`'s ring, and returns its id.
    ///
    /// # Safety
    /// As [`push`](RunQueues::push).
    pub unsafe fn pop(&self, worker: usize) -> Option<u64> {
        // SAFETY: the caller plays the worker.
        unsafe { self.shared.remotes[worker].ring.owner_pop() }.map(Self::end)
    }

    /// `thief` takes half of `victim`'s ring: the id of the task to run, and how many in all.
    ///
    /// # Safety
    /// As [`push`](RunQueues::push) for `thief`, which is another than `victim`.
    pub unsafe fn steal(&self, victim: usize, thief: usize) -> Option<(u64, usize)> {
        let remotes = &self.shared.remotes;
        // SAFETY: the caller plays the thief.
        let stolen = unsafe { remotes[victim].ring.steal_into(&remotes[thief].ring) };
        stolen.map(|(task, count)| (Self::end(task), count))
    }

    /// Whether `worker`'s ring looks empty.
    pub fn is_empty(&self, worker: usize) -> bool {
        self.shared.remotes[worker].ring.is_empty()
    }

    /// Queues a new task in the injector, and returns its id.
    pub fn inject(&self) -> u64 {
        let task = self.task();
        // SAFETY: the task is alive: it is not queued yet.
        let id = unsafe { task.as_ref().id };
        self.shared.injector.push(task);
        id
    }

    /// Takes the first task of the injector, where a full ring overflows to.
    pub fn inject_pop(&self) -> Option<u64> {
        self.shared.injector.pop().map(Self::end)
    }

    /// Leaves a new task in `worker`'s inbox: its id, and whether the inbox was empty.
    pub fn inbox_push(&self, worker: usize) -> (u64, bool) {
        let task = self.task();
        // SAFETY: the task is alive: it is not queued yet.
        let id = unsafe { task.as_ref().id };
        (id, self.shared.remotes[worker].inbox.push(task))
    }

    /// Whether `worker`'s inbox looks empty.
    pub fn inbox_is_empty(&self, worker: usize) -> bool {
        self.shared.remotes[worker].inbox.is_empty()
    }

    /// Takes all of `worker`'s inbox, the oldest first.
    pub fn inbox_drain(&self, worker: usize) -> Vec<u64> {
        let mut tasks = self.shared.remotes[worker].inbox.drain();
        core::iter::from_fn(|| tasks.pop_front()).map(Self::end).collect()
    }

    /// Does what `worker`'s run loop does when its clock has moved: fires the timers that are due.
    pub fn fire(&self, worker: usize) {
        self.shared.remotes[worker].timers.fire();
    }

    /// How many tasks are alive, whoever has them: in the registry, not in the queues.
    pub fn alive(&self) -> usize {
        self.shared.registry.tasks().len()
    }

    /// Registers a new task: its id, or none if the registry is closed.
    pub fn register(&self) -> Option<Registered<P>> {
        let task = self.task();
        if self.shared.registry.insert(task) {
            return Some(Registered { shared: self.shared.clone(), task });
        }
        Self::end(task);
        None
    }

    /// Lets no task into the registry any more.
    pub fn close_registry(&self) {
        self.shared.registry.close();
    }

    /// Frees a task that was taken from a queue.
    fn end(task: NonNull<Header<P>>) -> u64 {
        // SAFETY: an entry's task is alive, and its last reference is the scheduler's.
        unsafe {
            let id = task.as_ref().id;
            drop(TaskRef::from_raw(task));
            id
        }
    }
}

/// A task in a registry. Dropped, it leaves.
pub struct Registered<P: Platform> {
    shared: Arc<Shared<P>, P>,
    task: NonNull<Header<P>>,
}

// SAFETY: tasks may be sent between threads.
unsafe impl<P: Platform> Send for Registered<P> {}

impl<P: Platform> core::fmt::Debug for Registered<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}

impl<P: Platform> Drop for Registered<P> {
    fn drop(&mut self) {
        self.shared.registry.remove(self.task);
        // SAFETY: the scheduler's reference, which nobody else gives up.
        unsafe { drop(TaskRef::from_raw(self.task)) };
    }
}

/// Who sleeps, of workers that the caller's threads play.
pub struct Sleepers<P: Platform>(Idle<P>);

impl<P: Platform> core::fmt::Debug for Sleepers<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sleepers").finish_non_exhaustive()
    }
}

impl<P: Platform> Sleepers<P> {
    /// `workers` workers, all awake.
    pub fn new(workers: usize) -> Self {
        Self(Idle::new(workers))
    }
    /// There is news for `worker`: whether its driver is to be notified.
    pub fn must_wake(&self, worker: usize) -> bool {
        self.0.must_wake(worker)
    }
    /// There is stealable work: whose driver is to be notified.
    pub fn sleeper_for_work(&self) -> Option<usize> {
        self.0.sleeper_for_work()
    }
    /// Whether the caller, a worker without work, is to search.
    pub fn start_searching(&self) -> bool {
        self.0.start_searching()
    }
    /// A searcher stops: whether it was the last.
    pub fn stop_searching(&self) -> bool {
        self.0.stop_searching()
    }
    /// `worker` will sleep, unless it finds news after this.
    pub fn fall_asleep(&self, worker: usize) {
        self.0.fall_asleep(worker);
    }
    /// `worker` has woken: whether it is counted as searching.
    pub fn wake_up(&self, worker: usize) -> bool {
        self.0.wake_up(worker)
    }
}

/// The word of a task's life cycle, without the task.
pub struct LifeCycle<P: Platform>(State<P>);

impl<P: Platform> core::fmt::Debug for LifeCycle<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LifeCycle").finish_non_exhaustive()
    }
}

impl<P: Platform> LifeCycle<P> {
    /// Queued by its creator, with two references.
    #[expect(clippy::new_without_default, reason = "as the state that it wraps")]
    pub fn new() -> Self {
        Self(State::new())
    }
    /// Taken from a queue: whether it is cancelled.
    pub fn start(&self) -> bool {
        self.0.start()
    }
    /// Suspended: whether a wake came meanwhile, so that the caller owns the queue entry.
    pub fn park(&self) -> bool {
        self.0.park()
    }
    /// Takes a wake that came while it ran.
    pub fn take_wake(&self) -> bool {
        self.0.take_wake()
    }
    /// Woken: whether the caller owns the queue entry.
    pub fn wake(&self) -> bool {
        self.0.wake()
    }
    /// Cancelled: whether for the first time, and whether the caller owns the queue entry.
    pub fn cancel(&self) -> (bool, bool) {
        self.0.cancel()
    }
    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        self.0.is_done()
    }
    /// Ended: whether the join handle is there, and whether its waker is.
    pub fn finish(&self) -> (bool, bool) {
        let before = self.0.finish();
        let wanted = before & crate::task::state::JOIN_INTEREST != 0;
        (wanted, before & crate::task::state::JOIN_WAKER != 0)
    }
    /// The join handle may write its waker.
    pub fn unregister_join(&self) -> bool {
        self.0.unregister_join()
    }
    /// The join handle has written its waker.
    pub fn register_join(&self) -> bool {
        self.0.register_join()
    }
    /// The join handle goes: whether the output is its own to drop.
    pub fn drop_join(&self) -> bool {
        self.0.drop_join()
    }
    /// One more reference.
    pub fn acquire_reference(&self) {
        self.0.acquire_reference();
    }
    /// One reference less: whether it was the last.
    pub fn release_reference(&self) -> bool {
        self.0.release_reference()
    }
}

/// The lock of the scheduler's own lists.
pub struct Lock<T, P: Platform>(Spinlock<T, P>);

impl<T, P: Platform> core::fmt::Debug for Lock<T, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lock").finish_non_exhaustive()
    }
}

impl<T, P: Platform> Lock<T, P> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(Spinlock::new(value))
    }
    /// Calls `f` with the value, under the lock.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock())
    }
}

/// A worker that no thread plays yet. Its drop before [`run`](Seat::run) is the end of a runtime
/// that never ran.
pub struct Seat<P: Platform> {
    shared: Arc<Shared<P>, P>,
    index: usize,
    driver: P::Driver,
}

// SAFETY: the driver was not used yet, and is of a kind that does not mind where it was made.
unsafe impl<P: Platform> Send for Seat<P> {}

impl<P: Platform> core::fmt::Debug for Seat<P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Seat").field("index", &self.index).finish_non_exhaustive()
    }
}

/// `workers` workers for the caller's threads to [run](Seat::run), and the way to their runtime.
/// They end with the last task: who has nothing to wait for needs no shutdown.
///
/// # Panics
/// When there is no driver to be had.
pub fn crew<P: Platform>(workers: usize) -> (Handle<P>, Vec<Seat<P>>) {
    let config = Config { kind: Kind::Epoll, ..Config::default() };
    let shared = Arc::<_, P>::new_in(Shared::<P>::new(workers, config, STACK_BYTES));
    shared.shutting_down.swap(true, Ordering::Relaxed);
    let seat = |index| {
        let driver = match P::Driver::new(&shared.driver_config) {
            Ok(driver) => driver,
            Err(error) => panic!("no driver: {error}"),
        };
        // SAFETY: the seats are handed out after this.
        unsafe { shared.publish_driver(index, &driver) };
        Seat { shared: shared.clone(), index, driver }
    };
    let seats = (0..workers).map(seat).collect();
    (Handle { shared }, seats)
}

/// Drives `future` on the calling thread as [`block_on`](crate::Runtime::block_on) of the runtime
/// does that `handle` leads to.
pub fn block_on<P: Platform, F: Future>(handle: &Handle<P>, future: F) -> F::Output {
    handle.enter(|| crate::block_on::<P, F>(future))
}

/// Waits, as a shutdown does at its end, until no foreign thread touches the runtime any more.
pub fn wait_for_guests<P: Platform>(handle: &Handle<P>) {
    handle.shared.wait_for_guests();
}

/// Enough for the fibers of a scenario.
const STACK_BYTES: usize = 64 << 10;

impl<P: Platform> Seat<P> {
    /// Is the worker, until no task of the runtime is left.
    pub fn run(self) {
        let worker = Worker::with_driver(self.shared, self.index, self.driver);
        worker.run();
        assert!(worker.has_no_fibers(), "who ends with the last task leaves no fiber");
    }
}
