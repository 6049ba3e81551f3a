//! Runs one execution: each simulated thread is a coroutine, and this is what they come back to.

use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use core::panic::Location;
use core::ptr;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use raddle_platform::global::Table;

use crate::control::{Goal, Script, render_all};
use crate::decisions::{Certificate, Decision, Prefixes};
use crate::divergence::Divergence;
use crate::faults::Fired;
use crate::heap;
use crate::history::{Effect, Name, Operation};
use crate::node::{ROOT, Stage};
use crate::parker::TokenWaker;
use crate::report::{Abandoned, Counts, Failure, FailureKind};
use crate::trace::Events;
use crate::vector::View;
use crate::world::{self, Class, Failed, Setup, State, Thread, Woken, World, enter, operate, with};

/// Of each simulated thread. An unoptimised runtime's panic report fits.
pub(crate) const STACK_BYTES: usize = 512 * 1024;

/// More threads than any history can name.
const MAX_THREADS: usize = 4096;

thread_local! {
    /// A fresh mapping per thread and execution would cost twenty times the execution.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    /// The code of the main thread's body unwinds to where it is called; nested simulations do not
    /// exist.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

#[inline(never)]
fn take_stack() -> std::io::Result<DefaultStack> {
    match STACKS.with_borrow_mut(Vec::pop) {
        Some(stack) => Ok(stack),
        None => DefaultStack::new(STACK_BYTES),
    }
}

#[inline(never)]
fn give_stack(stack: DefaultStack) {
    STACKS.with_borrow_mut(|stacks| stacks.push(stack));
}

/// What an execution leaves.
pub(crate) struct Outcome {
    pub(crate) failure: Option<Failure>,
    pub(crate) steps: u64,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) certificate: Certificate,
    pub(crate) prefixes: Prefixes,
    pub(crate) divergence: Option<Box<Divergence>>,
    pub(crate) events: Option<Events>,
    pub(crate) control: Script,
    pub(crate) state: Vec<(String, String)>,
    pub(crate) now: u64,
    pub(crate) counts: Counts,
    pub(crate) faults: Fired,
    pub(crate) abandoned: Abandoned,
}

/// Runs `body` as the main thread of a new world, until all threads have ended or one has failed.
pub(crate) fn run(setup: Setup, body: &(dyn Fn() + '_)) -> Outcome {
    let machine = Machine::new(setup, Box::new(body));
    machine.inside(drive);
    machine.end()
}

/// A world that runs only in calls of [`inside`](Self::inside).
pub(crate) struct Machine {
    world: *mut RefCell<World>,
    /// What it has allocated, as far as that is counted.
    heap: Cell<i64>,
}

impl Machine {
    /// A new world, in which `main` is about to begin.
    pub(crate) fn new(setup: Setup, main: Box<dyn FnOnce() + '_>) -> Self {
        install_hook();
        // Never dropped as a whole: after a failure most of it must not be.
        let heap = Cell::new(0);
        let world = heap::counted(&heap, || Box::new(RefCell::new(World::new(setup))));
        let machine = Self { world: Box::into_raw(world), heap };
        machine.inside(|| {
            with(|world| world.watch.begin(world.seed));
            let site = Location::caller();
            // SAFETY: only the lifetime changes: a body that has not ended when its machine does
            // never runs again, and a machine runs it only while its owner may be used.
            let main = unsafe {
                core::mem::transmute::<Box<dyn FnOnce() + '_>, Box<dyn FnOnce() + 'static>>(main)
            };
            match with(|world| world.add_thread("main".to_owned(), main, site)) {
                Ok(_) => with(World::tell_seeds),
                Err(error) => {
                    let message = format!("no stack for the main thread: {error}");
                    with(|world| world.fail(FailureKind::Panic, message));
                }
            }
        });
        machine
    }

    /// Calls `f` in the world.
    pub(crate) fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        assert!(!INSIDE.replace(true), "a simulation inside of a simulation");
        // SAFETY: taken away below, before it is freed.
        unsafe { world::set(self.world) };
        with(|world| world.watch.resume());
        let result = heap::counted(&self.heap, f);
        with(|world| world.watch.end());
        // SAFETY: null is always valid.
        unsafe { world::set(ptr::null()) };
        INSIDE.set(false);
        result
    }

    /// Looks at the world while it stands still.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&World) -> R) -> R {
        // SAFETY: it is freed by `end`, which takes the machine.
        f(&unsafe { &*self.world }.borrow())
    }

    /// Lets the threads run until `goal` says so, nobody can, or all is over.
    pub(crate) fn go_until(&self, goal: Option<Goal>) {
        self.inside(|| {
            with(|world| world.go_until(goal));
            drive();
        });
    }

    /// Ends the execution, which runs no more.
    pub(crate) fn end(self) -> Outcome {
        self.inside(|| {
            finish();
            with(World::check_replay);
        });
        // SAFETY: made by `new`, and nobody has it any more.
        let world = unsafe { Box::from_raw(self.world) };
        let mut outcome = heap::counted(&self.heap, || dismantle(RefCell::into_inner(*world)));
        let abandoned = &mut outcome.abandoned;
        if abandoned.threads > 0 || abandoned.crashes > 0 {
            let kept = outcome.decisions.capacity() * size_of::<Decision>();
            let bytes = self.heap.get() - (kept + outcome.prefixes.bytes()) as i64;
            abandoned.heap_bytes = heap::balance().map(|_| u64::try_from(bytes).unwrap_or(0));
        }
        outcome
    }
}

/// Resumes whoever is decided on, until there is nobody or the execution has failed.
fn drive() {
    loop {
        if with(|world| world.stands_still()) {
            return;
        }
        let next = with(|world| {
            world.current = world.next;
            world.net.here = world.node();
            world.thread().fiber.take()
        });
        let Some(mut fiber) = next else { return };
        match fiber.resume(()) {
            CoroutineResult::Yield(()) => {
                let over = with(|world| {
                    world.thread().fiber = Some(fiber);
                    world.failure.is_some() || world.live == 0
                });
                if over {
                    return;
                }
            }
            CoroutineResult::Return(()) => {
                give_stack(fiber.into_stack());
                if with(|world| world.failure.is_some() || world.live == 0) {
                    return;
                }
            }
        }
    }
}

/// The end of an execution: what is left is dropped, if nothing has failed.
fn finish() {
    with(World::check_panics);
    let tables = with(|world| {
        if world.failure.is_some() {
            return None;
        }
        world.quiet = true;
        world.current = 0;
        // Everybody has ended: what anybody did has happened before.
        let mut all = View::default();
        for view in &world.views {
            all.clock.join(&view.clock);
        }
        world.views[0].clock.join(&all.clock);
        Some(world.hosts.iter_mut().map(|host| host.globals.take()).collect())
    });
    let tables: Vec<Option<Table>> = tables.unwrap_or_default();
    for (node, table) in tables.into_iter().enumerate() {
        with(|world| world.net.here = node);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(table)));
        with(|world| {
            if dropped.is_err() {
                world.fail(FailureKind::Panic, "a global's destructor panicked".to_owned());
            }
        });
    }
}

/// Takes out what is wanted. After a failure the rest is abandoned: destructors would run in a
/// broken world.
fn dismantle(mut world: World) -> Outcome {
    let mut abandoned = world.abandoned;
    let failed = world.failure.is_some();
    for thread in &mut world.threads {
        let crashed = thread.state == State::Abandoned;
        if (failed || crashed)
            && let Some(mut fiber) = thread.fiber.take()
        {
            // Those of crashes are counted already.
            if !crashed {
                abandoned.threads += 1;
                abandoned.stack_bytes += STACK_BYTES as u64;
            }
            // SAFETY: what is on the stack is abandoned: nothing of it runs again, and what points
            // to it from elsewhere is never used, for it belongs to this world.
            unsafe { fiber.force_reset() };
            give_stack(fiber.into_stack());
        }
    }
    let outcome = Outcome {
        failure: world.failure.take(),
        steps: world.steps,
        decisions: core::mem::take(&mut world.decisions),
        certificate: world.certificate,
        prefixes: core::mem::take(&mut world.prefixes),
        divergence: world.divergence.take(),
        events: world.tap.take().and_then(|tap| tap.finish()),
        control: world.control.obeyed(),
        state: render_all(&world.control.renders),
        now: world.now,
        counts: world.counts,
        faults: world.plan.fired,
        abandoned,
    };
    if outcome.failure.is_some() {
        let mut world = ManuallyDrop::new(world);
        drop(core::mem::take(&mut world.memory));
        drop(core::mem::take(&mut world.cells));
        drop(core::mem::take(&mut world.views));
        drop(core::mem::take(&mut world.tokens));
    }
    outcome
}

impl World {
    /// Adds a thread that can run, on the node of the current one.
    pub(crate) fn add_thread(
        &mut self,
        name: String,
        body: Box<dyn FnOnce()>,
        site: &'static Location<'static>,
    ) -> std::io::Result<u32> {
        let number = self.add_thread_on(self.node(), name, body, site)?;
        if number > 0 {
            let parent = self.views[self.current as usize].clock.clone();
            self.views[number as usize].clock.join(&parent);
            self.views[self.current as usize].tick(self.current);
        }
        Ok(number)
    }

    fn room_for_thread(&self) -> std::io::Result<()> {
        if self.threads.len() < MAX_THREADS {
            return Ok(());
        }
        let message = format!("a simulation has {MAX_THREADS} threads at most");
        Err(std::io::Error::new(std::io::ErrorKind::QuotaExceeded, message))
    }

    /// Adds a thread that can run, and has seen nothing.
    pub(crate) fn add_thread_on(
        &mut self,
        node: usize,
        name: String,
        body: Box<dyn FnOnce()>,
        site: &'static Location<'static>,
    ) -> std::io::Result<u32> {
        self.room_for_thread()?;
        let number = self.threads.len() as u32;
        // SAFETY: the entry borrows nothing.
        let fiber = unsafe {
            Coroutine::with_stack_unchecked(take_stack()?, move |yielder, ()| {
                with(|world| world.threads[number as usize].yielder = yielder);
                live(number, body);
            })
        };
        let token = self.add_token();
        let scope = self.next_scope(node);
        self.threads.push(Thread {
            name,
            node,
            scope,
            state: State::Joining,
            fiber: Some(fiber),
            yielder: ptr::null(),
            slots: Default::default(),
            exits: Vec::new(),
            token,
            waker: Arc::new(TokenWaker { token, serial: self.serial }),
            woken: Woken::Spuriously,
            doing: (Operation::plain(Name::Spawn), site),
            joiner: None,
            joined: false,
            panic: None,
            panicked: false,
            entropy: None,
        });
        self.views.push(View::new(number));
        self.live += 1;
        self.counts.threads = self.counts.threads.max(u64::from(number));
        self.set_runnable(number);
        Ok(number)
    }

    /// The current thread has ended.
    fn end_thread(&mut self, panic: Option<Box<dyn Any + Send>>) -> Result<(), Failed> {
        self.live -= 1;
        let thread = self.thread();
        thread.panic = panic;
        let joiner = thread.joiner.take();
        self.set_blocked(State::Ended);
        if let Some(joiner) = joiner {
            self.set_runnable(joiner);
        }
        let (current, node) = (self.current, self.node());
        if self.hosts[node].main_thread == current {
            if self.threads[current as usize].panic.is_some() {
                let of = match node {
                    ROOT => String::new(),
                    _ => format!(" of {}", self.hosts[node].name),
                };
                return Err(self.fail_by_panic(format!("the main thread{of} panicked")));
            }
            self.hosts[node].stage = Stage::Ended;
            self.ring_watchers(node);
        }
        if self.live > 0 { self.decide(false) } else { Ok(()) }
    }

    /// A panic of a thread that nobody joined is nobody's result: it fails the execution.
    fn check_panics(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let unheard = |thread: &Thread| thread.panic.is_some() && !thread.joined;
        if let Some(number) = self.threads.iter().position(unheard) {
            let name = &self.threads[number].name;
            let message = format!("thread {number} ({name}) panicked and nobody joined it");
            self.fail_by_panic(message);
        }
    }

    fn fail_by_panic(&mut self, message: String) -> Failed {
        self.fail(FailureKind::Panic, message);
        // The operations that led to the panic, not those of the unwinding.
        if let (Some(failure), Some((step, history))) = (&mut self.failure, self.at_panic.take()) {
            failure.step = step;
            failure.history = history;
        }
        Failed
    }
}

/// Is the thread `number`, from its first moment to its last.
fn live(number: u32, body: Box<dyn FnOnce()>) {
    let mut result = catch_unwind(AssertUnwindSafe(body));
    // One at a time: an exit may register another.
    while let Some(exit) = with(|world| world.thread().exits.pop()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(exit)) {
            result = Err(panic);
        }
    }
    enter(Operation::plain(Name::End), Location::caller(), Class::Blocking);
    let ended = with(|world| {
        debug_assert_eq!(world.current, number, "a thread ends on its own stack");
        world.note(number, Operation::plain(Name::End), Effect::Done, Location::caller());
        world.end_thread(result.err())
    });
    // After a failure nobody runs again: the runner sees it.
    let _: Result<(), Failed> = ended;
}

/// Starts a thread.
#[track_caller]
pub(crate) fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> std::io::Result<u32> {
    let site = Location::caller();
    // What it owns must not be dropped while somebody is at the world.
    let mut body = Some(body);
    operate(Operation::plain(Name::Spawn), Class::Blocking, |world, _| {
        let spawned = world.room_for_thread().and_then(|()| match body.take() {
            Some(body) => world.add_thread(name, body, site),
            None => Err(std::io::ErrorKind::Other.into()),
        });
        let effect = Effect::Value(spawned.as_ref().map_or(0, |number| u64::from(*number)));
        Ok((spawned, effect))
    })
}

/// Makes panics inside of a simulation part of its report, and leaves all others alone.
fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !world::is_there() {
                return before(info);
            }
            let noted = world::try_with(|world| {
                let text = info.payload_as_str().unwrap_or("a panic without a message");
                let number = world.current;
                let thread = world.thread();
                thread.panicked = true;
                let at = info.location().map(|at| at.to_string()).unwrap_or_default();
                let message = format!("thread {number} ({}) panicked at {at}: {text}", thread.name);
                world.messages.push(message);
                world.at_panic = Some((world.steps, world.watch.history.render()));
            });
            if noted.is_none() {
                // A panic of the simulator itself.
                before(info);
            }
        }));
    });
}
