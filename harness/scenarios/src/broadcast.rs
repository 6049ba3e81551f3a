//! Publishing to many: order, lag, blocking and the end.
//!
//! The smallest stream, with a capacity of 1, has chunks of one slot: each publication opens one, and
//! each delivery leaves one. [`TWO_SLOTS`] is the smallest capacity with chunks of two.

use core::cell::Cell;
use core::error::Error;
use core::fmt;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Platform, RaceCell, suspend};
use raddle_runtime::internals::crew;
use raddle_runtime::task::Builder;
use raddle_runtime::{CancellationToken, is_cancelled};
use raddle_streams::broadcast::{
    Policy, PublishError, Publisher, RecvError, RecvTimeoutError, Start, Subscriber, TryRecvError,
};

use crate::run_loop::run_beside;
use crate::waiters::{Blocking, Waiter, each_blocking, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

/// So much later is always over, since nobody else will end the wait.
const SOME_TIME: Duration = Duration::from_nanos(10);

/// The smallest capacity with chunks of two slots.
pub(crate) const TWO_SLOTS: usize = 8;

/// The error of a publisher that gives up.
#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

/// An item whose copies are counted while they are alive, and checked for races.
pub(crate) struct Counted<'a, P: Platform> {
    alive: &'a P::AtomicUsize,
    value: RaceCell<u32, P>,
}

impl<'a, P: Platform> Counted<'a, P> {
    pub(crate) fn new(alive: &'a P::AtomicUsize, value: u32) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { alive, value: RaceCell::new_in(value) }
    }

    pub(crate) fn get(&self) -> u32 {
        // SAFETY: an item is written by its drop only, and whether that comes later is the check.
        unsafe { self.value.with(|value| *value) }
    }
}

impl<P: Platform> Clone for Counted<'_, P> {
    fn clone(&self) -> Self {
        Self::new(self.alive, self.get())
    }
}

impl<P: Platform> Drop for Counted<'_, P> {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { self.value.with_mut(|value| *value = u32::MAX) };
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn recv<P: Platform, W: Waiter<P>, T: Clone>(
    subscriber: &mut Subscriber<T, P>,
) -> Result<T, RecvError<P>> {
    let subscriber = Cell::new(Some(subscriber));
    let take = || subscriber.take().expect("one of both is called");
    W::wait(|| take().recv(), || take().recv_async())
}

fn publish<P: Platform, W: Waiter<P>, T>(publisher: &Publisher<T, P>, value: T) {
    let value = Cell::new(Some(value));
    let take = || value.take().expect("one of both is called");
    let result = W::wait(|| publisher.publish(take()), || publisher.publish_async(take()));
    assert!(result.is_ok(), "the stream is open");
}

/// Receives to the end. Returns the items, and how many are missing according to what it was told.
pub(crate) fn receive_all<P: Platform, W: Waiter<P>, T: Clone>(
    mut subscriber: Subscriber<T, P>,
) -> (Vec<T>, u64) {
    let (mut items, mut lost) = (Vec::new(), 0);
    loop {
        match recv::<P, W, T>(&mut subscriber) {
            Ok(item) => items.push(item),
            Err(RecvError::Lagged(some)) => lost += some,
            Err(RecvError::CutOff(_)) => return (items, u64::MAX),
            Err(_) => return (items, lost),
        }
    }
}

fn publish_against_receive<P: Platform, W: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe();
    let cell = RaceCell::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: nobody reads before the item is there.
            unsafe { cell.with_mut(|value| *value = 1) };
            assert!(publisher.try_publish(()).is_ok());
        });
        W::run(|| assert!(recv::<P, W, _>(&mut subscriber).is_ok()));
        // SAFETY: what was done before publishing has happened.
        assert_eq!(unsafe { cell.with(|value| *value) }, 1);
    });
}

/// The second item of a chunk that is there already.
fn second_of_a_chunk<P: Platform, W: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(TWO_SLOTS);
    let mut subscriber = publisher.subscribe();
    assert!(publisher.try_publish(1).is_ok());
    assert!(matches!(subscriber.try_recv(), Ok(1)));
    scope::<P, _>(|threads| {
        threads.spawn(|| assert!(publisher.try_publish(2).is_ok()));
        W::run(|| assert!(matches!(recv::<P, W, _>(&mut subscriber), Ok(2))));
    });
}

fn both_are_woken<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let (mut first, mut second) = (publisher.subscribe(), publisher.subscribe());
    scope::<P, _>(|threads| {
        threads.spawn(|| A::run(|| assert!(matches!(recv::<P, A, _>(&mut first), Ok(1)))));
        threads.spawn(|| B::run(|| assert!(matches!(recv::<P, B, _>(&mut second), Ok(1)))));
        assert!(publisher.try_publish(1).is_ok());
    });
}

fn two_publishers<P: Platform, const CAPACITY: usize>() {
    let publisher = Publisher::<_, P>::new_in(CAPACITY);
    let mut subscriber = publisher.subscribe_with(Policy::DropNewest, Start::Now);
    let other = publisher.clone();
    let mut oldest = scope::<P, _>(|threads| {
        threads.spawn(move || assert!(other.try_publish(1).is_ok()));
        assert!(publisher.try_publish(2).is_ok());
        publisher.subscribe_with(Policy::DropOldest, Start::Oldest)
    });
    let first = subscriber.try_recv();
    let second = subscriber.try_recv();
    if CAPACITY == 1 {
        assert!(matches!(second, Err(TryRecvError::Other(RecvError::Lagged(1)))));
    } else {
        let (Ok(first), Ok(second)) = (first, second) else { panic!("both are there") };
        assert_eq!((first + second, first * second), (3, 2), "each once");
        assert!(!matches!(oldest.try_recv(), Ok(item) if item != first && item != second));
    }
    drop(publisher);
    assert!(matches!(subscriber.recv(), Err(RecvError::Closed)));
}

/// One opens the chunk that takes the place of the one to which the other is about to write.
fn a_claimed_chunk_is_kept<P: Platform>() {
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(1);
    scope::<P, _>(|threads| {
        threads.spawn(|| assert!(publisher.try_publish(Counted::<P>::new(&alive, 1)).is_ok()));
        assert!(publisher.try_publish(Counted::<P>::new(&alive, 2)).is_ok());
        assert!(publisher.try_publish(Counted::<P>::new(&alive, 3)).is_ok());
    });
    assert_eq!(alive.load(Ordering::Relaxed), 1, "nobody wants more than the last chunk");
    drop(publisher);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

fn close_against_receive<P: Platform, W: Waiter<P>>() {
    let publisher = Publisher::<u32, P>::new_in(1);
    let mut subscriber = publisher.subscribe();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(publisher));
        W::run(|| assert!(matches!(recv::<P, W, _>(&mut subscriber), Err(RecvError::Closed))));
    });
}

fn error_after_items<P: Platform, W: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            assert!(publisher.try_publish(1).is_ok());
            assert!(publisher.close_with_error(Failed));
        });
        W::run(|| {
            assert!(matches!(recv::<P, W, _>(&mut subscriber), Ok(1)));
            let end = recv::<P, W, _>(&mut subscriber);
            assert!(matches!(end, Err(RecvError::Failed(failed)) if failed.get().is::<Failed>()));
        });
    });
}

/// What is published before the end is received, and what comes later is given back.
fn close_against_publish<P: Platform, const CAPACITY: usize>() {
    let publisher = Publisher::<_, P>::new_in(CAPACITY);
    let subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    assert!(CAPACITY == 1 || publisher.try_publish(0).is_ok());
    let published = scope::<P, _>(|threads| {
        let other = threads.spawn(|| publisher.try_publish(1));
        assert!(publisher.close());
        other.join()
    });
    assert!(publisher.is_closed() && !publisher.close());
    let (items, lost) = receive_all::<P, crate::waiters::Thread, _>(subscriber);
    assert_eq!(items.contains(&1), published.is_ok());
    assert_eq!(lost, 0);
    assert!(matches!(published, Ok(()) | Err(PublishError::Closed(1))));
}

fn block_against_receive<P: Platform, A: Waiter<P>, B: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            A::run(|| {
                publish::<P, A, _>(&publisher, 1);
                publish::<P, A, _>(&publisher, 2);
            });
        });
        B::run(|| {
            assert!(matches!(recv::<P, B, _>(&mut subscriber), Ok(1)));
            assert!(matches!(recv::<P, B, _>(&mut subscriber), Ok(2)));
        });
    });
}

fn block_against_drop<P: Platform, W: Waiter<P>>() {
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(1);
    let subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    assert!(publisher.try_publish(Counted::<P>::new(&alive, 1)).is_ok());
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(subscriber));
        W::run(|| publish::<P, W, _>(&publisher, Counted::<P>::new(&alive, 2)));
    });
    assert_eq!(publisher.subscriber_count(), 0);
    drop(publisher);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

fn block_against_close<P: Platform, W: Waiter<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let _slow = publisher.subscribe_with(Policy::Block, Start::Now);
    assert!(publisher.try_publish(1).is_ok());
    scope::<P, _>(|threads| {
        threads.spawn(|| publisher.close());
        W::run(|| {
            let result = W::wait(|| publisher.publish(2), || publisher.publish_async(2));
            assert_eq!(result, Err(PublishError::Closed(2)));
        });
    });
}

fn publish_against_drop<P: Platform>() {
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(1);
    let subscriber = publisher.subscribe();
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            assert!(publisher.try_publish(Counted::<P>::new(&alive, 1)).is_ok());
            drop(publisher);
        });
        drop(subscriber);
    });
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// Items are dropped while others are still looking at theirs.
fn items_are_dropped_once<P: Platform>() {
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(1);
    let (first, second) = (publisher.subscribe(), publisher.subscribe());
    assert!(publisher.try_publish(Counted::<P>::new(&alive, 1)).is_ok());
    scope::<P, _>(|threads| {
        for mut subscriber in [first, second] {
            threads.spawn(move || {
                let seen = subscriber.recv_with(Counted::get);
                assert!(matches!(seen, Ok(1 | 2) | Err(RecvError::Lagged(1))));
            });
        }
        assert!(publisher.try_publish(Counted::<P>::new(&alive, 2)).is_ok());
    });
    drop(publisher);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

/// What is received and what is told to be lost add up, and the order is that of publishing.
fn nothing_is_lost_silently<P: Platform, W: Waiter<P>, const POLICY: u8>() {
    let policy = [Policy::DropOldest, Policy::DropNewest, Policy::Disconnect][POLICY as usize];
    let publisher = Publisher::<_, P>::new_in(1);
    let subscriber = publisher.subscribe_with(policy, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            assert!(publisher.try_publish(1).is_ok());
            assert!(publisher.try_publish(2).is_ok());
        });
        W::run(|| {
            let (items, lost) = receive_all::<P, W, _>(subscriber);
            assert!(items.is_sorted());
            match policy {
                Policy::Disconnect => assert!(lost == u64::MAX || items == [1, 2]),
                _ => assert_eq!(items.len() as u64 + lost, 2),
            }
        });
    });
}

/// A subscriber sees all from some item on.
fn subscribe_against_publish<P: Platform>() {
    let publisher = Publisher::<_, P>::new_in(TWO_SLOTS);
    scope::<P, _>(|threads| {
        let now = publisher.subscribe_with(Policy::Block, Start::Now);
        threads.spawn(|| {
            assert!(publisher.try_publish(1).is_ok());
            assert!(publisher.try_publish(2).is_ok());
            assert!(publisher.close());
        });
        let late = publisher.subscribe_with(Policy::Block, Start::Now);
        let lag = now.lag();
        assert!(lag <= 2);
        let (all, _) = receive_all::<P, crate::waiters::Thread, _>(now);
        assert_eq!(all, [1, 2]);
        let (some, _) = receive_all::<P, crate::waiters::Thread, _>(late);
        assert!(all.ends_with(&some), "what follows an item that it has received is there");
    });
}

/// A copy goes on from the same place, although the stream has gone on meanwhile.
fn copy_against_publish<P: Platform, const POLICY: u8>() {
    let policy = [Policy::DropOldest, Policy::DropNewest][POLICY as usize];
    let publisher = Publisher::<_, P>::new_in(1);
    let subscriber = publisher.subscribe_with(policy, Start::Now);
    assert!(publisher.try_publish(1).is_ok());
    let copy = scope::<P, _>(|threads| {
        threads.spawn(move || assert!(publisher.try_publish(2).is_ok()));
        subscriber.clone()
    });
    for subscriber in [subscriber, copy] {
        let (items, lost) = receive_all::<P, crate::waiters::Thread, _>(subscriber);
        assert_eq!(items.len() as u64 + lost, 2);
    }
}

fn timeout_against_publish<P: Platform, W: Blocking<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(|| assert!(publisher.try_publish(1).is_ok()));
        W::run(|| match subscriber.recv_deadline(SOON) {
            Ok(item) => assert_eq!(item, 1),
            Err(RecvTimeoutError::TimedOut) => assert!(matches!(subscriber.recv(), Ok(1))),
            Err(RecvTimeoutError::Other(error)) => panic!("{error}"),
        });
    });
}

fn timeout_against_receive<P: Platform, W: Blocking<P>>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    assert!(publisher.try_publish(1).is_ok());
    let published = scope::<P, _>(|threads| {
        let published = threads.spawn(|| W::run(|| publisher.publish_deadline(2, SOON)));
        assert!(matches!(subscriber.try_recv(), Ok(1)));
        published.join()
    });
    match published {
        Ok(()) => assert!(matches!(subscriber.try_recv(), Ok(2))),
        Err(error) => {
            assert_eq!(error, PublishError::TimedOut(2));
            assert!(matches!(subscriber.try_recv(), Err(TryRecvError::Empty)));
        }
    }
}

/// Nobody will publish, and nobody will receive.
fn a_duration_ends<P: Platform>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe();
    assert!(matches!(subscriber.recv_timeout(SOME_TIME), Err(RecvTimeoutError::TimedOut)));
    let _slow = publisher.subscribe_with(Policy::Block, Start::Now);
    assert!(publisher.try_publish(1).is_ok());
    assert_eq!(publisher.publish_timeout(2, SOME_TIME), Err(PublishError::TimedOut(2)));
}

/// A future that is dropped takes no item with it, and its place goes to nobody.
fn dropped_futures<P: Platform>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            assert!(publisher.try_publish(1).is_ok());
            let _ = polled::once(pin!(publisher.publish_async(2)));
        });
        if let Poll::Ready(first) = polled::once(pin!(subscriber.recv_async())) {
            assert!(matches!(first, Ok(1)));
        } else {
            assert!(matches!(suspend::block_on::<P, _>(subscriber.recv_async()), Ok(1)));
        }
    });
    let rest = subscriber.try_recv();
    assert!(matches!(rest, Ok(2) | Err(TryRecvError::Empty)));
}

/// The stream of a subscriber ends as the items do.
fn as_a_stream<P: Platform>() {
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    scope::<P, _>(|threads| {
        threads.spawn(move || assert!(publisher.try_publish(1).is_ok()));
        let mut next = || {
            suspend::block_on::<P, _>(core::future::poll_fn(|context| {
                futures_core::Stream::poll_next(Pin::new(&mut subscriber), context)
            }))
        };
        assert!(matches!(next(), Some(Ok(1))));
        assert!(next().is_none());
    });
}

/// A cancelled fiber receives what is there, and does not wait for more.
fn cancelled<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let token = CancellationToken::<P>::new_in();
    let publisher = Publisher::<_, P>::new_in(1);
    let mut subscriber = publisher.subscribe();
    assert!(publisher.try_publish(1).is_ok());
    let fiber = Builder::new_in().token(&token).spawn_on_runtime(&handle, move || {
        assert!(matches!(subscriber.recv(), Ok(1)));
        matches!(subscriber.recv(), Err(RecvError::Cancelled)) && is_cancelled::<P>()
    });
    run_beside(seats, move || token.cancel());
    assert!(fiber.join().unwrap_or(true), "cancelled out of its wait, or before it started");
    drop(publisher);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    [two_sides::<P>(), deadlines::<P>(), alone::<P>()].concat()
}

/// A publisher against a subscriber, of each kind.
fn two_sides<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        each_waiter!(
            "broadcast/publish_against_receive",
            "who waits is woken, and sees what was done before the item was published",
            publish_against_receive,
            P
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_waiter!(
            "broadcast/second_of_a_chunk",
            "who waits in the middle of a chunk is woken",
            second_of_a_chunk,
            P
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_pair!("broadcast/both_are_woken", "one item wakes all that wait", both_are_woken, P)
            .map(|each| each.needs(two).bound(1))
            .to_vec(),
        each_waiter!(
            "broadcast/close_against_receive",
            "who waits learns that the last publisher is gone",
            close_against_receive,
            P
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_waiter!(
            "broadcast/error_after_items",
            "the error with which a stream is closed comes after its items",
            error_after_items,
            P
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_pair!(
            "broadcast/block_against_receive",
            "a publisher that is held back goes on when the subscriber has taken an item",
            block_against_receive,
            P
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_waiter!(
            "broadcast/block_against_drop",
            "a publisher that is held back goes on when the subscriber is gone",
            block_against_drop,
            P
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_waiter!(
            "broadcast/block_against_close",
            "a publisher that is held back gets its item back when the stream is closed",
            block_against_close,
            P
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
    ]
    .concat()
}

fn deadlines<P: Platform>() -> Vec<Scenario> {
    let clock = Needs::ATOMICS.threads(1).parker().clock();
    [
        vec![
            Scenario::new(
                "broadcast/a_duration_ends",
                "a wait for some time ends when the time is over",
                a_duration_ends::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
        ],
        each_blocking!(
            "broadcast/timeout_against_publish",
            "a deadline loses no item",
            timeout_against_publish,
            P
        )
        .map(|each| each.needs(clock).bound(3))
        .to_vec(),
        each_blocking!(
            "broadcast/timeout_against_receive",
            "an item is published before the deadline, or given back",
            timeout_against_receive,
            P
        )
        .map(|each| each.needs(clock).bound(3))
        .to_vec(),
    ]
    .concat()
}

/// What has one form, or needs no kinds of waiters.
fn alone<P: Platform>() -> Vec<Scenario> {
    use crate::waiters::Thread;
    let plain = Needs::ATOMICS.threads(1);
    let one = plain.parker();
    vec![
        Scenario::new(
            "broadcast/two_publishers/two_chunks",
            "two that open chunks at the same time publish both items",
            two_publishers::<P, 1>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/two_publishers/one_chunk",
            "two that publish at the same time get slots of their own",
            two_publishers::<P, TWO_SLOTS>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/a_claimed_chunk_is_kept",
            "a chunk is not given up while somebody writes to it",
            a_claimed_chunk_is_kept::<P>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/close_against_publish/new_chunk",
            "an item is published before the end, or given back",
            close_against_publish::<P, 1>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/close_against_publish/same_chunk",
            "an item is published before the end, or given back, in the middle of a chunk",
            close_against_publish::<P, TWO_SLOTS>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/publish_against_drop",
            "an item is dropped with the last subscriber or the last publisher, once",
            publish_against_drop::<P>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/items_are_dropped_once",
            "an item is dropped when nobody looks at it any more, once",
            items_are_dropped_once::<P>,
        )
        .needs(Needs::ATOMICS.threads(2))
        .bound(1),
        Scenario::new(
            "broadcast/nothing_is_lost_silently/oldest",
            "who loses the oldest items is told how many",
            nothing_is_lost_silently::<P, Thread, 0>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/nothing_is_lost_silently/newest",
            "who misses the newest items is told how many",
            nothing_is_lost_silently::<P, Thread, 1>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/nothing_is_lost_silently/disconnect",
            "who is disconnected is told so, or loses nothing",
            nothing_is_lost_silently::<P, Thread, 2>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/subscribe_against_publish",
            "a new subscriber sees all from some item on",
            subscribe_against_publish::<P>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/copy_against_publish/oldest",
            "a copy goes on from the same place",
            copy_against_publish::<P, 0>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/copy_against_publish/newest",
            "a copy has a backlog of its own",
            copy_against_publish::<P, 1>,
        )
        .needs(plain)
        .bound(3),
        Scenario::new(
            "broadcast/dropped_futures",
            "a future that is dropped takes no item with it",
            dropped_futures::<P>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/as_a_stream",
            "a stream yields the items and ends",
            as_a_stream::<P>,
        )
        .needs(one)
        .bound(2),
        Scenario::new(
            "broadcast/cancelled",
            "a cancelled fiber receives what is there, and does not wait for more",
            cancelled::<P>,
        )
        .needs(Needs::ATOMICS.threads(1).driver())
        .bound(2),
    ]
}
