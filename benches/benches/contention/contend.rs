//! The programs that are counted: locks, and who contends for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_benches::{at_once, work};
use raddle_parking_lot::{
    Condvar, MutexGuard, ParkingMutex, ParkingRwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore,
    SemaphorePermit,
};
use raddle_platform::Platform;
use raddle_runtime::runtime::Builder;

use crate::counted::{Counted, Counts, Strategy};

/// About how long the lock is held, and how long a contender does without it.
const INSIDE_NS: u64 = 100;
const OUTSIDE_NS: u64 = 100;

/// A lock, as a contender sees it.
pub(crate) trait Lock: Send + Sync + 'static {
    /// Whether nobody else is in a critical section.
    const EXCLUSIVE: bool = true;
    type Guard<'a>;
    fn new(contenders: usize) -> Self;
    /// None if it is not to be had at once.
    fn try_enter(&self, contender: usize) -> Option<Self::Guard<'_>>;
    fn enter(&self, contender: usize) -> Self::Guard<'_>;
    fn leave(&self, contender: usize, guard: Self::Guard<'_>);
}

/// A mutex of the platform's world.
pub(crate) struct Mutex<S: Strategy>(ParkingMutex<(), Counted<S>>);

impl<S: Strategy> Lock for Mutex<S> {
    type Guard<'a> = MutexGuard<'a, (), Counted<S>>;
    fn new(_contenders: usize) -> Self {
        Self(ParkingMutex::new_in(()))
    }
    fn try_enter(&self, _contender: usize) -> Option<Self::Guard<'_>> {
        self.0.try_lock()
    }
    fn enter(&self, _contender: usize) -> Self::Guard<'_> {
        self.0.lock()
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        if S::HAND_OFF {
            MutexGuard::unlock_fair(guard);
        }
    }
}

/// Writers of a read-write lock.
pub(crate) struct Writers<S: Strategy>(ParkingRwLock<(), Counted<S>>);

impl<S: Strategy> Lock for Writers<S> {
    type Guard<'a> = RwLockWriteGuard<'a, (), Counted<S>>;
    fn new(_contenders: usize) -> Self {
        Self(ParkingRwLock::new_in(()))
    }
    fn try_enter(&self, _contender: usize) -> Option<Self::Guard<'_>> {
        self.0.try_write()
    }
    fn enter(&self, _contender: usize) -> Self::Guard<'_> {
        self.0.write()
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        drop(guard);
    }
}

/// One writer and readers of a read-write lock.
pub(crate) struct Readers<S: Strategy>(ParkingRwLock<(), Counted<S>>);

/// What either of them has.
pub(crate) enum Either<'a, S: Strategy> {
    Reads { _guard: RwLockReadGuard<'a, (), Counted<S>> },
    Writes { _guard: RwLockWriteGuard<'a, (), Counted<S>> },
}

impl<S: Strategy> Lock for Readers<S> {
    const EXCLUSIVE: bool = false;
    type Guard<'a> = Either<'a, S>;
    fn new(_contenders: usize) -> Self {
        Self(ParkingRwLock::new_in(()))
    }
    fn try_enter(&self, contender: usize) -> Option<Self::Guard<'_>> {
        match contender {
            0 => self.0.try_write().map(|guard| Either::Writes { _guard: guard }),
            _ => self.0.try_read().map(|guard| Either::Reads { _guard: guard }),
        }
    }
    fn enter(&self, contender: usize) -> Self::Guard<'_> {
        match contender {
            0 => Either::Writes { _guard: self.0.write() },
            _ => Either::Reads { _guard: self.0.read() },
        }
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        drop(guard);
    }
}

/// A semaphore with one permit.
pub(crate) struct Permit<S: Strategy>(Semaphore<Counted<S>>);

impl<S: Strategy> Lock for Permit<S> {
    type Guard<'a> = SemaphorePermit<'a, Counted<S>>;
    fn new(_contenders: usize) -> Self {
        Self(Semaphore::new_in(1))
    }
    fn try_enter(&self, _contender: usize) -> Option<Self::Guard<'_>> {
        self.0.try_acquire()
    }
    fn enter(&self, _contender: usize) -> Self::Guard<'_> {
        self.0.acquire()
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        drop(guard);
    }
}

/// A turn that goes around: who has it wakes the next one by that one's condition variable.
pub(crate) struct Turns<S: Strategy> {
    turn: ParkingMutex<usize, Counted<S>>,
    mine: Vec<Condvar<Counted<S>>>,
}

impl<S: Strategy> Lock for Turns<S> {
    type Guard<'a> = MutexGuard<'a, usize, Counted<S>>;
    fn new(contenders: usize) -> Self {
        let mine = (0..contenders).map(|_| Condvar::new_in()).collect();
        Self { turn: ParkingMutex::new_in(0), mine }
    }
    fn try_enter(&self, contender: usize) -> Option<Self::Guard<'_>> {
        self.turn.try_lock().filter(|turn| **turn == contender)
    }
    fn enter(&self, contender: usize) -> Self::Guard<'_> {
        let mut turn = self.turn.lock();
        while *turn != contender {
            self.mine[contender].wait(&mut turn);
        }
        turn
    }
    fn leave(&self, contender: usize, mut turn: Self::Guard<'_>) {
        let next = (contender + 1) % self.mine.len();
        *turn = next;
        drop(turn);
        self.mine[next].notify_one();
    }
}

/// A rival, of which only the time, the switches and the system calls are known.
pub(crate) struct Std(std::sync::Mutex<()>);

impl Lock for Std {
    type Guard<'a> = std::sync::MutexGuard<'a, ()>;
    fn new(_contenders: usize) -> Self {
        Self(std::sync::Mutex::new(()))
    }
    fn try_enter(&self, _contender: usize) -> Option<Self::Guard<'_>> {
        self.0.try_lock().ok()
    }
    fn enter(&self, _contender: usize) -> Self::Guard<'_> {
        self.0.lock().expect("not poisoned")
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        drop(guard);
    }
}

/// Another one.
pub(crate) struct ParkingLot(parking_lot::Mutex<()>);

impl Lock for ParkingLot {
    type Guard<'a> = parking_lot::MutexGuard<'a, ()>;
    fn new(_contenders: usize) -> Self {
        Self(parking_lot::Mutex::new(()))
    }
    fn try_enter(&self, _contender: usize) -> Option<Self::Guard<'_>> {
        self.0.try_lock()
    }
    fn enter(&self, _contender: usize) -> Self::Guard<'_> {
        self.0.lock()
    }
    fn leave(&self, _contender: usize, guard: Self::Guard<'_>) {
        drop(guard);
    }
}

/// Who contends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Threads(usize),
    /// On two workers.
    Fibers(usize),
}

impl Who {
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Threads(count) | Self::Fibers(count) => count,
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Threads(1) => "1 thread".to_owned(),
            Self::Threads(count) => format!("{count} threads"),
            Self::Fibers(count) => format!("{count} fibers"),
        }
    }
}

/// How it went.
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    /// Critical sections of all contenders.
    pub(crate) acquired: u64,
    /// Those for which the lock was not to be had at once.
    pub(crate) contended: u64,
    /// What the contenders did for those until they had the lock.
    pub(crate) waiting: Counts,
    /// What all of them did to give up the lock.
    pub(crate) leaving: Counts,
}

/// What one contender counted.
#[derive(Default)]
struct Share {
    contended: u64,
    waiting: Counts,
    leaving: Counts,
}

impl Share {
    /// Has `each` critical sections.
    fn take<L: Lock>(lock: &L, entered: &AtomicU64, contender: usize, each: u64) -> Self {
        let mut share = Self::default();
        for _ in 0..each {
            let guard = lock.try_enter(contender).unwrap_or_else(|| {
                let before = Counts::mine();
                let guard = lock.enter(contender);
                share.waiting.add(&Counts::mine().since(&before));
                share.contended += 1;
                guard
            });
            // Not one operation: somebody else in the critical section would be lost.
            let count = entered.load(Ordering::Relaxed);
            work(INSIDE_NS);
            entered.store(count + 1, Ordering::Relaxed);
            let before = Counts::mine();
            lock.leave(contender, guard);
            share.leaving.add(&Counts::mine().since(&before));
            work(OUTSIDE_NS);
        }
        share
    }
}

/// Each contender has `each` critical sections. `look` is called before and after, with no contender running.
pub(crate) fn contend<L: Lock, P: Platform>(who: Who, each: u64, look: impl Fn()) -> Outcome {
    let count = who.count();
    let lock = Arc::new((L::new(count), AtomicU64::new(0)));
    look();
    let (elapsed, shares) = match who {
        Who::Threads(_) => at_once(count, |index| Share::take(&lock.0, &lock.1, index, each)),
        Who::Fibers(_) => {
            let runtime = Builder::<P>::new_in().workers(2).build().expect("a runtime");
            let lock = lock.clone();
            let outcome = runtime.run(move || {
                let start = Instant::now();
                let fiber = |index| {
                    let lock = lock.clone();
                    let run = move || Share::take(&lock.0, &lock.1, index, each);
                    raddle_runtime::spawn_on::<P, _, _>(index % 2, run)
                };
                let fibers: Vec<_> = (0..count).map(fiber).collect();
                let shares: Vec<_> =
                    fibers.into_iter().map(|fiber| fiber.join().expect("no panic")).collect();
                (start.elapsed(), shares)
            });
            outcome.expect("no panic")
        }
    };
    look();
    let acquired = count as u64 * each;
    if L::EXCLUSIVE {
        assert_eq!(lock.1.load(Ordering::Relaxed), acquired, "nobody else was inside");
    }
    let mut sum = Share::default();
    for share in shares {
        sum.contended += share.contended;
        sum.waiting.add(&share.waiting);
        sum.leaving.add(&share.leaving);
    }
    let Share { contended, waiting, leaving } = sum;
    Outcome { elapsed, acquired, contended, waiting, leaving }
}
