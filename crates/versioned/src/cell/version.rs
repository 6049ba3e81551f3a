//! One version of a value.

use core::marker::PhantomData;
use core::ops::Deref;
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
    prev: P::AtomicPtr<Header<P>>,
    /// The transaction that wrote it; null if that was an update. Looked at only while the stamp is
    /// 0: the record is retired after that.
    record: *const Record<P>,
    destroy: unsafe fn(*mut ()),
    bytes: usize,
}

/// A version that was in a cell while the caller was pinned, and is not freed before `'a` ends.
///
/// A pointer and not a reference, because it leads to the value behind the header, too, and because
/// whoever unlinks the version gives it away to be freed.
pub(crate) struct Linked<'a, P: Platform>(*mut Header<P>, PhantomData<&'a Header<P>>);

impl<P: Platform> Clone for Linked<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for Linked<'_, P> {}

impl<P: Platform> Linked<'_, P> {
    /// # Safety
    /// As the type says.
    #[inline(always)]
    pub(crate) unsafe fn new(version: *const Header<P>) -> Self {
        Self(version.cast_mut(), PhantomData)
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut Header<P> {
        self.0
    }
}

impl<P: Platform> Deref for Linked<'_, P> {
    type Target = Header<P>;
    #[inline(always)]
    fn deref(&self) -> &Header<P> {
        // SAFETY: as the type says.
        unsafe { &*self.0 }
    }
}

/// A version that is nobody else's.
pub(crate) struct Owned<P: Platform>(*mut Header<P>);

impl<P: Platform> Owned<P> {
    pub(crate) fn as_ptr(&self) -> *mut Header<P> {
        self.0
    }

    /// It is shared from now on.
    pub(crate) fn share(self) -> *mut Header<P> {
        core::mem::ManuallyDrop::new(self).0
    }
}

impl<P: Platform> Drop for Owned<P> {
    fn drop(&mut self) {
        // SAFETY: ours, and given up.
        unsafe { free::<P>(self.0) };
    }
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
    pub(crate) fn allocate(value: T, prev: *const Header<P>) -> Owned<P> {
        let stamp = if prev.is_null() { ALWAYS } else { 0 };
        let header = Header {
            stamp: P::AtomicU64::new(stamp),
            prev: P::AtomicPtr::new(prev.cast_mut()),
            record: ptr::null(),
            destroy: destroy::<T, P>,
            bytes: size_of::<Self>(),
        };
        Owned(Box::into_raw(Box::new(Self { header, value: RaceCell::new_in(value) })).cast())
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
pub(crate) unsafe fn retire<P: Platform>(guard: &Guard<P>, header: *mut Header<P>) {
    // SAFETY: the caller's promise; cells hold only what may be dropped anywhere.
    unsafe { guard.retire_raw(header.cast(), (*header).destroy, (*header).bytes) };
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
        // ORDERING: pairs with the releasing store in `link`, which has it from who made the
        // version.
        self.prev.load(Ordering::Acquire)
    }

    /// Makes `prev` the version before, for the holder of PRUNING.
    pub(super) fn link(&self, prev: *const Self) {
        // ORDERING: releases the version, which was acquired, to `prev`.
        // ORDERING-AUDIT: who follows links has acquired the head, and thereby all that was below it.
        self.prev.store(prev.cast_mut(), Ordering::Release);
    }

    /// Notes when it was committed. Returns what is noted: somebody may have been faster.
    pub(crate) fn set_stamp(&self, stamp: u64) -> u64 {
        // ORDERING: pairs with the acquiring load of `stamp`.
        // ORDERING-AUDIT: what fails takes three preemptions of three threads: who prunes to make room does
        // so, before any fence, by a stamp that was given just after a snapshot began.
        match self.stamp.compare_exchange(0, stamp, Ordering::Release, Ordering::Relaxed) {
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
