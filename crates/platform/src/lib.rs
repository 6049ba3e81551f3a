//! Every source of nondeterminism, as one trait family.
//!
//! Concurrent code is hard to test because its outcome depends on things that a test does not
//! hold: which thread runs, which store a load sees, what the clock says, what the kernel
//! answers. Raddle's production crates take all of these from a type parameter `P:`[`Platform`].
//! [`Native`] forwards each operation to the machine and costs nothing; a model checker, a
//! simulator or a sanitizer harness is another type behind the same traits, so the code that is
//! tested is the code that ships.
//!
//! ```
//! use raddle_platform::{Atomic, AtomicInt, Native, Ordering, Platform};
//!
//! struct Tickets<P: Platform = Native> {
//!     next: P::AtomicUsize,
//! }
//!
//! impl<P: Platform> Tickets<P> {
//!     fn new_in() -> Self {
//!         Self { next: P::AtomicUsize::new(0) }
//!     }
//!     fn take(&self) -> usize {
//!         self.next.fetch_add(1, Ordering::Relaxed)
//!     }
//! }
//!
//! let tickets: Tickets = Tickets::new_in();
//! assert_eq!((tickets.take(), tickets.take()), (0, 1));
//! ```
//!
//! The page [`why_generics`] says why this is a type parameter and not a `cfg`.
//!
//! **Architecture Invariant:** this is the only production crate that names an operating system
//! facility, `std::sync`, `std::thread`, `std::time`, `std::net`, `std::fs` or `std::env`.

mod atomic;
mod bounds;
mod context;
pub mod driver;
mod event;
pub mod global;
pub mod native;
mod parker;
mod race;
mod rng;
mod strand;
pub mod suspend;
mod threads;
mod time;
#[doc = include_str!("../../../docs/why-generics.md")]
pub mod why_generics {}

pub use atomic::{Atomic, AtomicInt};
pub use bounds::{Bounds, CellBounds};
pub use context::Context;
pub use core::sync::atomic::Ordering;
pub use driver::Driver;
pub use event::{Choice, Event, EventKind, Object, ObjectKind, Site};
pub use native::Native;
pub use parker::Parker;
pub use race::{Race, RaceCell};
pub use rng::Rng;
pub use strand::Strand;
pub use threads::{SlotKey, Threads};
pub use time::{Clock, Instant};

use core::fmt::Debug;

/// A world that code can run in.
///
/// The type is a zero-sized tag: state lives in the world (threads, statics of the platform's own
/// crate), never in the tag. Production code names no implementation; it takes `P: Platform` and
/// lets the caller choose.
///
/// Every operation is `#[track_caller]` on its declaration, which covers all implementations: a
/// harness learns file, line and column of the operation without debug information.
pub trait Platform: Copy + Default + Debug + Send + Sync + 'static {
    /// A shared `bool`.
    type AtomicBool: Atomic<bool>;
    /// A shared `u32`.
    type AtomicU32: AtomicInt<u32>;
    /// A shared `u64`.
    type AtomicU64: AtomicInt<u64>;
    /// A shared `usize`.
    type AtomicUsize: AtomicInt<usize>;
    /// A shared raw pointer.
    type AtomicPtr<T>: Atomic<*mut T>;
    /// The checker that stands beside unsynchronised shared data; see [`RaceCell`].
    type Race: Race;
    /// Where the time comes from.
    type Clock: Clock;
    /// The only randomness.
    type Rng: Rng;
    /// Blocks and wakes operating-system threads.
    type Parker: Parker;
    /// Starts threads and keeps their slots.
    type Threads: Threads;
    /// Submits I/O and hands back its completions.
    type Driver: Driver;
    /// Is told of every stack switch.
    type Context: Context;
    /// What the world keeps with each task.
    type Strand: Strand;
    /// Lives as long as the call of a primitive; see [`called`](Platform::called).
    type Called;
    /// Where the fences of a handshake meet; see [`fence`](Platform::fence).
    type Handshake: Default + Debug + Send + Sync + 'static;

    /// How large queues are and how long anybody spins. A model checker makes them small, so that
    /// the edges come within reach; no logic depends on the values.
    const BOUNDS: Bounds;

    /// The same for versioned cells.
    const CELL_BOUNDS: CellBounds;

    /// A memory fence, as one side of each of `handshakes`.
    ///
    /// A fence works only together with another one: both sides of a store-load handshake have a
    /// fence between their store and their load. Both name the handshake, because not every world
    /// understands fences: ThreadSanitizer does not, so the hammer makes each a read-modify-write
    /// on a word of the handshake. (One word for all would order what is not.)
    #[track_caller]
    fn fence(order: Ordering, handshakes: &[&Self::Handshake]);

    /// The cheap side of an asymmetric pair of fences: for whoever comes often. It costs next to
    /// nothing where the kernel can make the other side pay (`membarrier`); elsewhere it is a
    /// [`fence`](Platform::fence).
    ///
    /// It orders only against [`fence_heavy`](Platform::fence_heavy): of a light fence and a heavy
    /// one, one comes first, and what stands before it is seen after the other. Between two light
    /// fences there is no order at all.
    #[track_caller]
    fn fence_light(handshakes: &[&Self::Handshake]);

    /// The dear side of an asymmetric pair of fences: for whoever comes seldom. A system call, and
    /// an interrupt of each processor that runs a thread of this process.
    ///
    /// A process that has light fences should pass a heavy one early: from then on they are cheap.
    #[track_caller]
    fn fence_heavy(handshakes: &[&Self::Handshake]);

    /// One iteration of a busy wait.
    #[track_caller]
    fn spin_loop();

    /// An optimistic loop starts over. `reason` names the loop in coverage reports.
    #[track_caller]
    fn retry(reason: &'static str);

    /// Picks one of `n` alternatives. `Native` applies the rule that it finds best for `kind`; a
    /// harness explores them all. `n` is at least 1 and the answer is below it.
    #[track_caller]
    fn choose(kind: Choice, n: usize) -> usize;

    /// A primitive is called, for as long as the result lives: by `Location::caller()` the world learns
    /// from where. Inside, all callers have the same sites, so a world that acts by sites could not
    /// tell them apart.
    #[must_use]
    #[track_caller]
    fn called() -> Self::Called;

    /// Asks whether the rare path at `site` shall be taken although nothing forces it. Constant
    /// `false` in production.
    #[track_caller]
    fn buggify(site: Site) -> bool;

    /// Tells the world what happened. Vanishes in production.
    #[track_caller]
    fn event(event: &Event<'_>);

    /// The value of `key` in this world, made by `init` at the first call: what a `static` would
    /// be, if statics could be generic and were fresh for every simulated process.
    #[track_caller]
    fn global<T: Send + Sync + 'static>(
        key: &'static global::Key,
        init: fn() -> T,
    ) -> global::Handle<T>;

    /// The environment variable `name`, if it is set. Undecodable bytes are replaced, so that
    /// the caller's parser refuses them instead of ignoring them.
    fn variable(name: &str) -> Option<String>;
}
