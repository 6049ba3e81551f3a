//! The scheduler: what the workers share, and how a task gets into a queue.
//!
//! ```text
//!                    spawn, wake
//!      by the worker itself │                     from another thread
//!   ┌──────────────┬────────┴─────┐          ┌───────────┴──────────┐
//!   ▼ in a task    ▼ else, pinned ▼ else     ▼ pinned               ▼ else
//!  LIFO slot ──▶ local list     ring       the worker's inbox    injector
//!   (displaced)   (never stolen)  │ ▲        │                      │
//!                                 │ └ steal half (other workers) ◀──┘ each worker, every few ticks
//! ```

mod idle;
mod inbox;
mod injector;
pub mod internals;
mod registry;
mod ring;
mod worker;

use core::ptr::NonNull;

use crossbeam_utils::CachePadded;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::driver::{Config, Notify, Op, Token};
use raddle_platform::{
    Atomic, AtomicInt, Choice, Driver, Event, Ordering, Platform, RaceCell, Threads,
};

pub(crate) use worker::Worker;

use crate::task::{ANYWHERE, Header};
use crate::timer::Timers;
use idle::Idle;
use inbox::Inbox;
use injector::Injector;
use registry::Registry;
use ring::Ring;

/// What a thread without the driver asks its worker to do with it.
pub(crate) enum Command {
    /// Begin an operation whose record keeps itself alive until its completion.
    Submit(Op, Token),
    /// Ask for the early end of an operation.
    Cancel(Token),
}

// SAFETY: the memory that an operation names is valid on every thread until its completion; that
// is the promise of whoever submits.
unsafe impl Send for Command {}

/// What others reach of one worker.
pub(crate) struct Remote<P: Platform> {
    ring: Ring<P>,
    inbox: Inbox<P>,
    pub(crate) timers: Timers<P>,
    commands: Spinlock<Vec<Command>, P>,
    /// Whether `commands` holds any; written under its lock.
    commanded: P::AtomicBool,
    /// Written by the worker before the runtime is handed out, then only read.
    notifier: RaceCell<Option<<P::Driver as Driver>::Notifier>, P>,
    /// The driver's name, likewise.
    driver_name: RaceCell<&'static str, P>,
}

/// What the workers of one runtime share.
pub(crate) struct Shared<P: Platform> {
    pub(crate) remotes: Box<[CachePadded<Remote<P>>]>,
    injector: Injector<P>,
    idle: Idle<P>,
    pub(crate) registry: Registry<P>,
    /// No new tasks; workers end when the last one does. Written once, by swap.
    shutting_down: P::AtomicBool,
    /// Workers end now. Written by swaps only.
    stopped: P::AtomicBool,
    /// Foreign threads inside [`schedule`]; the runtime waits for them before it goes.
    guests: P::AtomicUsize,
    next_task_id: P::AtomicU64,
    pub(crate) driver_config: Config,
    pub(crate) stack_size: usize,
}

// SAFETY: everything shared is an atomic, behind a lock, or written before the runtime is handed
// out. (`RaceCell` is `Sync` for `Send` values; the notifier is `Send + Sync`.)
unsafe impl<P: Platform> Sync for Shared<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Send for Shared<P> {}

impl<P: Platform> Shared<P> {
    pub(crate) fn new(workers: usize, driver_config: Config, stack_size: usize) -> Self {
        let remote = |index| Remote {
            ring: Ring::new(),
            inbox: Inbox::new(),
            timers: Timers::new(index),
            commands: Spinlock::new(Vec::new()),
            commanded: P::AtomicBool::new(false),
            notifier: RaceCell::new_in(None),
            driver_name: RaceCell::new_in(""),
        };
        Self {
            remotes: (0..workers).map(|index| CachePadded::new(remote(index))).collect(),
            injector: Injector::new(),
            idle: Idle::new(workers),
            registry: Registry::new(workers),
            shutting_down: P::AtomicBool::new(false),
            stopped: P::AtomicBool::new(false),
            guests: P::AtomicUsize::new(0),
            next_task_id: P::AtomicU64::new(1),
            driver_config,
            stack_size,
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.remotes.len()
    }

    pub(crate) fn next_task_id(&self) -> u64 {
        self.next_task_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells the other workers how to notify `worker`'s driver.
    ///
    /// # Safety
    /// Nobody notifies it, or asks for its name, before this has returned.
    unsafe fn publish_driver(&self, worker: usize, driver: &P::Driver) {
        let remote = &self.remotes[worker];
        let (notifier, name) = (driver.notifier(), driver.name());
        // SAFETY: by the caller's promise.
        unsafe {
            remote.notifier.with_mut(|place| *place = Some(notifier));
            remote.driver_name.with_mut(|place| *place = name);
        }
    }

    /// The name of the workers' driver.
    pub(crate) fn driver_name(&self) -> &'static str {
        // SAFETY: written before the runtime was handed out.
        unsafe { self.remotes[0].driver_name.with(|name| *name) }
    }

    /// Ends the sleep of `worker`, whose driver the caller was told to notify.
    fn notify(&self, worker: usize) {
        // SAFETY: written before the runtime was handed out, and never again.
        unsafe {
            self.remotes[worker].notifier.with(|notifier| {
                if let Some(notifier) = notifier {
                    notifier.notify();
                }
            });
        }
    }

    /// There is news for `worker`, stored before.
    pub(crate) fn wake_worker(&self, worker: usize) {
        if self.idle.must_wake(worker) {
            self.notify(worker);
        }
    }

    /// There is stealable work, stored before.
    fn wake_for_work(&self) {
        if let Some(worker) = self.idle.sleeper_for_work() {
            self.notify(worker);
        }
    }

    /// Queues a task from a thread that is none of the workers.
    ///
    /// # Safety
    /// The caller owns the task's queue entry.
    unsafe fn schedule_from_outside(&self, task: NonNull<Header<P>>) {
        // SAFETY: an entry's task is alive; its home was written before the park that the caller's
        // wake acquired from.
        let home = unsafe { task.as_ref().home.with(|home| *home) };
        if home == ANYWHERE {
            self.injector.push(task);
            self.wake_for_work();
        } else if self.remotes[home].inbox.push(task) {
            self.wake_worker(home);
        }
    }

    /// Asks `worker` to do something with its driver.
    pub(crate) fn command(&self, worker: usize, command: Command) {
        let remote = &self.remotes[worker];
        let mut commands = remote.commands.lock();
        commands.push(command);
        remote.commanded.swap(true, Ordering::Relaxed);
        drop(commands);
        self.wake_worker(worker);
    }

    /// Whether the runtime takes no new tasks.
    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// Takes no new tasks, cancels those that are alive, and lets the workers end with the last.
    pub(crate) fn begin_shutdown(&self) {
        self.registry.close();
        self.shutting_down.swap(true, Ordering::Relaxed);
        for task in self.registry.tasks() {
            task.cancel();
        }
        for worker in 0..self.workers() {
            self.wake_worker(worker);
        }
    }

    /// Ends the workers' loops, whatever is left.
    pub(crate) fn stop(&self) {
        self.stopped.swap(true, Ordering::Relaxed);
        for worker in 0..self.workers() {
            self.wake_worker(worker);
        }
    }

    /// Waits until no foreign thread touches the runtime any more; none can come anew once the
    /// last task has ended.
    pub(crate) fn wait_for_guests(&self) {
        // ORDERING: pairs with the releasing decrement in `schedule`.
        // HAMMER-WAIT-LOOP: guests
        while self.guests.load(Ordering::Acquire) != 0 {
            P::Threads::yield_now();
        }
    }
}

/// Queues a task.
///
/// # Safety
/// The caller owns the task's queue entry: its wake, cancel or creation said so.
pub(crate) unsafe fn schedule<P: Platform>(task: NonNull<Header<P>>) {
    // SAFETY: an entry's task is alive.
    let header = unsafe { task.as_ref() };
    P::event(&Event::Woken { task: header.id });
    // SAFETY: a task that is not done keeps its runtime alive; this one is not done before it is
    // queued.
    let shared = unsafe { header.shared.as_ref() };
    if let Some(worker) = Worker::<P>::current_of(shared) {
        // SAFETY: by the caller's promise.
        unsafe { worker.schedule(task) };
        return;
    }
    // Once queued, the task may run, end, and be the last of its runtime, while this thread still
    // has a worker to wake: being a guest keeps the runtime for that long.
    shared.guests.fetch_add(1, Ordering::Relaxed);
    // SAFETY: by the caller's promise.
    unsafe { shared.schedule_from_outside(task) };
    // ORDERING: pairs with the acquire in `wait_for_guests`.
    shared.guests.fetch_sub(1, Ordering::Release);
}

/// Queues a task that was just made.
///
/// # Safety
/// The caller made it, and owns its queue entry.
pub(crate) unsafe fn schedule_new<P: Platform>(task: NonNull<Header<P>>) {
    if P::choose(Choice::Spawn, 2) == 1 {
        // SAFETY: the task is alive, and while it is not done it keeps its runtime alive.
        let shared = unsafe { task.as_ref().shared.as_ref() };
        if Worker::<P>::current_of(shared).is_some() {
            // SAFETY: by the caller's promise; the calling worker keeps the runtime.
            unsafe { shared.schedule_from_outside(task) };
            return;
        }
    }
    // SAFETY: by the caller's promise.
    unsafe { schedule(task) };
}
