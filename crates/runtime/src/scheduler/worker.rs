//! A worker: one thread, its queues, its driver, and the run loop.

use core::cell::{Cell, RefCell};
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::task::Waker;
use std::io;

use raddle_ownership::Arc;
use raddle_platform::driver::{Completion, Op, Token};
use raddle_platform::suspend::{self, Installed, Suspend, assert_unpinned};
use raddle_platform::{
    Atomic, Choice, Clock, Context, Driver, Event, Instant, Ordering, Platform, RaceCell, Site,
    SlotKey, Strand, Threads,
};

use super::injector::Linked;
use super::{Command, Remote, Shared};
use crate::io as operations;
use crate::stack::{FiberStack, Stacks};
use crate::task::{ANYWHERE, Header, Ran, Switch, TaskRef, Yielder, borrowed_waker};
use crate::timer;

/// What only the worker's own thread touches.
pub(crate) struct Worker<P: Platform> {
    pub(crate) shared: Arc<Shared<P>, P>,
    pub(crate) index: usize,
    /// The task to run next: the one that was woken or spawned last, whose data is still warm.
    lifo: Cell<*mut Header<P>>,
    /// How many tasks came from the LIFO slot in a row.
    lifo_runs: Cell<u32>,
    /// Runnable tasks that only this worker may run.
    local: RefCell<Linked<P>>,
    /// Whose turn it is when both the ring and the local list have tasks.
    ring_first: Cell<bool>,
    /// Counts turns of the run loop.
    ticks: Cell<u32>,
    /// Fibers that have this worker's stacks.
    started_fibers: Cell<usize>,
    /// Whether a task runs now, so that whom it wakes goes to the LIFO slot.
    in_task: Cell<bool>,
    /// The fiber that runs now; null inside a future and between tasks.
    fiber: Cell<*mut Header<P>>,
    driver: RefCell<P::Driver>,
    completions: Cell<Vec<Completion>>,
    stacks: RefCell<Stacks>,
    context: <P::Context as Context>::Handle,
    /// Not `Send`: it stays on its thread.
    thread: PhantomData<*mut ()>,
}

impl<P: Platform> Worker<P> {
    /// Makes the worker `index` on the calling thread, and publishes how to notify it.
    pub(crate) fn new(shared: Arc<Shared<P>, P>, index: usize) -> io::Result<Self> {
        let driver = P::Driver::new(&shared.driver_config)?;
        // SAFETY: nobody reads this before the runtime is handed out, which waits for this.
        unsafe { shared.publish_driver(index, &driver) };
        Ok(Self::with_driver(shared, index, driver))
    }

    /// The worker `index` with a driver that was [published](Shared::publish_driver).
    pub(super) fn with_driver(shared: Arc<Shared<P>, P>, index: usize, driver: P::Driver) -> Self {
        Self {
            index,
            lifo: Cell::new(core::ptr::null_mut()),
            lifo_runs: Cell::new(0),
            local: RefCell::new(Linked::new()),
            ring_first: Cell::new(false),
            ticks: Cell::new(0),
            started_fibers: Cell::new(0),
            in_task: Cell::new(false),
            fiber: Cell::new(core::ptr::null_mut()),
            driver: RefCell::new(driver),
            completions: Cell::new(Vec::with_capacity(P::BOUNDS.completion_batch)),
            stacks: RefCell::new(Stacks::new(shared.stack_size)),
            context: P::Context::current(),
            thread: PhantomData,
            shared,
        }
    }

    /// The calling thread's worker, if it has one.
    #[inline]
    pub(crate) fn current<'a>() -> Option<&'a Self> {
        let worker: *const Self = P::Threads::slot(SlotKey::Worker).cast_const().cast();
        // SAFETY: `run` puts the worker there and takes it away before it returns, and the
        // reference cannot leave the thread, so it is used below `run` only.
        unsafe { worker.as_ref() }
    }

    /// The calling thread's worker, if it is one of `shared`'s.
    #[inline]
    pub(crate) fn current_of<'a>(shared: &Shared<P>) -> Option<&'a Self> {
        Self::current().filter(|worker| core::ptr::eq(&*worker.shared, shared))
    }

    fn remote(&self) -> &Remote<P> {
        &self.shared.remotes[self.index]
    }

    /// Runs tasks until the runtime stops.
    pub(crate) fn run(&self) {
        let suspender: *const dyn Suspend = core::ptr::from_ref::<dyn Suspend>(self);
        // SAFETY: the worker outlives this call, and with it `installed`.
        let installed = unsafe { Installed::new(suspender) };
        // SAFETY: taken away below, before either goes.
        let before = unsafe { suspend::install::<P>(&installed) };
        let this = core::ptr::from_ref(self).cast_mut().cast();
        let outer = P::Threads::set_slot(SlotKey::Worker, this);
        let unwinding = AbortOnUnwind;
        // HAMMER-WAIT-LOOP: run-loop
        while !self.shared.stopped.load(Ordering::Relaxed) {
            match self.next_task() {
                Some(task) => self.run_task(task),
                None => self.idle(),
            }
        }
        // What was cancelled at the very end still gets its completion, and gives up its socket.
        self.obey();
        self.with_completions(|completions| self.driver.borrow_mut().end(completions));
        core::mem::forget(unwinding);
        P::Threads::set_slot(SlotKey::Worker, outer);
        // SAFETY: the suspender before is still what it was.
        unsafe { suspend::install::<P>(before) };
    }

    #[inline]
    fn run_task(&self, task: NonNull<Header<P>>) {
        // SAFETY: a task in a queue is alive.
        let header = unsafe { task.as_ref() };
        P::event(&Event::Scheduled { task: header.id, worker: self.index });
        self.in_task.set(true);
        let outer = header.strand.enter();
        // SAFETY: the task was taken from a queue.
        let ran = unsafe { (header.vtable.run)(task, self) };
        P::Strand::leave(outer);
        self.in_task.set(false);
        match ran {
            Ran::Parked => {}
            Ran::Woken => self.push_back(task),
            Ran::Yielded => self.local.borrow_mut().push_back(task),
            // SAFETY: the scheduler's reference is given up at the task's end, here.
            Ran::Done => drop(unsafe { TaskRef::from_raw(task) }),
        }
    }

    /// The next task: LIFO slot, then local list and ring in turn, then the injector. Every few
    /// ticks the others get a look, so that nobody starves behind a busy queue.
    #[inline]
    fn next_task(&self) -> Option<NonNull<Header<P>>> {
        let tick = self.ticks.get().wrapping_add(1);
        self.ticks.set(tick);
        if tick.is_multiple_of(P::BOUNDS.maintenance_ticks) {
            self.maintain();
            if let Some(task) = self.shared.injector.pop() {
                return Some(task);
            }
        }
        if let Some(task) = self.perturbed() {
            return Some(task);
        }
        if let Some(task) = NonNull::new(self.lifo.get()) {
            self.lifo.set(core::ptr::null_mut());
            if self.lifo_runs.get() < P::BOUNDS.lifo_runs {
                self.lifo_runs.set(self.lifo_runs.get() + 1);
                return Some(task);
            }
            self.push_back(task);
        }
        self.lifo_runs.set(0);
        if !self.remote().inbox.is_empty() {
            self.local.borrow_mut().append(self.remote().inbox.drain());
        }
        // In turn by the picks themselves: by ticks, a regular pattern of LIFO runs would always
        // meet the same turn, and the other queue would starve.
        let ring_first = self.ring_first.get();
        self.ring_first.set(!ring_first);
        let queued = if ring_first {
            self.pop_ring().or_else(|| self.local.borrow_mut().pop_front())
        } else {
            self.local.borrow_mut().pop_front().or_else(|| self.pop_ring())
        };
        queued.or_else(|| self.shared.injector.pop())
    }

    /// A task from where it is not yet the turn, if the world wants that. (`Native` never does, and
    /// this vanishes.)
    #[inline]
    fn perturbed(&self) -> Option<NonNull<Header<P>>> {
        match P::choose(Choice::NextTask, 4) {
            0 => None,
            1 => self.local.borrow_mut().pop_front(),
            2 => self.pop_ring(),
            _ => self.shared.injector.pop(),
        }
    }

    fn pop_ring(&self) -> Option<NonNull<Header<P>>> {
        if self.remote().ring.is_empty() {
            return None;
        }
        // SAFETY: this is the ring's worker.
        unsafe { self.remote().ring.owner_pop() }
    }

    /// Queues a task behind the others; the caller owns its entry, and it is not pinned elsewhere.
    fn push_back(&self, task: NonNull<Header<P>>) {
        // SAFETY: the entry's owner may read the home.
        if unsafe { task.as_ref().home.with(|home| *home) } == ANYWHERE {
            // SAFETY: this is the ring's worker, and the entry its own.
            unsafe { self.remote().ring.owner_push(task, &self.shared.injector) };
            if self.shared.workers() > 1 {
                self.wake_for_work();
            }
        } else {
            self.local.borrow_mut().push_back(task);
        }
    }

    /// Queues a task that this thread woke or spawned.
    ///
    /// # Safety
    /// The caller owns the task's queue entry.
    pub(super) unsafe fn schedule(&self, task: NonNull<Header<P>>) {
        // SAFETY: the entry's owner may read the home.
        let home = unsafe { task.as_ref().home.with(|home| *home) };
        if home != ANYWHERE && home != self.index {
            if self.shared.remotes[home].inbox.push(task) && self.shared.idle.must_wake(home) {
                self.notify(home);
            }
        } else if !self.in_task.get() {
            self.push_back(task);
        } else if let Some(displaced) = NonNull::new(self.lifo.replace(task.as_ptr())) {
            self.push_back(displaced);
        }
    }

    fn wake_for_work(&self) {
        if let Some(worker) = self.shared.idle.sleeper_for_work() {
            self.notify(worker);
        }
    }

    /// Ends the sleep of another worker, through this one's driver.
    fn notify(&self, worker: usize) {
        // SAFETY: written before the runtime was handed out, and never again.
        unsafe {
            self.shared.remotes[worker].notifier.with(|notifier| {
                if let Some(notifier) = notifier {
                    self.driver.borrow_mut().notify_other(notifier);
                }
            });
        }
    }

    /// Looks after timers, commands and the driver, without blocking.
    fn maintain(&self) {
        self.obey();
        self.fire_timers();
        self.with_completions(|completions| self.driver.borrow_mut().tick(completions));
    }

    /// Lets `collect` gather completions, and hands them to their operations.
    fn with_completions(&self, collect: impl FnOnce(&mut Vec<Completion>)) {
        let mut completions = self.completions.take();
        collect(&mut completions);
        for completion in completions.drain(..) {
            // SAFETY: each token in flight is the address of an operation's record, which lives
            // until its completion.
            unsafe { operations::complete(completion) };
        }
        self.completions.set(completions);
    }

    /// Does what other threads asked for.
    pub(crate) fn obey(&self) {
        let remote = self.remote();
        if !remote.commanded.load(Ordering::Relaxed) {
            return;
        }
        let mut commands = remote.commands.lock();
        remote.commanded.swap(false, Ordering::Relaxed);
        let waiting = core::mem::take(&mut *commands);
        drop(commands);
        for command in waiting {
            match command {
                // SAFETY: the sender promised that the operation's memory is its record's.
                Command::Submit(op, token) => unsafe { self.submit(op, token) },
                Command::Cancel(token) => self.cancel(token),
            }
        }
    }

    fn fire_timers(&self) {
        let timers = &self.remote().timers;
        if timers.next() <= P::Clock::now() {
            timers.fire();
        }
    }

    /// There is nothing to run here: search elsewhere, then sleep.
    #[cold]
    fn idle(&self) {
        if self.search() {
            return;
        }
        let idle = &self.shared.idle;
        idle.fall_asleep(self.index);
        if !self.has_news() {
            self.stacks.borrow_mut().trim();
            let deadline = self.remote().timers.next();
            let deadline = (deadline != Instant::FAR_FUTURE).then_some(deadline);
            self.with_completions(|completions| {
                self.driver.borrow_mut().wait(deadline, completions);
            });
        }
        let counted = idle.wake_up(self.index);
        self.obey();
        self.fire_timers();
        let stolen = !self.has_work() && self.steal();
        if counted {
            if idle.stop_searching() && self.has_work() {
                self.wake_for_work();
            }
        } else if stolen {
            // While it was copied, the batch was in no ring: another's last look may have missed it.
            self.wake_for_work();
        }
        self.stop_after_the_last();
    }

    /// Looks for work of others. Returns whether there is something to run.
    fn search(&self) -> bool {
        let idle = &self.shared.idle;
        if idle.workers() == 1 || !idle.start_searching() {
            return false;
        }
        let mut found = false;
        // HAMMER-WAIT-LOOP: idle-search
        for _ in 0..P::BOUNDS.idle_searches {
            self.maintain();
            found = self.has_work() || self.steal();
            if found {
                break;
            }
            // COVERAGE-EXCLUDE(loom): its bound for searches is 0, for a spin makes it explore less
            P::spin_loop();
        }
        if idle.stop_searching() && found {
            self.wake_for_work();
        }
        found
    }

    /// Whether the next turn of the run loop finds a task here.
    fn has_work(&self) -> bool {
        !self.lifo.get().is_null()
            || !self.local.borrow().is_empty()
            || !self.remote().inbox.is_empty()
            || !self.remote().ring.is_empty()
            || !self.shared.injector.is_empty()
    }

    /// The last look before a sleep: everything that could have come since the one before.
    fn has_news(&self) -> bool {
        self.has_work()
            || self.shared.stopped.load(Ordering::Relaxed)
            || self.remote().commanded.load(Ordering::Relaxed)
            || self.shared.remotes.iter().any(|remote| !remote.ring.is_empty())
            || (self.shared.is_shutting_down() && self.shared.registry.is_empty())
    }

    /// Takes half of another worker's ring, the first to be run next.
    fn steal(&self) -> bool {
        let remotes = &self.shared.remotes;
        let first = P::choose(Choice::StealVictim, remotes.len());
        for offset in 0..remotes.len() {
            let victim = (first + offset) % remotes.len();
            if victim == self.index || remotes[victim].ring.is_empty() {
                continue;
            }
            // SAFETY: this is the worker of the target ring.
            let stolen = unsafe { remotes[victim].ring.steal_into(&self.remote().ring) };
            if let Some((task, count)) = stolen {
                P::event(&Event::Stolen { from: victim, to: self.index, count });
                if let Some(displaced) = NonNull::new(self.lifo.replace(task.as_ptr())) {
                    self.push_back(displaced);
                }
                return true;
            }
        }
        false
    }

    /// When the runtime shuts down, whoever sees the last task gone stops all workers.
    fn stop_after_the_last(&self) {
        if self.shared.is_shutting_down() && self.shared.registry.is_empty() {
            self.shared.stop();
        }
    }

    /// Begins an operation of this worker's driver.
    ///
    /// # Safety
    /// As [`Driver::submit`]; the token is the address of the operation's record.
    #[inline]
    pub(crate) unsafe fn submit(&self, op: Op, token: Token) {
        // SAFETY: by the caller's promise.
        unsafe { self.driver.borrow_mut().submit(op, token) };
    }

    /// Asks for the early end of an operation of this worker's driver.
    pub(crate) fn cancel(&self, token: Token) {
        self.driver.borrow_mut().cancel(token);
    }

    pub(crate) fn take_stack(&self, size: usize) -> io::Result<FiberStack> {
        let stack = self.stacks.borrow_mut().take(size)?;
        self.started_fibers.set(self.started_fibers.get() + 1);
        Ok(stack)
    }

    pub(crate) fn give_stack(&self, stack: FiberStack) {
        self.started_fibers.set(self.started_fibers.get() - 1);
        self.stacks.borrow_mut().give(stack);
    }

    /// Whether no started fiber is left on this worker.
    pub(crate) fn has_no_fibers(&self) -> bool {
        self.started_fibers.get() == 0
    }

    /// The next thing is a switch to this fiber.
    #[inline]
    pub(crate) fn enter_fiber(&self, fiber: NonNull<Header<P>>) {
        self.fiber.set(fiber.as_ptr());
    }

    /// The fiber has switched back.
    #[inline]
    pub(crate) fn leave_fiber(&self) {
        self.fiber.set(core::ptr::null_mut());
    }

    /// The context of the worker's own stack.
    pub(crate) fn context(&self) -> <P::Context as Context>::Handle {
        self.context
    }

    /// The fiber that calls, if a fiber does.
    #[inline]
    pub(crate) fn current_fiber(&self) -> Option<&Header<P>> {
        // SAFETY: the running fiber is alive.
        unsafe { self.fiber.get().as_ref() }
    }

    /// Switches from the running fiber to the run loop.
    #[inline]
    fn suspend(&self, fiber: &Header<P>, switch: Switch) {
        assert_unpinned::<P>();
        P::Context::switch_to(self.context);
        // SAFETY: the fiber's entry set the yielder, which lives as long as its coroutine; the
        // fiber is the one that runs, so it may suspend itself.
        unsafe { (*fiber.yielder.get().cast::<Yielder>()).suspend(switch) };
        P::Context::switched();
    }

    /// Suspends the running fiber until its token is there, and takes it; or, where a harness wants
    /// that, not so long. (Not in
    /// [`Suspend::park`], behind whose `#[track_caller]` an operation has the place of its caller.)
    #[inline]
    fn park_fiber(&self, fiber: &Header<P>) {
        if fiber.state.take_wake() {
            return;
        }
        if P::buggify(Site::SPURIOUS_POLL) {
            // Others run, and what the fiber waits for is polled again.
            self.yield_fiber();
            return;
        }
        P::event(&Event::Parked { task: fiber.id });
        self.suspend(fiber, Switch::Park);
    }

    /// Gives way to the other tasks of this worker; `false` if no fiber runs.
    #[inline]
    pub(crate) fn yield_fiber(&self) -> bool {
        let Some(fiber) = self.current_fiber() else { return false };
        P::event(&Event::Yielded { task: fiber.id });
        self.suspend(fiber, Switch::Yield);
        true
    }
}

/// A panic that gets as far as the run loop (a foreign waker's, say) would leave fibers without
/// their worker and slots that point to dead frames.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        panic!("a waker or a destructor panicked in a worker, outside every task");
    }
}

/// The fibers' side of [`suspend`]: what blocks inside a fiber parks the fiber.
impl<P: Platform> Suspend for Worker<P> {
    fn active(&self) -> bool {
        !self.fiber.get().is_null()
    }

    fn waker(&self) -> Waker {
        match NonNull::new(self.fiber.get()) {
            // SAFETY: the running fiber is alive.
            Some(fiber) => unsafe { TaskRef::retain(fiber) }.into_waker(),
            None => unreachable!("an inactive suspender is not asked"),
        }
    }

    fn with_waker(&self, f: &mut dyn FnMut(&Waker)) {
        match NonNull::new(self.fiber.get()) {
            // SAFETY: the running fiber is alive, and the waker borrows it while it runs `f`.
            Some(fiber) => f(&*unsafe { borrowed_waker(fiber) }),
            None => unreachable!("an inactive suspender is not asked"),
        }
    }

    fn park(&self) {
        let _inside = P::called();
        let Some(fiber) = self.current_fiber() else {
            unreachable!("an inactive suspender is not asked");
        };
        self.park_fiber(fiber);
    }

    fn park_until(&self, deadline: Instant) {
        let _inside = P::called();
        let waker = self.waker();
        timer::with_timer(&self.shared, self.index, deadline, waker, || self.park());
    }

    fn yield_now(&self) {
        self.yield_fiber();
    }

    fn is_cancelled(&self) -> bool {
        self.current_fiber().is_some_and(|fiber| fiber.state.is_cancelled())
    }
}

// The place of a notifier must be readable by all workers.
const _: fn() = || {
    fn shared<T: Sync>() {}
    fn check<P: Platform>() {
        shared::<RaceCell<Option<<P::Driver as Driver>::Notifier>, P>>();
    }
    let _ = check::<raddle_platform::Native>;
};
