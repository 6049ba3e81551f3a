//! How often the loops of this crate have waited for another thread.
//!
//! Each counts where it is about to sleep in the kernel, which costs a hundred times as much. A
//! program may watch the numbers; the hammer harness does, to see that every loop is tested.

use std::sync::atomic::{AtomicU64, Ordering};

/// A loop.
#[derive(Clone, Copy)]
pub(super) enum Loop {
    /// A parked thread, for its token.
    Park,
    /// A worker on io_uring, for completions and notifiers.
    Uring,
    /// A worker on epoll, for the same.
    Epoll,
    /// A thread that serves files, for work.
    Offload,
    /// A driver that ends, for threads that serve its files.
    OffloadEnd,
    /// A signal that is no longer listened to, for handlers that are under way.
    Signal,
}

const NAMES: [(&str, Loop); 6] = [
    ("park", Loop::Park),
    ("uring-wait", Loop::Uring),
    ("epoll-wait", Loop::Epoll),
    ("offload-serve", Loop::Offload),
    ("offload-end", Loop::OffloadEnd),
    ("signal-handlers", Loop::Signal),
];

/// A cache line each: workers of several cores count.
#[repr(align(128))]
struct Count(AtomicU64);

static COUNTS: [Count; NAMES.len()] = [const { Count(AtomicU64::new(0)) }; NAMES.len()];

impl Loop {
    /// It is about to wait.
    pub(super) fn waits(self) {
        COUNTS[self as usize].0.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often each loop of this crate that waits for other threads has gone to sleep, in this
/// process.
///
/// ```
/// use raddle_platform::native::{NativeParker, waits};
/// use raddle_platform::Parker;
/// let parked = || waits().find(|(name, _)| *name == "park").map_or(0, |(_, count)| count);
/// let before = parked();
/// NativeParker::waker().wake();
/// NativeParker::park(); // returns at once
/// assert_eq!(parked(), before);
/// ```
pub fn waits() -> impl Iterator<Item = (&'static str, u64)> {
    NAMES.into_iter().map(|(name, it)| (name, COUNTS[it as usize].0.load(Ordering::Relaxed)))
}
