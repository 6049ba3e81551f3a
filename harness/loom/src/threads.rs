//! Model threads.
//!
//! Each is a loom thread with our own end: loom's `JoinHandle::join` blocks on an object that a
//! stray `unpark` releases, and it hides panics. A body runs on a stack of ours, taken from a pool:
//! loom gives its main thread 32 KiB, which an unoptimised runtime overruns, and a fresh mapping
//! per thread and execution would cost more than the execution.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::stack::DefaultStack;
use raddle_platform::{SlotKey, Threads};

use crate::history::Effect;
use crate::world::{End, Kind, Session, Step, Thread, World, try_with, with};

/// Threads of a model: loom has five, with the main one.
#[derive(Debug)]
pub struct LoomThreads;

/// Threads besides the main one.
pub(crate) const MAX_SPAWNED: usize = loom::MAX_THREADS - 1;

const STACK_BYTES: usize = 512 * 1024;

/// A thread that was started.
pub struct LoomJoinHandle {
    end: Arc<End>,
    number: usize,
}

impl core::fmt::Debug for LoomJoinHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("LoomJoinHandle")
    }
}

/// Runs `body` on a stack of the pool. The stack of a body that never returns is leaked.
pub(crate) fn on_pooled_stack<R>(session: &Session, body: impl FnOnce() -> R) -> R {
    let pooled = session.stacks.borrow_mut().pop();
    let mut stack = pooled.unwrap_or_else(|| match DefaultStack::new(STACK_BYTES) {
        Ok(stack) => stack,
        Err(error) => panic!("no stack for a model thread: {error}"),
    });
    let result = corosensei::on_stack(&mut stack, body);
    session.stacks.borrow_mut().push(stack);
    result
}

/// Is the thread `number`, from its first moment to its last.
pub(crate) fn run(number: usize, body: impl FnOnce()) {
    let (session, thread) = with(|world| {
        world.set_current(number);
        (Rc::clone(&world.session), world.thread())
    });
    thread.loom.set(Some(loom::thread::current().id()));
    let result = on_pooled_stack(&session, || {
        catch_unwind(AssertUnwindSafe(|| {
            body();
            // One at a time: an exit may register another.
            while let Some(exit) = { thread.exits.borrow_mut().pop() } {
                exit();
            }
        }))
    });
    if let Err(panic) = result {
        *thread.end.panic.borrow_mut() = Some(panic);
    }
    thread.end.set(number);
}

/// Waits for every thread that nobody has joined, so that an execution ends when all of it has.
///
/// # Panics
/// When one of them panicked: nobody would ever hear of it.
pub(crate) fn join_the_rest() {
    for number in 1.. {
        let Some(thread) = with(|world| world.threads.borrow().get(number).cloned()) else { break };
        if !thread.end.joined.replace(true) {
            thread.end.wait(number);
            with(|world| world.set_current(0));
        }
        if thread.end.panic.borrow().is_some() {
            panic!("thread {number} ({}) panicked and nobody joined it", thread.name);
        }
    }
}

loom::lazy_static! {
    static ref END_1: () = ();
    static ref END_2: () = ();
    static ref END_3: () = ();
    static ref END_4: () = ();
}

/// Makes the happens-before edge from the end of the thread `number` to its join, from the first
/// call to all later ones.
///
/// The initialisation of loom's lazy statics does that without a point at which loom might switch.
/// None is needed: whether the thread ends before or after somebody begins to wait for it makes no
/// difference to anybody, and telling loom of both orders would double the executions per thread.
fn end_edge(number: usize) {
    match number {
        1 => *END_1,
        2 => *END_2,
        3 => *END_3,
        4 => *END_4,
        _ => {}
    }
}

impl End {
    /// The calling thread, which is `number`, has ended.
    fn set(&self, number: usize) {
        end_edge(number);
        self.ended.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.unpark();
        }
    }

    /// Waits for the end of the thread `number`.
    fn wait(&self, number: usize) {
        if !self.ended.get() {
            self.waiter.set(Some(loom::thread::current()));
            loom::thread::park();
        }
        end_edge(number);
    }
}

fn thread() -> Rc<Thread> {
    with(World::thread)
}

impl Threads for LoomThreads {
    type JoinHandle = LoomJoinHandle;

    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<LoomJoinHandle> {
        let step = Step::plain(Kind::Other, "spawn", None);
        if with(|world| world.threads.borrow().len()) > MAX_SPAWNED {
            let message = format!("loom has {} threads with the main one", MAX_SPAWNED + 1);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, message));
        }
        let number = with(|world| world.add_thread(name));
        let end = with(|world| Arc::clone(&world.threads.borrow()[number].end));
        loom::thread::spawn(move || run(number, body));
        step.end(Effect::Value(number as u64));
        Ok(LoomJoinHandle { end, number })
    }

    fn join(handle: LoomJoinHandle) -> Result<(), Box<dyn Any + Send>> {
        let step = Step::plain(Kind::Other, "join", None);
        handle.end.joined.set(true);
        handle.end.wait(handle.number);
        step.end(Effect::Done);
        match handle.end.panic.borrow_mut().take() {
            None => Ok(()),
            Some(panic) => Err(panic),
        }
    }

    fn id() -> u64 {
        with(World::current) as u64 + 1
    }

    fn yield_now() {
        let step = Step::plain(Kind::Other, "yield_now", None);
        loom::thread::yield_now();
        step.end(Effect::Done);
    }

    fn available_parallelism() -> usize {
        2
    }

    fn slot(key: SlotKey) -> *mut () {
        thread().slots[key as usize].get()
    }

    fn set_slot(key: SlotKey, value: *mut ()) -> *mut () {
        thread().slots[key as usize].replace(value)
    }

    fn on_exit(f: Box<dyn FnOnce()>) -> bool {
        thread().exits.borrow_mut().push(f);
        true
    }

    fn panicking() -> bool {
        std::thread::panicking()
    }

    fn tearing_down() -> bool {
        try_with(|world| world.session.broken.get()).unwrap_or(true)
    }
}
