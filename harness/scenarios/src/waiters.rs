//! Who waits: a thread, a fiber or a future.
//!
//! A lock's scenario is written once over the kinds of its waiters, and is in the list once for
//! each kind ([`each_waiter`]) or pair of kinds ([`each_pair`]), mixed pairs too:
//!
//! ```text
//! fn exclusion<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
//!     let mutex = ParkingMutex::<u32, P>::new_in(0);
//!     scope::<P, _>(|threads| {
//!         threads.spawn(|| A::run(|| *A::lock(&mutex) += 1));
//!         B::run(|| *B::lock(&mutex) += 1);
//!     });
//! }
//! ```
//!
//! - [`Thread`] calls the blocking form on a plain thread.
//! - [`Fiber`] calls the blocking form on a coroutine of its own, which is [nested](crate::nested)
//!   in the thread and installed as its suspender: the seam at which the runtime is, too.
//! - [`Async`] awaits the async form.

use core::future::Future;

use raddle_parking_lot::{
    Condvar, MutexGuard, ParkingMutex, ParkingRwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Semaphore, WaitGroup,
};
use raddle_platform::{Platform, suspend};
use raddle_streams::channel::{Receiver, RecvError, SendError, Sender};

use crate::nested;

/// A kind of waiter.
pub(crate) trait Waiter<P: Platform>: 'static {
    /// Does `body` as such a waiter, on the calling thread.
    fn run<R>(body: impl FnOnce() -> R) -> R {
        body()
    }

    /// Waits, by the blocking call or for the future.
    fn wait<F: Future>(call: impl FnOnce() -> F::Output, future: impl FnOnce() -> F) -> F::Output;

    fn lock<T>(mutex: &ParkingMutex<T, P>) -> MutexGuard<'_, T, P> {
        Self::wait(|| mutex.lock(), || mutex.lock_async())
    }

    fn read<T>(lock: &ParkingRwLock<T, P>) -> RwLockReadGuard<'_, T, P> {
        Self::wait(|| lock.read(), || lock.read_async())
    }

    fn write<T>(lock: &ParkingRwLock<T, P>) -> RwLockWriteGuard<'_, T, P> {
        Self::wait(|| lock.write(), || lock.write_async())
    }

    fn upgradable_read<T>(lock: &ParkingRwLock<T, P>) -> RwLockUpgradableReadGuard<'_, T, P> {
        Self::wait(|| lock.upgradable_read(), || lock.upgradable_read_async())
    }

    fn upgrade<'a, T>(guard: RwLockUpgradableReadGuard<'a, T, P>) -> RwLockWriteGuard<'a, T, P> {
        let guard = core::cell::Cell::new(Some(guard));
        let take = || guard.take().expect("one of both is called");
        Self::wait(
            || RwLockUpgradableReadGuard::upgrade(take()),
            || RwLockUpgradableReadGuard::upgrade_async(take()),
        )
    }

    fn acquire(semaphore: &Semaphore<P>, count: u32) {
        Self::wait(|| semaphore.acquire_many(count), || semaphore.acquire_many_async(count))
            .forget();
    }

    fn wait_for(group: &WaitGroup<P>) {
        Self::wait(|| group.wait(), || group.wait_async());
    }

    fn send<T>(sender: &Sender<T, P>, value: T) -> Result<(), SendError<T>> {
        let value = core::cell::Cell::new(Some(value));
        let take = || value.take().expect("one of both is called");
        Self::wait(|| sender.send(take()), || sender.send_async(take()))
    }

    fn recv<T>(receiver: &Receiver<T, P>) -> Result<T, RecvError> {
        Self::wait(|| receiver.recv(), || receiver.recv_async())
    }

    /// Waits for one notification.
    fn wait_on<'a, T>(
        condvar: &'a Condvar<P>,
        guard: MutexGuard<'a, T, P>,
    ) -> MutexGuard<'a, T, P> {
        let guard = core::cell::Cell::new(Some(guard));
        let take = || guard.take().expect("one of both is called");
        Self::wait(
            || {
                let mut guard = take();
                condvar.wait(&mut guard);
                guard
            },
            || condvar.wait_async(take()),
        )
    }
}

/// A kind of waiter that has blocking calls, and so deadlines. (A future's deadline is that it is
/// dropped, at any time.)
pub(crate) trait Blocking<P: Platform>: Waiter<P> {}

/// See the module.
pub(crate) struct Thread;

/// See the module.
pub(crate) struct Fiber;

/// See the module.
pub(crate) struct Async;

impl<P: Platform> Waiter<P> for Thread {
    fn wait<F: Future>(call: impl FnOnce() -> F::Output, _: impl FnOnce() -> F) -> F::Output {
        call()
    }
}

impl<P: Platform> Waiter<P> for Fiber {
    fn run<R>(body: impl FnOnce() -> R) -> R {
        nested::run::<P, R>(body)
    }

    fn wait<F: Future>(call: impl FnOnce() -> F::Output, _: impl FnOnce() -> F) -> F::Output {
        debug_assert!(suspend::in_fiber::<P>(), "a fiber waits inside of `run`");
        call()
    }
}

impl<P: Platform> Waiter<P> for Async {
    fn wait<F: Future>(_: impl FnOnce() -> F::Output, future: impl FnOnce() -> F) -> F::Output {
        suspend::block_on::<P, _>(future())
    }
}

impl<P: Platform> Blocking<P> for Thread {}
impl<P: Platform> Blocking<P> for Fiber {}

/// The scenarios of `$program::<P, W>` for each kind of waiter `W`; of `$program::<P, W, C>` with a
/// constant `C`.
macro_rules! each_waiter {
    ($name:literal, $property:literal, $program:ident, $p:ident $(, $constant:literal)?) => {
        $crate::waiters::scenarios!($name, $property, $program, $p, [$($constant)?],
            "/thread" => (Thread), "/fiber" => (Fiber), "/future" => (Async))
    };
}

/// The scenarios of `$program::<P, W>` for each kind of waiter `W` that has deadlines.
macro_rules! each_blocking {
    ($name:literal, $property:literal, $program:ident, $p:ident $(, $constant:literal)?) => {
        $crate::waiters::scenarios!($name, $property, $program, $p, [$($constant)?],
            "/thread" => (Thread), "/fiber" => (Fiber))
    };
}

/// The scenarios of `$program::<P, A, B>` for each pair of kinds of waiters, whichever comes first.
macro_rules! each_pair {
    ($name:literal, $property:literal, $program:ident, $p:ident $(, $constant:literal)?) => {
        $crate::waiters::scenarios!($name, $property, $program, $p, [$($constant)?],
            "/thread+thread" => (Thread, Thread),
            "/fiber+fiber" => (Fiber, Fiber),
            "/future+future" => (Async, Async),
            "/thread+fiber" => (Thread, Fiber),
            "/thread+future" => (Thread, Async),
            "/fiber+future" => (Fiber, Async))
    };
}

/// The scenarios of `$program::<P, A, B>` for each pair of kinds of waiters of which the first has
/// deadlines.
macro_rules! each_blocking_pair {
    ($name:literal, $property:literal, $program:ident, $p:ident $(, $constant:literal)?) => {
        $crate::waiters::scenarios!($name, $property, $program, $p, [$($constant)?],
            "/thread+thread" => (Thread, Thread),
            "/thread+fiber" => (Thread, Fiber),
            "/thread+future" => (Thread, Async),
            "/fiber+thread" => (Fiber, Thread),
            "/fiber+fiber" => (Fiber, Fiber),
            "/fiber+future" => (Fiber, Async))
    };
}

macro_rules! scenarios {
    ($name:literal, $property:literal, $program:ident, $p:ident, $constants:tt,
     $($suffix:literal => ($($kind:ident),+)),+) => {
        [$(
            $crate::Scenario::new(
                concat!($name, $suffix),
                $property,
                $crate::waiters::instance!($program, $constants, $p, $($crate::waiters::$kind),+),
            )
        ),+]
    };
}

/// `$program` for these types, and for a constant if there is one.
macro_rules! instance {
    ($program:ident, [], $($type:ty),+) => { $program::<$($type),+> };
    ($program:ident, [$constant:literal], $($type:ty),+) => { $program::<$($type),+, $constant> };
}

pub(crate) use {each_blocking, each_blocking_pair, each_pair, each_waiter, instance, scenarios};
