//! ThreadSanitizer's fibers.
//!
//! ThreadSanitizer follows the functions that are entered and left, on a shadow of the stack of
//! each fiber. A switch is a call that is entered on one stack and left on another, and how many
//! functions that are is the compiler's choice: `resume` may be inlined where `suspend` is not.
//! So nobody's own shadow is the current one while a switch is under way. Each fiber has a
//! *passage*, a fiber of the sanitizer in which no code runs but that of its switches:
//!
//! ```text
//!  worker A          passage of B                                   fiber B
//!  switch_to(B) ──▶  resume entered: +n … suspend left: −m     ──▶  switched()
//!  switched()   ◀──  suspend entered: +m … resume left: −n     ◀──  switch_to(A)
//! ```
//! On the passage n − m are left while B runs, and 0 while it is suspended; A and B have what they
//! had. (A passage begins with some entries of its own, for m may be larger than n.)

use core::cell::Cell;
use core::ffi::{c_uint, c_void};
use core::ops::Range;
use core::ptr;

use crate::Context;

// sanitizer/tsan_interface.h, and what the compiler calls where a function begins.
// SAFETY: as they are declared there.
unsafe extern "C" {
    fn __tsan_get_current_fiber() -> *mut c_void;
    fn __tsan_create_fiber(flags: c_uint) -> *mut c_void;
    fn __tsan_destroy_fiber(fiber: *mut c_void);
    fn __tsan_switch_to_fiber(fiber: *mut c_void, flags: c_uint);
    fn __tsan_func_entry(caller: *const c_void);
}

/// A switch orders what comes before it and what comes after it.
const SYNCHRONISES: c_uint = 0;

/// More functions than a switch can have on one side and not on the other.
const SPARE: usize = 16;

/// A stack.
#[derive(Debug)]
pub struct Stack {
    fiber: Cell<*mut c_void>,
    /// Null for a thread's own.
    passage: *mut c_void,
    /// Who resumed it.
    host: Cell<*const Self>,
}

thread_local! {
    /// The thread's own.
    static OWN: Stack = const {
        Stack { fiber: Cell::new(ptr::null_mut()), passage: ptr::null_mut(), host: Cell::new(ptr::null()) }
    };
    /// The one that runs; null for the thread's own.
    static RUNS: Cell<*const Stack> = const { Cell::new(ptr::null()) };
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn running() -> *const Stack {
    let running = RUNS.get();
    if !running.is_null() {
        return running;
    }
    OWN.with(|own| {
        if own.fiber.get().is_null() {
            // SAFETY: any thread has one.
            own.fiber.set(unsafe { __tsan_get_current_fiber() });
        }
        ptr::from_ref(own)
    })
}

/// Makes `to` the one that runs, and returns the passage there.
#[inline(never)]
fn passage(to: *const Stack) -> *mut c_void {
    let from = running();
    RUNS.set(to);
    // SAFETY: `from` runs, and `to` is about to: both are alive.
    let (from, to) = unsafe { (&*from, &*to) };
    if ptr::eq(from.host.get(), to) {
        return from.passage;
    }
    to.host.set(from);
    to.passage
}

#[inline(never)]
fn fiber() -> *mut c_void {
    // SAFETY: it runs.
    unsafe { (*running()).fiber.get() }
}

#[inline(never)]
fn make_passage() -> *mut c_void {
    // SAFETY: all are fibers that exist. Nothing is entered or left between the switches but what
    // is said to be.
    unsafe {
        let (this, passage) = (__tsan_get_current_fiber(), __tsan_create_fiber(0));
        __tsan_switch_to_fiber(passage, SYNCHRONISES);
        for _ in 0..SPARE {
            __tsan_func_entry(make_passage as *const c_void);
        }
        __tsan_switch_to_fiber(this, SYNCHRONISES);
        passage
    }
}

/// Tells ThreadSanitizer.
#[derive(Debug)]
pub struct NativeContext;

impl Context for NativeContext {
    type Handle = *const Stack;

    fn current() -> *const Stack {
        running()
    }

    fn create(_stack: Range<usize>) -> *const Stack {
        // SAFETY: takes no pointers.
        let fiber = Cell::new(unsafe { __tsan_create_fiber(0) });
        let stack = Stack { fiber, passage: make_passage(), host: Cell::new(ptr::null()) };
        Box::into_raw(Box::new(stack))
    }

    #[inline(always)]
    fn switch_to(to: *const Stack) {
        let passage = passage(to);
        // SAFETY: `to` is not destroyed before it has run, and its passage goes with it.
        unsafe { __tsan_switch_to_fiber(passage, SYNCHRONISES) };
    }

    #[inline(always)]
    fn switch_for_good(to: *const Stack) {
        Self::switch_to(to);
    }

    #[inline(always)]
    fn switched() {
        let fiber = fiber();
        // SAFETY: of the stack that runs.
        unsafe { __tsan_switch_to_fiber(fiber, SYNCHRONISES) };
    }

    fn destroy(stack: *const Stack) {
        // SAFETY: made by `create`, and nobody runs on it any more.
        unsafe {
            let stack = Box::from_raw(stack.cast_mut());
            __tsan_destroy_fiber(stack.fiber.get());
            __tsan_destroy_fiber(stack.passage);
        }
    }
}
