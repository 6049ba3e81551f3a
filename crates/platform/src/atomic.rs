//! Shared memory: the operations of `core::sync::atomic`, as traits.

use core::sync::atomic::Ordering;

/// A shared variable of type `V`, with the operations and orderings of `core::sync::atomic`.
///
/// Construction is through [`Atomic::new`], which a trait cannot make `const`; the types of
/// [`Native`](crate::Native) have an inherent `const fn new` besides.
///
/// ```
/// use raddle_platform::{Atomic, Native, Ordering, Platform};
/// let flag = <Native as Platform>::AtomicBool::new(false);
/// assert!(!flag.swap(true, Ordering::AcqRel));
/// assert!(flag.load(Ordering::Acquire));
/// ```
pub trait Atomic<V: Copy>: Send + Sync + Sized {
    /// A variable that holds `value`.
    #[track_caller]
    fn new(value: V) -> Self;
    /// Reads the value.
    #[track_caller]
    fn load(&self, order: Ordering) -> V;
    /// Writes the value. A location that anyone read-modify-writes should be written by
    /// [`swap`](Atomic::swap) instead: loom loses a plain store that races one.
    #[track_caller]
    fn store(&self, value: V, order: Ordering);
    /// Writes the value and returns the one before.
    #[track_caller]
    fn swap(&self, value: V, order: Ordering) -> V;
    /// Writes `new` if the value is `current`. `Ok` and `Err` both hold the value that was found.
    ///
    /// # Errors
    /// The value found, if it differs from `current`.
    #[track_caller]
    fn compare_exchange(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V>;
    /// As [`compare_exchange`](Atomic::compare_exchange), but may fail for no reason: for loops.
    ///
    /// # Errors
    /// The value found, which may equal `current`.
    #[track_caller]
    fn compare_exchange_weak(
        &self,
        current: V,
        new: V,
        success: Ordering,
        failure: Ordering,
    ) -> Result<V, V>;
    /// The variable's number, by which reports name what it is a part of: in worlds that number
    /// what they make, in the order of making. 0 in others.
    #[inline]
    fn number(&self) -> u64 {
        0
    }
    /// Unsynchronised access through an exclusive borrow. (A closure, because a model checker has
    /// no reference to give.)
    #[track_caller]
    fn with_mut<R>(&mut self, f: impl FnOnce(&mut V) -> R) -> R;
}

/// A shared integer: [`Atomic`] and the arithmetic read-modify-writes. All wrap on overflow and
/// return the value before.
pub trait AtomicInt<V: Copy>: Atomic<V> {
    /// Adds.
    #[track_caller]
    fn fetch_add(&self, value: V, order: Ordering) -> V;
    /// Subtracts.
    #[track_caller]
    fn fetch_sub(&self, value: V, order: Ordering) -> V;
    /// Bitwise and.
    #[track_caller]
    fn fetch_and(&self, value: V, order: Ordering) -> V;
    /// Bitwise or.
    #[track_caller]
    fn fetch_or(&self, value: V, order: Ordering) -> V;
    /// Bitwise exclusive or.
    #[track_caller]
    fn fetch_xor(&self, value: V, order: Ordering) -> V;
    /// The larger of both.
    #[track_caller]
    fn fetch_max(&self, value: V, order: Ordering) -> V;
    /// The smaller of both.
    #[track_caller]
    fn fetch_min(&self, value: V, order: Ordering) -> V;
}
