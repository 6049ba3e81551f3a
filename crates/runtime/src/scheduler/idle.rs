//! Who sleeps, who searches, and who is to be woken.
//!
//! A worker without work first *searches* the injector and the other rings, then *sleeps* in its
//! driver. Two kinds of news end a sleep: a message to that very worker (an inbox, a command, a
//! timer, the shutdown), and stealable work, for which any sleeper will do.
//!
//! Losing a wake-up is a store→load race in both directions, so both sides put a SeqCst fence
//! between their store and their load:
//!
//! ```text
//!  news to worker i                      worker i
//!  ----------------                      --------
//!  store the news                        store state[i] = ASLEEP
//!  fence                                 fence
//!  load state[i]; ASLEEP: wake it        load all news; any: do not sleep
//! ```
//!
//! One of the two loads sees the other's store. For stealable work there is a second pair, because
//! a worker that adds work does not wake a sleeper while somebody searches:
//!
//! ```text
//!  add work to a ring or the injector    the last searcher gives up
//!  ----------------------------------    --------------------------
//!  store the work                        searching -= 1
//!  fence                                 fence
//!  load searching; 0: wake a sleeper     look through all queues once more
//! ```
//!
//! A searcher that finds work and was the last one wakes the next sleeper: where one task was,
//! there may be more. So at most one worker at a time is being woken, and a burst of work wakes
//! the sleepers one after the other.
//!
//! Scenarios: `runtime::*`; without either fence a wake-up is lost (a deadlock under loom; a
//! sequentially consistent simulation does not see it).

use crossbeam_utils::CachePadded;
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The sleep state of all workers. `states` are written by swaps only.
pub(crate) struct Idle<P: Platform> {
    states: Box<[CachePadded<P::AtomicU32>]>,
    searching: CachePadded<P::AtomicUsize>,
    /// How many stand in `sleepers`; written under its lock.
    asleep: P::AtomicUsize,
    /// Workers that sleep, or are about to, the last to go first.
    sleepers: Spinlock<Vec<usize>, P>,
    /// The first handshake, of each worker.
    news: Box<[P::Handshake]>,
    /// The second one, and the part of the first that is about any sleeper.
    work: P::Handshake,
}

impl<P: Platform> Idle<P> {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            states: (0..workers).map(|_| CachePadded::new(P::AtomicU32::new(AWAKE))).collect(),
            searching: CachePadded::new(P::AtomicUsize::new(0)),
            asleep: P::AtomicUsize::new(0),
            sleepers: Spinlock::new(Vec::with_capacity(workers)),
            news: (0..workers).map(|_| P::Handshake::default()).collect(),
            work: P::Handshake::default(),
        }
    }

    /// There is news for `worker`, stored before. Returns whether the caller must notify its
    /// driver.
    pub(crate) fn must_wake(&self, worker: usize) -> bool {
        // ORDERING: pairs with the fence in `fall_asleep`: see the head of this file.
        P::fence(Ordering::SeqCst, &[&self.news[worker]]);
        let state = &self.states[worker];
        state.load(Ordering::Relaxed) == ASLEEP && state.swap(AWAKE, Ordering::Relaxed) == ASLEEP
    }

    /// There is stealable work, stored before. Returns the sleeper to notify, if one should be: it
    /// is counted as searching already.
    pub(crate) fn sleeper_for_work(&self) -> Option<usize> {
        // ORDERING: pairs with the fences in `stop_searching` and `fall_asleep`: see the head of
        // this file.
        P::fence(Ordering::SeqCst, &[&self.work]);
        while self.searching.load(Ordering::Relaxed) == 0
            && self.asleep.load(Ordering::Relaxed) != 0
        {
            let exchanged =
                self.searching.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed);
            if exchanged.is_err() {
                return None;
            }
            if let Some(worker) = self.take_sleeper() {
                return Some(worker);
            }
            // Whoever added work since the exchange relied on a searcher that there is not: look
            // again whether somebody sleeps.
            // Relaxed: nothing was queued since the fence above, which comes before that of any
            // searcher whose count follows on this one.
            self.searching.fetch_sub(1, Ordering::Relaxed);
            // ORDERING: pairs with the fences in `fall_asleep` and of others in this function.
            P::fence(Ordering::SeqCst, &[&self.work]);
            P::retry("wake for work");
        }
        None
    }

    /// Takes a sleeper out of the list, to be notified by the caller, who has counted it as
    /// searching.
    fn take_sleeper(&self) -> Option<usize> {
        let mut sleepers = self.sleepers.lock();
        let worker = sleepers.pop()?;
        self.asleep.store(sleepers.len(), Ordering::Relaxed);
        drop(sleepers);
        // The worker may have woken meanwhile, and even sleep again: the caller notifies it in any
        // case, so the state may be overwritten.
        self.states[worker].swap(AWAKE, Ordering::Relaxed);
        Some(worker)
    }

    /// A worker without work begins to search, unless half of them search already.
    pub(crate) fn start_searching(&self) -> bool {
        let searching = self.searching.load(Ordering::Relaxed);
        if searching * 2 >= self.states.len() {
            return false;
        }
        self.searching.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// A searcher stops. Returns whether it was the last: if it found work, it should wake the
    /// next; if not, it must look through all queues once more.
    pub(crate) fn stop_searching(&self) -> bool {
        // ORDERING: release orders what this searcher queued (a stolen batch) before its count
        // goes; it pairs with the fence below in the last one, which looks through all queues.
        let before = self.searching.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "who stops had begun");
        // ORDERING: pairs with the fence in `sleeper_for_work`: see the head of this file. It also
        // acquires what the searchers released that have stopped before.
        P::fence(Ordering::SeqCst, &[&self.work]);
        before == 1
    }

    /// `worker` will sleep, unless it finds news after this call.
    pub(crate) fn fall_asleep(&self, worker: usize) {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(worker);
        self.asleep.store(sleepers.len(), Ordering::Relaxed);
        drop(sleepers);
        self.states[worker].swap(ASLEEP, Ordering::Relaxed);
        // ORDERING: pairs with the fences in `must_wake` and `sleeper_for_work`.
        P::fence(Ordering::SeqCst, &[&self.news[worker], &self.work]);
    }

    /// `worker` has left its sleep, or never began it. Returns whether it is counted as searching.
    pub(crate) fn wake_up(&self, worker: usize) -> bool {
        let mut sleepers = self.sleepers.lock();
        // Whoever took the worker out of the list had counted it as searching before.
        let taken = match sleepers.iter().rposition(|sleeper| *sleeper == worker) {
            Some(position) => {
                sleepers.remove(position);
                self.asleep.store(sleepers.len(), Ordering::Relaxed);
                false
            }
            None => true,
        };
        drop(sleepers);
        self.states[worker].swap(AWAKE, Ordering::Relaxed);
        taken
    }

    pub(crate) fn workers(&self) -> usize {
        self.states.len()
    }
}
