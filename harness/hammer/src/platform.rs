//! The world `Hammer`: the machine, with visits, and with what sanitizers must be told.

use core::any::Any;
use core::sync::atomic::{Ordering, fence};
use std::io;
use std::task::Waker;

use raddle_platform::global::{Handle, Key};
use raddle_platform::native::driver::NativeDriver;
use raddle_platform::native::{
    self, Handshake, NativeClock, NativeContext, NativeParker, NativeRng, NativeThreads,
};
use raddle_platform::{
    Bounds, CellBounds, Choice, Event, Instant, Native, Parker, Platform, Race, Site, SlotKey,
    Threads,
};

use crate::atomics::Visited;
use crate::delay::{Called, called, visit};
use crate::strand::{self, Strand};
use crate::{Sanitizer, priority};

/// Real threads and memory. Each operation is the one of [`Native`], after a delay that the
/// [settings](crate::Settings) may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hammer;

impl Platform for Hammer {
    type AtomicBool = Visited<native::AtomicBool>;
    type AtomicU32 = Visited<native::AtomicU32>;
    type AtomicU64 = Visited<native::AtomicU64>;
    type AtomicUsize = Visited<native::AtomicUsize>;
    type AtomicPtr<T> = Visited<native::AtomicPtr<T>>;
    type Race = HammerRace;
    type Clock = NativeClock;
    type Rng = NativeRng;
    type Parker = HammerParker;
    type Threads = HammerThreads;
    type Driver = NativeDriver;
    type Context = NativeContext;
    type Strand = Strand;
    type Called = Called;
    type Handshake = Handshake;

    const BOUNDS: Bounds = Native::BOUNDS;
    const CELL_BOUNDS: CellBounds = Native::CELL_BOUNDS;

    #[inline(always)]
    fn fence(order: Ordering, handshakes: &[&Handshake]) {
        visit();
        fence(order);
        handshakes.iter().for_each(|handshake| handshake.meet());
    }

    #[inline(always)]
    fn fence_light(handshakes: &[&Handshake]) {
        visit();
        Native::fence_light(&[]);
        handshakes.iter().for_each(|handshake| handshake.meet());
    }

    fn fence_heavy(handshakes: &[&Handshake]) {
        visit();
        Native::fence_heavy(&[]);
        handshakes.iter().for_each(|handshake| handshake.meet());
    }

    #[inline(always)]
    fn spin_loop() {
        visit();
        Native::spin_loop();
    }

    #[inline(always)]
    fn retry(_reason: &'static str) {
        visit();
    }

    #[inline(always)]
    fn called() -> Called {
        called()
    }

    fn choose(kind: Choice, n: usize) -> usize {
        priority::choose(kind, n)
    }

    #[inline(always)]
    fn buggify(_site: Site) -> bool {
        false
    }

    #[inline(always)]
    fn event(_event: &Event<'_>) {}

    fn global<T: Send + Sync + 'static>(key: &'static Key, init: fn() -> T) -> Handle<T> {
        visit();
        // A process is one world, whichever of both platforms it runs on.
        Native::global(key, init)
    }

    fn variable(name: &str) -> Option<String> {
        Native::variable(name)
    }
}

/// Checks nothing itself: the sanitizer sees the accesses. They are visits, so that a thread may
/// stand in the middle of one.
#[derive(Debug, Default)]
pub struct HammerRace;

impl Race for HammerRace {
    type Read = ();
    type Write = ();
    #[inline(always)]
    fn new() -> Self {
        Self
    }
    #[inline(always)]
    fn read(&self) {
        visit();
    }
    #[inline(always)]
    fn write(&self) {
        visit();
    }
}

/// [`NativeParker`], with visits.
#[derive(Debug)]
pub struct HammerParker;

impl Parker for HammerParker {
    fn waker() -> Waker {
        NativeParker::waker()
    }
    fn park() {
        visit();
        NativeParker::park();
    }
    fn park_until(deadline: Instant) {
        visit();
        NativeParker::park_until(deadline);
    }
}

/// A thread that was started, and was not joined.
#[derive(Debug)]
pub struct Joins(Option<<NativeThreads as Threads>::JoinHandle>);

impl Drop for Joins {
    fn drop(&mut self) {
        // Whoever lets a thread go shares its result with it until one of both is the last owner,
        // and there std has a fence, which ThreadSanitizer does not understand.
        if Sanitizer::ACTIVE == Sanitizer::Thread {
            core::mem::forget(self.0.take());
        }
    }
}

/// [`NativeThreads`], whose threads know where they come from.
#[derive(Debug)]
pub struct HammerThreads;

impl Threads for HammerThreads {
    type JoinHandle = Joins;

    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> io::Result<Self::JoinHandle> {
        visit();
        let path = strand::next_thread();
        let body = move || {
            strand::begin(path);
            body();
        };
        NativeThreads::spawn(name, Box::new(body)).map(|handle| Joins(Some(handle)))
    }

    fn join(mut handle: Self::JoinHandle) -> Result<(), Box<dyn Any + Send>> {
        visit();
        handle.0.take().map_or(Ok(()), NativeThreads::join)
    }

    fn id() -> u64 {
        NativeThreads::id()
    }

    fn yield_now() {
        visit();
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
