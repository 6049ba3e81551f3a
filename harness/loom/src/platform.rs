//! The world `Loom`.

use core::ops::Range;
use core::sync::atomic::Ordering;

use raddle_platform::global::{Handle, Key};
use raddle_platform::{Bounds, CellBounds, Choice, Context, Event, Platform, Site};

use crate::history::Effect;
use crate::step;
use crate::world::{Kind, Step, touch, with};
use crate::{atomics, clock, driver, parker, race, rng, threads};

/// Threads and memory as loom explores them. Its operations work only inside a
/// [`Model`](crate::Model).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loom;

impl Platform for Loom {
    type AtomicBool = atomics::AtomicBool;
    type AtomicU32 = atomics::AtomicU32;
    type AtomicU64 = atomics::AtomicU64;
    type AtomicUsize = atomics::AtomicUsize;
    type AtomicPtr<T> = atomics::AtomicPtr<T>;
    type Race = race::LoomRace;
    type Clock = clock::LoomClock;
    type Rng = rng::LoomRng;
    type Parker = parker::LoomParker;
    type Threads = threads::LoomThreads;
    type Driver = driver::LoomDriver;
    type Context = LoomContext;
    type Strand = ();
    type Called = ();
    type Handshake = ();

    /// As small as they can be: each queue is full after a few pushes, and nobody spins. (A spin
    /// would have to yield, and a yield makes loom explore less.)
    const BOUNDS: Bounds = Bounds {
        run_queue_slots: 4,
        lifo_runs: 1,
        maintenance_ticks: 2,
        lock_looks: 0,
        barges: 1,
        barge_ns: 1_000,
        pause_rounds: 7,
        spins: 64,
        idle_searches: 0,
        registry_shards: 1,
        completion_batch: 2,
    };

    const CELL_BOUNDS: CellBounds = CellBounds {
        garbage_batch: 1,
        garbage_limit: 2,
        collector_looks: 0,
        collector_ns: 1_000,
        update_retries: 3,
        transaction_retries: 4,
        versions: 3,
    };

    fn fence(order: Ordering, _: &[&()]) {
        fence("fence", order);
    }

    /// A full fence: loom knows no others. What rests on the order of two light ones is not found.
    fn fence_light(_: &[&()]) {
        fence("fence_light", Ordering::SeqCst);
    }

    fn fence_heavy(_: &[&()]) {
        fence("fence_heavy", Ordering::SeqCst);
    }

    fn spin_loop() {
        // Without the yield loom would follow the spin for ever.
        let step = Step::plain(Kind::Other, "spin_loop", None);
        loom::thread::yield_now();
        step.end(Effect::Done);
    }

    fn retry(reason: &'static str) {
        Step::plain(Kind::Other, "retry", None).end(Effect::Text(reason));
    }

    /// Takes turns: loom has no choice but that of a thread or a store. Where the order of tasks
    /// is asked for there are no turns: scenarios rest on the one that ships.
    fn choose(kind: Choice, n: usize) -> usize {
        if matches!(kind, Choice::Spawn | Choice::NextTask) {
            step::note("choose");
            return 0;
        }
        let step = Step::plain(Kind::Other, "choose", None);
        let chosen = with(|world| {
            let thread = world.thread();
            let count = thread.chosen.get();
            thread.chosen.set(count + 1);
            count % n
        });
        step.end(Effect::Value(chosen as u64));
        chosen
    }

    fn called() {}

    fn buggify(_: Site) -> bool {
        step::note("buggify");
        false
    }

    fn event(event: &Event<'_>) {
        let (name, id) = match *event {
            Event::Spawned { task, .. } => ("spawned task", task),
            Event::Scheduled { task, .. } => ("scheduled task", task),
            Event::Yielded { task } => ("yielded task", task),
            Event::Parked { task } => ("parked task", task),
            Event::Woken { task } => ("woken task", task),
            Event::Completed { task } => ("completed task", task),
            Event::Cancelled { task } => ("cancelled task", task),
            Event::Stolen { count, .. } => ("stole tasks", count as u64),
            _ => ("other event", 0),
        };
        step::note("event");
        Step::plain(Kind::Other, name, None).end(Effect::Value(id));
    }

    fn global<T: Send + Sync + 'static>(key: &'static Key, init: fn() -> T) -> Handle<T> {
        let step = Step::plain(Kind::Other, "global", None);
        let world = with(core::ptr::from_ref);
        // SAFETY: the world outlives the operation. (A pointer, because others run inside.)
        let world = unsafe { &*world };
        // The lock orders the initialisation before every use, as the one of `Native` does.
        let handle = match world.globals_lock.lock() {
            Ok(_locked) => {
                step.resumed();
                world.globals.borrow_mut().get(key, init)
            }
            Err(_) => panic!("the initialisation of a global panicked"),
        };
        step.end(Effect::Done);
        handle
    }

    /// A model has no environment.
    fn variable(_: &str) -> Option<String> {
        None
    }
}

#[track_caller]
fn fence(name: &'static str, order: Ordering) {
    let step = Step::plain(Kind::Atomics, name, Some(order));
    // A fence that a mutation has made relaxed is none.
    let order = step.order(order);
    if order == Ordering::SeqCst {
        // Their order is a part of the execution, and loom does not switch at them by itself.
        touch(|world| &world.fences);
    }
    if order != Ordering::Relaxed {
        loom::sync::atomic::fence(order);
    }
    step.end(Effect::Done);
}

/// Nobody needs to know of stack switches: loom's threads are coroutines already.
#[derive(Debug)]
pub struct LoomContext;

impl Context for LoomContext {
    type Handle = ();
    fn current() {}
    fn create(_: Range<usize>) {}
    fn switch_to((): ()) {}
    fn switch_for_good((): ()) {}
    fn switched() {}
    fn destroy((): ()) {}
}
