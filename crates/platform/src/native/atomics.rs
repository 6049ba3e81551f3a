//! Newtypes over `core::sync::atomic`, inlined away.

use core::sync::atomic as core_atomic;
use core::sync::atomic::Ordering;

use crate::atomic::{Atomic, AtomicInt};

macro_rules! native_atomic {
    ($(#[$doc:meta])* $name:ident $(<$t:ident>)?, $inner:ty, $value:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name $(<$t>)? ($inner);

        impl $(<$t>)? $name $(<$t>)? {
            /// A variable that holds `value`.
            #[inline(always)]
            pub const fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }
        }

        impl $(<$t>)? Atomic<$value> for $name $(<$t>)? {
            #[inline(always)]
            fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                self.0.load(order)
            }
            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, order);
            }
            #[inline(always)]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                self.0.swap(value, order)
            }
            #[inline(always)]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange(current, new, success, failure)
            }
            #[inline(always)]
            fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.0.compare_exchange_weak(current, new, success, failure)
            }
            #[inline(always)]
            fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                f(self.0.get_mut())
            }
        }
    };
}

macro_rules! native_int {
    ($name:ident, $value:ty) => {
        impl AtomicInt<$value> for $name {
            #[inline(always)]
            fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_add(value, order)
            }
            #[inline(always)]
            fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_sub(value, order)
            }
            #[inline(always)]
            fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_and(value, order)
            }
            #[inline(always)]
            fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_or(value, order)
            }
            #[inline(always)]
            fn fetch_xor(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_xor(value, order)
            }
            #[inline(always)]
            fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_max(value, order)
            }
            #[inline(always)]
            fn fetch_min(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_min(value, order)
            }
        }
    };
}

native_atomic!(
    /// `core`'s `AtomicBool`.
    AtomicBool, core_atomic::AtomicBool, bool
);
native_atomic!(
    /// `core`'s `AtomicU32`.
    AtomicU32, core_atomic::AtomicU32, u32
);
native_atomic!(
    /// `core`'s `AtomicU64`.
    AtomicU64, core_atomic::AtomicU64, u64
);
native_atomic!(
    /// `core`'s `AtomicUsize`.
    AtomicUsize, core_atomic::AtomicUsize, usize
);
native_atomic!(
    /// `core`'s `AtomicPtr`.
    AtomicPtr<T>, core_atomic::AtomicPtr<T>, *mut T
);
native_int!(AtomicU32, u32);
native_int!(AtomicU64, u64);
native_int!(AtomicUsize, usize);
