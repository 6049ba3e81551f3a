//! One value: received once or given back, never both and never lost.

use core::pin::pin;
use core::task::Poll;

use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Platform, RaceCell, suspend};
use raddle_streams::oneshot::{Receiver, RecvError, RecvTimeoutError, TryRecvError, channel_in};

use crate::waiters::{Blocking, Waiter, each_blocking, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

fn recv<P: Platform, W: Waiter<P>, T>(receiver: Receiver<T, P>) -> Result<T, RecvError> {
    let receiver = core::cell::Cell::new(Some(receiver));
    let take = || receiver.take().expect("one of both is called");
    W::wait(|| take().recv(), || async { take().recv_async().await })
}

fn send_against_recv<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = channel_in::<_, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let cell = Box::new(RaceCell::<u32, P>::new_in(0));
            // SAFETY: nobody else has the cell.
            unsafe { cell.with_mut(|value| *value = 7) };
            assert!(sender.send(cell).is_ok(), "the receiver waits");
        });
        W::run(|| {
            let cell = recv::<P, W, _>(receiver).expect("it was sent");
            // SAFETY: the sender has given it away.
            assert_eq!(unsafe { cell.with_mut(|value| *value) }, 7);
        });
    });
}

fn sender_dropped_against_recv<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = channel_in::<u32, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || drop(sender));
        W::run(|| assert_eq!(recv::<P, W, _>(receiver), Err(RecvError::Disconnected)));
    });
}

struct Counted<'a, P: Platform>(&'a P::AtomicU32);

impl<P: Platform> Drop for Counted<'_, P> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Dropped by the receiver or given back to the sender, who drops it.
fn send_against_drop<P: Platform>() {
    let dropped = P::AtomicU32::new(0);
    let (sender, receiver) = channel_in::<_, P>();
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(receiver));
        drop(sender.send(Counted::<P>(&dropped)));
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

fn close_against_send<P: Platform>() {
    let (sender, mut receiver) = channel_in::<_, P>();
    scope::<P, _>(|threads| {
        let sending = threads.spawn(move || sender.send(5).err());
        receiver.close();
        let received = receiver.try_recv();
        match sending.join() {
            Some(value) => assert_eq!((value, received), (5, Err(TryRecvError::Disconnected))),
            None => assert_eq!(received, Ok(5)),
        }
    });
}

fn closed_wakes_the_sender<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = channel_in::<u32, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || drop(receiver));
        W::run(|| {
            W::wait(|| sender.closed().expect("nobody cancels"), || sender.closed_async());
            assert_eq!(sender.send(1), Err(1));
        });
    });
}

fn timeout_against_send<P: Platform, W: Blocking<P>>() {
    let (sender, mut receiver) = channel_in::<_, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || assert!(sender.send(3).is_ok()));
        let first = W::run(|| receiver.recv_deadline(SOON));
        if first.is_err() {
            assert_eq!(first, Err(RecvTimeoutError::Timeout));
            assert_eq!(receiver.recv(), Ok(3));
        }
    });
}

fn dropped_future_leaves_the_value<P: Platform>() {
    let (sender, mut receiver) = channel_in::<_, P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || assert!(sender.send(3).is_ok()));
        if polled::once(pin!(receiver.recv_async())) == Poll::Pending {
            assert_eq!(suspend::block_on::<P, _>(receiver.recv_async()), Ok(3));
        }
    });
}

fn a_duration_ends<P: Platform>() {
    let (sender, mut receiver) = channel_in::<u32, P>();
    let some_time = core::time::Duration::from_nanos(10);
    assert_eq!(receiver.recv_timeout(some_time), Err(RecvTimeoutError::Timeout));
    assert!(!sender.is_closed());
    assert!(sender.send(1).is_ok());
    assert_eq!(receiver.recv_timeout(some_time), Ok(1));
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let waiting = [
        each_waiter!(
            "oneshot/send_against_recv",
            "the value is received, with all that was done to it",
            send_against_recv,
            P
        ),
        each_waiter!(
            "oneshot/sender_dropped_against_recv",
            "a receiver that falls asleep while the sender goes learns of it",
            sender_dropped_against_recv,
            P
        ),
        each_waiter!(
            "oneshot/closed_wakes_the_sender",
            "a sender that waits for the end of its receiver learns of it",
            closed_wakes_the_sender,
            P
        ),
    ];
    [
        waiting.concat().into_iter().map(|each| each.needs(one).bound(4)).collect(),
        each_blocking!(
            "oneshot/timeout_against_send",
            "a receiver whose time is over leaves the value where it is",
            timeout_against_send,
            P
        )
        .map(|each| each.needs(one.clock()).bound(3))
        .to_vec(),
        vec![
            Scenario::new(
                "oneshot/dropped_future_leaves_the_value",
                "a dropped future has not taken the value",
                dropped_future_leaves_the_value::<P>,
            )
            .needs(one)
            .bound(4),
            Scenario::new(
                "oneshot/a_duration_ends",
                "a wait for some time ends when the time is over",
                a_duration_ends::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
            Scenario::new(
                "oneshot/send_against_drop",
                "a value that nobody receives is dropped once",
                send_against_drop::<P>,
            )
            .needs(Needs::ATOMICS.threads(1)),
            Scenario::new(
                "oneshot/close_against_send",
                "a value is received or given back",
                close_against_send::<P>,
            )
            .needs(Needs::ATOMICS.threads(1)),
        ],
    ]
    .concat()
}
