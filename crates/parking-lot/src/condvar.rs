//! Waiting for a condition that a mutex guards.
//!
//! ```text
//!  63                                            1       0
//! +-----------------------------------------------+-------+
//! |  address of the first queued node, or nothing | QLOCK |
//! +-----------------------------------------------+-------+
//! ```
//!
//! | bit     | set                           | set by                   | cleared by          |
//! |---------|-------------------------------|--------------------------|---------------------|
//! | QLOCK   | somebody changes the queue    | anybody, if it was clear | the same            |
//! | address | the queue is not empty        | the holder of QLOCK      | the holder of QLOCK |
//!
//! # The protocol
//!
//! A waiter links its node while it still has the mutex, and unlocks then: who changes the
//! condition under the mutex afterwards finds the node in the word. A notifier unlinks one node or
//! all, clears QLOCK (its last access to the condition variable), and puts the nodes into the
//! queue of their mutex: they would only wake to wait for it. So however many are notified, none
//! is woken before the mutex is free for it, and the mutex's own rules decide how they follow one
//! another. What wakes them is a mutex waiter's verdict, and from there on they are that:
//! [`Acquire`] with another beginning.
//!
//! Between both queues the nodes are LEAVING, in a chain that only the notifier knows. No waiter
//! returns before its verdict, so each keeps the mutex borrowed, and thus alive, meanwhile.
//!
//! A waiter whose time is over takes QLOCK and looks whether its node is still in this queue. If
//! not, it was notified: it waits on for the mutex and reports that. So every notification is
//! reported by exactly one waiter. A future that is dropped after `notify_one` chose it notifies
//! the next one instead; the lowest bit of what its node wants says whether it was `notify_one`.
//!
//! # Orderings
//!
//! Taking QLOCK acquires and clearing it releases, for the nodes. The look at the word before it
//! is relaxed: a notifier that changed the condition under the mutex after the waiter unlocked it
//! sees the node by the mutex's own ordering, and to others nothing is promised.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use core::ptr;
use core::task::{Context, Poll};
use core::time::Duration;

use raddle_platform::suspend::{self, Interrupted, Limits};
use raddle_platform::{Atomic, Event, Instant, Native, Object, ObjectKind, Ordering, Platform};

use crate::Cancelled;
use crate::block::Wait as _;
use crate::mutex::{Acquire, MutexGuard, ParkingMutex, RawMutex, Relock};
use crate::patience::after;
use crate::queue::{Chain, List, WAITING, WOKEN, WakerKey, lock_bit};

const QLOCK: usize = 1;
/// In what a node wants, beside the mutex's address: `notify_all` chose it.
const ALL: usize = 1;

/// Waits for a condition that a [`ParkingMutex`] guards.
///
/// There are no spurious wake-ups: whoever returns without having timed out was notified. The
/// condition may all the same have become false again before the waiter has the mutex.
///
/// ```
/// use raddle_parking_lot::{Condvar, ParkingMutex};
/// static READY: ParkingMutex<bool> = ParkingMutex::new(false);
/// static CHANGED: Condvar = Condvar::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *READY.lock() = true;
///         CHANGED.notify_one();
///     });
///     let mut ready = READY.lock();
///     CHANGED.wait_while(&mut ready, |ready| !*ready);
///     assert!(*ready);
/// });
/// ```
pub struct Condvar<P: Platform = Native> {
    word: P::AtomicUsize,
}

const _: () = assert!(size_of::<Condvar>() == 8);

/// Whether a wait with a deadline ended by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was over before anybody notified the waiter.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition variable for production, usable in a `static`.
    #[inline]
    pub const fn new() -> Self {
        Self { word: raddle_platform::native::AtomicUsize::new(0) }
    }
}

impl<P: Platform> Condvar<P> {
    /// A condition variable in the world `P`.
    #[inline]
    #[track_caller]
    pub fn new_in() -> Self {
        Self { word: P::AtomicUsize::new(0) }
    }

    /// Unlocks the mutex, suspends the calling fiber or thread until it is notified, and locks the
    /// mutex again. Not a cancellation point.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T, P>) {
        let _inside = P::called();
        match self.wait_within(guard, Limits::NONE) {
            Ok(()) => {}
            Err(_) => unreachable!("a wait without limits ends only with its result"),
        }
    }

    /// As [`wait`](Self::wait), for `timeout` at most.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let _inside = P::called();
        self.wait_until(guard, after::<P>(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at most.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let _inside = P::called();
        WaitTimeoutResult(self.wait_within(guard, Limits::until(deadline)).is_err())
    }

    /// As [`wait`](Self::wait); the wait ends when the calling fiber is cancelled. The mutex is
    /// locked in either case.
    ///
    /// # Errors
    /// [`Cancelled`] if the fiber was cancelled before it was notified.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_cancellable<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
    ) -> Result<(), Cancelled> {
        let _inside = P::called();
        self.wait_within(guard, Limits::CANCELLABLE).map_err(|_| Cancelled)
    }

    /// Waits while `condition` holds.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        let _inside = P::called();
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// Waits while `condition` holds, for `timeout` at most. If it has timed out, the condition
    /// held when it was last looked at, which was after the time was over.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let _inside = P::called();
        self.wait_while_until(guard, condition, after::<P>(timeout))
    }

    /// Waits while `condition` holds, until `deadline` at most.
    ///
    /// # Panics
    /// If others wait here with another mutex.
    #[track_caller]
    pub fn wait_while_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        mut condition: impl FnMut(&mut T) -> bool,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        let _inside = P::called();
        let mut timed_out = false;
        while condition(guard) {
            if timed_out {
                return WaitTimeoutResult(true);
            }
            timed_out = self.wait_until(guard, deadline).timed_out();
        }
        WaitTimeoutResult(false)
    }

    /// Unlocks the mutex, suspends the calling task until it is notified, and locks the mutex
    /// again. It waits from the first poll on. Dropping the future gives up the place in the
    /// queue, and unlocks the mutex if it is locked; if `notify_one` had chosen this waiter,
    /// another one is notified instead.
    ///
    /// # Panics
    /// When polled, if others wait here with another mutex.
    pub fn wait_async<'a, T: ?Sized>(
        &'a self,
        guard: MutexGuard<'a, T, P>,
    ) -> WaitNotified<'a, T, P> {
        let mutex = MutexGuard::mutex(&guard);
        WaitNotified { waiting: Waiting::new(self, mutex.raw()), guard: Some(guard), mutex }
    }

    /// Notifies the one that has waited longest. Returns whether there was one.
    #[inline]
    #[track_caller]
    pub fn notify_one(&self) -> bool {
        let _inside = P::called();
        self.has_waiters() && self.notify(false) != 0
    }

    /// Notifies all that wait now. Returns how many.
    #[inline]
    #[track_caller]
    pub fn notify_all(&self) -> usize {
        let _inside = P::called();
        if self.has_waiters() { self.notify(true) } else { 0 }
    }

    #[inline]
    fn has_waiters(&self) -> bool {
        self.word.load(Ordering::Relaxed) != 0
    }

    #[cold]
    #[inline(never)]
    fn notify(&self, all: bool) -> usize {
        let mut list = self.lock_queue();
        let mut chain = Chain::new(WOKEN);
        let mut count = 0;
        let mut mutex = ptr::null::<RawMutex<P>>();
        while let Some(first) = list.front() {
            // SAFETY: QLOCK is held, so the nodes in the list are alive.
            unsafe {
                let want = (*first).want();
                mutex = ptr::with_exposed_provenance(want);
                if all {
                    (*first).set_want(want | ALL);
                }
                list.pop_into(&mut chain);
            }
            count += 1;
            if !all {
                break;
            }
        }
        self.unlock_queue(list);
        if count > 0 {
            // SAFETY: each waiter borrows the mutex until its verdict, which only the mutex's
            // queue can give it from now on; condition variables' waiters expect to be requeued.
            unsafe { (*mutex).requeue(chain) };
        }
        count
    }

    fn lock_queue(&self) -> List<P> {
        List::from_word(lock_bit::<P>(&self.word, QLOCK), QLOCK)
    }

    /// Puts the list back, of which the caller is the owner by QLOCK, and clears that.
    fn unlock_queue(&self, list: List<P>) {
        // A swap because others read-modify-write the word, though they change it only when QLOCK
        // is clear.
        // ORDERING: pairs with the acquiring compare-exchange in `lock_bit`, for the nodes.
        self.word.swap(list.to_word(), Ordering::Release);
    }

    fn wait_within<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T, P>,
        limits: Limits,
    ) -> Result<(), Interrupted> {
        let mutex = MutexGuard::mutex(guard);
        let mut guard = Some(guard);
        // Dropped after `waiting`, also by a panic: first the node leaves the queue.
        let mut relock = None;
        let mut waiting = pin!(Waiting::new(self, mutex.raw()));
        let mut poll = |waiting: Pin<&mut Waiting<'_, P>>, context: &mut Context<'_>| {
            // SAFETY: the node is not moved.
            let waiting = unsafe { waiting.get_unchecked_mut() };
            if let Some(guard) = guard.take() {
                waiting.enqueue(context);
                relock = Some(Relock::unlock(guard));
            }
            waiting.poll_notified(context, true)
        };
        let mut result = suspend::wait::<P, _>(limits, |context| poll(waiting.as_mut(), context));
        // SAFETY: the node is not moved.
        if result.is_err() && !unsafe { waiting.as_mut().get_unchecked_mut() }.leave() {
            // Notified just before the end. What remains is the wait for the mutex.
            result = suspend::wait::<P, _>(Limits::NONE, |context| poll(waiting.as_mut(), context));
        }
        if let (Ok(()), Some(relock)) = (result, relock.take()) {
            // SAFETY: ready means that the mutex is locked again.
            unsafe { relock.locked() };
        }
        result
    }
}

impl<P: Platform> Default for Condvar<P> {
    fn default() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> fmt::Debug for Condvar<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// Where a waiter is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not queued yet.
    New,
    /// In the condition variable's queue, or taken out of it.
    Queued,
    /// Notified, and seen to be: waits for the mutex, or has it.
    Notified,
    /// Left unnotified, or done.
    Done,
}

/// Somebody who waits for a notification, and then for the mutex.
struct Waiting<'a, P: Platform> {
    condvar: &'a Condvar<P>,
    mutex: &'a RawMutex<P>,
    acquire: Acquire<'a, P>,
    key: WakerKey,
    stage: Stage,
}

impl<'a, P: Platform> Waiting<'a, P> {
    fn new(condvar: &'a Condvar<P>, mutex: &'a RawMutex<P>) -> Self {
        let acquire = Acquire::new(mutex);
        Self { condvar, mutex, acquire, key: WakerKey::NONE, stage: Stage::New }
    }

    /// Queues; the caller has the mutex, and unlocks it next.
    fn enqueue(&mut self, context: &Context<'_>) {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let want = ptr::from_ref(self.mutex).expose_provenance();
        // SAFETY: the node was never linked.
        unsafe { self.acquire.node.prepare(waker, want) };
        let mut list = self.condvar.lock_queue();
        // SAFETY: QLOCK is held, so the node is alive.
        let other = list.front().is_some_and(|first| unsafe { (*first).want() } != want);
        if !other {
            // SAFETY: QLOCK is held; the node is pinned in `self` and leaves the queue before it
            // dies.
            unsafe { list.push_back(&raw const self.acquire.node) };
            self.acquire.adopt(self.key);
            self.stage = Stage::Queued;
        }
        self.condvar.unlock_queue(list);
        assert!(!other, "a condition variable is waited for with one mutex at a time");
    }

    fn poll_notified(&mut self, context: &mut Context<'_>, patient: bool) -> Poll<()> {
        if self.stage == Stage::Queued {
            if self.acquire.node.verdict() < WOKEN && self.key != WakerKey::of(context.waker()) {
                self.replace_waker(context);
            }
            // The key may still differ (a waker's clone need not look like it): the verdict alone
            // says whether to go on.
            if self.acquire.node.verdict() < WOKEN {
                let number = self.condvar.word.number();
                let object = Object { kind: ObjectKind::Condvar, number };
                P::event(&Event::WaitsFor { object });
                return Poll::Pending;
            }
            self.stage = Stage::Notified;
        }
        // SAFETY: the node is pinned as the caller's `self` is.
        let acquire = unsafe { Pin::new_unchecked(&mut self.acquire) };
        let poll = acquire.poll(context, patient);
        if poll.is_ready() {
            self.stage = Stage::Done;
        }
        poll
    }

    /// A future is polled with another waker than it is queued with.
    fn replace_waker(&mut self, context: &Context<'_>) {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let mut waker = Some(waker);
        let list = self.condvar.lock_queue();
        let node = &self.acquire.node;
        if node.place() == WAITING {
            // SAFETY: QLOCK is held, and the node is linked here. The old waker is dropped at the end.
            unsafe { node.swap_waker(&mut waker) };
            self.condvar.unlock_queue(list);
            self.acquire.adopt(self.key);
        } else {
            self.condvar.unlock_queue(list);
            self.acquire.replace_waker(context);
        }
    }

    /// Leaves the condition variable's queue. Returns whether it was not notified before.
    fn leave(&mut self) -> bool {
        if self.stage != Stage::Queued || self.acquire.node.place() != WAITING {
            return false;
        }
        let mut list = self.condvar.lock_queue();
        let linked = self.acquire.node.place() == WAITING;
        if linked {
            // SAFETY: QLOCK is held, and the node is linked here.
            unsafe { list.remove(&raw const self.acquire.node) };
            self.acquire.forsake();
            self.stage = Stage::Done;
        }
        self.condvar.unlock_queue(list);
        linked
    }
}

impl<P: Platform> Drop for Waiting<'_, P> {
    fn drop(&mut self) {
        if matches!(self.stage, Stage::New | Stage::Done) || self.leave() {
            return;
        }
        // Notified, but nobody will hear of it. First out of the mutex's queue, so that the node
        // is its owner's; then, if the notification was for one, it goes to another one.
        self.acquire.abandon();
        // SAFETY: the node is unlinked and its owner's.
        if unsafe { self.acquire.node.want() } & ALL == 0 {
            self.condvar.notify_one();
        }
    }
}

/// Waits for a [`Condvar`]; see [`Condvar::wait_async`].
#[must_use = "futures do nothing unless polled"]
pub struct WaitNotified<'a, T: ?Sized, P: Platform = Native> {
    waiting: Waiting<'a, P>,
    guard: Option<MutexGuard<'a, T, P>>,
    mutex: &'a ParkingMutex<T, P>,
}

impl<'a, T: ?Sized, P: Platform> Future for WaitNotified<'a, T, P> {
    type Output = MutexGuard<'a, T, P>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the node is not moved.
        let this = unsafe { self.get_unchecked_mut() };
        if this.guard.is_some() {
            this.waiting.enqueue(context);
            this.guard = None;
            return Poll::Pending;
        }
        // SAFETY: ready means that the mutex is locked again.
        this.waiting.poll_notified(context, false).map(|()| unsafe { MutexGuard::new(this.mutex) })
    }
}

impl<T: ?Sized, P: Platform> fmt::Debug for WaitNotified<'_, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitNotified").finish_non_exhaustive()
    }
}
