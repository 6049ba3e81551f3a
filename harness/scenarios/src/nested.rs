//! A fiber without a runtime: a coroutine that is nested in the thread that runs it.
//!
//! It is installed as the thread's suspender, as the runtime's fibers are, so that a blocking call
//! on it suspends the coroutine and not the thread. With nothing else to run, the thread then parks
//! in its place: what a model checker has to explore is not more than for a thread.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr;
use core::task::Waker;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use corosensei::stack::{DefaultStack, Stack};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use raddle_platform::suspend::{self, Installed, Suspend};
use raddle_platform::{Context, Instant, Parker, Platform, Threads};

/// What a fiber wants of its thread.
enum Wish {
    Park,
    ParkUntil(Instant),
    Yield,
    End,
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
        P::Context::switched();
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
    let output = Cell::new(None);
    let entry = |yielder: &Yielder<(), Wish>, ()| -> Infallible {
        P::Context::switched();
        nested.yielder.set(yielder);
        // A panic is told outside: the stack ends by a suspension in any case.
        output.set(Some(catch_unwind(AssertUnwindSafe(body))));
        nested.yielder.set(ptr::null());
        P::Context::switch_for_good(host);
        yielder.suspend(Wish::End);
        unreachable!("a fiber that has ended is not resumed");
    };
    let stack = take_stack();
    let context = P::Context::create(stack.base().get() - STACK_BYTES..stack.base().get());
    // SAFETY: what `entry` borrows outlives the loop below, which runs the coroutine to its end.
    let coroutine = unsafe { Coroutine::with_stack_unchecked(stack, entry) };
    // One that does not get to its end is abandoned: its destructors would run in a world that a
    // harness has given up.
    let mut coroutine = ManuallyDrop::new(coroutine);
    loop {
        P::Context::switch_to(context);
        let result = coroutine.resume(());
        P::Context::switched();
        match result {
            CoroutineResult::Return(never) => match never {},
            CoroutineResult::Yield(Wish::Park) => P::Parker::park(),
            CoroutineResult::Yield(Wish::ParkUntil(deadline)) => P::Parker::park_until(deadline),
            CoroutineResult::Yield(Wish::Yield) => P::Threads::yield_now(),
            CoroutineResult::Yield(Wish::End) => break,
        }
    }
    P::Context::destroy(context);
    // SAFETY: the body has ended and its output was moved out: nothing on the stack has a
    // destructor.
    unsafe { coroutine.force_reset() };
    give_stack(ManuallyDrop::into_inner(coroutine).into_stack());
    match output.into_inner() {
        Some(Ok(output)) => output,
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("the fiber has ended"),
    }
}
