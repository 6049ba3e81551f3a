//! The event count: no wake-up is lost.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll};

use raddle_parking_lot::EventCount;
use raddle_platform::suspend::Limits;
use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Platform, suspend};

use crate::waiters::{Blocking, Waiter, each_blocking, each_blocking_pair, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// Tickets that are added and taken.
struct Tickets<P: Platform> {
    count: P::AtomicU32,
    added: EventCount<P>,
}

impl<P: Platform> Tickets<P> {
    fn new() -> Self {
        Self { count: P::AtomicU32::new(0), added: EventCount::new_in() }
    }

    fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.added.notify_one();
    }

    /// As [`add`](Self::add), where adding alone orders nothing.
    fn add_first(&self) {
        self.count.store(1, Ordering::Relaxed);
        self.added.notify_one();
    }

    fn try_take(&self) -> Option<()> {
        let mut count = self.count.load(Ordering::Relaxed);
        while count > 0 {
            match self.count.compare_exchange(
                count,
                count - 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(()),
                Err(found) => count = found,
            }
            P::retry("tickets");
        }
        None
    }

    fn look(&self) -> Option<()> {
        (self.count.load(Ordering::Relaxed) > 0).then_some(())
    }

    fn wait<W: Waiter<P>>(&self, attempt: impl Fn() -> Option<()> + Copy) {
        W::wait(
            || self.added.wait(Limits::NONE, attempt).expect("no limit"),
            || self.added.wait_async(attempt),
        );
    }
}

fn wait_against_notify<P: Platform, W: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| tickets.wait::<W>(|| tickets.look())));
        tickets.add_first();
    });
}

fn two_wait_for_two<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| tickets.wait::<A>(|| tickets.try_take())));
        threads.spawn(|| B::run(|| tickets.wait::<B>(|| tickets.try_take())));
        tickets.add();
        tickets.add();
    });
    assert_eq!(tickets.try_take(), None);
}

fn notify_all<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| tickets.wait::<A>(|| tickets.look())));
        threads.spawn(|| B::run(|| tickets.wait::<B>(|| tickets.look())));
        tickets.count.store(1, Ordering::Relaxed);
        tickets.added.notify_all();
    });
}

fn notify_two<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| tickets.wait::<A>(|| tickets.try_take())));
        threads.spawn(|| B::run(|| tickets.wait::<B>(|| tickets.try_take())));
        tickets.count.fetch_add(2, Ordering::Relaxed);
        tickets.added.notify(2);
    });
}

/// One ticket. Who waits with a deadline gives it back if it got it; the other needs it.
fn timeout_passes_on<P: Platform, A: Blocking<P>, B: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            A::run(|| {
                if tickets.added.wait(Limits::until(SOON), || tickets.try_take()).is_ok() {
                    tickets.add();
                }
            });
        });
        threads.spawn(|| B::run(|| tickets.wait::<B>(|| tickets.try_take())));
        tickets.add();
    });
}

fn timeout_against_notify<P: Platform, W: Blocking<P>>() {
    let tickets = Tickets::<P>::new();
    let taken = scope::<P, _>(|threads| {
        let waiter = threads.spawn(|| {
            W::run(|| tickets.added.wait(Limits::until(SOON), || tickets.try_take()).is_ok())
        });
        tickets.add();
        waiter.join()
    });
    assert_eq!(tickets.try_take().is_some(), !taken, "the ticket is taken or still there");
    assert!(!tickets.added.notify_one(), "nobody is queued any more");
}

fn dropped_future_passes_on<P: Platform, W: Waiter<P>>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let wait = pin!(tickets.added.wait_async(|| tickets.try_take()));
            if polled::once(wait).is_ready() {
                tickets.add();
            }
        });
        threads.spawn(|| W::run(|| tickets.wait::<W>(|| tickets.try_take())));
        tickets.add();
    });
}

fn waker_replaced_against_notify<P: Platform>() {
    let tickets = Tickets::<P>::new();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let mut wait = pin!(tickets.added.wait_async(|| tickets.try_take()));
            if polled::once(wait.as_mut()) == Poll::Pending {
                suspend::block_on::<P, _>(wait);
            }
        });
        tickets.add();
    });
    assert_eq!(tickets.try_take(), None);
}

/// A new waker comes too late, and is dropped. What that does must find the queue unlocked.
fn dropped_waker_uses_the_queue<P: Platform>() {
    let tickets = Tickets::<P>::new();
    let used = || {
        tickets.added.notify_one();
    };
    // SAFETY: `used` is declared before the future that has the waker's clone.
    let waker = unsafe { polled::dropping(&used) };
    let mut wait = pin!(tickets.added.wait_async(|| tickets.try_take()));
    assert!(polled::once(wait.as_mut()).is_pending());
    scope::<P, _>(|threads| {
        threads.spawn(|| tickets.add());
        let _ = wait.as_mut().poll(&mut Context::from_waker(&waker));
    });
}

/// More are notified than fit into one batch, while one of them goes and another one waits on.
fn crowd_against_drop<P: Platform>() {
    let tickets = Tickets::<P>::new();
    let look = || tickets.look();
    let mut first = pin!(tickets.added.wait_async(look));
    let mut second = pin!(tickets.added.wait_async(look));
    let mut third = Box::pin(tickets.added.wait_async(look));
    for wait in [first.as_mut(), second.as_mut(), third.as_mut()] {
        assert!(polled::once(wait).is_pending());
    }
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            tickets.count.store(1, Ordering::Relaxed);
            tickets.added.notify_all();
        });
        drop(third);
        suspend::block_on::<P, _>(first);
    });
    assert!(polled::once(second).is_ready());
}

/// Either of two reasons ends the wait.
fn two_reasons<P: Platform, W: Waiter<P>>() {
    let (first, second) = (P::AtomicBool::new(false), P::AtomicBool::new(false));
    let event = EventCount::<P>::new_in();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let attempt = || {
                let reason = first.load(Ordering::Relaxed) || second.load(Ordering::Relaxed);
                reason.then_some(())
            };
            W::run(|| {
                W::wait(
                    || event.wait(Limits::NONE, attempt).expect("no limit"),
                    || event.wait_async(attempt),
                );
            });
        });
        threads.spawn(|| {
            second.store(true, Ordering::Relaxed);
            event.notify_one();
        });
        first.store(true, Ordering::Relaxed);
        event.notify_one();
    });
}

const MARK: usize = 1;
const TICKET: usize = 2;

/// A word with the mark of sleepers and a number of tickets; no fence.
struct Marked<P: Platform> {
    word: P::AtomicUsize,
    event: EventCount<P>,
}

impl<P: Platform> Marked<P> {
    fn take(&self) {
        let attempt = || {
            let mut word = self.word.load(Ordering::Relaxed);
            while word >= TICKET {
                let next = word - TICKET;
                match self.word.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Some(()),
                    Err(found) => word = found,
                }
                P::retry("marked tickets");
            }
            None
        };
        let mark = || {
            // ORDERING: pairs with the acquiring addition in `add`, for the queue.
            self.word.fetch_or(MARK, Ordering::Release);
        };
        self.event.wait_marked(Limits::NONE, attempt, mark).expect("no limit");
    }

    fn add(&self) {
        // ORDERING: pairs with the releasing mark in `take`.
        if self.word.fetch_add(TICKET, Ordering::Acquire) & MARK != 0 {
            self.event.notify_marked(1, || {
                self.word.fetch_and(!MARK, Ordering::Relaxed);
            });
        }
    }
}

fn mark_against_notify<P: Platform>() {
    let marked = Marked::<P> { word: P::AtomicUsize::new(0), event: EventCount::new_in() };
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            marked.take();
            marked.take();
        });
        marked.add();
        marked.add();
    });
}

fn mark_against_two<P: Platform>() {
    let marked = Marked::<P> { word: P::AtomicUsize::new(0), event: EventCount::new_in() };
    scope::<P, _>(|threads| {
        threads.spawn(|| marked.take());
        threads.spawn(|| marked.take());
        marked.add();
        marked.add();
    });
    assert!(marked.word.load(Ordering::Relaxed) < TICKET);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        each_waiter!(
            "event_count/wait_against_notify",
            "a waiter that falls asleep while the change comes is woken, or sees it",
            wait_against_notify,
            P
        )
        .map(|each| each.needs(one))
        .to_vec(),
        each_pair!(
            "event_count/two_wait_for_two",
            "two notifications serve two waiters",
            two_wait_for_two,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_pair!("event_count/notify_all", "all that wait are notified", notify_all, P)
            .map(|each| each.needs(two).bound(2))
            .to_vec(),
        each_pair!("event_count/notify_two", "as many are notified as there is for", notify_two, P)
            .map(|each| each.needs(two).bound(2))
            .to_vec(),
        each_blocking_pair!(
            "event_count/timeout_passes_on",
            "a waiter that was notified when its time was over keeps nobody else waiting",
            timeout_passes_on,
            P
        )
        .map(|each| each.needs(two.clock()).bound(2))
        .to_vec(),
        each_blocking!(
            "event_count/timeout_against_notify",
            "a waiter whose time is over leaves the queue, and what it did not take",
            timeout_against_notify,
            P
        )
        .map(|each| each.needs(one.clock()).bound(4))
        .to_vec(),
        each_waiter!(
            "event_count/dropped_future_passes_on",
            "a notification that a dropped future has got goes to another waiter",
            dropped_future_passes_on,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        vec![
            Scenario::new(
                "event_count/waker_replaced_against_notify",
                "a future that is polled with a new waker while it is notified is woken",
                waker_replaced_against_notify::<P>,
            )
            .needs(one)
            .bound(4),
            Scenario::new(
                "event_count/dropped_waker_uses_the_queue",
                "a waker that came too late is dropped when nobody has to wait for that",
                dropped_waker_uses_the_queue::<P>,
            )
            .needs(Needs::ATOMICS.threads(1))
            .bound(3),
            Scenario::new(
                "event_count/crowd_against_drop",
                "of many that are notified at once, each may go at any time and none is forgotten",
                crowd_against_drop::<P>,
            )
            .needs(one)
            .bound(3),
        ],
        each_waiter!(
            "event_count/two_reasons",
            "a waiter for either of two changes goes on after either",
            two_reasons,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        vec![
            Scenario::new(
                "event_count/mark_against_notify",
                "a mark in the word that changes does what the fences do",
                mark_against_notify::<P>,
            )
            .needs(one)
            .bound(4),
            Scenario::new(
                "event_count/mark_against_two",
                "the mark stands as long as somebody is queued",
                mark_against_two::<P>,
            )
            .needs(two)
            .bound(2),
        ],
    ]
    .concat()
}
