//! The allocation that all pointers share, and the protocol of its two counts.
//!
//! ```text
//! strong   how many Arcs there are; the value is alive while it is not 0
//! weak     how many Weaks there are, and one more while any Arc is there; the memory is
//!          allocated while it is not 0. LOCKED (the largest number) while `get_mut` looks
//! race     the checker of the accesses to `value`
//! value    alive while strong > 0; not yet made while `new_cyclic` runs
//! ```
//!
//! **All Arcs together own one weak count.** The last Arc destroys the value, then gives up that
//! one as if it were a Weak, and whoever takes `weak` to 0 frees the memory. Without it, the last
//! Arc and the last Weak would each have to look at the other's count to learn who frees, and two
//! looks are not one step: both could free, or neither.
//!
//! **`get_mut` locks the weak count** because it must know that no Arc and no Weak but its own
//! Arc exists, and these are two counts again. It reads `weak` first: if that is 1, no Weak is
//! there, so none can become an Arc; but another Arc could be downgraded between the two looks,
//! and then dropped, and the new Weak would be overlooked. So it swaps 1 for LOCKED, which keeps
//! `downgrade` waiting, reads `strong`, and unlocks. It cannot read `strong` first: a Weak could
//! become an Arc after that look and be gone before the second.
//!
//! # Orderings
//!
//! | operation | ordering | with | so that |
//! |---|---|---|---|
//! | `clone`: strong + 1 | Relaxed | | whoever clones has an Arc; handing the new one over is the caller's business |
//! | `drop`: strong - 1 | Release | the Acquire load after the last one | every use of the value happens before its destruction |
//! | `Weak::drop`: weak - 1 | Release | the Acquire load after the last one | every use of the counts happens before the free |
//! | `upgrade`: strong + 1 if not 0 | Acquire | the Release that ends `new_cyclic` | the value is seen whole |
//! | `get_mut`: weak 1 → LOCKED | Acquire | the Release of `Weak::drop` | the upgrades made from a Weak that is gone are seen in `strong` |
//! | `get_mut`: reads strong | Acquire | the Release of `drop` | the other Arcs' uses happen before ours |
//! | `get_mut`: LOCKED → 1, `downgrade`: weak + 1 | Relaxed | | see below |
//! | `try_unwrap`: strong 1 → 0 | Relaxed, then the same Acquire load | the Release of `drop` | the other Arcs' uses happen before ours |
//! | `make_mut`: strong 1 → 0 | Acquire | the Release of `drop` | the same |
//! | `make_mut`: strong 0 → 1 | Relaxed | | nobody else has a pointer; handing one over is the caller's business |
//!
//! Unlocking the weak count orders nothing, unlike in std. What has to be excluded is that `get_mut`
//! reads 1 from `strong` although a Weak was made after the unlocking, by a `downgrade` D of an Arc
//! that was then dropped. If it reads 1 then every other Arc's decrement is in the release sequence
//! that it reads from, so D happens before that decrement, which happens before the look, which
//! happens before the unlocking; and a D that happens before the unlocking cannot read from it.
//!
//! The decrements of one count form a release sequence, so the one Acquire after the last of them
//! is enough for all. It is a load of the count and not a fence: a fence orders nothing in
//! particular, which a race detector that does not understand fences makes too much or too little
//! of.

use core::cell::UnsafeCell;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, Race};

/// The weak count while `get_mut` looks at the strong one.
pub(crate) const LOCKED: usize = usize::MAX;

/// More references than this are a leak in a loop, not a program. There is room above it for every
/// thread that increments before it notices.
const MAX_COUNT: usize = isize::MAX as usize;

/// See the module. `repr(C)`: the value's offset follows from its alignment (`raw.rs`).
#[repr(C)]
pub(crate) struct Inner<T: ?Sized, P: Platform> {
    pub(crate) header: Header<P>,
    pub(crate) value: UnsafeCell<T>,
}

/// What does not depend on the type of the value.
#[repr(C)]
pub(crate) struct Header<P: Platform> {
    pub(crate) strong: P::AtomicUsize,
    pub(crate) weak: P::AtomicUsize,
    pub(crate) race: P::Race,
}

impl<T, P: Platform> Inner<T, P> {
    /// Where the value lies.
    pub(crate) const VALUE_OFFSET: usize = core::mem::offset_of!(Self, value);

    /// A new allocation with these counts.
    #[inline]
    pub(crate) fn allocate(strong: usize, weak: usize, value: T) -> NonNull<Self> {
        let header = Header {
            strong: P::AtomicUsize::new(strong),
            weak: P::AtomicUsize::new(weak),
            race: P::Race::new(),
        };
        NonNull::from(Box::leak(Box::new(Self { header, value: UnsafeCell::new(value) })))
    }
}

/// Checks a count that was just incremented.
///
/// Aborts on overflow, as std does: the count would wrap to 0 while references are there, and a
/// panic could be caught and repeated until it does.
#[inline(always)]
pub(crate) fn check_count(old: usize) {
    if old > MAX_COUNT {
        overflow();
    }
}

#[cold]
fn overflow() -> ! {
    // A panic cannot leave an `extern "C"` function: it ends the process.
    extern "C" fn stop() -> ! {
        panic!("a reference count overflowed");
    }
    stop()
}

impl<P: Platform> Header<P> {
    /// Adds a strong reference for somebody who has one.
    #[inline]
    pub(crate) fn increment_strong(&self) {
        check_count(self.strong.fetch_add(1, Ordering::Relaxed));
    }

    /// Takes a strong reference away. `true` if it was the last: then all uses of the value have
    /// happened, and the caller destroys it.
    #[inline]
    pub(crate) fn decrement_strong(&self) -> bool {
        // ORDERING: pairs with the load below in the thread that takes the count to 0.
        if self.strong.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        self.acquire_strong();
        true
    }

    /// Synchronises with every decrement, after the one to 0.
    #[inline]
    pub(crate) fn acquire_strong(&self) {
        // ORDERING: pairs with the releasing decrements, in `decrement_strong` and in `into_inner`.
        self.strong.load(Ordering::Acquire);
    }

    /// Adds a strong reference, if there is one.
    #[inline]
    pub(crate) fn upgrade(&self) -> bool {
        let mut strong = self.strong.load(Ordering::Relaxed);
        while strong != 0 {
            check_count(strong);
            // ORDERING: Acquire pairs with the releasing increment that ends `new_cyclic`. The failure
            // reads only a count.
            match self.strong.compare_exchange_weak(
                strong,
                strong + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => {
                    P::retry("ownership::upgrade");
                    strong = found;
                }
            }
        }
        false
    }

    /// Adds a weak reference for somebody who has a strong one.
    #[inline]
    pub(crate) fn downgrade(&self) {
        let mut weak = self.weak.load(Ordering::Relaxed);
        // HAMMER-WAIT-LOOP: arc-downgrade
        loop {
            if weak == LOCKED {
                // Until `get_mut` in another thread has read one more word.
                P::spin_loop();
                weak = self.weak.load(Ordering::Relaxed);
                continue;
            }
            check_count(weak);
            match self.weak.compare_exchange_weak(
                weak,
                weak + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(found) => {
                    P::retry("ownership::downgrade");
                    weak = found;
                }
            }
        }
    }

    /// Adds a weak reference for somebody who has one. The count cannot be locked then.
    #[inline]
    pub(crate) fn increment_weak(&self) {
        check_count(self.weak.fetch_add(1, Ordering::Relaxed));
    }

    /// Whether the caller's strong reference is the only reference of any kind. If so, all that
    /// others did with the value has happened.
    #[inline]
    pub(crate) fn is_unique(&self) -> bool {
        // ORDERING: Acquire pairs with the releasing decrement in `decrement_weak`: an upgrade made
        // from a Weak that is gone is then visible in `strong`.
        let locked =
            self.weak.compare_exchange(1, LOCKED, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if !locked {
            return false;
        }
        // ORDERING: pairs with the releasing decrements in `decrement_strong`.
        let unique = self.strong.load(Ordering::Acquire) == 1;
        // A swap, because others read-modify-write the word.
        self.weak.swap(1, Ordering::Relaxed);
        unique
    }

    /// Takes a weak reference away. `true` if it was the last of all: the caller frees.
    #[inline]
    pub(crate) fn decrement_weak(&self) -> bool {
        // ORDERING: pairs with the load below in the thread that takes the count to 0.
        if self.weak.fetch_sub(1, Ordering::Release) != 1 {
            return false;
        }
        // ORDERING: pairs with the releasing decrements above, in all other threads.
        self.weak.load(Ordering::Acquire);
        true
    }
}

impl<T: ?Sized, P: Platform> Inner<T, P> {
    /// Destroys the value, as a checked write. The memory stays.
    ///
    /// # Safety
    /// The value is alive, and nobody uses it from now on.
    pub(crate) unsafe fn destroy_value(this: NonNull<Self>) {
        // SAFETY: the caller promises that the allocation is there.
        let inner = unsafe { this.as_ref() };
        let _open = inner.header.race.write();
        // SAFETY: the caller promises that the value is alive and nobody else's.
        unsafe { inner.value.get().drop_in_place() };
    }

    /// Gives up one weak reference, and frees the memory if it was the last. The value is not
    /// destroyed.
    ///
    /// # Safety
    /// The caller owns the weak reference. The value is destroyed, moved out or not yet made,
    /// unless there are other references.
    pub(crate) unsafe fn release_weak(this: NonNull<Self>) {
        // SAFETY: the caller's reference keeps the allocation. The borrow ends with the call: from
        // the decrement on, another thread may free.
        if !unsafe { (*this.as_ptr()).header.decrement_weak() } {
            return;
        }
        // SAFETY: nobody else has a reference, and the memory came from a box of the same layout.
        // The value is gone: `ManuallyDrop` keeps the box from destroying it again.
        let mut memory = unsafe { Box::from_raw(this.as_ptr() as *mut Inner<ManuallyDrop<T>, P>) };
        // Tells a race detector that every access to the counts must have happened.
        memory.header.strong.with_mut(|_| ());
        memory.header.weak.with_mut(|_| ());
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::{Arc, Weak};
    use raddle_platform::Native;

    /// Set in the child process that is to abort.
    const CHILD: &str = "RADDLE_OWNERSHIP_OVERFLOW";

    fn set(count: &raddle_platform::native::AtomicUsize, value: usize) {
        count.swap(value, Ordering::Relaxed);
    }

    /// What the child does, by the value of [`CHILD`].
    fn overflow_by(operation: &str) {
        let arc: Arc<u32> = Arc::new(1);
        let weak: Weak<u32> = Arc::downgrade(&arc);
        let header: &Header<Native> = &arc.inner().header;
        let limit = MAX_COUNT + 1;
        match operation {
            "clone" => {
                set(&header.strong, limit);
                core::mem::forget(Arc::clone(&arc));
            }
            "upgrade" => {
                set(&header.strong, limit);
                core::mem::forget(weak.upgrade());
            }
            "downgrade" => {
                set(&header.weak, limit);
                core::mem::forget(Arc::downgrade(&arc));
            }
            "weak clone" => {
                set(&header.weak, limit);
                core::mem::forget(Weak::clone(&weak));
            }
            other => panic!("unknown operation {other}"),
        }
    }

    #[test]
    fn an_overflowing_count_aborts_the_process() {
        if let Ok(operation) = std::env::var(CHILD) {
            // A panic would be caught here, and the child would end well.
            let _ = std::panic::catch_unwind(|| overflow_by(&operation));
            return;
        }
        let this = std::env::current_exe().expect("the path of the test");
        for operation in ["clone", "upgrade", "downgrade", "weak clone"] {
            let child = Command::new(&this)
                .args(["--exact", "inner::tests::an_overflowing_count_aborts_the_process"])
                .arg("--nocapture")
                .env(CHILD, operation)
                .env("RUST_BACKTRACE", "0")
                .output()
                .expect("the child runs");
            let said = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.code(), None, "{operation} must end by a signal: {said}");
            assert!(said.contains("a reference count overflowed"), "{operation}: {said}");
        }
    }
}
