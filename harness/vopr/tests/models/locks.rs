//! Locks: [`ParkingMutex`], [`Semaphore`], [`ParkingRwLock`].

use core::time::Duration;

use raddle_parking_lot::{
    ParkingMutex, ParkingRwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
    Semaphore, SemaphorePermit,
};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};
use raddle_vopr::Sim;
use raddle_vopr::linear::{
    self, MutexOp, MutexOutcome, RegisterOp, RegisterOutcome, SemaphoreOp, SemaphoreOutcome,
};

use crate::{Client, holds, is_found, run};

/// Of each client.
const ROUNDS: usize = 4;

const SHORT: Duration = Duration::from_nanos(500);

/// Takes and gives back a lock in all ways that there are. `lock` gives what frees it.
fn lock_rounds<G>(
    mut client: Client<'_, linear::Mutex>,
    lock: impl Fn() -> G,
    try_lock: impl Fn() -> Option<G>,
    try_lock_for: impl Fn(Duration) -> Option<G>,
) {
    for _ in 0..ROUNDS {
        let mut guard = None;
        let way = client.random.below(4);
        let operation = if way == 2 { MutexOp::TryLock } else { MutexOp::Lock };
        client.call(operation, || {
            guard = match way {
                0 | 1 => Some(lock()),
                2 => try_lock(),
                _ => try_lock_for(SHORT),
            };
            match guard {
                Some(_) => MutexOutcome::Done,
                None if way == 2 => MutexOutcome::Busy,
                None => MutexOutcome::GaveUp,
            }
        });
        client.dawdle();
        if let Some(guard) = guard {
            client.call(MutexOp::Unlock, || {
                drop(guard);
                MutexOutcome::Done
            });
        }
    }
}

#[test]
fn a_mutex_is_one_client_s_at_a_time() {
    holds(|seed| {
        let mutex = ParkingMutex::<(), Sim>::new_in(());
        run(&linear::Mutex, seed, |client| {
            let lock = || mutex.lock();
            lock_rounds(client, lock, || mutex.try_lock(), |timeout| mutex.try_lock_for(timeout));
        });
    });
}

/// Looks, and then takes.
struct LooksFirst(<Sim as Platform>::AtomicBool);

struct Taken<'a>(&'a LooksFirst);

impl LooksFirst {
    fn try_lock(&self) -> Option<Taken<'_>> {
        // ORDERING: the orderings are not what is wrong here.
        if self.0.load(Ordering::Acquire) {
            return None;
        }
        self.0.store(true, Ordering::Release);
        Some(Taken(self))
    }

    fn lock(&self) -> Taken<'_> {
        loop {
            match self.try_lock() {
                Some(taken) => return taken,
                None => Sim::spin_loop(),
            }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[test]
fn a_mutex_that_looks_first_is_found() {
    is_found(|seed| {
        let mutex = LooksFirst(<Sim as Platform>::AtomicBool::new(false));
        run(&linear::Mutex, seed, |client| {
            lock_rounds(client, || mutex.lock(), || mutex.try_lock(), |_| mutex.try_lock());
        });
    });
}

const PERMITS: u64 = 3;

/// Takes and gives back permits in all ways that there are.
fn permit_rounds<G>(
    mut client: Client<'_, linear::Semaphore>,
    acquire: impl Fn(u32) -> G,
    try_acquire: impl Fn(u32) -> Option<G>,
    try_acquire_for: impl Fn(u32, Duration) -> Option<G>,
    available: impl Fn() -> u64,
) {
    for _ in 0..ROUNDS {
        if client.random.below(4) == 0 {
            client.call(SemaphoreOp::Available, || SemaphoreOutcome::Count(available()));
        }
        let mut permit = None;
        let way = client.random.below(4);
        let count = 1 + client.random.below(PERMITS as usize) as u32;
        let wanted = u64::from(count);
        let operation =
            if way == 2 { SemaphoreOp::TryAcquire(wanted) } else { SemaphoreOp::Acquire(wanted) };
        client.call(operation, || {
            permit = match way {
                0 | 1 => Some(acquire(count)),
                2 => try_acquire(count),
                _ => try_acquire_for(count, SHORT),
            };
            match permit {
                Some(_) => SemaphoreOutcome::Done,
                None if way == 2 => SemaphoreOutcome::Refused,
                None => SemaphoreOutcome::GaveUp,
            }
        });
        client.dawdle();
        if let Some(permit) = permit {
            client.call(SemaphoreOp::Release(wanted), || {
                drop(permit);
                SemaphoreOutcome::Done
            });
        }
    }
}

const FAIR: linear::Semaphore = linear::Semaphore { permits: PERMITS, fair: true };

#[test]
fn a_semaphore_gives_each_permit_once() {
    holds(|seed| {
        let semaphore = Semaphore::<Sim>::new_in(PERMITS as usize);
        run(&FAIR, seed, |client| {
            permit_rounds::<SemaphorePermit<'_, Sim>>(
                client,
                |count| semaphore.acquire_many(count),
                |count| semaphore.try_acquire_many(count),
                |count, timeout| semaphore.try_acquire_many_for(count, timeout),
                || semaphore.available_permits() as u64,
            );
        });
    });
}

/// Looks whether there are enough, and then takes them.
struct LooksAtPermits(<Sim as Platform>::AtomicU64);

struct Permits<'a>(&'a LooksAtPermits, u64);

impl LooksAtPermits {
    fn try_acquire(&self, count: u32) -> Option<Permits<'_>> {
        let count = u64::from(count);
        if self.0.load(Ordering::Relaxed) < count {
            return None;
        }
        self.0.fetch_sub(count, Ordering::Relaxed);
        Some(Permits(self, count))
    }

    fn acquire(&self, count: u32) -> Permits<'_> {
        loop {
            match self.try_acquire(count) {
                Some(permits) => return permits,
                None => Sim::spin_loop(),
            }
        }
    }
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(self.1, Ordering::Relaxed);
    }
}

#[test]
fn a_semaphore_that_looks_first_is_found() {
    is_found(|seed| {
        let semaphore = LooksAtPermits(<Sim as Platform>::AtomicU64::new(PERMITS));
        run(&FAIR, seed, |client| {
            permit_rounds(
                client,
                |count| semaphore.acquire(count),
                |count| semaphore.try_acquire(count),
                |count, _| semaphore.try_acquire(count),
                || semaphore.0.load(Ordering::Relaxed),
            );
        });
    });
}

type Shared = ParkingRwLock<u64, Sim>;

/// Reads and writes in all ways that there are; `exchange` compares and writes.
fn register_rounds(
    mut client: Client<'_, linear::Register<u64>>,
    shared: &Shared,
    exchange: impl Fn(u64, u64) -> bool,
) {
    let read = |guard: RwLockReadGuard<'_, u64, Sim>| RegisterOutcome::Value(*guard);
    for _ in 0..ROUNDS {
        let (old, new) = (client.random.below(3) as u64, client.random.below(3) as u64);
        match client.random.below(6) {
            0 => client.call(RegisterOp::Read, || read(shared.read())),
            1 => client.call(RegisterOp::Read, || read(shared.read_recursive())),
            2 => client.call(RegisterOp::Swap(new), || {
                let mut guard = shared.write();
                let before = core::mem::replace(&mut *guard, new);
                // And goes on to read what it wrote, while others may do so as well.
                let guard = RwLockWriteGuard::downgrade(guard);
                assert_eq!(*guard, new, "nobody writes in between");
                RegisterOutcome::Value(before)
            }),
            3 => client.call(RegisterOp::Write(new), || {
                *shared.write() = new;
                RegisterOutcome::Done
            }),
            _ => client.call(RegisterOp::CompareExchange(old, new), || {
                RegisterOutcome::Exchanged(exchange(old, new))
            }),
        };
        client.dawdle();
    }
}

fn upgrading_exchange(shared: &Shared, old: u64, new: u64) -> bool {
    let guard = shared.upgradable_read();
    if *guard != old {
        return false;
    }
    *RwLockUpgradableReadGuard::upgrade(guard) = new;
    true
}

#[test]
fn what_a_read_write_lock_guards_is_a_register() {
    holds(|seed| {
        let shared = Shared::new_in(0);
        run(&linear::Register::of(0), seed, |client| {
            register_rounds(client, &shared, |old, new| upgrading_exchange(&shared, old, new));
        });
    });
}

#[test]
fn a_lock_that_is_left_between_compare_and_write_is_found() {
    is_found(|seed| {
        let shared = Shared::new_in(0);
        run(&linear::Register::of(0), seed, |client| {
            register_rounds(client, &shared, |old, new| {
                if *shared.read() != old {
                    return false;
                }
                *shared.write() = new;
                true
            });
        });
    });
}
