//! Being pinned.

use core::fmt;
use core::marker::PhantomData;

use raddle_platform::{Native, Platform};

use super::bag::Retired;
use super::participant::{Participant, with_participant};

/// Pins the calling thread: what it finds in shared structures from here on is not freed before the
/// guard is dropped. Waits for nobody; a few nanoseconds.
///
/// ```
/// let guard = raddle_versioned::epoch::pin();
/// // Nested pins are cheaper still.
/// let inner = raddle_versioned::epoch::pin();
/// drop((inner, guard));
/// ```
#[inline(always)]
pub fn pin() -> Guard {
    pin_in::<Native>()
}

/// [`pin`] in the world `P`.
#[inline(always)]
pub fn pin_in<P: Platform>() -> Guard<P> {
    with_participant::<P, _>(|participant| {
        participant.pin();
        Guard { participant, thread: PhantomData }
    })
}

/// Frees what can be freed now of what the calling thread has retired. Nobody needs to call this: it
/// happens by itself, a few milliseconds later (see the [module](super)). O(threads).
///
/// Does nothing if the thread is pinned.
///
/// ```
/// use raddle_versioned::{Native, epoch};
/// epoch::pin().retire(Box::new(7));
/// epoch::collect::<Native>();
/// ```
pub fn collect<P: Platform>() {
    let guard = pin_in::<P>();
    guard.participant().want_to_collect();
}

/// Keeps the calling thread pinned; see [`pin`].
///
/// It stays on its thread:
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// send(raddle_versioned::epoch::pin());
/// ```
///
/// and must be dropped before anything that may block (debug builds assert that). A guard that is
/// forgotten keeps everything that is retired from then on for ever.
#[must_use = "if unused, nothing is pinned any more"]
pub struct Guard<P: Platform = Native> {
    participant: *const Participant<P>,
    thread: PhantomData<*mut ()>,
}

impl<P: Platform> Guard<P> {
    #[inline(always)]
    pub(crate) fn participant(&self) -> &Participant<P> {
        // SAFETY: a participant that is pinned is its thread's, and lives as long as its world,
        // which the thread keeps.
        unsafe { &*self.participant }
    }

    /// Drops `value` when everybody who is pinned now has gone, on some thread.
    ///
    /// O(1); at the end of the outermost pin the thread may free what was retired before, and waits
    /// if there is too much of it (see the module).
    pub fn retire<T: Send + 'static>(&self, value: Box<T>) {
        // SAFETY: the box is the caller's, so it may be dropped once and, as it is `Send`, anywhere.
        unsafe { self.retire_raw(Box::into_raw(value).cast(), drop_box::<T>, size_of::<T>()) };
    }

    /// Calls `destroy(pointer)` when everybody who is pinned now has gone, on some thread. `bytes`
    /// is for [`stats`](super::stats).
    ///
    /// # Safety
    /// `destroy(pointer)` may be called once, on any thread, at any time after nobody can read what
    /// is there any more; whoever is not pinned now can not find it.
    pub unsafe fn retire_raw(&self, pointer: *mut (), destroy: unsafe fn(*mut ()), bytes: usize) {
        // SAFETY: the caller's promise.
        self.participant().retire(unsafe { Retired::new(pointer, destroy, bytes) });
    }
}

/// # Safety
/// `pointer` came from a `Box<T>`, and is given up.
unsafe fn drop_box<T>(pointer: *mut ()) {
    // SAFETY: the caller's promise.
    drop(unsafe { Box::<T>::from_raw(pointer.cast()) });
}

impl<P: Platform> Clone for Guard<P> {
    /// A nested pin.
    #[inline]
    fn clone(&self) -> Self {
        self.participant().pin();
        Self { participant: self.participant, thread: PhantomData }
    }
}

impl<P: Platform> Drop for Guard<P> {
    #[inline(always)]
    fn drop(&mut self) {
        self.participant().unpin();
    }
}

impl<P: Platform> fmt::Debug for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
