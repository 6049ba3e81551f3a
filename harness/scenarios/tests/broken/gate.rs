//! Broken twins of the locks: one planted bug each, which a harness must find.
//!
//! The twin is a small semaphore with the locks' protocol: a word with the permits, a bit for
//! "there are waiters" and a bit that guards their list, nodes on the waiters' stacks. Each bug was found
//! in some lock that people used. Nothing is freed really: the gate's and the nodes' memory are
//! checked cells, so a harness that finds nothing has done no harm.

use core::cell::Cell;
use core::ptr;
use core::task::{Context, Poll, Waker};

use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// No bug: the twin itself holds, so what is reported of the others is the planted bug.
const NONE: u8 = 0;
/// A release looks for waiters, and adds the permit in a second step.
const RELEASE_IN_TWO_STEPS: u8 = 1;
/// A waiter queues without a second look at the permits.
const NO_SECOND_LOOK: u8 = 2;
/// There is room for one waiter; the next one takes its place.
const ONE_PLACE: u8 = 3;
/// A waiter is told before the queue is unlocked.
const VERDICT_FIRST: u8 = 4;
/// A waiter's waker is taken out of its node after it was told.
const WAKER_LAST: u8 = 5;
/// What was done before a release is not published to the waiter that it serves.
const RELAXED_VERDICT: u8 = 6;
/// A waiter whose time is over does not look whether it was served meanwhile.
const GRANT_LOST: u8 = 7;

const QLOCK: usize = 1;
const WAITERS: usize = 2;
const PERMIT: usize = 4;

const WAITING: u32 = 0;
const LEAVING: u32 = 1;
const GRANTED: u32 = 2;

struct Node<P: Platform> {
    next: RaceCell<*const Node<P>, P>,
    waker: RaceCell<Option<Waker>, P>,
    state: P::AtomicU32,
}

struct Gate<P: Platform, const BUG: u8> {
    word: P::AtomicUsize,
    first: RaceCell<*const Node<P>, P>,
    /// Whether the gate's memory is there.
    there: RaceCell<bool, P>,
}

// SAFETY: what the pointers point to is accessed as the protocol says, and the cells check it.
unsafe impl<P: Platform, const BUG: u8> Sync for Gate<P, BUG> {}

impl<P: Platform, const BUG: u8> Gate<P, BUG> {
    fn new() -> Self {
        Self {
            word: P::AtomicUsize::new(0),
            first: RaceCell::new_in(ptr::null()),
            there: RaceCell::new_in(true),
        }
    }

    /// A use of the gate's memory.
    fn touch(&self) {
        // SAFETY: a `bool` that is only ever accessed here and in `free`; whether these overlap is
        // the check.
        unsafe { self.there.with(|there| assert!(*there, "used after it was freed")) };
    }

    fn free(&self) {
        // SAFETY: as in `touch`.
        unsafe { self.there.with_mut(|there| *there = false) };
    }

    fn lock_queue(&self) {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & QLOCK == 0 {
                // ORDERING: pairs with the releasing exchange in `settle`.
                match self.word.compare_exchange_weak(
                    word,
                    word | QLOCK,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return,
                    Err(found) => word = found,
                }
                P::retry("broken::gate::lock_queue");
            } else {
                P::spin_loop();
                word = self.word.load(Ordering::Relaxed);
            }
        }
    }

    fn try_acquire(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word >= PERMIT && word & (QLOCK | WAITERS) == 0 {
            // ORDERING: pairs with the releasing exchange in `release`.
            match self.word.compare_exchange_weak(
                word,
                word - PERMIT,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(found) => word = found,
            }
            P::retry("broken::gate::try_acquire");
        }
        false
    }

    fn release(&self) {
        self.touch();
        if BUG == RELEASE_IN_TWO_STEPS && self.word.load(Ordering::Relaxed) & WAITERS == 0 {
            // ORDERING: pairs with the acquiring exchange in `try_acquire`.
            self.word.fetch_add(PERMIT, Ordering::Release);
            return;
        }
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let work = word & (QLOCK | WAITERS) == WAITERS;
            let lock = if work { QLOCK } else { 0 };
            // ORDERING: pairs with the acquiring exchanges in `try_acquire` and `settle`.
            match self.word.compare_exchange_weak(
                word,
                (word + PERMIT) | lock,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) if work => return self.settle(),
                Ok(_) => return,
                Err(found) => word = found,
            }
            P::retry("broken::gate::release");
        }
    }

    /// Unlocks the queue, and serves waiters for as many as there are permits (and threads).
    fn settle(&self) {
        let mut served = [ptr::null::<Node<P>>(); 2];
        let mut count = 0;
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            self.touch();
            // SAFETY: QLOCK is held, and the nodes in the list are alive.
            let empty = unsafe {
                let mut first = self.first.with(|first| *first);
                while word / PERMIT > count && !first.is_null() {
                    served[count] = first;
                    count += 1;
                    (*first).state.store(LEAVING, Ordering::Relaxed);
                    first = (*first).next.with(|next| *next);
                }
                self.first.with_mut(|kept| *kept = first);
                first.is_null()
            };
            if BUG == VERDICT_FIRST {
                self.tell(&served[..count]);
            }
            let waiters = if empty { 0 } else { WAITERS };
            // ORDERING: pairs with the acquiring exchanges in `lock_queue` and `release`.
            match self.word.compare_exchange_weak(
                word,
                (word & !(QLOCK | WAITERS) | waiters) - count * PERMIT,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(found) => word = found,
            }
            P::retry("broken::gate::settle");
        }
        if BUG == VERDICT_FIRST {
            self.touch();
        } else {
            self.tell(&served[..count]);
        }
    }

    fn tell(&self, served: &[*const Node<P>]) {
        for &node in served {
            self.tell_one(node);
        }
    }

    /// Tells a waiter that it has the permit. Its node may be gone afterwards.
    fn tell_one(&self, node: *const Node<P>) {
        // SAFETY: the node is the caller's until its owner is told.
        unsafe {
            let mut waker = None;
            if BUG != WAKER_LAST {
                waker = (*node).waker.with_mut(Option::take);
            }
            if BUG == RELAXED_VERDICT {
                (*node).state.store(GRANTED, Ordering::Relaxed);
            } else {
                // ORDERING: pairs with the acquiring load in `acquire`.
                (*node).state.store(GRANTED, Ordering::Release);
            }
            if BUG == WAKER_LAST {
                waker = (*node).waker.with_mut(Option::take);
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Queues `node`.
    fn enqueue(&self, node: &Node<P>, context: &Context<'_>) {
        self.lock_queue();
        // SAFETY: QLOCK is held, and the node is the caller's.
        unsafe {
            node.waker.with_mut(|waker| *waker = Some(context.waker().clone()));
            let rest = self.first.with(|first| *first);
            let rest = if BUG == ONE_PLACE { ptr::null() } else { rest };
            node.next.with_mut(|next| *next = rest);
            self.first.with_mut(|first| *first = node);
        }
        if BUG == NO_SECOND_LOOK {
            // ORDERING: pairs with the acquiring exchange in `lock_queue`.
            self.word.fetch_xor(QLOCK | WAITERS, Ordering::Release);
        } else {
            self.settle();
        }
    }

    /// Takes `node` out of the list, if it is there.
    fn leave(&self, node: &Node<P>) -> bool {
        self.lock_queue();
        let linked = node.state.load(Ordering::Relaxed) == WAITING;
        if linked {
            // SAFETY: QLOCK is held, and the node linked: it is the only one here.
            unsafe { self.first.with_mut(|first| *first = ptr::null()) };
        }
        self.settle();
        linked
    }

    fn acquire(&self, limits: Limits) -> bool {
        if self.try_acquire() {
            return true;
        }
        let node = Node::<P> {
            next: RaceCell::new_in(ptr::null()),
            waker: RaceCell::new_in(None),
            state: P::AtomicU32::new(WAITING),
        };
        let queued = Cell::new(false);
        let wait = suspend::wait::<P, _>(limits, |context| {
            if !queued.replace(true) {
                self.enqueue(&node, context);
            }
            // ORDERING: pairs with the releasing store in `tell_one`.
            if node.state.load(Ordering::Acquire) == GRANTED {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let mut granted = wait.is_ok();
        if !granted && !self.leave(&node) {
            // ORDERING: pairs with the releasing store in `tell_one`.
            while node.state.load(Ordering::Acquire) != GRANTED {
                P::spin_loop();
            }
            granted = BUG != GRANT_LOST;
        }
        // The end of the node.
        // SAFETY: who was told is alone with its node.
        unsafe { node.waker.with_mut(|waker| *waker = None) };
        granted
    }
}

fn data_and_memory<P: Platform, const BUG: u8>() {
    let gate = Gate::<P, BUG>::new();
    let data = RaceCell::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            gate.acquire(Limits::NONE);
            // SAFETY: the permit says that the other thread is done with it.
            unsafe { data.with_mut(|data| *data += 1) };
            gate.free();
        });
        // SAFETY: nobody else uses it before the permit is there.
        unsafe { data.with_mut(|data| *data += 1) };
        gate.release();
    });
}

fn two_waiters<P: Platform, const BUG: u8>() {
    let gate = Gate::<P, BUG>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| gate.acquire(Limits::NONE));
        threads.spawn(|| gate.acquire(Limits::NONE));
        gate.release();
        gate.release();
    });
}

fn timeout_against_release<P: Platform, const BUG: u8>() {
    let gate = Gate::<P, BUG>::new();
    let soon = Limits::until(Instant::from_nanos(10));
    let acquired = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| gate.acquire(soon));
        gate.release();
        waiter.join()
    });
    assert!(acquired || gate.try_acquire(), "the permit is lost");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "twin/gate_data_and_memory",
            "without a bug, the twin orders the data, and is done when its waiter goes on",
            data_and_memory::<P, NONE>,
        )
        .needs(one),
        Scenario::new(
            "twin/gate_two_waiters",
            "without a bug, the twin serves both waiters",
            two_waiters::<P, NONE>,
        )
        .needs(two)
        .bound(2),
        Scenario::new(
            "twin/gate_timeout_against_release",
            "without a bug, the twin loses no permit",
            timeout_against_release::<P, NONE>,
        )
        .needs(one.clock())
        .bound(4),
        Scenario::new(
            "broken/gate_release_in_two_steps",
            "twin: a waiter queues between a release's look for waiters and its permit",
            data_and_memory::<P, RELEASE_IN_TWO_STEPS>,
        )
        .needs(one)
        .deadlocks(),
        Scenario::new(
            "broken/gate_without_a_second_look",
            "twin: a waiter queues after a release that saw nobody, and does not look again",
            data_and_memory::<P, NO_SECOND_LOOK>,
        )
        .needs(one)
        .deadlocks(),
        Scenario::new(
            "broken/gate_with_one_place",
            "twin: the second waiter takes the first one's place in the queue",
            two_waiters::<P, ONE_PLACE>,
        )
        .needs(two)
        .bound(2)
        .deadlocks(),
        Scenario::new(
            "broken/gate_tells_before_it_unlocks",
            "twin: a release uses the gate after the waiter went on and freed it",
            data_and_memory::<P, VERDICT_FIRST>,
        )
        .needs(one.race_detection())
        .races(),
        Scenario::new(
            "broken/gate_takes_the_waker_last",
            "twin: a release uses the node after its owner went on",
            data_and_memory::<P, WAKER_LAST>,
        )
        .needs(one.race_detection())
        .races(),
        Scenario::new(
            "broken/gate_with_a_relaxed_verdict",
            "twin: a waiter goes on before it sees what was done for it",
            data_and_memory::<P, RELAXED_VERDICT>,
        )
        .needs(one.race_detection())
        .races(),
        Scenario::new(
            "broken/gate_loses_a_grant",
            "twin: a permit given to a waiter whose time is over is lost",
            timeout_against_release::<P, GRANT_LOST>,
        )
        .needs(one.clock())
        .bound(4)
        .fails("the permit is lost"),
    ]
}
