//! The word in which a task's whole life cycle stands.
//!
//! ```text
//!  bit  name           set by                        cleared by
//!  0    RUNNING        the worker that runs it       that worker, when it parks or ends
//!  1    SCHEDULED      whoever wakes it              the worker, when it begins to run it
//!  2    DONE           the worker, once              nobody
//!  3    JOIN_INTEREST  creation                      the join handle, when dropped
//!  4    JOIN_WAKER     the join handle               the join handle, while not DONE
//!  5    CANCELLED      anybody, once                 nobody
//!  6..  references     clones of the task pointer
//!
//!  RUNNING SCHEDULED  the task …
//!  0       0          is parked: nobody will run it before a wake
//!  0       1          stands in exactly one queue
//!  1       0          runs
//!  1       1          runs, and a wake came meanwhile: its worker queues it again when it parks
//! ```
//!
//! SCHEDULED is the wake token. Whoever turns (0,0) into (0,1) owns the one queue entry and must
//! queue the task; a wake of a running or queued task leaves only the bit behind. So a task stands
//! in at most one queue, is never run twice at a time, and no wake is lost. A fiber's park token
//! is the same bit: a wake that comes before the park makes the park return at once.
//!
//! Every wake releases and every start acquires, through one read-modify-write each on this word,
//! so what happened before a wake is visible to the task that it wakes; parking releases to the
//! waker, which acquires and may then hand the task to another worker. Joining is decided on the
//! same word: the worker sets DONE and learns whether a waker is registered; the handle sets
//! JOIN_WAKER only while DONE is not set. Whoever comes second acts.
//!
//! References keep the allocation. One belongs to the scheduler until DONE, one to the join
//! handle, one to each waker.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

pub(crate) const RUNNING: usize = 1;
pub(crate) const SCHEDULED: usize = 1 << 1;
pub(crate) const DONE: usize = 1 << 2;
pub(crate) const JOIN_INTEREST: usize = 1 << 3;
pub(crate) const JOIN_WAKER: usize = 1 << 4;
pub(crate) const CANCELLED: usize = 1 << 5;
const REFERENCE: usize = 1 << 6;

/// The life-cycle word.
pub(crate) struct State<P: Platform>(P::AtomicUsize);

impl<P: Platform> State<P> {
    /// A task that its creator is about to queue; one reference for the scheduler, one for the
    /// join handle.
    pub(crate) fn new() -> Self {
        Self(P::AtomicUsize::new(SCHEDULED | JOIN_INTEREST | (2 * REFERENCE)))
    }

    /// (0,1) → (1,0): a worker took the task from a queue. Returns whether it is cancelled.
    #[inline]
    pub(crate) fn start(&self) -> bool {
        // ORDERING: acquire pairs with the release of `wake` and of `park`.
        let before = self.0.fetch_xor(RUNNING | SCHEDULED, Ordering::Acquire);
        debug_assert_eq!(before & (RUNNING | SCHEDULED | DONE), SCHEDULED);
        before & CANCELLED != 0
    }

    /// (1,x) → (0,x): the task suspended itself. Returns whether a wake came meanwhile, in which
    /// case the worker owns the queue entry. If not, the task may already run elsewhere.
    #[inline]
    pub(crate) fn park(&self) -> bool {
        // ORDERING: pairs with the acquire of `wake` and `start`: what the task did is visible to
        // whoever queues or runs it next. What a wake released that is found here reaches the next
        // `start`, for this read-modify-write belongs to its release sequence.
        let before = self.0.fetch_and(!RUNNING, Ordering::Release);
        debug_assert!(before & RUNNING != 0);
        before & SCHEDULED != 0
    }

    /// (1,1) → (1,0): a running fiber takes a wake that came before its park.
    #[inline]
    pub(crate) fn take_wake(&self) -> bool {
        if self.0.load(Ordering::Relaxed) & SCHEDULED == 0 {
            return false;
        }
        // ORDERING: acquire pairs with the release of `wake`.
        self.0.fetch_and(!SCHEDULED, Ordering::Acquire) & SCHEDULED != 0
    }

    /// Leaves a wake. Returns whether the caller must queue the task.
    #[inline]
    pub(crate) fn wake(&self) -> bool {
        // ORDERING: release pairs with the acquire of `start` and `take_wake`; acquire pairs with
        // the release of `park`: whoever queues the task comes after the run that has ended.
        let before = self.0.fetch_or(SCHEDULED, Ordering::AcqRel);
        before & (RUNNING | SCHEDULED | DONE) == 0
    }

    /// As [`wake`](State::wake), and marks the task cancelled. Returns whether this was the first
    /// time, and whether the caller must queue the task.
    pub(crate) fn cancel(&self) -> (bool, bool) {
        // ORDERING: as in `wake`.
        let before = self.0.fetch_or(CANCELLED | SCHEDULED, Ordering::AcqRel);
        (before & (CANCELLED | DONE) == 0, before & (RUNNING | SCHEDULED | DONE) == 0)
    }

    /// Whether the task was cancelled.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) & CANCELLED != 0
    }

    /// Whether the join handle is there. Once it is not, it never is again.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed) & JOIN_INTEREST != 0
    }

    /// Whether the output is there.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: pairs with the release of `finish`.
        self.0.load(Ordering::Acquire) & DONE != 0
    }

    /// (1,x) → done. Returns the word before: who of the join handle's bits is set decides what
    /// the worker has to do.
    pub(crate) fn finish(&self) -> usize {
        // ORDERING: release pairs with the acquire of `is_done`, `register_join` and
        // `drop_join`: the output is visible; acquire pairs with the release of `register_join`:
        // the waker is visible.
        let before = self.0.fetch_xor(RUNNING | DONE, Ordering::AcqRel);
        debug_assert_eq!(before & (RUNNING | DONE), RUNNING);
        before
    }

    /// The join handle wants to touch the waker's place: clears JOIN_WAKER. `false` if the task
    /// is done, when the place belongs to the worker.
    pub(crate) fn unregister_join(&self) -> bool {
        self.change_unless_done(|state| state & !JOIN_WAKER)
    }

    /// The join handle wrote its waker: sets JOIN_WAKER. `false` if the task is done, when nobody
    /// will call the waker.
    pub(crate) fn register_join(&self) -> bool {
        self.change_unless_done(|state| state | JOIN_WAKER)
    }

    fn change_unless_done(&self, change: impl Fn(usize) -> usize) -> bool {
        // ORDERING: pairs with the release of `finish`.
        let mut state = self.0.load(Ordering::Acquire);
        while state & DONE == 0 {
            // ORDERING: release pairs with the acquire of `finish`: the waker is visible to the
            // worker. Acquire, where the task was done first, pairs with its release: the output
            // is visible here. (If it was not, there is nothing to see.)
            match self.0.compare_exchange_weak(
                state,
                change(state),
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(found) => state = found,
            }
            P::retry("task join registration");
        }
        false
    }

    /// The join handle goes. Returns whether the output is there and is now the handle's to drop.
    pub(crate) fn drop_join(&self) -> bool {
        // ORDERING: acquire pairs with the release of `finish`; release orders the handle's
        // accesses before the worker's, which drops the output when it finds the bit cleared.
        self.0.fetch_and(!JOIN_INTEREST, Ordering::AcqRel) & DONE != 0
    }

    /// One more reference.
    #[inline]
    pub(crate) fn acquire_reference(&self) {
        let before = self.0.fetch_add(REFERENCE, Ordering::Relaxed);
        // A count that high comes only from wakers that are cloned and forgotten in a loop.
        if before > isize::MAX as usize {
            panic!("more than 2^57 wakers of one task are alive");
        }
    }

    /// One reference less. Returns whether it was the last, and the caller frees the task.
    #[inline]
    pub(crate) fn release_reference(&self) -> bool {
        // ORDERING: release orders every access through the other references before the last
        // one's acquire, which orders the freeing after them.
        let before = self.0.fetch_sub(REFERENCE, Ordering::AcqRel);
        debug_assert!(before >= REFERENCE);
        before / REFERENCE == 1
    }
}
