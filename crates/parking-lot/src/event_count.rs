//! Waiting for what a lock-free structure says of itself.
//!
//! A lock knows when a waiter can go on. A queue without a lock does not: its readers look at it, find
//! nothing, and want to sleep until that is worth another look. An event count is what they sleep on. It
//! holds nothing but the waiters; the condition stays with the structure, as an *attempt* that a waiter
//! makes before it sleeps, after it has queued, and after each wake.
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
//! | QLOCK | address | what it means for who notifies           |
//! |-------|---------|------------------------------------------|
//! | 0     | none    | nobody sleeps: nothing to do             |
//! | 1     | none    | somebody may be about to: take QLOCK     |
//! | any   | some    | take QLOCK, unlink, wake                 |
//!
//! # The protocol
//!
//! ```text
//!  who changes the structure              a waiter
//!  -------------------------              --------
//!  store the change                       link the node, clear QLOCK
//!  fence                                  fence
//!  load the word; not 0: wake             attempt once more; failed: suspend
//! ```
//!
//! One of the two loads sees the other's store, so either the waiter finds the change or the notifier
//! finds the waiter (`event_count/wait_against_notify`). Without either fence, or without the attempt
//! after linking, a wake-up is lost: `broken/event_count_without_fence`,
//! `broken/event_count_without_second_look`.
//!
//! A structure whose changes are read-modify-writes of one word needs no fence: the waiter leaves a
//! *mark* in that very word after it has linked its node, by a read-modify-write too. Whoever changes the
//! word later finds the mark, and whoever changed it before is seen by the attempt that follows. The mark
//! releases, and who finds it acquires it, so that the node is in the queue when that is looked at. The
//! mark is taken away under QLOCK when the queue is empty, so it stands whenever somebody is queued
//! who has got beyond the marking ([`EventCount::wait_marked`], [`EventCount::notify_marked`];
//! `event_count/mark_against_notify`).
//!
//! # A notification is never lost
//!
//! `notify_one` chooses a waiter: unlinks it and owes it the verdict WOKEN. That waiter makes an attempt
//! *after* it has seen the verdict, and then the notification has done its work, whatever came of the
//! attempt. A waiter that goes away chosen but without such an attempt (its future is dropped, the attempt
//! panics, or one before the verdict succeeded) notifies another one instead
//! (`event_count/dropped_future_passes_on`, `event_count/timeout_passes_on`). No fence is needed for that:
//! whoever was queued when the first one was chosen is in the word that its verdict has published, and
//! whoever queues later takes QLOCK after the notifier, and sees the change by that.
//!
//! A waiter that was chosen and found nothing, because a newcomer was faster, queues as the first.
//!
//! # Orderings
//!
//! Taking QLOCK acquires and clearing it releases, for the nodes; the verdict releases to the waiter
//! (`queue`). What the structure holds is ordered by the structure: a wake promises nothing but that
//! an attempt is worth while.

use core::fmt;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};

use raddle_platform::suspend::{self, Interrupted, Limits};
use raddle_platform::{Atomic, Event, Native, Object, ObjectKind, Ordering, Platform};

use crate::patience::look_until;
use crate::queue::{Chain, List, Node, WAITING, WOKEN, WakerKey, lock_bit};

const QLOCK: usize = 1;
/// What a node wants, once `notify_all` has chosen it: nobody else has to be told instead.
const ALL: usize = 1;

/// Lets threads, fibers and futures sleep until a lock-free structure has changed.
///
/// Who changes the structure notifies afterwards, which costs a fence and a load if nobody sleeps.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use raddle_parking_lot::EventCount;
/// use raddle_platform::suspend::Limits;
///
/// let tickets = AtomicU32::new(0);
/// let take = || {
///     tickets.fetch_update(Ordering::Acquire, Ordering::Relaxed, |n| n.checked_sub(1)).ok()
/// };
/// let added = EventCount::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         tickets.fetch_add(1, Ordering::Release);
///         added.notify_one();
///     });
///     assert_eq!(added.wait(Limits::NONE, take), Ok(1));
/// });
/// ```
///
/// `notify_one` is for waiters that all wait for the same: any of them will do. Where each has a
/// condition of its own, use [`notify_all`](Self::notify_all).
///
/// Whoever notifies keeps the event count alive until that call returns; a waiter may find the change,
/// and go, before.
pub struct EventCount<P: Platform = Native> {
    word: P::AtomicUsize,
    /// Changes of the structure against waiters that fall asleep.
    handshake: P::Handshake,
}

impl EventCount {
    /// An event count for production, usable in a `static`.
    #[inline]
    pub const fn new() -> Self {
        let word = raddle_platform::native::AtomicUsize::new(0);
        Self { word, handshake: Native::handshake() }
    }
}

impl<P: Platform> Default for EventCount<P> {
    fn default() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> EventCount<P> {
    /// An event count in the world `P`.
    #[inline]
    #[track_caller]
    pub fn new_in() -> Self {
        Self { word: P::AtomicUsize::new(0), handshake: P::Handshake::default() }
    }

    /// Makes `attempt` until it succeeds; the calling fiber or thread yields a few times and is then
    /// suspended in between. Attempts may look at any number of things, if whoever changes one of them
    /// notifies this event count.
    ///
    /// An attempt must not wait for this event count itself, and may be made without a notification.
    ///
    /// # Errors
    /// The limit that ended the wait. If the waiter was notified at the same time, a last attempt has
    /// failed too.
    #[inline]
    #[track_caller]
    pub fn wait<T>(
        &self,
        limits: Limits,
        attempt: impl FnMut() -> Option<T>,
    ) -> Result<T, Interrupted> {
        let _inside = P::called();
        self.wait_looking(limits, attempt, || self.meet())
    }

    /// As [`wait`](Self::wait), with a mark of the caller's in the place of the fence. There is a word that
    /// everybody read-modify-writes who could make an attempt succeed, and nobody writes otherwise. `mark`
    /// is called after the waiter has queued and before its next attempt, and sets a bit there by a
    /// read-modify-write **that releases**. Whoever finds the bit then **acquires** it, by the
    /// read-modify-write that found it or by a load of the word afterwards, and calls
    /// [`notify_marked`](Self::notify_marked). Without that pair it could look at the queue and not see the
    /// waiter whose mark it has seen.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[inline]
    #[track_caller]
    pub fn wait_marked<T>(
        &self,
        limits: Limits,
        attempt: impl FnMut() -> Option<T>,
        mark: impl FnMut(),
    ) -> Result<T, Interrupted> {
        let _inside = P::called();
        self.wait_looking(limits, attempt, mark)
    }

    /// Makes `attempt` until it succeeds; the calling task is suspended in between. Dropping the future
    /// gives up the place in the queue; if this waiter was notified, another one is instead.
    pub fn wait_async<T, F: FnMut() -> Option<T>>(&self, attempt: F) -> EventWait<'_, F, P> {
        EventWait { waiter: EventWaiter::new(self), attempt }
    }

    /// Notifies the one that has waited longest. Returns whether there was one.
    #[inline]
    #[track_caller]
    pub fn notify_one(&self) -> bool {
        let _inside = P::called();
        self.notify_fenced(1) != 0
    }

    /// Notifies up to `count` that have waited longest. Returns how many there were.
    #[inline]
    #[track_caller]
    pub fn notify(&self, count: usize) -> usize {
        let _inside = P::called();
        self.notify_fenced(count)
    }

    /// Notifies all that wait now. Returns how many.
    #[inline]
    #[track_caller]
    pub fn notify_all(&self) -> usize {
        let _inside = P::called();
        self.notify_fenced(usize::MAX)
    }

    /// Notifies up to `count` (all, if that is `usize::MAX`) that have waited longest, without a fence:
    /// the caller has found the mark of [`wait_marked`](Self::wait_marked), and has acquired the value of
    /// the word that had it, or a later one. `unmark` is called if nobody is queued any more, while nobody
    /// can queue; it takes the mark away by a read-modify-write of any ordering, and does nothing else.
    #[cold]
    #[track_caller]
    pub fn notify_marked(&self, count: usize, unmark: impl FnOnce()) -> usize {
        let _inside = P::called();
        self.notify_queued(count, unmark)
    }

    #[inline]
    fn notify_fenced(&self, count: usize) -> usize {
        self.meet();
        if self.word.load(Ordering::Relaxed) == 0 { 0 } else { self.notify_slow(count) }
    }

    #[cold]
    #[inline(never)]
    fn notify_slow(&self, count: usize) -> usize {
        self.notify_queued(count, || {})
    }

    fn notify_queued(&self, count: usize, unmark: impl FnOnce()) -> usize {
        let mut list = self.lock_queue();
        let mut chain = Chain::new(WOKEN);
        let mut notified = 0;
        while notified < count
            && let Some(first) = list.front()
        {
            // SAFETY: QLOCK is held, so the nodes in the list are alive.
            unsafe {
                if count == usize::MAX {
                    (*first).set_want(ALL);
                }
                list.pop_into(&mut chain);
            }
            notified += 1;
        }
        if list.is_empty() {
            unmark();
        }
        self.unlock_queue(list);
        // SAFETY: QLOCK was released.
        unsafe { chain.publish() };
        notified
    }

    /// The waiters' and the notifiers' fence.
    #[inline]
    fn meet(&self) {
        // ORDERING: pairs with itself, between the store and the load of each side: see the head of
        // this file.
        P::fence(Ordering::SeqCst, &[&self.handshake]);
    }

    /// Always inlined: of the frames that a fiber returns through after it gave way, the processor guesses
    /// each wrong, as it remembers those of the fibers that ran meanwhile (the bench `yield_below`).
    #[inline(always)]
    fn wait_looking<T>(
        &self,
        limits: Limits,
        mut attempt: impl FnMut() -> Option<T>,
        mark: impl FnMut(),
    ) -> Result<T, Interrupted> {
        let mut found = attempt();
        if found.is_none() {
            look_until::<P>(|| {
                found = attempt();
                found.is_some()
            });
        }
        match found {
            Some(value) => Ok(value),
            None => self.sleep(limits, attempt, mark),
        }
    }

    #[cold]
    #[inline(never)]
    fn sleep<T>(
        &self,
        limits: Limits,
        mut attempt: impl FnMut() -> Option<T>,
        mut mark: impl FnMut(),
    ) -> Result<T, Interrupted> {
        let mut waiter = pin!(EventWaiter::new(self));
        let result = suspend::wait::<P, _>(limits, |context| {
            waiter.as_mut().poll_marked(context, &mut attempt, &mut mark)
        });
        let waiter = waiter.project();
        if result.is_err() && waiter.was_chosen_after_all() {
            let mut owed = waiter.owed();
            let found = attempt();
            owed.settle();
            return found.map_or(result, Ok);
        }
        result
    }

    fn lock_queue(&self) -> List<P> {
        List::from_word(lock_bit::<P>(&self.word, QLOCK), QLOCK)
    }

    /// Puts the list back, of which the caller is the owner by QLOCK, and clears that.
    fn unlock_queue(&self, list: List<P>) {
        // A swap because others read-modify-write the word, though they change it only when QLOCK is
        // clear.
        // ORDERING: pairs with the acquiring compare-exchange in `lock_bit`, for the nodes.
        self.word.swap(list.to_word(), Ordering::Release);
    }
}

impl<P: Platform> fmt::Debug for EventCount<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCount").finish_non_exhaustive()
    }
}

/// Somebody who waits for an [`EventCount`]: what a future embeds that waits for a structure.
///
/// It is queued from the first poll that is pending, until its attempt succeeds or it is dropped or
/// [left](Self::leave). Then it may be polled anew.
pub struct EventWaiter<'a, P: Platform = Native> {
    event: &'a EventCount<P>,
    node: Node<P>,
    key: WakerKey,
    /// Whether the node is linked, or a verdict is owed or not yet looked at.
    queued: bool,
    /// Whether it was chosen before, and came too late.
    again: bool,
}

impl<'a, P: Platform> EventWaiter<'a, P> {
    /// A waiter that is not queued yet.
    #[track_caller]
    pub fn new(event: &'a EventCount<P>) -> Self {
        Self { event, node: Node::new(), key: WakerKey::NONE, queued: false, again: false }
    }

    /// Makes `attempt`; if that fails the waiter is queued, and the task of `context` woken when it is
    /// notified.
    pub fn poll<T>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        attempt: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        let event = self.event;
        self.poll_marked(context, attempt, || event.meet())
    }

    /// As [`poll`](Self::poll), with a mark in the place of the fence:
    /// see [`EventCount::wait_marked`].
    pub fn poll_marked<T>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<T>,
        mut mark: impl FnMut(),
    ) -> Poll<T> {
        let this = self.project();
        let mut owed = this.look_at_verdict();
        let found = attempt();
        owed.settle();
        if let Some(value) = found {
            return this.succeed(value);
        }
        if this.queued {
            if this.key == WakerKey::of(context.waker()) || this.replace_waker(context) {
                return this.pending();
            }
            // Chosen meanwhile, and the old waker was woken.
            owed = this.look_at_verdict();
        }
        this.enqueue(context);
        mark();
        let found = attempt();
        owed.settle();
        match found {
            Some(value) => this.succeed(value),
            None => this.pending(),
        }
    }

    /// Whether it is queued, or was notified since.
    pub fn is_queued(&self) -> bool {
        self.queued
    }

    /// Leaves the queue. If the waiter was notified, another one is instead.
    pub fn leave(self: Pin<&mut Self>) {
        self.project().go_away();
    }

    fn project(self: Pin<&mut Self>) -> &mut Self {
        // SAFETY: the node is not moved by what this is used for.
        unsafe { self.get_unchecked_mut() }
    }

    fn succeed<T>(&mut self, value: T) -> Poll<T> {
        self.go_away();
        self.again = false;
        Poll::Ready(value)
    }

    fn pending<T>(&self) -> Poll<T> {
        let number = self.event.word.number();
        P::event(&Event::WaitsFor { object: Object { kind: ObjectKind::EventCount, number } });
        Poll::Pending
    }

    /// An attempt will follow, after which a notification will have done its work.
    fn look_at_verdict(&mut self) -> Owed<'a, P> {
        if !self.queued || self.node.verdict() != WOKEN {
            return Owed(None);
        }
        self.queued = false;
        self.again = true;
        self.owed()
    }

    /// What the waiter owes, which was chosen.
    fn owed(&self) -> Owed<'a, P> {
        // SAFETY: chosen, so the node is the waiter's again.
        Owed(if unsafe { self.node.want() } == ALL { None } else { Some(self.event) })
    }

    fn enqueue(&mut self, context: &Context<'_>) {
        // Cloning is foreign code: not under QLOCK.
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        // SAFETY: the node is not linked: it never was, or its verdict has come.
        unsafe { self.node.prepare(waker, 0) };
        let mut list = self.event.lock_queue();
        // SAFETY: QLOCK is held; the node is pinned in `self` and unlinked by `go_away` before it dies.
        unsafe {
            if self.again {
                list.push_front(&raw const self.node);
            } else {
                list.push_back(&raw const self.node);
            }
        }
        self.queued = true;
        self.event.unlock_queue(list);
    }

    /// Runs `change` under QLOCK if the node is linked. If not, waits for its verdict, which is about to
    /// come, and returns `None`.
    fn if_linked<R>(&self, change: impl FnOnce(&mut List<P>, &Node<P>) -> R) -> Option<R> {
        if self.node.place() == WAITING {
            let mut list = self.event.lock_queue();
            let linked = self.node.place() == WAITING;
            let result = linked.then(|| change(&mut list, &self.node));
            self.event.unlock_queue(list);
            if linked {
                return result;
            }
        }
        self.node.await_verdict();
        None
    }

    /// A future is polled with another waker than it is queued with. Returns whether it is still queued.
    fn replace_waker(&mut self, context: &Context<'_>) -> bool {
        let waker = context.waker().clone();
        self.key = WakerKey::of(&waker);
        let mut waker = Some(waker);
        // SAFETY: QLOCK is held, so the linked node's waker is the caller's to change.
        let replace = |_: &mut List<P>, node: &Node<P>| unsafe { node.swap_waker(&mut waker) };
        // The old waker, or the new one if it came too late, is dropped at the end and not under QLOCK.
        self.if_linked(replace).is_some()
    }

    /// Leaves the queue. Returns whether the waiter was chosen, and nobody has made use of that.
    fn was_chosen_after_all(&mut self) -> bool {
        if !self.queued {
            return false;
        }
        self.queued = false;
        // SAFETY: QLOCK is held, and the node linked in this list.
        let remove = |list: &mut List<P>, node: &Node<P>| unsafe { list.remove(node) };
        self.if_linked(remove).is_none()
    }

    fn go_away(&mut self) {
        if self.was_chosen_after_all() {
            drop(self.owed());
        }
    }
}

impl<P: Platform> Drop for EventWaiter<'_, P> {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl<P: Platform> fmt::Debug for EventWaiter<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWaiter").field("queued", &self.queued).finish_non_exhaustive()
    }
}

/// What a chosen waiter owes to the others: an attempt of its own. If that does not come, because the
/// waiter goes away or the attempt panics, another one is notified.
#[must_use = "dropping it notifies"]
struct Owed<'a, P: Platform>(Option<&'a EventCount<P>>);

impl<P: Platform> Owed<'_, P> {
    /// The attempt was made.
    fn settle(&mut self) {
        self.0 = None;
    }
}

impl<P: Platform> Drop for Owed<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(event) = self.0 {
            event.notify_slow(1);
        }
    }
}

/// Waits for an [`EventCount`]; see [`EventCount::wait_async`].
#[must_use = "futures do nothing unless polled"]
pub struct EventWait<'a, F, P: Platform = Native> {
    waiter: EventWaiter<'a, P>,
    attempt: F,
}

impl<T, F: FnMut() -> Option<T>, P: Platform> Future for EventWait<'_, F, P> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // SAFETY: `waiter` is pinned as `self` is; `attempt` never is.
        let (waiter, attempt) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.waiter), &mut this.attempt)
        };
        waiter.poll(context, attempt)
    }
}

impl<F, P: Platform> fmt::Debug for EventWait<'_, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").finish_non_exhaustive()
    }
}
