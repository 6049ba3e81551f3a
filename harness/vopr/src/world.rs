//! The state of the execution that runs now, and the way of every operation through it.
//!
//! All simulated threads share one operating-system thread and switch only in [`enter`] and
//! [`block`](crate::schedule), so the world is an ordinary value behind a thread-local pointer.
//! One rule keeps that sound: no borrow of the world is open across a switch. The `RefCell` sees
//! to it.

use core::cell::{Cell, RefCell};
use core::panic::Location;
use core::ptr;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};
use raddle_platform::SlotKey;

use crate::agenda::{Agenda, Event};
use crate::cells::Cells;
use crate::control::{self, Control};
use crate::decisions::{Certificate, Decision, Kind, Prefixes};
use crate::disk::Disks;
use crate::divergence::{Divergence, Replayed};
use crate::faults::{FaultKind, Plan};
use crate::history::{Effect, Operation, Place};
use crate::memory::{Access, Fault, Sequential};
use crate::net::Net;
use crate::node::{Clocks, Host};
use crate::parker::TokenWaker;
use crate::report::{Abandoned, Counts, Failure, FailureKind};
use crate::seeds::Stream;
use crate::simulation::{Granularity, Limits};
use crate::sites::Sites;
use crate::strategy::{Misfit, Policy};
use crate::timers::Timers;
use crate::trace::{Running, Tap};
use crate::vector::{Clock, View};
use crate::watchdog::Watch;

pub(crate) type Fiber = Coroutine<(), (), (), DefaultStack>;

/// What an operation is, to the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Nobody else can tell when it happens: never a decision.
    Private,
    /// On shared memory: a decision at the granularity of atomics.
    Memory,
    /// Starts, ends or waits: a decision at each granularity.
    Blocking,
    /// As [`Blocking`](Self::Blocking), by a thread that asks for others to run.
    Yield,
}

/// Why a thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    Token,
    TimedOut,
    Spuriously,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Runnable,
    Waiting {
        token: u32,
        deadline: Option<u64>,
    },
    Joining,
    /// By a fault.
    Paused,
    Ended,
    /// Its node has crashed: it stands where it stood, for ever.
    Abandoned,
}

impl State {
    /// When the thread goes on at the latest.
    pub(crate) fn deadline(self) -> Option<u64> {
        match self {
            Self::Waiting { deadline, .. } => deadline,
            _ => None,
        }
    }
}

/// A simulated thread.
pub(crate) struct Thread {
    pub(crate) name: String,
    /// The node that it is on.
    pub(crate) node: usize,
    /// Where its random values come from.
    pub(crate) scope: u64,
    pub(crate) state: State,
    pub(crate) fiber: Option<Fiber>,
    pub(crate) yielder: *const Yielder<(), ()>,
    pub(crate) slots: [*mut (); SlotKey::COUNT],
    pub(crate) exits: Vec<Box<dyn FnOnce()>>,
    /// The parking token; also what its wakers share.
    pub(crate) token: u32,
    pub(crate) waker: Arc<TokenWaker>,
    pub(crate) woken: Woken,
    /// The operation that it is in.
    pub(crate) doing: (Operation, &'static Location<'static>),
    pub(crate) joiner: Option<u32>,
    pub(crate) joined: bool,
    pub(crate) panic: Option<Box<dyn Any + Send>>,
    /// It has panicked at least once, itself or through a join.
    pub(crate) panicked: bool,
    pub(crate) entropy: Option<Stream>,
}

/// What a waiting thread waits for.
#[derive(Debug, Default)]
pub(crate) struct Token {
    pub(crate) set: bool,
    /// What those who set it had seen.
    pub(crate) view: Clock,
    pub(crate) waiter: Option<u32>,
}

/// How an execution is set up.
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) granularity: Granularity,
    pub(crate) limits: Limits,
    pub(crate) spurious_wakes: bool,
    pub(crate) plan: Plan,
    pub(crate) watch: Arc<Watch>,
    pub(crate) replayed: Option<Replayed>,
    pub(crate) tap: Option<Box<Tap>>,
    pub(crate) sites: Option<Rc<Sites>>,
    pub(crate) control: Control,
}

/// One execution.
pub(crate) struct World {
    pub(crate) seed: u64,
    /// No other world of this operating-system thread has it.
    pub(crate) serial: u64,
    pub(crate) granularity: Granularity,
    pub(crate) limits: Limits,
    pub(crate) spurious_wakes: bool,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) certificate: Certificate,
    pub(crate) prefixes: Prefixes,
    pub(crate) steps: u64,
    /// The trace that the decisions come from, if they do.
    pub(crate) replayed: Option<Replayed>,
    pub(crate) divergence: Option<Box<Divergence>>,
    /// Who listens.
    pub(crate) tap: Option<Box<Tap>>,
    pub(crate) sites: Option<Rc<Sites>>,
    /// What runs on each thread, as far as it has told.
    pub(crate) running: Vec<Running>,
    /// By number: the root first.
    pub(crate) hosts: Vec<Host>,

    pub(crate) threads: Vec<Thread>,
    pub(crate) live: u32,
    pub(crate) current: u32,
    pub(crate) next: u32,
    /// Both by number.
    pub(crate) runnable: Vec<u32>,
    pub(crate) parked: Vec<u32>,
    /// Hashes of both sets.
    pub(crate) runnable_hash: u64,
    pub(crate) parked_hash: u64,
    /// How many wait for a deadline.
    pub(crate) timed: u32,
    pub(crate) now: u64,
    pub(crate) tokens: Vec<Token>,

    /// What comes at its time without a thread that waits for it.
    pub(crate) agenda: Agenda,
    pub(crate) timers: Timers,
    pub(crate) net: Net,
    pub(crate) disks: Disks,
    pub(crate) plan: Plan,
    /// The step that is not passed without looking.
    pub(crate) stop_at: u64,
    pub(crate) control: Control,

    pub(crate) memory: Sequential,
    pub(crate) cells: Cells,
    pub(crate) views: Vec<View>,

    /// Nobody else runs while this is above zero.
    pub(crate) held: u32,
    /// The execution is over, and what it leaves is being dropped.
    pub(crate) quiet: bool,

    pub(crate) counts: Counts,
    pub(crate) abandoned: Abandoned,
    pub(crate) watch: Arc<Watch>,
    pub(crate) messages: Vec<String>,
    /// The tail of operations at the last panic, and its step.
    pub(crate) at_panic: Option<(u64, String)>,
    pub(crate) failure: Option<Failure>,
}

/// The execution has failed: the calling thread stops for ever.
#[derive(Debug)]
pub(crate) struct Failed;

thread_local! {
    static WORLD: Cell<*const RefCell<World>> = const { Cell::new(ptr::null()) };
    static SERIALS: Cell<u64> = const { Cell::new(0) };
}

/// Makes `world` the current one of this operating-system thread; null takes it away.
///
/// # Safety
/// `world` stays valid until it is replaced.
pub(crate) unsafe fn set(world: *const RefCell<World>) -> *const RefCell<World> {
    WORLD.replace(world)
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn get() -> *const RefCell<World> {
    WORLD.get()
}

/// Whether the caller is in a simulation.
pub(crate) fn is_there() -> bool {
    !get().is_null()
}

/// Calls `f` with the current world, if there is one and nobody is at it.
pub(crate) fn try_with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    let world = get();
    if world.is_null() {
        return None;
    }
    // SAFETY: `set` promises that a pointer which is not null is valid.
    let world = unsafe { &*world };
    world.try_borrow_mut().ok().map(|mut world| f(&mut world))
}

/// Calls `f` with the current world.
///
/// # Panics
/// Outside of a simulation.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    let world = get();
    if world.is_null() {
        outside();
    }
    // SAFETY: `set` promises that a pointer which is not null is valid.
    f(&mut unsafe { &*world }.borrow_mut())
}

#[cold]
fn outside() -> ! {
    panic!("an operation of the Sim platform outside of a simulation: use raddle_vopr::Simulation")
}

/// Runs the thread that was decided on. Returns when the calling thread runs again.
pub(crate) fn switch() {
    let yielder = with(|world| world.threads[world.current as usize].yielder);
    // SAFETY: the yielder lives as long as the thread's stack, and the thread runs on it now, or on
    // a fiber's stack nested in it.
    unsafe { &*yielder }.suspend(());
}

/// Stops the calling thread for ever: its execution has failed.
pub(crate) fn stop() -> ! {
    if with(|world| world.quiet) {
        panic!("the simulation failed while the globals were dropped");
    }
    loop {
        switch();
    }
}

/// The decision before an operation. When this returns, the caller is to do it.
#[inline]
pub(crate) fn enter(operation: Operation, site: &'static Location<'static>, class: Class) {
    match with(|world| world.begin(operation, site, class)) {
        Ok(false) => {}
        Ok(true) => switch(),
        Err(Failed) if control::goes_on(class) => {}
        Err(Failed) => stop(),
    }
}

/// An operation: first the decision who goes on, then `f`.
#[inline]
#[track_caller]
pub(crate) fn operate<R>(
    operation: Operation,
    class: Class,
    f: impl FnOnce(&mut World, Access) -> Result<(R, Effect), Fault>,
) -> R {
    let site = Location::caller();
    let mut f = Some(f);
    let done = with(|world| match world.begin(operation, site, class) {
        Ok(false) => f.take().map(|f| world.perform(operation, site, f)),
        Ok(true) => None,
        Err(Failed) => Some(Err(Failed)),
    });
    let done = match (done, f) {
        (Some(Err(Failed)), Some(f)) if control::goes_on(class) => {
            with(|world| world.perform(operation, site, f))
        }
        (Some(done), _) => done,
        (None, Some(f)) => {
            switch();
            with(|world| world.perform(operation, site, f))
        }
        (None, None) => Err(Failed),
    };
    match done {
        Ok(result) => result,
        Err(Failed) => stop(),
    }
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { seed, policy, granularity, limits, spurious_wakes, plan, .. } = setup;
        let Setup { watch, replayed, tap, sites, control, .. } = setup;
        let mut agenda = Agenda::default();
        let stop_at = control::first_stop(&limits, &plan, &control);
        if let Some((_, time)) = plan.calm_after {
            agenda.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Event::Calm);
        }
        let clocks = Clocks::of(seed, 0, 0, plan.is_on(FaultKind::ClockSkew));
        let mut net = Net::default();
        net.add_node();
        let mut disks = Disks::default();
        disks.add();
        let serial = SERIALS.get() + 1;
        SERIALS.set(serial);
        Self {
            seed,
            serial,
            granularity,
            limits,
            spurious_wakes,
            policy,
            decisions: Vec::new(),
            certificate: Certificate::default(),
            prefixes: Prefixes::default(),
            steps: 0,
            replayed,
            divergence: None,
            tap,
            sites,
            running: Vec::new(),
            hosts: vec![Host::new("the root", None, clocks)],
            threads: Vec::new(),
            live: 0,
            current: 0,
            next: 0,
            runnable: Vec::new(),
            parked: Vec::new(),
            runnable_hash: 0,
            parked_hash: 0,
            timed: 0,
            now: 0,
            tokens: Vec::new(),
            agenda,
            timers: Timers::default(),
            net,
            disks,
            plan,
            stop_at,
            control,
            memory: Sequential::default(),
            cells: Cells::default(),
            views: Vec::new(),
            held: 0,
            quiet: false,
            counts: Counts::default(),
            abandoned: Abandoned::default(),
            watch,
            messages: Vec::new(),
            at_panic: None,
            failure: None,
        }
    }

    pub(crate) fn thread(&mut self) -> &mut Thread {
        &mut self.threads[self.current as usize]
    }

    /// The current thread at `site`.
    pub(crate) fn access(&self, site: &'static Location<'static>) -> Access {
        Access { thread: self.current, site }
    }

    /// Counts an operation and decides who goes on: `true` if that is another thread.
    #[inline]
    fn begin(
        &mut self,
        operation: Operation,
        site: &'static Location<'static>,
        class: Class,
    ) -> Result<bool, Failed> {
        self.steps += 1;
        if self.quiet {
            return Ok(false);
        }
        if self.failure.is_some() {
            return Err(Failed);
        }
        self.thread().doing = (operation, site);
        if self.steps > self.stop_at {
            self.at_stop()?;
        }
        self.admit(class)
    }

    /// Decides who goes on before an operation has its turn.
    #[inline]
    pub(crate) fn admit(&mut self, class: Class) -> Result<bool, Failed> {
        let decides = match class {
            Class::Private => false,
            Class::Memory => self.granularity == Granularity::Atomics,
            Class::Blocking | Class::Yield => true,
        };
        if !decides || self.held > 0 {
            return Ok(false);
        }
        if self.plan.is_on(FaultKind::Pause) && self.pause()? {
            return Ok(self.next != self.current);
        }
        if self.hosts.len() > 1 && self.crash_strikes()? {
            return Ok(true);
        }
        self.decide(class == Class::Yield)?;
        Ok(self.next != self.current)
    }

    #[inline]
    fn perform<R>(
        &mut self,
        operation: Operation,
        site: &'static Location<'static>,
        f: impl FnOnce(&mut Self, Access) -> Result<(R, Effect), Fault>,
    ) -> Result<R, Failed> {
        let access = self.access(site);
        match f(self, access) {
            Ok((result, effect)) => {
                self.note(access.thread, operation, effect, site);
                Ok(result)
            }
            Err(fault) => Err(self.fault(operation, access, fault)),
        }
    }

    #[cold]
    pub(crate) fn fault(&mut self, operation: Operation, access: Access, fault: Fault) -> Failed {
        self.note(access.thread, operation, Effect::Done, access.site);
        let (thread, here) = (access.thread, Place(access.site));
        let message = match fault {
            Fault::Race(other) => format!(
                "data race: thread {thread} is in {operation} at {here}, and thread {} has it \
                 {} at {}, which no happens-before edge orders",
                other.thread,
                other.earlier,
                Place(other.site)
            ),
            Fault::Gone => format!(
                "data race: thread {thread} uses in {operation} at {here} what has been destroyed"
            ),
        };
        self.fail(FailureKind::DataRace, message)
    }

    /// The execution has failed. The first failure counts.
    #[cold]
    pub(crate) fn fail(&mut self, kind: FailureKind, message: String) -> Failed {
        if self.failure.is_none() {
            let mut messages = self.messages.clone();
            messages.push(message);
            let (step, history) = (self.steps, self.watch.history.render());
            self.failure = Some(Failure { kind, messages, step, history });
        }
        Failed
    }

    /// The strategy's log does not fit the execution.
    #[cold]
    pub(crate) fn diverged(&mut self, misfit: &Misfit) -> Failed {
        let report = self.misfit(misfit);
        let failed = self.fail(FailureKind::Divergence, report.to_string());
        self.divergence = Some(report);
        failed
    }

    /// Chooses among `options`, and logs it.
    pub(crate) fn choose(&mut self, kind: Kind, options: usize) -> Result<usize, Failed> {
        if options <= 1 || self.quiet {
            return Ok(0);
        }
        if self.tap.is_some() {
            self.before_decision(kind, options)?;
        }
        let chosen = self.policy.choose(kind, options).map_err(|misfit| self.diverged(&misfit))?;
        self.log(Decision::new(kind, options, chosen), 0);
        Ok(chosen)
    }

    #[inline]
    pub(crate) fn log(&mut self, decision: Decision, enabled: u64) {
        self.certificate.extend(self.steps, u64::from(self.current), enabled, decision);
        self.decisions.push(decision);
        self.prefixes.push(self.certificate);
        self.compare(decision);
    }

    /// What the current thread has done goes to `clock`, for whoever is told of it.
    pub(crate) fn publish(&mut self, to: impl FnOnce(&mut Self) -> &mut Clock) {
        if self.quiet {
            return;
        }
        let current = self.current;
        let mut view = core::mem::take(&mut self.views[current as usize]);
        to(self).join(&view.clock);
        view.tick(current);
        self.views[current as usize] = view;
    }

    /// Drops what a handle of the platform names, without any decision.
    pub(crate) fn destroyed(
        &mut self,
        what: Operation,
        access: Access,
        result: Result<(), Fault>,
    ) -> Result<(), Failed> {
        match result {
            Ok(()) => Ok(()),
            Err(_) if self.quiet || self.failure.is_some() => Ok(()),
            Err(fault) => Err(self.fault(what, access, fault)),
        }
    }
}
