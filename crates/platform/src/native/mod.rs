//! Production: every operation goes to the machine.

mod atomics;
mod clock;
mod context;
mod counted;
pub mod driver;
mod entropy;
mod handshake;
mod lock;
mod membarrier;
mod parker;
pub mod stack;
mod threads;
mod waits;

pub use atomics::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
pub use clock::NativeClock;
pub use context::NativeContext;
pub use entropy::NativeRng;
pub use handshake::Handshake;
pub use parker::NativeParker;
pub use threads::NativeThreads;
pub use waits::waits;

use lock::Lock;

use crate::event::{Choice, Event, Site};
use crate::global::{Handle, Key, Table};
use crate::rng::Rng;
use crate::{Bounds, CellBounds, Ordering, Platform, Race};

/// The sanitizer that the program is compiled with, which is told of stack switches: `thread`,
/// `address` or nothing.
pub const SANITIZER: &str = if cfg!(raddle_sanitize = "thread") {
    "thread"
} else if cfg!(raddle_sanitize = "address") {
    "address"
} else {
    ""
};

/// The world of production. Every operation is inlined to the one of `core` or of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Native;

impl Native {
    /// The place where the fences of a handshake meet, for what is made in a `const`.
    #[cfg(not(raddle_sanitize = "thread"))]
    #[inline]
    pub const fn handshake() -> <Self as Platform>::Handshake {}

    /// The place where the fences of a handshake meet, for what is made in a `const`.
    #[cfg(raddle_sanitize = "thread")]
    #[inline]
    pub const fn handshake() -> <Self as Platform>::Handshake {
        Handshake::new()
    }
}

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
    #[cfg(not(raddle_sanitize = "thread"))]
    type Handshake = ();
    #[cfg(raddle_sanitize = "thread")]
    type Handshake = Handshake;

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

    const CELL_BOUNDS: CellBounds = CellBounds {
        garbage_batch: 64,
        garbage_limit: 65_536,
        collector_looks: 100,
        collector_ns: 10_000_000,
        update_retries: 64,
        transaction_retries: 64,
        versions: 64,
    };

    #[inline(always)]
    fn fence(order: Ordering, handshakes: &[&Self::Handshake]) {
        core::sync::atomic::fence(order);
        // ThreadSanitizer does not understand the fence; and without it nobody needs more.
        #[cfg(raddle_sanitize = "thread")]
        handshakes.iter().for_each(|handshake| handshake.meet());
        let _ = handshakes;
    }

    #[inline(always)]
    fn fence_light(handshakes: &[&Self::Handshake]) {
        membarrier::light();
        #[cfg(raddle_sanitize = "thread")]
        handshakes.iter().for_each(|handshake| handshake.meet());
        let _ = handshakes;
    }

    fn fence_heavy(handshakes: &[&Self::Handshake]) {
        membarrier::heavy();
        #[cfg(raddle_sanitize = "thread")]
        handshakes.iter().for_each(|handshake| handshake.meet());
        let _ = handshakes;
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
