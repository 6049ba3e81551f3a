//! How much memory executions abandon.
//!
//! What a crash of a node or a failed execution leaves on the heap is never freed, because no
//! destructor runs. How much that is an allocator can tell that counts: install [`Counting`] in a
//! program that simulates, and [`Abandoned::heap_bytes`](crate::Abandoned::heap_bytes) has it.

use core::cell::Cell;
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, and a count of what each thread has allocated and not freed.
///
/// ```
/// use raddle_vopr::heap::{Counting, balance};
///
/// #[global_allocator]
/// static HEAP: Counting = Counting;
///
/// let before = balance().expect("the allocator is installed");
/// let leaked = Box::leak(Box::new([0_u8; 1000]));
/// assert_eq!(balance().expect("it is") - before, 1000);
/// # let _ = leaked;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Counting;

thread_local! {
    /// Bytes, and whether anybody counts them. No destructor: it may be asked for at any time.
    static BALANCE: Cell<(i64, bool)> = const { Cell::new((0, false)) };
}

/// Bytes that the calling thread has allocated and not freed, less those that it freed for others.
/// Nothing if the allocator is not installed.
pub fn balance() -> Option<i64> {
    let (bytes, counts) = BALANCE.get();
    counts.then_some(bytes)
}

fn count(bytes: i64) {
    // A thread that ends may still free.
    let _: Result<(), _> =
        BALANCE.try_with(|balance| balance.set((balance.get().0.wrapping_add(bytes), true)));
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Adds to `sum` what the calling thread allocates in `f` and does not free.
pub(crate) fn counted<R>(sum: &Cell<i64>, f: impl FnOnce() -> R) -> R {
    let before = balance().unwrap_or(0);
    let result = f();
    sum.set(sum.get() + balance().unwrap_or(0) - before);
    result
}
