//! Production: every operation goes to the machine.

mod atomics;
mod clock;
mod counted;
pub mod driver;
mod entropy;
mod lock;
mod parker;
pub mod stack;
mod threads;
mod waits;

use core::ops::Range;

pub use atomics::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
pub use clock::NativeClock;
pub use entropy::NativeRng;
pub use parker::NativeParker;
pub use threads::NativeThreads;
pub use waits::waits;

use lock::Lock;

use crate::event::{Choice, Event, Site};
use crate::global::{Handle, Key, Table};
use crate::rng::Rng;
use crate::{Bounds, Context, Ordering, Platform, Race};

/// The world of production. Every operation is inlined to the one of `core` or of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Native;

impl Platform for Native {
    type AtomicBool = AtomicBool;
    type AtomicU32 = AtomicU32;
    type AtomicU64 = AtomicU64;
    type AtomicUsize = AtomicUsize;
    type AtomicPtr<T> = AtomicPtr<T>;
    type Race = NativeRace;
    type Clock = NativeClock;
    type Rng = NativeRng;
    type Parker = NativeParker;
    type Threads = NativeThreads;
    type Driver = driver::NativeDriver;
    type Context = NativeContext;
    type Strand = ();
    type Called = ();
    type Handshake = ();

    const BOUNDS: Bounds = Bounds {
        run_queue_slots: 256,
        lifo_runs: 3,
        maintenance_ticks: 61,
        lock_looks: 5,
        barges: 64,
        barge_ns: 500_000,
        pause_rounds: 7,
        spins: 64,
        idle_searches: 2,
        registry_shards: 4,
        completion_batch: 256,
    };

    #[inline(always)]
    fn fence(order: Ordering, _handshakes: &[&()]) {
        core::sync::atomic::fence(order);
    }

    #[inline(always)]
    fn spin_loop() {
        core::hint::spin_loop();
    }

    #[inline(always)]
    fn retry(_reason: &'static str) {}

    #[inline(always)]
    fn called() {}

    #[inline(always)]
    fn choose(kind: Choice, n: usize) -> usize {
        match kind {
            Choice::StealVictim | Choice::Placement if n > 1 => {
                (NativeRng::u64() % n as u64) as usize
            }
            _ => 0,
        }
    }

    #[inline(always)]
    fn buggify(_site: Site) -> bool {
        false
    }

    #[inline(always)]
    fn event(_event: &Event<'_>) {}

    fn global<T: Send + Sync + 'static>(key: &'static Key, init: fn() -> T) -> Handle<T> {
        static GLOBALS: Lock<Option<Table>> = Lock::new(None);
        GLOBALS.lock().get_or_insert_default().get(key, init)
    }

    fn variable(name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

/// Checks nothing.
#[derive(Debug, Default)]
pub struct NativeRace;

impl NativeRace {
    pub(crate) const fn new_const() -> Self {
        Self
    }
}

impl Race for NativeRace {
    type Read = ();
    type Write = ();
    #[inline(always)]
    fn new() -> Self {
        Self
    }
    #[inline(always)]
    fn read(&self) {}
    #[inline(always)]
    fn write(&self) {}
}

/// Is told of stack switches and does nothing.
#[derive(Debug)]
pub struct NativeContext;

impl Context for NativeContext {
    type Handle = ();
    #[inline(always)]
    fn current() {}
    #[inline(always)]
    fn create(_stack: Range<usize>) {}
    #[inline(always)]
    fn switch_to(_to: ()) {}
    #[inline(always)]
    fn switch_for_good(_to: ()) {}
    #[inline(always)]
    fn switched() {}
    #[inline(always)]
    fn destroy(_handle: ()) {}
}
