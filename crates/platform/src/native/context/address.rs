//! AddressSanitizer's and LeakSanitizer's stacks.

use core::cell::Cell;
use core::ffi::c_void;
use core::ops::Range;
use core::ptr;

use crate::Context;

// sanitizer/common_interface_defs.h, asan_interface.h, lsan_interface.h
// SAFETY: as they are declared there.
unsafe extern "C" {
    fn __sanitizer_start_switch_fiber(save: *mut *mut c_void, bottom: *const c_void, size: usize);
    fn __sanitizer_finish_switch_fiber(
        saved: *mut c_void,
        old_bottom: *mut *const c_void,
        old_size: *mut usize,
    );
    fn __asan_unpoison_memory_region(start: *const c_void, size: usize);
    fn __lsan_register_root_region(start: *const c_void, size: usize);
    fn __lsan_unregister_root_region(start: *const c_void, size: usize);
}

/// A stack.
#[derive(Debug)]
pub struct Stack {
    bottom: Cell<*const c_void>,
    /// 0 while nobody knows: that of a thread which has not switched yet.
    size: Cell<usize>,
    /// Where its frames are, if they are not on the stack.
    frames: Cell<*mut c_void>,
}

thread_local! {
    /// Of the thread itself.
    static OWN: Stack = const {
        Stack { bottom: Cell::new(ptr::null()), size: Cell::new(0), frames: Cell::new(ptr::null_mut()) }
    };
    /// The stack that runs, null for the thread's own; and the one that ran before.
    static RUNS: Cell<*const Stack> = const { Cell::new(ptr::null()) };
    static RAN: Cell<*const Stack> = const { Cell::new(ptr::null()) };
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn running() -> *const Stack {
    let running = RUNS.get();
    if running.is_null() { OWN.with(ptr::from_ref) } else { running }
}

#[inline(never)]
fn changes(to: *const Stack) -> *const Stack {
    let from = running();
    RAN.set(from);
    RUNS.set(to);
    from
}

#[inline(never)]
fn before() -> *const Stack {
    RAN.get()
}

/// Tells AddressSanitizer.
#[derive(Debug)]
pub struct NativeContext;

impl Context for NativeContext {
    type Handle = *const Stack;

    fn current() -> *const Stack {
        running()
    }

    fn create(stack: Range<usize>) -> *const Stack {
        let bottom: *const c_void = ptr::with_exposed_provenance(stack.start);
        // SAFETY: memory of a stack that nobody runs on. Whoever ran on it before left frames
        // without returning from them.
        unsafe {
            __asan_unpoison_memory_region(bottom, stack.len());
            __lsan_register_root_region(bottom, stack.len());
        }
        Box::into_raw(Box::new(Stack {
            bottom: Cell::new(bottom),
            size: Cell::new(stack.len()),
            frames: Cell::new(ptr::null_mut()),
        }))
    }

    #[inline(always)]
    fn switch_to(to: *const Stack) {
        // SAFETY: both are alive: `from` runs, and `to` is not destroyed before it has run.
        unsafe {
            let (from, to) = (&*changes(to), &*to);
            __sanitizer_start_switch_fiber(from.frames.as_ptr(), to.bottom.get(), to.size.get());
        }
    }

    #[inline(always)]
    fn switch_for_good(to: *const Stack) {
        changes(to);
        // SAFETY: as above; no place to save means that the frames are freed.
        unsafe {
            let to = &*to;
            __sanitizer_start_switch_fiber(ptr::null_mut(), to.bottom.get(), to.size.get());
        }
    }

    #[inline(always)]
    fn switched() {
        // SAFETY: both are alive: `this` runs, and the one before is destroyed by code that runs
        // after this. The bounds that the sanitizer tells are of the one before.
        unsafe {
            let (this, before) = (&*running(), &*before());
            __sanitizer_finish_switch_fiber(
                this.frames.get(),
                before.bottom.as_ptr(),
                before.size.as_ptr(),
            );
        }
    }

    fn destroy(stack: *const Stack) {
        // SAFETY: made by `create`, and nobody runs on it any more.
        unsafe {
            let stack = Box::from_raw(stack.cast_mut());
            __asan_unpoison_memory_region(stack.bottom.get(), stack.size.get());
            __lsan_unregister_root_region(stack.bottom.get(), stack.size.get());
        }
    }
}
