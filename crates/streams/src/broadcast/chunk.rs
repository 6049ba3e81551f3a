//! Where the items are: slots that are written once.

use core::mem::MaybeUninit;

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

/// One item.
///
/// | `ready` | the value | who may touch it |
/// |---|---|---|
/// | false | not there | the publisher that has claimed the slot |
/// | true | there | anybody reads; nobody writes until the chunk is dropped |
pub(super) struct Slot<T, P: Platform> {
    ready: P::AtomicBool,
    value: RaceCell<MaybeUninit<T>, P>,
}

impl<T, P: Platform> Slot<T, P> {
    fn new() -> Self {
        Self { ready: P::AtomicBool::new(false), value: RaceCell::new_in(MaybeUninit::uninit()) }
    }

    /// Puts the item in.
    ///
    /// # Safety
    /// The caller has claimed the slot, and calls this once. The chunk may be gone afterwards.
    #[inline]
    pub(super) unsafe fn write(&self, value: T) {
        // SAFETY: nobody reads before `ready`, and nobody else has claimed the slot.
        unsafe { self.value.with_mut(|place| *place = MaybeUninit::new(value)) };
        // ORDERING: pairs with the load in `is_ready`, for the value.
        self.ready.store(true, Ordering::Release);
    }

    /// Whether the item is there.
    #[inline]
    pub(super) fn is_ready(&self) -> bool {
        // ORDERING: pairs with the store in `write`, for the value; and so that what is freed is free
        // of its writer.
        self.ready.load(Ordering::Acquire)
    }

    /// Looks at the item.
    ///
    /// # Safety
    /// `is_ready` was true.
    #[inline]
    pub(super) unsafe fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        // SAFETY: the value is there and stays as it is while the chunk is borrowed.
        unsafe { self.value.with(|value| look(value.assume_init_ref())) }
    }
}

impl<T, P: Platform> Drop for Slot<T, P> {
    fn drop(&mut self) {
        if self.ready.with_mut(|ready| *ready) {
            // SAFETY: it was written, and is dropped only here.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

/// Consecutive slots. A chunk knows no other, so dropping one never goes on to the next.
pub(super) struct Chunk<T, P: Platform>(Box<[Slot<T, P>]>);

// SAFETY: several threads have references to an item at the same time, and whoever comes last drops
// it: hence both bounds.
unsafe impl<T: Send + Sync, P: Platform> Sync for Chunk<T, P> {}
// SAFETY: as above; a chunk is shared when it is sent.
unsafe impl<T: Send + Sync, P: Platform> Send for Chunk<T, P> {}

impl<T, P: Platform> Chunk<T, P> {
    pub(super) fn new(size: usize) -> Self {
        Self((0..size).map(|_| Slot::new()).collect())
    }

    #[inline]
    pub(super) fn slot(&self, index: usize) -> &Slot<T, P> {
        &self.0[index]
    }

    pub(super) fn slots(&self) -> *const Slot<T, P> {
        self.0.as_ptr()
    }

    /// Whether the first `count` slots are written, so that no publisher has anything to do here.
    pub(super) fn is_written(&self, count: usize) -> bool {
        // The last ones are the likeliest to be missing.
        self.0[..count].iter().rev().all(Slot::is_ready)
    }
}
