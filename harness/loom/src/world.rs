//! The state of the execution that runs now.
//!
//! loom runs all threads of a model as coroutines on one operating-system thread, one at a time,
//! and switches only inside its own operations. So the world is an ordinary value behind a
//! thread-local pointer, without locks. Two rules keep that sound:
//!
//! - no borrow of a part of the world is open across a loom operation;
//! - whoever calls into loom restores the number of the running thread afterwards ([`Step`] does),
//!   for others ran in between.

use core::cell::{Cell, RefCell};
use core::panic::Location;
use core::ptr;
use core::time::Duration;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread::ThreadId;
use raddle_platform::SlotKey;
use raddle_platform::global::Table;

use crate::cpu;
use crate::files::Files;
use crate::history::History;
use crate::model::Model;
use crate::net::Net;
use crate::sites::Sites;
pub(crate) use crate::step::{Kind, Step};
use crate::token::Token;

/// How many operations of each kind ran, over all executions of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Atomic accesses and fences.
    pub atomics: u64,
    /// Calls of the parker.
    pub parker: u64,
    /// Readings of the clock, and waits with a deadline.
    pub clock: u64,
    /// Random numbers.
    pub rng: u64,
    /// Waits on drivers, and notifications.
    pub driver: u64,
    /// The most threads besides the main one that an execution started.
    pub threads: usize,
}

impl Counts {
    /// The operations of all kinds together.
    pub fn operations(&self) -> u64 {
        let Self { atomics, parker, clock, rng, driver, threads: _ } = self;
        atomics + parker + clock + rng + driver
    }
}

/// A panic in the current execution, caught or not.
#[derive(Clone, Debug)]
pub(crate) struct Panic {
    pub(crate) message: String,
    pub(crate) history: History,
}

/// What outlives an execution: the state of one check of a model.
pub(crate) struct Session {
    pub(crate) model: Model,
    /// The processor time at the start.
    pub(crate) started: Duration,
    /// How much there was when the progress was told last.
    pub(crate) told: Cell<Duration>,
    pub(crate) executions: Cell<u64>,
    pub(crate) counts: Cell<Counts>,
    pub(crate) history: RefCell<History>,
    pub(crate) sites: Sites,
    /// How often something other than the code says was done.
    pub(crate) mutated: Cell<u64>,
    /// The panics of the current execution, in order.
    pub(crate) panics: RefCell<Vec<Panic>>,
    /// Stacks that no model thread uses now.
    pub(crate) stacks: RefCell<Vec<corosensei::stack::DefaultStack>>,
    /// loom has found something, or the model has failed: nothing that runs from now on in this
    /// execution is to be trusted.
    pub(crate) broken: Cell<bool>,
}

impl Session {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            started: cpu::now(),
            told: Cell::default(),
            executions: Cell::new(0),
            counts: Cell::default(),
            history: RefCell::default(),
            sites: Sites::default(),
            mutated: Cell::new(0),
            panics: RefCell::default(),
            stacks: RefCell::default(),
            broken: Cell::new(false),
        }
    }
}

/// How a thread ended.
pub(crate) struct End {
    pub(crate) ended: Cell<bool>,
    /// Who sleeps until the end.
    pub(crate) waiter: Cell<Option<loom::thread::Thread>>,
    /// Somebody has joined the thread, or is about to.
    pub(crate) joined: Cell<bool>,
    pub(crate) panic: RefCell<Option<Box<dyn Any + Send>>>,
}

// SAFETY: used by model threads only, and they share one operating-system thread.
unsafe impl Send for End {}
// SAFETY: as above.
unsafe impl Sync for End {}

/// One model thread.
pub(crate) struct Thread {
    pub(crate) name: String,
    pub(crate) slots: [Cell<*mut ()>; SlotKey::COUNT],
    pub(crate) exits: RefCell<Vec<Box<dyn FnOnce()>>>,
    /// Who it is to loom, once it runs.
    pub(crate) loom: Cell<Option<ThreadId>>,
    /// How many random values it has taken.
    pub(crate) random: Cell<u64>,
    /// How many choices it has made.
    pub(crate) chosen: Cell<usize>,
    /// The parking token.
    pub(crate) token: Arc<Token>,
    pub(crate) end: Arc<End>,
}

/// One execution.
pub(crate) struct World {
    pub(crate) session: Rc<Session>,
    current: Cell<usize>,
    pub(crate) threads: RefCell<Vec<Rc<Thread>>>,
    objects: Cell<u32>,
    /// Where in production code each thread was last.
    pub(crate) last: [Cell<Option<&'static Location<'static>>>; loom::MAX_THREADS],
    /// The notification that is being made is to be lost.
    pub(crate) dropping: Cell<bool>,
    pub(crate) now: Cell<u64>,
    /// What operations on the clock touch; see `clock.rs`.
    pub(crate) clock: Condvar,
    /// What sequentially consistent fences touch: they stand in one order.
    pub(crate) fences: Condvar,
    pub(crate) net: RefCell<Net>,
    pub(crate) files: RefCell<Files>,
    pub(crate) globals_lock: Mutex<()>,
    pub(crate) globals: RefCell<Table>,
}

impl World {
    /// The world of a new execution; called inside it.
    pub(crate) fn new(session: Rc<Session>) -> Self {
        session.history.borrow_mut().clear();
        session.panics.borrow_mut().clear();
        Self {
            session,
            current: Cell::new(0),
            threads: RefCell::default(),
            objects: Cell::new(0),
            last: Default::default(),
            dropping: Cell::new(false),
            now: Cell::new(0),
            clock: Condvar::new(),
            fences: Condvar::new(),
            net: RefCell::default(),
            files: RefCell::default(),
            globals_lock: Mutex::new(()),
            globals: RefCell::default(),
        }
    }

    /// The running thread.
    pub(crate) fn thread(&self) -> Rc<Thread> {
        Rc::clone(&self.threads.borrow()[self.current.get()])
    }

    /// Whether loom takes the running thread for the same.
    pub(crate) fn agrees_with_loom(&self) -> bool {
        let known = self.thread().loom.get();
        known.is_none_or(|known| known == loom::thread::current().id())
    }

    /// The running thread's number; the main thread's is 0.
    pub(crate) fn current(&self) -> usize {
        self.current.get()
    }

    pub(crate) fn set_current(&self, thread: usize) {
        self.current.set(thread);
    }

    /// The number of a new object: the creation id that reports name it by.
    pub(crate) fn number_object(&self) -> u32 {
        let number = self.objects.get();
        self.objects.set(number + 1);
        number
    }

    /// Adds a thread and returns its number.
    pub(crate) fn add_thread(&self, name: String) -> usize {
        // The tokens are loom objects: made before the list is borrowed.
        let token = Arc::new(Token::new());
        let end = Arc::new(End {
            ended: Cell::new(false),
            waiter: Cell::new(None),
            joined: Cell::new(false),
            panic: RefCell::new(None),
        });
        let mut threads = self.threads.borrow_mut();
        threads.push(Rc::new(Thread {
            name,
            slots: Default::default(),
            exits: RefCell::default(),
            loom: Cell::new(None),
            random: Cell::new(0),
            chosen: Cell::new(0),
            token,
            end,
        }));
        let number = threads.len() - 1;
        let mut counts = self.session.counts.get();
        counts.threads = counts.threads.max(number);
        self.session.counts.set(counts);
        number
    }
}

thread_local! {
    static WORLD: Cell<*const World> = const { Cell::new(ptr::null()) };
}

/// Makes `world` the current one of this operating-system thread; null takes it away.
///
/// # Safety
/// `world` stays valid until it is replaced.
pub(crate) unsafe fn set(world: *const World) {
    WORLD.with(|current| current.set(world));
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn get() -> *const World {
    WORLD.with(Cell::get)
}

/// Calls `f` with the current world, if there is one.
pub(crate) fn try_with<R>(f: impl FnOnce(&World) -> R) -> Option<R> {
    let world = get();
    // SAFETY: `set` promises that a pointer which is not null is valid.
    (!world.is_null()).then(|| f(unsafe { &*world }))
}

/// Calls `f` with the current world.
///
/// # Panics
/// Outside of a model.
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&World) -> R) -> R {
    match try_with(f) {
        Some(result) => result,
        None => {
            panic!("an operation of the Loom platform outside of a model: use raddle_loom::Model")
        }
    }
}

/// Whether destructors may call into loom: inside of an execution that has not failed.
pub(crate) fn trusted() -> bool {
    !std::thread::panicking() && try_with(|world| !world.session.broken.get()).unwrap_or(false)
}

/// Marks a point whose order with the other uses of `what` matters: loom tries both. Nobody waits
/// on these condition variables, so the call has no effect on memory and makes no happens-before
/// edge, which an atomic would.
pub(crate) fn touch(what: impl FnOnce(&World) -> &Condvar) {
    let what = with(|world| core::ptr::from_ref(what(world)));
    // SAFETY: the world outlives the operation. (A pointer, because others run inside and no
    // borrow of the world may be open then.)
    unsafe { &*what }.notify_one();
}
