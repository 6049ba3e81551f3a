//! The machine's atomics, with a visit before each operation.

use core::sync::atomic::Ordering;

use raddle_platform::{Atomic, AtomicInt};

use crate::delay::visit;

/// A shared variable of `Native`, each of whose operations is a visit.
#[derive(Debug)]
#[repr(transparent)]
pub struct Visited<A>(A);

impl<V: Copy, A: Atomic<V>> Atomic<V> for Visited<A> {
    #[inline(always)]
    fn new(value: V) -> Self {
        Self(A::new(value))
    }
    #[inline(always)]
    fn load(&self, order: Ordering) -> V {
        visit();
        self.0.load(order)
    }
    #[inline(always)]
    fn store(&self, value: V, order: Ordering) {
        visit();
        self.0.store(value, order);
    }
    #[inline(always)]
    fn swap(&self, value: V, order: Ordering) -> V {
        visit();
        self.0.swap(value, order)
    }
    #[inline(always)]
    fn compare_exchange(&self, old: V, new: V, yes: Ordering, no: Ordering) -> Result<V, V> {
        visit();
        self.0.compare_exchange(old, new, yes, no)
    }
    #[inline(always)]
    fn compare_exchange_weak(&self, old: V, new: V, yes: Ordering, no: Ordering) -> Result<V, V> {
        visit();
        self.0.compare_exchange_weak(old, new, yes, no)
    }
    #[inline(always)]
    fn with_mut<R>(&mut self, f: impl FnOnce(&mut V) -> R) -> R {
        self.0.with_mut(f)
    }
}

macro_rules! arithmetic {
    ($($method:ident)+) => {
        impl<V: Copy, A: AtomicInt<V>> AtomicInt<V> for Visited<A> {
            $(
                #[inline(always)]
                fn $method(&self, value: V, order: Ordering) -> V {
                    visit();
                    self.0.$method(value, order)
                }
            )+
        }
    };
}

arithmetic!(fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);
