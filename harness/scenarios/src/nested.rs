//! A fiber without a runtime: a coroutine that is nested in the thread that runs it.
//!
//! It is installed as the thread's suspender, as the runtime's fibers are, so that a blocking call
//! on it suspends the coroutine and not the thread. With nothing else to run, the thread then parks
//! in its place: what a model checker has to explore is not more than for a thread.

use core::cell::{Cell, RefCell};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;
use core::task::Waker;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use raddle_platform::suspend::{self, Installed, Suspend};
use raddle_platform::{Context, Instant, Parker, Platform, Threads};

/// What a fiber wants of its thread.
enum Wish {
    Park,
    ParkUntil(Instant),
    Yield,
}

struct Nested<P: Platform> {
    /// Set while the fiber runs.
    yielder: Cell<*const Yielder<(), Wish>>,
    host: <P::Context as Context>::Handle,
    platform: PhantomData<P>,
}

impl<P: Platform> Nested<P> {
    fn wish(&self, wish: Wish) {
        let yielder = self.yielder.replace(ptr::null());
        P::Context::switch_to(self.host);
        // SAFETY: set by the fiber, which is what runs now (`active`).
        unsafe { (*yielder).suspend(wish) };
        self.yielder.set(yielder);
    }
}

impl<P: Platform> Suspend for Nested<P> {
    fn active(&self) -> bool {
        !self.yielder.get().is_null()
    }
    fn waker(&self) -> Waker {
        P::Parker::waker()
    }
    fn park(&self) {
        self.wish(Wish::Park);
    }
    fn park_until(&self, deadline: Instant) {
        self.wish(Wish::ParkUntil(deadline));
    }
    fn yield_now(&self) {
        self.wish(Wish::Yield);
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// The thread's suspender before the fiber's, which it becomes again.
struct Before<P: Platform>(*const Installed, PhantomData<P>);

impl<P: Platform> Drop for Before<P> {
    fn drop(&mut self) {
        // SAFETY: what was there before is still valid.
        unsafe { suspend::install::<P>(self.0) };
    }
}

/// Enough for a panic's report in an unoptimised build.
const STACK_BYTES: usize = 256 * 1024;

thread_local! {
    /// A fresh mapping per fiber would cost more than exploring an execution.
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn take_stack() -> DefaultStack {
    let pooled = STACKS.with_borrow_mut(Vec::pop);
    pooled.unwrap_or_else(|| DefaultStack::new(STACK_BYTES).expect("a stack for a fiber"))
}

#[inline(never)]
fn give_stack(stack: DefaultStack) {
    STACKS.with_borrow_mut(|stacks| stacks.push(stack));
}

/// Runs `body` on a fiber of its own, to its end.
///
/// # Panics
/// When `body` does.
pub(crate) fn run<P: Platform, R>(body: impl FnOnce() -> R) -> R {
    let host = P::Context::current();
    let nested = Nested::<P> { yielder: Cell::new(ptr::null()), host, platform: PhantomData };
    let suspender: *const dyn Suspend = &nested;
    // SAFETY: only the lifetime changes; `nested` is taken away before it ends.
    let suspender = unsafe {
        core::mem::transmute::<*const (dyn Suspend + '_), *const (dyn Suspend + 'static)>(suspender)
    };
    // SAFETY: `nested` is declared before.
    let installed = unsafe { Installed::new(suspender) };
    // SAFETY: taken away when `_before` is dropped, before `installed` and `nested` are.
    let before = unsafe { suspend::install::<P>(&raw const installed) };
    let _before = Before::<P>(before, PhantomData);
    let entry = |yielder: &Yielder<(), Wish>, ()| {
        nested.yielder.set(yielder);
        let result = body();
        nested.yielder.set(ptr::null());
        P::Context::switch_to(host);
        result
    };
    let context = P::Context::create();
    // SAFETY: what `entry` borrows outlives the loop below, which runs the coroutine to its end.
    let coroutine = unsafe { Coroutine::with_stack_unchecked(take_stack(), entry) };
    // One that does not get to its end is abandoned: its destructors would run in a world that a
    // harness has given up.
    let mut coroutine = ManuallyDrop::new(coroutine);
    let result = loop {
        P::Context::switch_to(context);
        match coroutine.resume(()) {
            CoroutineResult::Return(result) => break result,
            CoroutineResult::Yield(Wish::Park) => P::Parker::park(),
            CoroutineResult::Yield(Wish::ParkUntil(deadline)) => P::Parker::park_until(deadline),
            CoroutineResult::Yield(Wish::Yield) => P::Threads::yield_now(),
        }
    };
    P::Context::destroy(context);
    give_stack(ManuallyDrop::into_inner(coroutine).into_stack());
    result
}
