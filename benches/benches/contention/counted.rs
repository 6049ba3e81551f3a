//! `Native`, with its operations counted, and with the bounds of a strategy.
//!
//! Each thread and each fiber counts for itself, in words that nobody else writes, so that counting adds no
//! contention of its own; the scheduler's operations are its thread's. What the parker of `Native` does inside is not seen through the platform; it is added as its
//! source has it (`crates/platform/src/native/parker.rs`): a swap for a wake; for a park the
//! two swaps of the token, and taking and giving back a reference to it.

use std::cell::Cell;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{RawWaker, RawWakerVTable, Waker};

use raddle_platform::global::{Handle, Key};
use raddle_platform::native::{self, NativeClock, NativeParker, NativeRng, NativeThreads};
use raddle_platform::{
    Atomic, AtomicInt, Bounds, CellBounds, Choice, Event, Instant, Native, Ordering, Parker,
    Platform, Site, SlotKey, Strand, Threads,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// Read-modify-writes, also those that fail, and fences.
    Rmw,
    /// Loads and stores.
    Access,
    /// Calls of a waker: of threads and of fibers.
    Wake,
    /// Suspensions: a thread that parks, a fiber that does.
    Park,
    /// Yields of threads to the system's scheduler, and of fibers to theirs.
    Yield,
}

const COUNTS: usize = 5;

/// The counts of a thread or a fiber, or the sum over all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; COUNTS]);

impl Counts {
    /// In the order of [`Count`].
    pub(crate) fn numbers(&self) -> [f64; COUNTS] {
        self.0.map(|count| count as f64)
    }

    /// What all counted until now.
    pub(crate) fn all() -> Self {
        let mut sum = Self::default();
        for words in ALL.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            sum.add(&Self::read(words));
        }
        sum
    }

    /// What the calling thread or fiber counted until now.
    pub(crate) fn mine() -> Self {
        Self::read(words())
    }

    fn read(words: &Words) -> Self {
        Self(std::array::from_fn(|index| words[index].load(Ordering::Relaxed)))
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index] - before.0[index]))
    }
}

type Words = [AtomicU64; COUNTS];

/// Those of everybody who ever counted: they are few, and stay.
static ALL: Mutex<Vec<&'static Words>> = Mutex::new(Vec::new());

thread_local! {
    /// Of the fiber that runs on the thread, or else of the thread.
    static MINE: Cell<Option<&'static Words>> = const { Cell::new(None) };
}

fn new_words() -> &'static Words {
    let words: &'static Words = Box::leak(Box::default());
    ALL.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    words
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn words() -> &'static Words {
    MINE.get().unwrap_or_else(|| {
        let words = new_words();
        MINE.set(Some(words));
        words
    })
}

fn count(what: Count, times: u64) {
    let word = &words()[what as usize];
    word.store(word.load(Ordering::Relaxed) + times, Ordering::Relaxed);
}

/// The words of a task.
#[derive(Debug)]
pub(crate) struct Tally(&'static Words);

impl Strand for Tally {
    type Outer = Option<&'static Words>;
    fn child() -> Self {
        Self(new_words())
    }
    #[inline(never)]
    fn enter(&self) -> Self::Outer {
        MINE.replace(Some(self.0))
    }
    #[inline(never)]
    fn leave(outer: Self::Outer) {
        MINE.set(outer);
    }
}

/// A way to wait for a lock: what a waiter does before it parks, and who gets a lock that is given up.
pub(crate) trait Strategy: Copy + Default + Debug + Send + Sync + 'static {
    /// What `Native` has, but for what the strategy is about.
    const BOUNDS: Bounds;
    /// Whether each unlock hands the lock to whoever waits longest.
    const HAND_OFF: bool = false;
}

/// As it ships: a few looks, then the queue; a newcomer may be faster, so often and so long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hybrid;
/// Looks until it has the lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spin;
/// Parks at once; a newcomer may be faster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ParkAtOnce;
/// Parks at once, and is handed the lock in its turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HandOff;

impl Strategy for Hybrid {
    const BOUNDS: Bounds = Native::BOUNDS;
}
impl Strategy for Spin {
    const BOUNDS: Bounds = Bounds { lock_looks: u32::MAX, ..Native::BOUNDS };
}
impl Strategy for ParkAtOnce {
    const BOUNDS: Bounds = Bounds { lock_looks: 0, ..Native::BOUNDS };
}
impl Strategy for HandOff {
    const BOUNDS: Bounds = Bounds { lock_looks: 0, barges: 0, ..Native::BOUNDS };
    const HAND_OFF: bool = true;
}

/// The world.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted<S>(PhantomData<S>);

impl<S: Strategy> Platform for Counted<S> {
    type AtomicBool = Counting<native::AtomicBool>;
    type AtomicU32 = Counting<native::AtomicU32>;
    type AtomicU64 = Counting<native::AtomicU64>;
    type AtomicUsize = Counting<native::AtomicUsize>;
    type AtomicPtr<T> = Counting<native::AtomicPtr<T>>;
    type Race = <Native as Platform>::Race;
    type Clock = NativeClock;
    type Rng = NativeRng;
    type Parker = CountingParker;
    type Threads = CountingThreads;
    type Driver = <Native as Platform>::Driver;
    type Context = <Native as Platform>::Context;
    type Strand = Tally;
    type Called = ();
    type Handshake = <Native as Platform>::Handshake;

    const BOUNDS: Bounds = S::BOUNDS;
    const CELL_BOUNDS: CellBounds = Native::CELL_BOUNDS;

    fn fence(order: Ordering, handshakes: &[&Self::Handshake]) {
        count(Count::Rmw, 1);
        Native::fence(order, handshakes);
    }
    fn fence_light(handshakes: &[&Self::Handshake]) {
        Native::fence_light(handshakes);
    }
    fn fence_heavy(handshakes: &[&Self::Handshake]) {
        count(Count::Rmw, 1);
        Native::fence_heavy(handshakes);
    }
    fn spin_loop() {
        Native::spin_loop();
    }
    fn retry(_reason: &'static str) {}
    fn called() {}
    fn choose(kind: Choice, n: usize) -> usize {
        Native::choose(kind, n)
    }
    fn buggify(_site: Site) -> bool {
        false
    }
    fn event(event: &Event<'_>) {
        match event {
            Event::Woken { .. } => count(Count::Wake, 1),
            Event::Parked { .. } => count(Count::Park, 1),
            Event::Yielded { .. } => count(Count::Yield, 1),
            _ => {}
        }
    }
    fn global<T: Send + Sync + 'static>(key: &'static Key, init: fn() -> T) -> Handle<T> {
        Native::global(key, init)
    }
    fn variable(name: &str) -> Option<String> {
        Native::variable(name)
    }
}

/// An atomic whose operations are counted.
#[derive(Debug)]
pub(crate) struct Counting<A>(A);

impl<V: Copy, A: Atomic<V>> Atomic<V> for Counting<A> {
    fn new(value: V) -> Self {
        Self(A::new(value))
    }
    fn load(&self, order: Ordering) -> V {
        count(Count::Access, 1);
        self.0.load(order)
    }
    fn store(&self, value: V, order: Ordering) {
        count(Count::Access, 1);
        self.0.store(value, order);
    }
    fn swap(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.swap(value, order)
    }
    fn compare_exchange(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V> {
        count(Count::Rmw, 1);
        self.0.compare_exchange(current, new, success, failure)
    }
    fn compare_exchange_weak(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V> {
        count(Count::Rmw, 1);
        self.0.compare_exchange_weak(current, new, success, failure)
    }
    fn with_mut<R>(&mut self, f: impl FnOnce(&mut V) -> R) -> R {
        self.0.with_mut(f)
    }
}

impl<V: Copy, A: AtomicInt<V>> AtomicInt<V> for Counting<A> {
    fn fetch_add(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_add(value, order)
    }
    fn fetch_sub(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_sub(value, order)
    }
    fn fetch_and(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_and(value, order)
    }
    fn fetch_or(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_or(value, order)
    }
    fn fetch_xor(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_xor(value, order)
    }
    fn fetch_max(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_max(value, order)
    }
    fn fetch_min(&self, value: V, order: Ordering) -> V {
        count(Count::Rmw, 1);
        self.0.fetch_min(value, order)
    }
}

/// `Native`'s parker, whose wakers count.
#[derive(Debug)]
pub(crate) struct CountingParker;

/// The functions of `Native`'s wakers: all of them have the same.
static NATIVE: OnceLock<&'static RawWakerVTable> = OnceLock::new();

static COUNTING: RawWakerVTable = RawWakerVTable::new(
    |data| {
        count(Count::Rmw, 1);
        counting((*native(data)).clone())
    },
    |data| {
        count(Count::Wake, 1);
        count(Count::Rmw, 2);
        ManuallyDrop::into_inner(native(data)).wake();
    },
    |data| {
        count(Count::Wake, 1);
        count(Count::Rmw, 1);
        native(data).wake_by_ref();
    },
    |data| {
        count(Count::Rmw, 1);
        drop(ManuallyDrop::into_inner(native(data)));
    },
);

/// The waker of `Native` that a counting one stands for.
fn native(data: *const ()) -> ManuallyDrop<Waker> {
    let functions = NATIVE.get().expect("a waker was made before it is used");
    // SAFETY: the data is that of a waker of `Native`, and these are its functions.
    ManuallyDrop::new(unsafe { Waker::from_raw(RawWaker::new(data, functions)) })
}

fn counting(waker: Waker) -> RawWaker {
    let waker = ManuallyDrop::new(waker);
    RawWaker::new(waker.data(), &COUNTING)
}

impl Parker for CountingParker {
    fn waker() -> Waker {
        count(Count::Rmw, 1);
        let waker = NativeParker::waker();
        NATIVE.get_or_init(|| waker.vtable());
        // SAFETY: the functions do what those of `Native` do, which keep the contract.
        unsafe { Waker::from_raw(counting(waker)) }
    }
    fn park() {
        count(Count::Park, 1);
        count(Count::Rmw, 4);
        NativeParker::park();
    }
    fn park_until(deadline: Instant) {
        count(Count::Park, 1);
        count(Count::Rmw, 4);
        NativeParker::park_until(deadline);
    }
}

/// `Native`'s threads, whose yields count.
#[derive(Debug)]
pub(crate) struct CountingThreads;

impl Threads for CountingThreads {
    type JoinHandle = <NativeThreads as Threads>::JoinHandle;
    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> std::io::Result<Self::JoinHandle> {
        NativeThreads::spawn(name, body)
    }
    fn join(handle: Self::JoinHandle) -> Result<(), Box<dyn std::any::Any + Send>> {
        NativeThreads::join(handle)
    }
    fn id() -> u64 {
        NativeThreads::id()
    }
    fn yield_now() {
        count(Count::Yield, 1);
        NativeThreads::yield_now();
    }
    fn available_parallelism() -> usize {
        NativeThreads::available_parallelism()
    }
    fn slot(key: SlotKey) -> *mut () {
        NativeThreads::slot(key)
    }
    fn set_slot(key: SlotKey, value: *mut ()) -> *mut () {
        NativeThreads::set_slot(key, value)
    }
    fn on_exit(f: Box<dyn FnOnce()>) -> bool {
        NativeThreads::on_exit(f)
    }
    fn panicking() -> bool {
        NativeThreads::panicking()
    }
    fn tearing_down() -> bool {
        NativeThreads::tearing_down()
    }
}
