//! Atomics: handles of locations in the simulated memory.

use core::marker::PhantomData;
use core::panic::Location;
use core::sync::atomic::Ordering;

use raddle_platform::{Atomic, AtomicInt};

use crate::decisions::Kind;
use crate::history::{Effect, Name, On, Operation};
use crate::memory::{Access, Fault, Memory};
use crate::objects::Handle;
use crate::world::{self, Class, Failed, World, operate, stop, with};

/// A value that the simulated memory can hold.
trait Word: Copy {
    fn pack(self) -> u64;
    fn unpack(word: u64) -> Self;
}

macro_rules! word {
    ($value:ty) => {
        impl Word for $value {
            #[inline]
            fn pack(self) -> u64 {
                self as u64
            }
            #[inline]
            fn unpack(word: u64) -> Self {
                word as $value
            }
        }
    };
}

word!(u32);
word!(u64);
word!(usize);

impl Word for bool {
    #[inline]
    fn pack(self) -> u64 {
        u64::from(self)
    }
    #[inline]
    fn unpack(word: u64) -> Self {
        word != 0
    }
}

impl<T> Word for *mut T {
    #[inline]
    fn pack(self) -> u64 {
        self.expose_provenance() as u64
    }
    #[inline]
    fn unpack(word: u64) -> Self {
        core::ptr::with_exposed_provenance_mut(word as usize)
    }
}

/// A location. Its destruction is an access that no other may race.
#[derive(Debug)]
struct Variable(Handle);

fn operation(world: &World, at: Handle, name: Name, order: Option<Ordering>) -> Operation {
    Operation { name, on: On::Atomic, object: world.memory.number(at), order }
}

impl Variable {
    #[track_caller]
    fn new(value: u64) -> Self {
        let site = Location::caller();
        Self(with(|world| {
            let by = world.access(site);
            world.memory.create(&mut world.views, by, value)
        }))
    }

    /// The operation `name`; `f` does it.
    #[inline]
    #[track_caller]
    fn operate<R>(
        &self,
        name: Name,
        order: Ordering,
        f: impl FnOnce(&mut World, Access) -> Result<(R, Effect), Fault>,
    ) -> R {
        let operation = with(|world| operation(world, self.0, name, Some(order)));
        operate(operation, Class::Memory, |world, by| {
            world.counts.atomics += 1;
            f(world, by)
        })
    }

    #[inline]
    #[track_caller]
    fn load(&self, order: Ordering) -> u64 {
        self.operate(Name::Load, order, |world, by| {
            let value = world.memory.load(&mut world.views, by, self.0, order)?;
            Ok((value, Effect::Value(value)))
        })
    }

    #[inline]
    #[track_caller]
    fn store(&self, value: u64, order: Ordering) {
        self.operate(Name::Store, order, |world, by| {
            world.memory.store(&mut world.views, by, self.0, order, value)?;
            Ok(((), Effect::Value(value)))
        });
    }

    #[inline]
    #[track_caller]
    fn update(&self, name: Name, order: Ordering, new: impl Fn(u64) -> u64) -> u64 {
        self.operate(name, order, |world, by| {
            let orders = (order, Ordering::Relaxed);
            let write = |old| Some(new(old));
            let old = world.memory.update(&mut world.views, by, self.0, orders, write)?;
            Ok((old, Effect::Change(old, new(old))))
        })
    }

    #[inline]
    #[track_caller]
    fn exchange(
        &self,
        name: Name,
        (current, new): (u64, u64),
        orders: (Ordering, Ordering),
    ) -> Result<u64, u64> {
        let weak = name == Name::CompareExchangeWeak;
        let result = self.operate(name, orders.0, |world, by| {
            // A failure for no reason is a choice only where success is the other.
            let fails = weak
                && world.memory.peek(self.0) == Some(current)
                && match world.choose(Kind::WeakExchange, 2) {
                    Ok(choice) => choice == 1,
                    Err(Failed) => return Ok((Err(Failed), Effect::Done)),
                };
            let write = |old| (old == current && !fails).then_some(new);
            let old = world.memory.update(&mut world.views, by, self.0, orders, write)?;
            let (result, effect) = match old == current {
                true if fails => (Err(old), Effect::Spuriously(old)),
                true => (Ok(old), Effect::Change(old, new)),
                false => (Err(old), Effect::Refused { expected: current, found: old }),
            };
            world.reach_exchange(name, orders, effect, by.site);
            Ok((Ok(result), effect))
        });
        match result {
            Ok(result) => result,
            Err(Failed) => stop(),
        }
    }

    #[track_caller]
    fn exclusive<R>(&mut self, f: impl FnOnce(u64) -> (u64, R)) -> R {
        let site = Location::caller();
        let at = self.0;
        let access = |world: &mut World, write: Option<u64>| {
            let by = world.access(site);
            let what = operation(world, at, Name::WithMut, None);
            match world.memory.exclusive(&world.views, by, at) {
                Ok(value) => {
                    *value = write.unwrap_or(*value);
                    Ok(*value)
                }
                Err(fault) => Err(world.fault(what, by, fault)),
            }
        };
        // `f` is the caller's: no borrow of the world is open meanwhile.
        with(|world| world.reach_by_name(Name::WithMut.text(), site));
        let Ok(value) = with(|world| access(world, None)) else { stop() };
        let (value, result) = f(value);
        let Ok(_) = with(|world| access(world, Some(value))) else { stop() };
        result
    }
}

impl Drop for Variable {
    fn drop(&mut self) {
        let at = self.0;
        let site = Location::caller();
        let failed = world::try_with(|world| {
            if !world.memory.owns(at) {
                // Of another world, which is over.
                return Ok(());
            }
            let by = world.access(site);
            let what = operation(world, at, Name::Drop, None);
            let result = world.memory.destroy(&world.views, by, at);
            world.destroyed(what, by, result)
        });
        if matches!(failed, Some(Err(Failed))) {
            stop();
        }
    }
}

macro_rules! sim_atomic {
    ($(#[$doc:meta])* $name:ident $(<$t:ident>)?, $value:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name $(<$t>)? {
            variable: Variable,
            value: PhantomData<$value>,
        }

        // SAFETY: only a handle; all simulated threads share one operating-system thread, and the
        // world of another one does not know the handle.
        unsafe impl $(<$t>)? Send for $name $(<$t>)? {}
        // SAFETY: as above.
        unsafe impl $(<$t>)? Sync for $name $(<$t>)? {}

        impl $(<$t>)? Atomic<$value> for $name $(<$t>)? {
            fn new(value: $value) -> Self {
                Self { variable: Variable::new(value.pack()), value: PhantomData }
            }
            fn number(&self) -> u64 {
                let at = self.variable.0;
                u64::from(with(|world| world.memory.number(at)))
            }
            #[inline]
            fn load(&self, order: Ordering) -> $value {
                Word::unpack(self.variable.load(order))
            }
            #[inline]
            fn store(&self, value: $value, order: Ordering) {
                self.variable.store(value.pack(), order);
            }
            #[inline]
            fn swap(&self, value: $value, order: Ordering) -> $value {
                Word::unpack(self.variable.update(Name::Swap, order, |_| value.pack()))
            }
            #[inline]
            fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let (values, orders) = ((current.pack(), new.pack()), (success, failure));
                let result = self.variable.exchange(Name::CompareExchange, values, orders);
                result.map(Word::unpack).map_err(Word::unpack)
            }
            #[inline]
            fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let (values, orders) = ((current.pack(), new.pack()), (success, failure));
                let result = self.variable.exchange(Name::CompareExchangeWeak, values, orders);
                result.map(Word::unpack).map_err(Word::unpack)
            }
            fn with_mut<R>(&mut self, f: impl FnOnce(&mut $value) -> R) -> R {
                self.variable.exclusive(|word| {
                    let mut value = Word::unpack(word);
                    let result = f(&mut value);
                    (value.pack(), result)
                })
            }
        }
    };
}

macro_rules! sim_int {
    ($name:ident, $value:ty) => {
        sim_int!($name, $value,
            fetch_add, FetchAdd: |old, value| old.wrapping_add(value);
            fetch_sub, FetchSub: |old, value| old.wrapping_sub(value);
            fetch_and, FetchAnd: |old, value| old & value;
            fetch_or, FetchOr: |old, value| old | value;
            fetch_xor, FetchXor: |old, value| old ^ value;
            fetch_max, FetchMax: |old, value| old.max(value);
            fetch_min, FetchMin: |old, value| old.min(value);
        );
    };
    ($name:ident, $value:ty, $($method:ident, $label:ident: $new:expr;)+) => {
        impl AtomicInt<$value> for $name {
            $(
                #[inline]
                fn $method(&self, value: $value, order: Ordering) -> $value {
                    let new: fn($value, $value) -> $value = $new;
                    let write = |old| new(Word::unpack(old), value).pack();
                    Word::unpack(self.variable.update(Name::$label, order, write))
                }
            )+
        }
    };
}

sim_atomic!(
    /// A `bool` in the simulated memory.
    AtomicBool, bool
);
sim_atomic!(
    /// A `u32` in the simulated memory.
    AtomicU32, u32
);
sim_atomic!(
    /// A `u64` in the simulated memory.
    AtomicU64, u64
);
sim_atomic!(
    /// A `usize` in the simulated memory.
    AtomicUsize, usize
);
sim_atomic!(
    /// A pointer in the simulated memory.
    AtomicPtr<T>, *mut T
);
sim_int!(AtomicU32, u32);
sim_int!(AtomicU64, u64);
sim_int!(AtomicUsize, usize);
