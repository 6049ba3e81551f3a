//! One version of a value.

use core::ptr;

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use crate::epoch::Guard;
use crate::transaction::Record;
use crate::world::World;

/// What of a version does not depend on the type of the value.
#[repr(C)]
pub(crate) struct Header<P: Platform> {
    /// When it was committed, by the clock of its world; 0 until that is known.
    stamp: P::AtomicU64,
    /// The version before. Written by who prunes, under the cell's PRUNING.
    pub(super) prev: P::AtomicPtr<Header<P>>,
    /// The transaction that wrote it; null if that was an update. Looked at only while the stamp is
    /// 0: the record is retired after that.
    record: *const Record<P>,
    destroy: unsafe fn(*mut ()),
    bytes: usize,
}

/// A version.
#[repr(C)]
pub(crate) struct Version<T, P: Platform> {
    header: Header<P>,
    value: RaceCell<T, P>,
}

/// The stamp of what a cell is made with: it has always been there.
const ALWAYS: u64 = 1;

impl<T, P: Platform> Version<T, P> {
    /// A version that nobody else knows, before `prev`. It belongs to the caller.
    pub(crate) fn allocate(value: T, prev: *const Header<P>) -> *mut Header<P> {
        let stamp = if prev.is_null() { ALWAYS } else { 0 };
        let header = Header {
            stamp: P::AtomicU64::new(stamp),
            prev: P::AtomicPtr::new(prev.cast_mut()),
            record: ptr::null(),
            destroy: destroy::<T, P>,
            bytes: size_of::<Self>(),
        };
        Box::into_raw(Box::new(Self { header, value: RaceCell::new_in(value) })).cast()
    }

    /// The value of a version, with a checker of the access.
    ///
    /// # Safety
    /// `header` is that of a `Version<T, P>`, which is alive for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn value<'a>(header: *const Header<P>) -> &'a RaceCell<T, P>
    where
        T: 'a,
    {
        // SAFETY: `repr(C)`, and the caller's promise.
        unsafe { &(*header.cast::<Self>()).value }
    }

    /// Takes the value out, and frees the rest.
    ///
    /// # Safety
    /// `header` is that of a `Version<T, P>`, which is the caller's alone.
    pub(crate) unsafe fn take(header: *mut Header<P>) -> T {
        // SAFETY: the caller's promise; it came from a box.
        unsafe { Box::from_raw(header.cast::<Self>()) }.value.into_inner()
    }
}

/// # Safety
/// `pointer` is that of a `Version<T, P>`, which nobody uses any more.
unsafe fn destroy<T, P: Platform>(pointer: *mut ()) {
    // SAFETY: the caller's promise; it came from a box.
    let version = unsafe { Box::from_raw(pointer.cast::<Version<T, P>>()) };
    // A checked write: whoever has read must have done so before.
    drop(version.value.open_mut().1);
    drop(version);
}

/// Frees a version that is the caller's alone.
///
/// # Safety
/// As it says.
pub(crate) unsafe fn free<P: Platform>(header: *mut Header<P>) {
    // SAFETY: the caller's promise.
    unsafe { ((*header).destroy)(header.cast()) };
}

/// Frees a version when nobody can read it any more.
///
/// # Safety
/// The caller has unlinked it.
pub(crate) unsafe fn retire<P: Platform>(guard: &Guard<P>, header: *const Header<P>) {
    // SAFETY: the caller's promise; cells hold only what may be dropped anywhere.
    unsafe { guard.retire_raw(header.cast_mut().cast(), (*header).destroy, (*header).bytes) };
}

impl<P: Platform> Header<P> {
    /// Says that a transaction writes it.
    ///
    /// # Safety
    /// `header` is the caller's alone.
    pub(crate) unsafe fn set_record(header: *mut Self, record: *const Record<P>) {
        // SAFETY: the caller's promise.
        unsafe { (*header).record = record };
    }

    /// When it was committed, if that is known.
    #[inline(always)]
    pub(crate) fn stamp(&self) -> Option<u64> {
        // ORDERING: pairs with the releasing `set_stamp`: who has seen a version takes its snapshots
        // from a clock that is not before it.
        let stamp = self.stamp.load(Ordering::Acquire);
        (stamp != 0).then_some(stamp)
    }

    /// The transaction that wrote it. The caller is pinned since before it saw that there is no
    /// stamp.
    pub(crate) fn record(&self) -> Option<&Record<P>> {
        // SAFETY: null, or a record that is retired after the stamp is set.
        unsafe { self.record.as_ref() }
    }

    /// The version before.
    #[inline(always)]
    pub(crate) fn prev(&self) -> *const Self {
        // ORDERING: pairs with the releasing store in `prune`, which has it from who made the
        // version.
        self.prev.load(Ordering::Acquire)
    }

    /// Notes when it was committed. Returns what is noted: somebody may have been faster.
    pub(crate) fn set_stamp(&self, stamp: u64) -> u64 {
        // ORDERING: Release pairs with the acquiring load of `stamp`; Acquire for the same reason.
        match self.stamp.compare_exchange(0, stamp, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => stamp,
            Err(noted) => noted,
        }
    }

    /// Notes when it was committed, which is now at the latest, for a version that is committed by
    /// being there.
    pub(crate) fn stamp_now(&self, world: &World<P>) -> u64 {
        self.set_stamp(world.clock.now_after_publishing())
    }
}
