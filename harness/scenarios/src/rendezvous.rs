//! Channels of capacity 0, where futures are polled by hand.

use core::future::Future;
use core::pin::pin;
use core::task::Context;

use raddle_platform::{Platform, suspend};
use raddle_streams::channel::bounded_in;

use crate::channel::{Message, message, received};
use crate::waiters::Thread;
use crate::{Needs, Scenario, polled, scope};

fn waker_replaced<P: Platform>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            let mut sending = pin!(sender.send_async(message(1)));
            if polled::once(sending.as_mut()).is_pending() {
                assert!(suspend::block_on::<P, _>(sending).is_ok());
            }
        });
        assert_eq!(receiver.recv().ok().map(Message::open), Some(1));
    });
}

/// The waker of a send that succeeds at once is dropped. What that does must find the channel unlocked.
fn dropped_waker<P: Platform>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(0);
    let used = || {
        sender.is_closed();
    };
    // SAFETY: `used` is declared before the future that has the waker's clone.
    let waker = unsafe { polled::dropping(&used) };
    scope::<P, _>(|threads| {
        let receiving = threads.spawn(move || received::<P, Thread>(&receiver));
        let mut sending = pin!(sender.send_async(message(1)));
        if sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            assert!(suspend::block_on::<P, _>(sending).is_ok());
        }
        assert_eq!(receiving.join(), Some(1));
    });
}

/// Of three that wait to send, the one in the middle gives up, then the first.
fn who_leaves_the_queue<P: Platform>() {
    let (sender, receiver) = bounded_in::<Message<P>, P>(0);
    let mut last = pin!(sender.send_async(message(3)));
    {
        let mut first = pin!(sender.send_async(message(1)));
        {
            let mut middle = pin!(sender.send_async(message(2)));
            assert!(polled::once(first.as_mut()).is_pending());
            assert!(polled::once(middle.as_mut()).is_pending());
            assert!(polled::once(last.as_mut()).is_pending());
        }
    }
    assert_eq!(receiver.try_recv().ok().map(Message::open), Some(3));
    assert!(receiver.try_recv().is_err(), "what was given up is not received");
    assert!(polled::once(last).is_ready());
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    vec![
        Scenario::new(
            "channel/rendezvous_waker_replaced",
            "a sending future that is polled with a new waker while it is served is woken",
            waker_replaced::<P>,
        )
        .needs(one)
        .bound(4),
        Scenario::new(
            "channel/rendezvous_dropped_waker",
            "the waker of a send that succeeds at once is dropped when nobody has to wait for that",
            dropped_waker::<P>,
        )
        .needs(one)
        .bound(3),
        Scenario::new(
            "channel/rendezvous_who_leaves",
            "who gives up leaves the queue to those before and behind it",
            who_leaves_the_queue::<P>,
        )
        .needs(Needs::ATOMICS),
    ]
}
