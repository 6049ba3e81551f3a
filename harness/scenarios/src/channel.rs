//! Channels: each message is received once and in order, and what was not sent is given back.

use core::pin::pin;
use core::time::Duration;

use raddle_platform::{Atomic, AtomicInt, Instant, Ordering, Platform, RaceCell};
use raddle_streams::channel::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender, TrySendError,
    bounded_in,
};

use crate::waiters::{Blocking, Thread, Waiter, each_blocking, each_pair, each_waiter};
use crate::{Needs, Scenario, polled, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);
const SOME_TIME: Duration = Duration::from_nanos(10);

/// A message that only its receiver may touch.
pub(crate) struct Message<P: Platform>(u32, Box<RaceCell<u32, P>>);

pub(crate) fn message<P: Platform>(number: u32) -> Message<P> {
    let cell = Box::new(RaceCell::new_in(0));
    // SAFETY: nobody else has the cell.
    unsafe { cell.with_mut(|value| *value = number) };
    Message(number, cell)
}

impl<P: Platform> Message<P> {
    pub(crate) fn open(self) -> u32 {
        // SAFETY: the message has one owner.
        assert_eq!(unsafe { self.1.with_mut(|value| core::mem::replace(value, 0)) }, self.0);
        self.0
    }
}

pub(crate) fn received<P: Platform, W: Waiter<P>>(
    receiver: &Receiver<Message<P>, P>,
) -> Option<u32> {
    W::recv(receiver).ok().map(Message::open)
}

fn sent<P: Platform, W: Waiter<P>>(sender: &Sender<Message<P>, P>, number: u32) {
    assert!(W::send(sender, message(number)).is_ok(), "nobody closes the channel");
}

/// With room for one, the second finds the channel full or empty.
fn each_item_once<P: Platform, A: Waiter<P>, B: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            A::run(|| {
                sent::<P, A>(&sender, 1);
                sent::<P, A>(&sender, 2);
                drop(sender);
            });
        });
        B::run(|| {
            assert_eq!(received::<P, B>(&receiver), Some(1));
            assert_eq!(received::<P, B>(&receiver), Some(2));
            assert_eq!(received::<P, B>(&receiver), None);
        });
    });
}

fn two_senders<P: Platform, A: Waiter<P>, B: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    scope::<P, _>(|threads| {
        let other = sender.clone();
        threads.spawn(move || A::run(|| sent::<P, A>(&sender, 1)));
        threads.spawn(move || A::run(|| sent::<P, A>(&other, 2)));
        B::run(|| {
            let (first, second) = (received::<P, B>(&receiver), received::<P, B>(&receiver));
            assert_eq!(first.unwrap_or(0) + second.unwrap_or(0), 3);
        });
    });
}

fn two_receivers<P: Platform, A: Waiter<P>, B: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    let sum = scope::<P, _>(|threads| {
        let other = receiver.clone();
        let first = threads.spawn(move || A::run(|| received::<P, A>(&receiver)));
        let second = threads.spawn(move || B::run(|| received::<P, B>(&other)));
        sent::<P, Thread>(&sender, 1);
        sent::<P, Thread>(&sender, 2);
        first.join().unwrap_or(0) + second.join().unwrap_or(0)
    });
    assert_eq!(sum, 3);
}

/// The receiver's end comes after all that the senders did, whether or not they sent something.
fn end_happens_after<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = bounded_in::<u32, P>(1);
    let cells = [RaceCell::<u32, P>::new_in(0), RaceCell::<u32, P>::new_in(0)];
    scope::<P, _>(|threads| {
        let other = sender.clone();
        let [first, second] = &cells;
        for (cell, sender) in [(first, sender), (second, other)] {
            threads.spawn(move || {
                // SAFETY: nobody reads before both are gone.
                unsafe { cell.with_mut(|value| *value = 1) };
                drop(sender);
            });
        }
        W::run(|| assert_eq!(W::recv(&receiver), Err(RecvError::Disconnected)));
        for cell in &cells {
            // SAFETY: all senders are gone.
            assert_eq!(unsafe { cell.with(|value| *value) }, 1);
        }
    });
}

/// A send that fails comes after all that the receivers did. The first one may find room.
fn failed_send_happens_after<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = bounded_in::<u32, P>(1);
    let cell = RaceCell::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        let cell = &cell;
        threads.spawn(move || {
            // SAFETY: nobody reads before the receiver is gone.
            unsafe { cell.with_mut(|value| *value = 1) };
            drop(receiver);
        });
        W::run(|| {
            let failed = W::send(&sender, 1).is_err() || W::send(&sender, 2).is_err();
            assert!(failed, "there is room for one");
        });
        // SAFETY: the receiver is gone.
        assert_eq!(unsafe { cell.with(|value| *value) }, 1);
    });
}

fn close_against_recv<P: Platform, W: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<u32, P>(CAPACITY);
    scope::<P, _>(|threads| {
        threads.spawn(|| W::run(|| assert_eq!(W::recv(&receiver), Err(RecvError::Disconnected))));
        assert!(sender.close());
    });
}

/// The channel is full, and stays so: only its end ends the wait.
fn close_against_send<P: Platform, W: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<u32, P>(CAPACITY);
    let full = (0..CAPACITY as u32).all(|number| sender.try_send(number).is_ok());
    assert!(full);
    scope::<P, _>(|threads| {
        threads
            .spawn(|| W::run(|| assert_eq!(W::send(&sender, 7), Err(SendError::Disconnected(7)))));
        assert!(receiver.close());
    });
    assert_eq!(receiver.try_iter().count(), CAPACITY);
}

/// Each message is received, given back, or dropped with the channel; this counts the drops.
struct Counted<'a, P: Platform>(&'a P::AtomicU32);

impl<P: Platform> Drop for Counted<'_, P> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn last_receiver_against_send<P: Platform, W: Waiter<P>, const CAPACITY: usize>() {
    let dropped = P::AtomicU32::new(0);
    let (sender, receiver) = bounded_in::<_, P>(CAPACITY);
    scope::<P, _>(|threads| {
        let (sender, dropped) = (&sender, &dropped);
        threads.spawn(move || {
            W::run(|| {
                let _ = W::send(sender, Counted::<P>(dropped));
                assert!(W::send(sender, Counted::<P>(dropped)).is_err(), "nobody receives");
            });
        });
        drop(receiver);
    });
    assert_eq!(dropped.load(Ordering::Relaxed), 2, "before the sender goes");
}

/// With a full channel, or no room at all.
fn send_timeout_against_recv<P: Platform, A: Blocking<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    for number in 0..CAPACITY as u32 {
        assert!(sender.try_send(message(number + 1)).is_ok());
    }
    scope::<P, _>(|threads| {
        let sending = threads.spawn(move || {
            A::run(|| match sender.send_deadline(message(9), SOON) {
                Ok(()) => None,
                Err(SendTimeoutError::Timeout(message)) => Some(message.open()),
                Err(_) => panic!("nobody closes the channel"),
            })
        });
        let first = receiver.try_recv().ok().map(Message::open);
        let given_back = sending.join();
        let rest: Vec<_> = receiver.iter().map(Message::open).collect();
        let all = first.into_iter().chain(rest).chain(given_back).collect::<Vec<_>>();
        let expected = (1..=CAPACITY as u32).chain([9]).collect::<Vec<_>>();
        assert_eq!(all, expected, "received, or given back");
    });
}

fn recv_timeout_against_send<P: Platform, A: Blocking<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    scope::<P, _>(|threads| {
        let receiving = threads.spawn(|| {
            A::run(|| match receiver.recv_deadline(SOON) {
                Ok(message) => Some(message.open()),
                Err(RecvTimeoutError::Timeout) => None,
                Err(_) => panic!("nobody closes the channel"),
            })
        });
        let sent = sender.try_send(message(1));
        let first = receiving.join();
        let rest = receiver.try_recv().ok().map(Message::open);
        let not_sent = match sent {
            Ok(()) => None,
            Err(TrySendError::Full(message)) => Some(message.open()),
            Err(_) => panic!("nobody closes the channel"),
        };
        let all: Vec<_> = first.into_iter().chain(rest).chain(not_sent).collect();
        assert_eq!(all, [1], "received once, or given back");
    });
}

/// One message, one receiver that gives up when it was told of it, and one that stays.
fn dropped_recv_against_send<P: Platform, W: Waiter<P>, const CAPACITY: usize>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(CAPACITY);
    let mut told = Box::pin(receiver.recv_async());
    assert!(polled::once(told.as_mut()).is_pending());
    scope::<P, _>(|threads| {
        let other = &receiver;
        threads.spawn(move || W::run(|| assert_eq!(received::<P, W>(other), Some(1))));
        if CAPACITY == 0 {
            threads.spawn(|| sent::<P, Thread>(&sender, 1));
        } else {
            sent::<P, Thread>(&sender, 1);
        }
        drop(told);
    });
}

/// One place gets free, for one that gives up when it was told of it and one that stays.
fn dropped_send_passes_on<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(1);
    sent::<P, Thread>(&sender, 1);
    let mut told = Box::pin(sender.send_async(message(2)));
    assert!(polled::once(told.as_mut()).is_pending());
    scope::<P, _>(|threads| {
        let other = &sender;
        threads.spawn(move || W::run(|| sent::<P, W>(other, 3)));
        assert_eq!(receiver.recv().ok().map(Message::open), Some(1));
        drop(told);
    });
    assert_eq!(receiver.recv().ok().map(Message::open), Some(3));
}

/// Claims against one another, without anybody who sleeps.
fn concurrent_claims<P: Platform>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(2);
    let first = scope::<P, _>(|threads| {
        let other = sender.clone();
        threads.spawn(|| assert!(sender.try_send(message(1)).is_ok(), "there is room for two"));
        let received = threads.spawn(|| receiver.try_recv().ok().map(Message::open));
        assert!(other.try_send(message(2)).is_ok(), "there is room for two");
        received.join()
    });
    let rest = receiver.try_iter().map(Message::open).sum::<u32>();
    assert_eq!(first.unwrap_or(0) + rest, 3);
}

fn concurrent_takes<P: Platform>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(2);
    sent::<P, Thread>(&sender, 1);
    sent::<P, Thread>(&sender, 2);
    let sum = scope::<P, _>(|threads| {
        let take = || receiver.try_recv().ok().map(Message::open).expect("there are two");
        let (first, second) = (threads.spawn(take), threads.spawn(take));
        first.join() + second.join()
    });
    assert_eq!(sum, 3);
}

/// A dropped sending future has sent its message or takes it with it.
fn rendezvous_dropped_send<P: Platform, W: Waiter<P>>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let sent = polled::once(pin!(sender.send_async(message(1)))).is_ready();
            drop(sender);
            sent
        });
        W::run(|| {
            let received = received::<P, W>(&receiver);
            assert!(matches!(received, Some(1) | None));
        });
    });
}

fn rendezvous_try_send<P: Platform, W: Blocking<P>>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(0);
    scope::<P, _>(|threads| {
        let receiving = threads.spawn(move || W::run(|| received::<P, W>(&receiver)));
        let sent = sender.try_send(message(1)).is_ok();
        drop(sender);
        assert_eq!(receiving.join().is_some(), sent, "sent means received");
    });
}

/// What the buffer says of itself, and both waits for a duration.
fn alone<P: Platform>() {
    let (sender, receiver) = bounded_in::<u32, P>(1);
    assert!(receiver.recv_timeout(SOME_TIME).is_err());
    assert_eq!((receiver.len(), sender.len()), (0, 0));
    assert!(sender.send_timeout(1, SOME_TIME).is_ok());
    assert!(sender.send_timeout(2, SOME_TIME).is_err());
    assert_eq!((receiver.len(), sender.is_closed(), receiver.is_closed()), (1, false, false));
    receiver.close();
    assert!(sender.is_closed() && receiver.is_closed());
    assert_eq!(receiver.recv_timeout(SOME_TIME).ok(), Some(1));
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    [
        each_pair!(
            "channel/each_item_once",
            "messages come out once, in order, also through a full channel",
            each_item_once,
            P,
            1
        )
        .map(|each| each.needs(one).bound(1))
        .to_vec(),
        each_pair!(
            "channel/rendezvous_each_item_once",
            "messages go from hand to hand once, in order",
            each_item_once,
            P,
            0
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_pair!("channel/two_senders", "what two send comes out once", two_senders, P, 1)
            .map(|each| each.needs(two.long()))
            .to_vec(),
        each_pair!(
            "channel/rendezvous_two_senders",
            "what two hand over is taken once",
            two_senders,
            P,
            0
        )
        .map(|each| each.needs(two).bound(1))
        .to_vec(),
        each_pair!(
            "channel/two_receivers",
            "two receivers get one message each",
            two_receivers,
            P,
            1
        )
        .map(|each| each.needs(two.long()))
        .to_vec(),
        each_pair!(
            "channel/rendezvous_two_receivers",
            "two receivers are handed one message each",
            two_receivers,
            P,
            0
        )
        .map(|each| each.needs(two).bound(1))
        .to_vec(),
        each_waiter!(
            "channel/close_against_recv",
            "a receiver that falls asleep while the channel is closed learns of it",
            close_against_recv,
            P,
            1
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "channel/rendezvous_close_against_recv",
            "a receiver that queues while the channel is closed learns of it",
            close_against_recv,
            P,
            0
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "channel/close_against_send",
            "a sender that waits for room gets its message back when the channel is closed",
            close_against_send,
            P,
            1
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "channel/rendezvous_close_against_send",
            "a sender that waits for a taker gets its message back when the channel is closed",
            close_against_send,
            P,
            0
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_waiter!(
            "channel/last_receiver_against_send",
            "what nobody receives any more is dropped, or given back",
            last_receiver_against_send,
            P,
            1
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_waiter!(
            "channel/rendezvous_last_receiver_against_send",
            "what nobody takes any more is given back",
            last_receiver_against_send,
            P,
            0
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_blocking!(
            "channel/send_timeout_against_recv",
            "a message whose time is over is given back or received, never both",
            send_timeout_against_recv,
            P,
            1
        )
        .map(|each| each.needs(one.clock()).bound(3))
        .to_vec(),
        each_blocking!(
            "channel/rendezvous_send_timeout_against_recv",
            "a message that nobody took in time is given back or taken, never both",
            send_timeout_against_recv,
            P,
            0
        )
        .map(|each| each.needs(one.clock()).bound(3))
        .to_vec(),
        each_blocking!(
            "channel/recv_timeout_against_send",
            "a receiver whose time is over leaves the message in the channel",
            recv_timeout_against_send,
            P,
            1
        )
        .map(|each| each.needs(one.clock()).bound(3))
        .to_vec(),
        each_blocking!(
            "channel/rendezvous_recv_timeout_against_send",
            "a receiver whose time is over was handed the message, or that was not sent",
            recv_timeout_against_send,
            P,
            0
        )
        .map(|each| each.needs(one.clock()).bound(3))
        .to_vec(),
        each_waiter!(
            "channel/dropped_future_passes_on",
            "a message that a dropped future was told of goes to another receiver",
            dropped_recv_against_send,
            P,
            1
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_waiter!(
            "channel/rendezvous_dropped_future_passes_on",
            "a sender that a dropped future was told of is served by another receiver",
            dropped_recv_against_send,
            P,
            0
        )
        .map(|each| each.needs(two).bound(1))
        .to_vec(),
        each_waiter!(
            "channel/end_happens_after",
            "what the senders did is seen after the end of the channel",
            end_happens_after,
            P
        )
        .map(|each| each.needs(two).bound(2))
        .to_vec(),
        each_waiter!(
            "channel/failed_send_happens_after",
            "what the receivers did is seen after a send that fails because they are gone",
            failed_send_happens_after,
            P
        )
        .map(|each| each.needs(one).bound(3))
        .to_vec(),
        each_waiter!(
            "channel/dropped_send_passes_on",
            "room that a dropped future was told of goes to another sender",
            dropped_send_passes_on,
            P
        )
        .map(|each| each.needs(one).bound(2))
        .to_vec(),
        each_waiter!(
            "channel/rendezvous_dropped_send",
            "a dropped future has handed its message over, or takes it along",
            rendezvous_dropped_send,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        each_blocking!(
            "channel/rendezvous_try_send",
            "what is sent at once is received by who waited",
            rendezvous_try_send,
            P
        )
        .map(|each| each.needs(one).bound(4))
        .to_vec(),
        vec![
            Scenario::new(
                "channel/alone",
                "a channel says how full it is, and a wait for some time ends",
                alone::<P>,
            )
            .needs(Needs::ATOMICS.parker().clock()),
            Scenario::new(
                "channel/concurrent_claims",
                "two that send at the same time claim different slots",
                concurrent_claims::<P>,
            )
            .needs(Needs::ATOMICS.threads(2))
            .bound(2),
            Scenario::new(
                "channel/concurrent_takes",
                "two that receive at the same time claim different slots",
                concurrent_takes::<P>,
            )
            .needs(Needs::ATOMICS.threads(2))
            .bound(3),
        ],
    ]
    .concat()
}
