//! The world `Sim`.

use core::ops::Range;
use core::panic::Location;
use core::sync::atomic::Ordering;

use raddle_platform::global::{Handle, Key};
use raddle_platform::{Bounds, CellBounds, Choice, Context, Event, Platform, Site};

use crate::decisions::Kind;
use crate::history::{Effect, Name, On, Operation};
use crate::memory::Memory;
use crate::trace::{self, Running};
use crate::waits::Actor;
use crate::world::{Class, Failed, World, enter, operate, stop, with};
use crate::{atomics, driver, entropy, parker, race, threads, time};

/// Threads, memory and time of a simulation. Its operations work only inside a
/// [`Simulation`](crate::Simulation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sim;

impl Platform for Sim {
    type AtomicBool = atomics::AtomicBool;
    type AtomicU32 = atomics::AtomicU32;
    type AtomicU64 = atomics::AtomicU64;
    type AtomicUsize = atomics::AtomicUsize;
    type AtomicPtr<T> = atomics::AtomicPtr<T>;
    type Race = race::SimRace;
    type Clock = time::SimClock;
    type Rng = entropy::SimRng;
    type Parker = parker::SimParker;
    type Threads = threads::SimThreads;
    type Driver = driver::SimDriver;
    type Context = SimContext;
    type Strand = ();
    type Called = ();
    type Handshake = ();

    /// Small, so that every queue fills and every budget ends within a short run.
    const BOUNDS: Bounds = Bounds {
        run_queue_slots: 4,
        lifo_runs: 1,
        maintenance_ticks: 3,
        lock_looks: 1,
        barges: 1,
        barge_ns: 1_000,
        pause_rounds: 1,
        spins: 2,
        idle_searches: 1,
        registry_shards: 1,
        completion_batch: 2,
    };

    const CELL_BOUNDS: CellBounds = CellBounds {
        garbage_batch: 2,
        garbage_limit: 8,
        collector_looks: 2,
        collector_ns: 1_000,
        update_retries: 4,
        transaction_retries: 4,
        versions: 3,
    };

    fn fence(order: Ordering, _: &[&()]) {
        let operation =
            Operation { name: Name::Fence, on: On::Nothing, object: 0, order: Some(order) };
        operate(operation, Class::Memory, |world, by| {
            world.counts.atomics += 1;
            world.memory.fence(&mut world.views, by, order);
            Ok(((), Effect::Done))
        });
    }

    fn fence_light(handshakes: &[&()]) {
        Self::fence(Ordering::SeqCst, handshakes);
    }

    fn fence_heavy(handshakes: &[&()]) {
        Self::fence(Ordering::SeqCst, handshakes);
    }

    fn spin_loop() {
        operate(Operation::plain(Name::SpinLoop), Class::Yield, |_, _| Ok(((), Effect::Done)));
    }

    fn retry(_: &'static str) {
        operate(Operation::plain(Name::Retry), Class::Private, |_, _| Ok(((), Effect::Done)));
    }

    /// A decision of the log. The order of tasks is not one yet: it is the one that ships.
    fn choose(kind: Choice, n: usize) -> usize {
        if matches!(kind, Choice::Spawn | Choice::NextTask) {
            let site = Location::caller();
            with(|world| world.reach_by_name(Name::Choose.text(), site));
            return 0;
        }
        let chosen = operate(Operation::plain(Name::Choose), Class::Private, |world, _| {
            let chosen = world.choose(Kind::Choose, n);
            let effect = Effect::Value(*chosen.as_ref().unwrap_or(&0) as u64);
            Ok((chosen, effect))
        });
        match chosen {
            Ok(chosen) => chosen,
            Err(Failed) => stop(),
        }
    }

    fn called() {}

    fn buggify(site: Site) -> bool {
        let caller = Location::caller();
        let is_on = with(|world| {
            world.reach_by_name("buggify", caller);
            world.plan.is_on(World::fault_at(site))
        });
        // No operation where nothing can come of it: without faults the execution is as if it were
        // not asked.
        if !is_on {
            return false;
        }
        let taken = operate(Operation::plain(Name::Fault), Class::Private, |world, _| {
            Ok((world.buggify(site), Effect::Done))
        });
        taken.unwrap_or_else(|Failed| stop())
    }

    /// Who is told decides what to keep; that anybody listens changes nothing.
    fn event(event: &Event<'_>) {
        let site = Location::caller();
        let listens = with(|world| {
            world.reach_by_name("event", site);
            let current = world.current as usize;
            if world.running.len() <= current {
                world.running.resize(current + 1, Running::default());
            }
            world.running[current] = trace::running(event, world.running[current]);
            let task = world.running[current].task.map(Actor::Task);
            let actor = task.unwrap_or(Actor::Thread(world.current));
            world.host().waits.told(actor, event, site);
            world.timer_told(event);
            world.tap.is_some()
        });
        if listens {
            let (kind, fields) = trace::take_apart(event);
            with(|world| world.told(site, &kind, &fields));
        }
    }

    fn global<T: Send + Sync + 'static>(key: &'static Key, init: fn() -> T) -> Handle<T> {
        let site = Location::caller();
        enter(Operation::plain(Name::Global), site, Class::Memory);
        with(|world| world.reach_by_name(Name::Global.text(), site));
        // Nobody else runs meanwhile: the table is not at its place.
        let table = with(|world| {
            world.held += 1;
            world.host().globals.take()
        });
        let Some(mut table) = table else {
            panic!("a global asks for a global: the initialisation would wait for itself");
        };
        let value = table.get(key, init);
        let name = format!("{key:?} {}", core::any::type_name::<T>());
        with(|world| {
            world.held -= 1;
            let (current, node) = (world.current as usize, world.node());
            let (host, view) = (&mut world.hosts[node], &mut world.views[current]);
            host.globals = Some(table);
            match host.global_views.iter().find(|(known, _)| *known == name) {
                Some((_, made)) => view.clock.join(made),
                None => {
                    host.global_views.push((name, view.clock.clone()));
                    view.tick(current as u32);
                }
            }
        });
        value
    }

    /// A simulation has no environment.
    fn variable(_: &str) -> Option<String> {
        None
    }
}

/// Nobody needs to know of stack switches: simulated threads are coroutines already.
#[derive(Debug)]
pub struct SimContext;

impl Context for SimContext {
    type Handle = ();
    fn current() {}
    fn create(_: Range<usize>) {}
    fn switch_to((): ()) {}
    fn switch_for_good((): ()) {}
    fn switched() {}
    fn destroy((): ()) {}
}
