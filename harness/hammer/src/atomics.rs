//! The machine's atomics, with a visit before each operation.

use core::sync::atomic::Ordering;

use raddle_platform::native;
use raddle_platform::{Atomic, AtomicInt};

use crate::delay::visit;

macro_rules! hammer_atomic {
    ($(#[$doc:meta])* $name:ident $(<$t:ident>)?, $inner:ty, $value:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[repr(transparent)]
        pub struct $name $(<$t>)? ($inner);

        impl $(<$t>)? Atomic<$value> for $name $(<$t>)? {
            #[inline(always)]
            fn new(value: $value) -> Self {
                Self(<$inner>::new(value))
            }
            #[inline(always)]
            fn load(&self, order: Ordering) -> $value {
                visit();
                self.0.load(order)
            }
            #[inline(always)]
            fn store(&self, value: $value, order: Ordering) {
                visit();
                self.0.store(value, order);
            }
            #[inline(always)]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                visit();
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
                visit();
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
                visit();
                self.0.compare_exchange_weak(current, new, success, failure)
            }
            #[inline(always)]
            fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                self.0.with_mut(f)
            }
        }
    };
}

macro_rules! hammer_int {
    ($name:ident, $value:ty, $($method:ident)+) => {
        impl AtomicInt<$value> for $name {
            $(
                #[inline(always)]
                fn $method(&self, value: $value, order: Ordering) -> $value {
                    visit();
                    self.0.$method(value, order)
                }
            )+
        }
    };
    ($name:ident, $value:ty) => {
        hammer_int!(
            $name, $value,
            fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min
        );
    };
}

hammer_atomic!(
    /// A shared `bool`.
    AtomicBool, native::AtomicBool, bool
);
hammer_atomic!(
    /// A shared `u32`.
    AtomicU32, native::AtomicU32, u32
);
hammer_atomic!(
    /// A shared `u64`.
    AtomicU64, native::AtomicU64, u64
);
hammer_atomic!(
    /// A shared `usize`.
    AtomicUsize, native::AtomicUsize, usize
);
hammer_atomic!(
    /// A shared pointer.
    AtomicPtr<T>, native::AtomicPtr<T>, *mut T
);
hammer_int!(AtomicU32, u32);
hammer_int!(AtomicU64, u64);
hammer_int!(AtomicUsize, usize);
