//! The subjects: cells that hold a value which many read and few replace.

use crossbeam_epoch as epoch;
use raddle_ownership::Arc;
use raddle_versioned::{ArcCell, Versioned};

/// A value that counts the writes, and knows whether it is whole.
pub(crate) trait Value: Copy + Send + Sync + 'static {
    fn of(count: u64) -> Self;
    /// The count.
    ///
    /// # Panics
    /// If the value is half of one and half of another.
    fn count(&self) -> u64;
}

impl Value for u64 {
    fn of(count: u64) -> Self {
        count
    }
    fn count(&self) -> u64 {
        *self
    }
}

/// Several cache lines, as a configuration or a route would have.
#[derive(Clone, Copy)]
pub(crate) struct Fat([u64; 32]);

impl Value for Fat {
    fn of(count: u64) -> Self {
        Self([count; 32])
    }
    fn count(&self) -> u64 {
        assert!(self.0[0] == self.0[15] && self.0[0] == self.0[31], "the value is whole");
        self.0[0]
    }
}

/// What is measured.
pub(crate) trait Cell<T: Value>: Send + Sync {
    const NAME: &'static str;
    fn new() -> Self;
    /// The count of the value, read where it lies.
    fn read(&self) -> u64;
    /// Replaces the value by the next one.
    fn write(&self);
}

impl<T: Value> Cell<T> for Versioned<T> {
    const NAME: &'static str = "raddle";
    fn new() -> Self {
        Self::new(T::of(0))
    }
    #[inline(always)]
    fn read(&self) -> u64 {
        self.read().count()
    }
    fn write(&self) {
        // Others may be faster so often that an update gives up; here it has to come to its end.
        while self.update(|value| T::of(value.count() + 1)).is_err() {
            std::thread::yield_now();
        }
    }
}

impl<T: Value> Cell<T> for ArcCell<T> {
    const NAME: &'static str = "raddle-arc-cell";
    fn new() -> Self {
        Self::new(Arc::new(T::of(0)))
    }
    #[inline(always)]
    fn read(&self) -> u64 {
        self.load().count()
    }
    fn write(&self) {
        while self.rcu(|value| Arc::new(T::of(value.count() + 1))).is_err() {
            std::thread::yield_now();
        }
    }
}

impl<T: Value> Cell<T> for arc_swap::ArcSwap<T> {
    const NAME: &'static str = "arc-swap";
    fn new() -> Self {
        Self::from_pointee(T::of(0))
    }
    #[inline(always)]
    fn read(&self) -> u64 {
        self.load().count()
    }
    fn write(&self) {
        self.rcu(|value| std::sync::Arc::new(T::of(value.count() + 1)));
    }
}

impl<T: Value> Cell<T> for parking_lot::RwLock<T> {
    const NAME: &'static str = "parking_lot";
    fn new() -> Self {
        Self::new(T::of(0))
    }
    #[inline(always)]
    fn read(&self) -> u64 {
        self.read().count()
    }
    fn write(&self) {
        let mut value = self.write();
        *value = T::of(value.count() + 1);
    }
}

/// What one would write with crossbeam-epoch oneself.
pub(crate) struct ByHand<T>(epoch::Atomic<T>);

impl<T: Value> Cell<T> for ByHand<T> {
    const NAME: &'static str = "crossbeam-epoch";
    fn new() -> Self {
        Self(epoch::Atomic::new(T::of(0)))
    }
    #[inline(always)]
    fn read(&self) -> u64 {
        use std::sync::atomic::Ordering::Acquire;
        let guard = epoch::pin();
        // SAFETY: never null, and what is replaced is destroyed when nobody is pinned any more.
        unsafe { self.0.load(Acquire, &guard).deref() }.count()
    }
    fn write(&self) {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let guard = epoch::pin();
        let mut current = self.0.load(Acquire, &guard);
        loop {
            // SAFETY: as in `read`.
            let next = T::of(unsafe { current.deref() }.count() + 1);
            let next = epoch::Owned::new(next);
            match self.0.compare_exchange(current, next, AcqRel, Acquire, &guard) {
                Ok(_) => break,
                Err(failed) => current = failed.current,
            }
        }
        // SAFETY: taken out just now; whoever still reads it is pinned.
        unsafe { guard.defer_destroy(current) };
    }
}

impl<T> Drop for ByHand<T> {
    fn drop(&mut self) {
        let atomic = std::mem::replace(&mut self.0, epoch::Atomic::null());
        // SAFETY: nobody else has the cell, and it is never null.
        drop(unsafe { atomic.into_owned() });
    }
}
