//! [`Snapshot`]: all cells as they were at one point in time.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;

use raddle_platform::global::Handle;
use raddle_platform::{Native, Platform, Race};

use crate::cell::version::Version;
use crate::cell::{Header, RawCell, Versioned};
use crate::clock::Slot;
use crate::epoch::pin_in;
use crate::world::{self, World};

/// A point in time, at which any number of [`Versioned`] cells can be read: what was committed
/// before is seen, all of it, and nothing of what came later.
///
/// ```
/// use raddle_versioned::{Snapshot, Versioned, transaction};
///
/// let (left, right): (Versioned<i32>, Versioned<i32>) = (Versioned::new(50), Versioned::new(50));
/// let audit = Snapshot::new();
/// transaction(|tx| {
///     tx.write(&left, tx.read(&left) - 20);
///     tx.write(&right, tx.read(&right) + 20);
///     Ok::<(), ()>(())
/// })
/// .unwrap();
/// assert_eq!(*audit.read(&left) + *audit.read(&right), 100);
/// ```
///
/// It is registered, and not a pin: it may live across suspensions and move between threads. What it
/// may look for is kept as long as it is there, up to
/// [`versions`](raddle_platform::CellBounds::versions) of one cell; then updates fail. (It goes when the
/// cell is written next after the snapshot is dropped.) A cell that is
/// younger than the snapshot is seen with its first value.
///
/// Taking one costs a few tens of nanoseconds; a read about as much as that of the cell, and a step
/// for each version that is newer.
pub struct Snapshot<P: Platform = Native> {
    slot: *const Slot<P>,
    time: u64,
    /// Keeps the slot.
    world: Handle<World<P>>,
}

// SAFETY: the slot is shared, and freed with the world, which the snapshot keeps.
unsafe impl<P: Platform> Send for Snapshot<P> {}
// SAFETY: as above; reading changes nothing of the snapshot.
unsafe impl<P: Platform> Sync for Snapshot<P> {}

impl Snapshot {
    /// Now.
    #[expect(clippy::new_without_default, reason = "two snapshots are not alike")]
    pub fn new() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> Snapshot<P> {
    /// Now, in the world `P`.
    #[track_caller]
    pub fn new_in() -> Self {
        let _inside = P::called();
        Self::take()
    }

    pub(crate) fn take() -> Self {
        let guard = pin_in::<P>();
        let participant = guard.participant();
        let last: *const Slot<P> = participant.last_slot.get().cast();
        let (slot, time) = participant.world().clock.enter(last);
        participant.last_slot.set(core::ptr::from_ref(slot).cast());
        Self { slot, time, world: participant.handle() }
    }

    /// Differs from that of any other snapshot which is there at the same time.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: a slot is freed with its world, which we keep.
        unsafe { (*self.slot).number }
    }

    pub(crate) fn world(&self) -> &World<P> {
        &self.world
    }

    /// The value of `cell` at this time. Never blocks. The result is no pin, and may live across
    /// suspensions.
    #[inline]
    #[track_caller]
    pub fn read<'a, T: Send + Sync + 'static>(
        &'a self,
        cell: &'a Versioned<T, P>,
    ) -> SnapshotRef<'a, T, P> {
        let _inside = P::called();
        // SAFETY: the version is one of this cell.
        unsafe { SnapshotRef::new(self.find(cell.raw())) }
    }

    /// The version of `cell` at this time. It stays as long as the snapshot and the cell do.
    #[inline]
    pub(crate) fn find(&self, cell: &RawCell<P>) -> *const Header<P> {
        let guard = pin_in::<P>();
        cell.newest_at(self.time, &guard).as_ptr()
    }
}

impl<P: Platform> Drop for Snapshot<P> {
    fn drop(&mut self) {
        // SAFETY: a slot is freed with its world, which we keep.
        unsafe { (*self.slot).leave() };
    }
}

impl<P: Platform> fmt::Debug for Snapshot<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("time", &self.time).finish_non_exhaustive()
    }
}

/// How many snapshots there are in the world `P`, those of running transactions included.
///
/// ```
/// use raddle_versioned::{Native, Snapshot, snapshots};
/// let snapshot = Snapshot::new();
/// assert!(snapshots::<Native>() >= 1);
/// ```
pub fn snapshots<P: Platform>() -> usize {
    world::of::<P>().clock.snapshots()
}

/// A value as a [`Snapshot`] sees it.
pub struct SnapshotRef<'a, T, P: Platform = Native> {
    value: *const T,
    open: <P::Race as Race>::Read,
    snapshot: PhantomData<&'a T>,
}

// SAFETY: a `&T` and a checker, which is for the place where it was opened only; both may be used
// from anywhere.
unsafe impl<T: Sync, P: Platform> Sync for SnapshotRef<'_, T, P> {}

impl<T, P: Platform> SnapshotRef<'_, T, P> {
    /// # Safety
    /// `version` is that of a `Version<T, P>`, which is alive for the lifetime of the result.
    unsafe fn new(version: *const Header<P>) -> Self {
        // SAFETY: the caller's promise.
        let (value, open) = unsafe { Version::<T, P>::value(version) }.open();
        Self { value, open, snapshot: PhantomData }
    }
}

impl<T, P: Platform> Deref for SnapshotRef<'_, T, P> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        let _open = &self.open;
        // SAFETY: kept by the snapshot, and written by its destructor only.
        unsafe { &*self.value }
    }
}

impl<T: fmt::Debug, P: Platform> fmt::Debug for SnapshotRef<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
