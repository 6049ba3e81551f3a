//! Newtypes over loom's atomics that record what they do, and mend a hole in loom's search.
//!
//! loom explores an execution with two accesses swapped if they are *dependent*: to one location,
//! and not both loads. It remembers the last access to each location. So when two threads load and
//! then one of them writes, the write is compared with the later load only, and if that is the
//! writer's own, the write is never tried before the other thread's load (tokio-rs/loom#166 and
//! #392). Compare-exchange loops are of this very shape.
//!
//! Here two loads of one location are dependent too: a load first touches something that
//! belongs to the location. From the execution with the loads swapped the remaining order follows.
//! It costs two to four times the executions; `tests/completeness.rs` shows what it buys.

use core::convert::identity;
use core::sync::atomic::Ordering;

use loom::sync::Condvar;
use loom::sync::atomic as inner;
use raddle_platform::{Atomic, AtomicInt};

use crate::history::Effect;
use crate::world::{Kind, Step, with};

macro_rules! loom_atomic {
    (
        $(#[$doc:meta])* $name:ident $(<$t:ident>)?, $label:literal, $value:ty, $inner:ty,
        $pack:expr, $unpack:expr, $number:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $(<$t>)? {
            inner: $inner,
            /// What loads touch. Nobody ever waits on it, so a notification is a point at which
            /// loom may switch, and nothing else.
            loads: Condvar,
            number: u32,
        }

        impl $(<$t>)? $name $(<$t>)? {
            #[track_caller]
            fn step(&self, name: &'static str, order: Ordering) -> Step {
                Step::on(Kind::Atomics, ($label, self.number), name, Some(order))
            }
        }

        impl $(<$t>)? Atomic<$value> for $name $(<$t>)? {
            fn new(value: $value) -> Self {
                let number = with(|world| world.number_object());
                Self { inner: <$inner>::new($pack(value)), loads: Condvar::new(), number }
            }
            fn load(&self, order: Ordering) -> $value {
                let step = self.step("load", order);
                self.loads.notify_one();
                let value = $unpack(self.inner.load(order));
                step.end(Effect::Value($number(value)));
                value
            }
            fn store(&self, value: $value, order: Ordering) {
                let step = self.step("store", order);
                self.inner.store($pack(value), order);
                step.end(Effect::Value($number(value)));
            }
            fn swap(&self, value: $value, order: Ordering) -> $value {
                let step = self.step("swap", order);
                let old = $unpack(self.inner.swap($pack(value), order));
                step.end(Effect::Change($number(old), $number(value)));
                old
            }
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let step = self.step("compare_exchange", success);
                let result =
                    self.inner.compare_exchange($pack(current), $pack(new), success, failure);
                let result = result.map($unpack).map_err($unpack);
                step.end(match result {
                    Ok(old) => Effect::Change($number(old), $number(new)),
                    Err(found) => {
                        Effect::Refused { expected: $number(current), found: $number(found) }
                    }
                });
                result
            }
            // loom has no spurious failure: the same as the strong form.
            fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }
            fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                self.inner.with_mut(|raw| {
                    let mut value = $unpack(*raw);
                    let result = f(&mut value);
                    *raw = $pack(value);
                    result
                })
            }
        }
    };
}

macro_rules! loom_int {
    ($name:ident, $value:ty) => {
        loom_int!($name, $value,
            fetch_add: |old, value| old.wrapping_add(value);
            fetch_sub: |old, value| old.wrapping_sub(value);
            fetch_and: |old, value| old & value;
            fetch_or: |old, value| old | value;
            fetch_xor: |old, value| old ^ value;
            fetch_max: |old, value| old.max(value);
            fetch_min: |old, value| old.min(value);
        );
    };
    ($name:ident, $value:ty, $($method:ident: $new:expr;)+) => {
        impl AtomicInt<$value> for $name {
            $(fn $method(&self, value: $value, order: Ordering) -> $value {
                let step = self.step(stringify!($method), order);
                let old = self.inner.$method(value, order);
                let new: fn($value, $value) -> $value = $new;
                step.end(Effect::Change(old as u64, new(old, value) as u64));
                old
            })+
        }
    };
}

/// loom's `AtomicBool` has no `with_mut`, so a `bool` is a byte.
fn unpack_bool(byte: u8) -> bool {
    byte != 0
}

loom_atomic!(
    /// A `bool` in loom's memory.
    AtomicBool, "AtomicBool", bool, inner::AtomicU8, u8::from, unpack_bool, u64::from
);
loom_atomic!(
    /// A `u32` in loom's memory.
    AtomicU32, "AtomicU32", u32, inner::AtomicU32, identity, identity, u64::from
);
loom_atomic!(
    /// A `u64` in loom's memory.
    AtomicU64, "AtomicU64", u64, inner::AtomicU64, identity, identity, identity
);
loom_atomic!(
    /// A `usize` in loom's memory.
    AtomicUsize, "AtomicUsize", usize, inner::AtomicUsize, identity, identity, usize_to_u64
);
loom_atomic!(
    /// A pointer in loom's memory.
    AtomicPtr<T>, "AtomicPtr", *mut T, inner::AtomicPtr<T>, identity, identity, address
);
loom_int!(AtomicU32, u32);
loom_int!(AtomicU64, u64);
loom_int!(AtomicUsize, usize);

fn usize_to_u64(value: usize) -> u64 {
    value as u64
}

fn address<T>(pointer: *mut T) -> u64 {
    pointer.addr() as u64
}
