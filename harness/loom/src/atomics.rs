//! Newtypes over loom's atomics that record what they do, and [mend](crate::loads) its search.
//!
//! The destruction of an atomic is an access, too: memory that is freed while another thread may
//! still use it is reported, whichever of the two comes first in the execution.

use core::convert::identity;
use core::sync::atomic::Ordering;

use loom::sync::atomic as inner;
use raddle_platform::{Atomic, AtomicInt};

use crate::history::Effect;
use crate::loads::Loads;
use crate::step;
use crate::world::{self, Kind, Step, with};

macro_rules! loom_atomic {
    (
        $(#[$doc:meta])* $name:ident $(<$t:ident>)?, $label:literal, $value:ty, $inner:ty,
        $pack:expr, $unpack:expr, $number:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $(<$t>)? {
            inner: $inner,
            loads: Loads,
            number: u32,
        }

        impl $(<$t>)? $name $(<$t>)? {
            #[track_caller]
            fn step(&self, name: &'static str, order: Ordering) -> Step {
                Step::on(Kind::Atomics, ($label, self.number), name, Some(order))
            }

            #[track_caller]
            fn write_step(&self, name: &'static str, order: Ordering) -> Step {
                let step = self.step(name, order);
                self.loads.before_write(step.thread());
                step
            }

            fn written(&self, step: Step, effect: Effect) {
                self.loads.after_write();
                step.end(effect);
            }

            fn exchange(
                &self,
                step: Step,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.loads.before_write(step.thread());
                let (success, failure) = (step.order(success), step.failure(failure));
                let result =
                    self.inner.compare_exchange($pack(current), $pack(new), success, failure);
                let result = result.map($unpack).map_err($unpack);
                let effect = match result {
                    Ok(old) => Effect::Change($number(old), $number(new)),
                    Err(found) => {
                        Effect::Refused { expected: $number(current), found: $number(found) }
                    }
                };
                let result = step.exchanged(current, result);
                self.written(step, effect);
                result
            }
        }

        impl $(<$t>)? Drop for $name $(<$t>)? {
            fn drop(&mut self) {
                if world::trusted() {
                    self.inner.with_mut(|_| ());
                }
            }
        }

        impl $(<$t>)? Atomic<$value> for $name $(<$t>)? {
            fn new(value: $value) -> Self {
                let number = with(|world| world.number_object());
                Self { inner: <$inner>::new($pack(value)), loads: Loads::default(), number }
            }
            fn load(&self, order: Ordering) -> $value {
                let step = self.step("load", order);
                self.loads.before_load(step.thread());
                let value = $unpack(self.inner.load(step.order(order)));
                self.loads.after_load(step.thread());
                step.end(Effect::Value($number(value)));
                value
            }
            fn store(&self, value: $value, order: Ordering) {
                let step = self.write_step("store", order);
                self.inner.store($pack(value), step.order(order));
                self.written(step, Effect::Value($number(value)));
            }
            fn swap(&self, value: $value, order: Ordering) -> $value {
                let step = self.write_step("swap", order);
                let old = $unpack(self.inner.swap($pack(value), step.order(order)));
                self.written(step, Effect::Change($number(old), $number(value)));
                old
            }
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let name = "compare_exchange";
                let step = Step::exchange(($label, self.number), name, success, failure);
                self.exchange(step, current, new, success, failure)
            }
            // loom has no spurious failure: the same as the strong form.
            fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let name = "compare_exchange_weak";
                let step = Step::exchange(($label, self.number), name, success, failure);
                self.exchange(step, current, new, success, failure)
            }
            fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                step::note("with_mut");
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
                let step = self.write_step(stringify!($method), order);
                let old = self.inner.$method(value, step.order(order));
                let new: fn($value, $value) -> $value = $new;
                self.written(step, Effect::Change(old as u64, new(old, value) as u64));
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
