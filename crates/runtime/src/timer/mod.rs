//! Timers: a wheel per worker, and what sleeps on it.
//!
//! Each worker fires the timers of its own wheel, between tasks and when it wakes; a wheel is
//! behind a lock, so that a future may be polled, and dropped, anywhere. A timer lives on the
//! stack of the fiber or inside the future that waits for it: setting one allocates nothing.

mod sleep;
pub(crate) mod wheel;

use core::marker::PhantomPinned;
use core::pin::pin;
use core::ptr::NonNull;
use core::task::Waker;

use raddle_parking_lot::spin::Spinlock;
use raddle_platform::{Atomic, Clock, Event, Instant, Ordering, Platform};

pub use sleep::{
    Elapsed, Sleep, Timeout, sleep, sleep_async, sleep_until, sleep_until_async, timeout,
};
use wheel::{Entry, Wheel};

use crate::scheduler::Shared;

/// One worker's timers.
pub(crate) struct Timers<P: Platform> {
    wheel: Spinlock<Wheel<P>, P>,
    /// The earliest deadline, in nanoseconds; written under the wheel's lock. Its worker reads it
    /// before it sleeps, ordered by the fences of [`idle`](crate::scheduler).
    next: P::AtomicU64,
    /// Whose they are.
    worker: usize,
}

impl<P: Platform> Timers<P> {
    /// The timers of the worker with that index.
    pub(crate) fn new(worker: usize) -> Self {
        Self {
            wheel: Spinlock::new(Wheel::new(P::Clock::now())),
            next: P::AtomicU64::new(Instant::FAR_FUTURE.as_nanos()),
            worker,
        }
    }

    /// The earliest deadline, or the far future.
    #[inline]
    pub(crate) fn next(&self) -> Instant {
        Instant::from_nanos(self.next.load(Ordering::Relaxed))
    }

    fn publish(&self, wheel: &Wheel<P>) {
        let next = wheel.next_deadline().unwrap_or(Instant::FAR_FUTURE);
        self.next.store(next.as_nanos(), Ordering::Relaxed);
    }

    /// Wakes whoever's time has come.
    pub(crate) fn fire(&self) {
        let mut due = Vec::new();
        let mut wheel = self.wheel.lock();
        wheel.advance(P::Clock::now(), &mut |timer, waker| {
            P::event(&Event::TimerFired { worker: self.worker, timer });
            due.push(waker);
        });
        self.publish(&wheel);
        drop(wheel);
        if due.len() > 1 {
            P::event(&Event::BatchWoken { count: due.len() });
        }
        due.into_iter().for_each(Waker::wake);
    }

    /// Sets a timer. Returns whether it is the earliest now, so that its worker must hear of it.
    ///
    /// # Safety
    /// The entry stays where it is until it was cleared, and belongs to no other wheel.
    unsafe fn set(&self, entry: NonNull<Entry<P>>, deadline: Instant, waker: Waker) -> bool {
        let mut wheel = self.wheel.lock();
        // SAFETY: by the caller's promise.
        let earliest = unsafe { wheel.insert(entry, deadline, waker) };
        let timer = wheel.last_number();
        let deadline_ns = deadline.as_nanos();
        P::event(&Event::TimerSet { worker: self.worker, timer, deadline_ns });
        if earliest {
            self.publish(&wheel);
        }
        earliest
    }

    /// Takes a timer back, if it has not fired.
    ///
    /// # Safety
    /// The entry was set here.
    unsafe fn clear(&self, entry: NonNull<Entry<P>>) {
        let mut wheel = self.wheel.lock();
        // SAFETY: by the caller's promise. A `next` that is too early now costs one idle look.
        let removed = unsafe { wheel.remove(entry) };
        drop(wheel);
        if let Some((timer, waker)) = removed {
            P::event(&Event::TimerCleared { worker: self.worker, timer });
            // Outside the lock: dropping a waker may run anybody's code.
            drop(waker);
        }
    }
}

/// Runs `park` with a timer that wakes at `deadline`, on the timers of the calling fiber's worker.
pub(crate) fn with_timer<P: Platform>(
    shared: &Shared<P>,
    worker: usize,
    deadline: Instant,
    waker: Waker,
    park: impl FnOnce(),
) {
    struct Armed<'a, P: Platform> {
        timers: &'a Timers<P>,
        entry: Entry<P>,
        _pinned: PhantomPinned,
    }
    impl<P: Platform> Drop for Armed<'_, P> {
        fn drop(&mut self) {
            // SAFETY: set below, and pinned since.
            unsafe { self.timers.clear(NonNull::from(&mut self.entry)) };
        }
    }
    let timers = &shared.remotes[worker].timers;
    let armed = pin!(Armed { timers, entry: Entry::new(), _pinned: PhantomPinned });
    // SAFETY: the entry is not moved out of its pin; dropping clears it.
    let entry = NonNull::from(unsafe { &mut armed.get_unchecked_mut().entry });
    // SAFETY: as above. The worker is awake (it runs this fiber), so it need not be told.
    unsafe { timers.set(entry, deadline, waker) };
    park();
}
