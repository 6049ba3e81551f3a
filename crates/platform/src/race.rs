//! Unsynchronised shared data, and the checker that stands beside it.

use core::cell::UnsafeCell;

/// Checks that accesses to some unsynchronised data do not race.
///
/// The checker stands *beside* the value ([`RaceCell`]) instead of wrapping it: so unsizing works,
/// and no `Sized` bound spreads to users. An access is open for as long as its token lives; two
/// open accesses of which one is a write, or two accesses that no happens-before edge orders, are
/// a data race, and a checking platform reports it. `Native`'s checker and tokens are empty.
pub trait Race: Send + Sync + Sized {
    /// Open for the length of a shared access.
    type Read;
    /// Open for the length of an exclusive access.
    type Write;
    /// A checker for data that nobody has touched yet.
    #[track_caller]
    fn new() -> Self;
    /// A shared access begins.
    #[track_caller]
    fn read(&self) -> Self::Read;
    /// An exclusive access begins.
    #[track_caller]
    fn write(&self) -> Self::Write;
}

/// An `UnsafeCell` with a [`Race`] checker beside it.
///
/// ```
/// use raddle_platform::{Native, Platform, RaceCell};
/// let cell = RaceCell::<u32, Native>::new_in(1);
/// // SAFETY: nobody else has the cell.
/// unsafe { cell.with_mut(|value| *value += 1) };
/// assert_eq!(cell.into_inner(), 2);
/// ```
pub struct RaceCell<T: ?Sized, P: crate::Platform = crate::Native> {
    race: P::Race,
    value: UnsafeCell<T>,
}

// SAFETY: the cell hands out references only through unsafe methods whose callers promise
// exclusion; what remains is moving the value between threads, which `T: Send` allows.
unsafe impl<T: ?Sized + Send, P: crate::Platform> Sync for RaceCell<T, P> {}

impl<T> RaceCell<T, crate::Native> {
    /// A cell for production, usable in a `static`.
    pub const fn new(value: T) -> Self {
        Self { race: crate::native::NativeRace::new_const(), value: UnsafeCell::new(value) }
    }
}

impl<T, P: crate::Platform> RaceCell<T, P> {
    /// A cell in the world `P`.
    #[inline]
    #[track_caller]
    pub fn new_in(value: T) -> Self {
        Self { race: P::Race::new(), value: UnsafeCell::new(value) }
    }

    /// The value.
    #[inline]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, P: crate::Platform> RaceCell<T, P> {
    /// Shared access for the length of `f`.
    ///
    /// # Safety
    /// Nobody has exclusive access meanwhile.
    #[inline(always)]
    #[track_caller]
    pub unsafe fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        let _open = self.race.read();
        // SAFETY: the caller promises that no exclusive access is open.
        f(unsafe { &*self.value.get() })
    }

    /// Exclusive access for the length of `f`.
    ///
    /// # Safety
    /// Nobody has any other access meanwhile.
    #[inline(always)]
    #[track_caller]
    pub unsafe fn with_mut<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let _open = self.race.write();
        // SAFETY: the caller promises that no other access is open.
        f(unsafe { &mut *self.value.get() })
    }

    /// The address of the value and a token of shared access, which the caller keeps for as long
    /// as it reads.
    #[inline(always)]
    #[track_caller]
    pub fn open(&self) -> (*const T, <P::Race as Race>::Read) {
        (self.value.get(), self.race.read())
    }

    /// The address of the value and a token of exclusive access, which the caller keeps for as
    /// long as it writes.
    #[inline(always)]
    #[track_caller]
    pub fn open_mut(&self) -> (*mut T, <P::Race as Race>::Write) {
        (self.value.get(), self.race.write())
    }

    /// Access through an exclusive borrow.
    #[inline(always)]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The address of the value, without opening an access.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut T {
        self.value.get()
    }
}
