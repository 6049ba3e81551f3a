//! What a model thread sleeps on.
//!
//! loom's own `park` and `unpark` will not do: `unpark` loses the token of a thread that is in
//! `yield_now`, and ends waits that are none of its business. So the token is a word of ours, and
//! loom's pair only stops and restarts the thread:
//!
//! ```text
//! wake:  if word.swap(1, Release) == 0 and a sleeper is noted { take the note; unpark it }
//! park:  while word.swap(0, Acquire) == 0 { note myself as the sleeper; loom::park }
//! ```
//!
//! Between the swap in `park` and the stop there is no point at which loom switches, and none
//! between the swap in `wake` and the `unpark`. So a thread is noted exactly while it is stopped:
//! no wake is lost, and `unpark` (which carries happens-before edges of its own) is called only
//! for a thread that will take this very token next, which orders the two anyway.
//!
//! # Deadlines
//!
//! loom knows no time. **A thread that waits with a deadline is never stopped**: it yields, so
//! that loom prefers the others but may run it at any later point, and when it runs and finds no
//! token, its deadline has come: it moves the clock there and returns. Both orders of the wake and
//! the deadline are explored, since both are accesses to the token, and a wait that nobody will
//! end but the clock is no deadlock. No thread is spent on a clock (loom has five), and no
//! happens-before edge runs through one.
//!
//! The price of the yield: loom does not let a load before and after it see the same old store.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use loom::sync::atomic::AtomicUsize;
use loom::thread::{self, Thread};
use raddle_platform::Instant;

use crate::{clock, step};

/// See the module.
pub(crate) struct Token {
    word: AtomicUsize,
    sleeper: Cell<Option<Thread>>,
}

// SAFETY: used by model threads only, and they share one operating-system thread.
unsafe impl Send for Token {}
// SAFETY: as above.
unsafe impl Sync for Token {}

impl Token {
    /// A token that is not there.
    pub(crate) fn new() -> Self {
        Self { word: AtomicUsize::new(0), sleeper: Cell::new(None) }
    }

    /// Sets the token, and wakes whoever sleeps on it.
    pub(crate) fn wake(&self) {
        if step::is_dropping() {
            return;
        }
        // ORDERING: pairs with the acquiring swap in `take`.
        if self.word.swap(1, Ordering::Release) == 0
            && let Some(sleeper) = self.sleeper.take()
        {
            sleeper.unpark();
        }
    }

    /// Takes the token, if it is there.
    fn take(&self) -> bool {
        // ORDERING: pairs with the releasing swap in `wake`.
        self.word.swap(0, Ordering::Acquire) == 1
    }

    /// Sleeps until the token is there, and takes it.
    pub(crate) fn park(&self) {
        while !self.take() {
            self.sleeper.set(Some(thread::current()));
            thread::park();
        }
    }

    /// Sleeps until the token is there, or the clock shows `deadline`. Returns whether the token
    /// was there, and takes it then.
    pub(crate) fn park_until(&self, deadline: Instant) -> bool {
        if deadline == Instant::FAR_FUTURE {
            // "However long it takes", as one who adds up durations says it: never comes.
            self.park();
            return true;
        }
        if self.take() {
            return true;
        }
        if !clock::reached(deadline) {
            thread::yield_now();
            if self.take() {
                return true;
            }
            clock::advance(deadline);
        }
        self.take()
    }
}
