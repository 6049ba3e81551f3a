//! Combinators and `select!`: who loses has taken nothing, and the first error wins.

use core::cell::Cell;
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use raddle_platform::{Platform, suspend};
use raddle_streams::combinators::StreamExt;
use raddle_streams::{channel, oneshot, select};

use crate::{Needs, Scenario, scope};

/// A message and the end come at the same time: the message is received, or still there.
fn select_loses_nothing<P: Platform>() {
    let (sender, receiver) = channel::bounded_in::<u32, P>(1);
    let (stop, mut stopped) = oneshot::channel_in::<(), P>();
    scope::<P, _>(|threads| {
        threads.spawn(move || {
            assert!(sender.send(1).is_ok());
        });
        threads.spawn(move || assert!(stop.send(()).is_ok()));
        let received = suspend::block_on::<P, _>(async {
            select! {
                in P; biased;
                _ = stopped.recv_async() => None,
                message = receiver.recv_async() => message.ok(),
            }
        });
        assert_eq!(received.or_else(|| receiver.recv().ok()), Some(1));
    });
}

/// A message against a deadline that comes whenever the harness likes.
fn select_against_timeout<P: Platform>() {
    use raddle_platform::Instant;
    use raddle_platform::suspend::Limits;
    let (sender, receiver) = channel::bounded_in::<u32, P>(1);
    scope::<P, _>(|threads| {
        threads.spawn(move || assert!(sender.send(1).is_ok()));
        let in_time = {
            let mut future = pin!(async {
                select! {
                    in P;
                    message = receiver.recv_async() => message.ok(),
                    () = core::future::pending::<()>() => None,
                }
            });
            suspend::wait::<P, _>(Limits::until(Instant::from_nanos(10)), |context| {
                future.as_mut().poll(context)
            })
        };
        let received = in_time.ok().flatten().or_else(|| receiver.recv().ok());
        assert_eq!(received, Some(1));
    });
}

/// Two of three fail, at any time: one error is reported, and it is the first that came.
fn first_error_wins<P: Platform>() {
    let (first, first_receiver) = oneshot::channel_in::<u32, P>();
    let (second, second_receiver) = oneshot::channel_in::<u32, P>();
    let (items, stream) = channel::bounded_in::<_, P>(3);
    for (index, receiver) in [first_receiver, second_receiver].into_iter().enumerate() {
        assert!(items.try_send((index, receiver)).is_ok());
    }
    drop(items);
    scope::<P, _>(|threads| {
        threads.spawn(move || _ = first.send(10));
        threads.spawn(move || _ = second.send(11));
        let claimed = [Cell::new(0), Cell::new(0)];
        let ended = Cell::new(None);
        let claims = &claims_of(&claimed);
        let ended = &ended;
        let result = suspend::block_on::<P, _>(stream.stream().for_each_bounded(
            2,
            |(index, mut receiver)| {
                claims(index);
                async move {
                    let error = receiver.recv_async().await.expect("it was sent");
                    ended.set(Some(ended.get().unwrap_or(error)));
                    Err::<(), _>(error)
                }
            },
        ));
        assert_eq!(result.err(), ended.get(), "the first error wins");
        assert!(claimed.iter().all(|count| count.get() == 1), "each index is claimed once");
    });
}

fn claims_of(claimed: &[Cell<u32>; 2]) -> impl Fn(usize) + '_ {
    |index| claimed[index].set(claimed[index].get() + 1)
}

fn merge_takes_each_once<P: Platform>() {
    let (first, first_receiver) = channel::bounded_in::<u32, P>(1);
    let (second, second_receiver) = channel::bounded_in::<u32, P>(1);
    scope::<P, _>(|threads| {
        threads.spawn(move || assert!(first.send(1).is_ok()));
        threads.spawn(move || assert!(second.send(2).is_ok()));
        let mut merged = pin!(first_receiver.stream().merge(second_receiver.stream()));
        let mut sum = 0;
        suspend::block_on::<P, _>(poll_fn(|context| {
            use futures_core::Stream;
            while let Poll::Ready(next) = merged.as_mut().poll_next(context) {
                match next {
                    Some(number) => sum += number,
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        }));
        assert_eq!(sum, 3);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let two = Needs::ATOMICS.threads(2).parker();
    vec![
        Scenario::new(
            "combinators/select_loses_nothing",
            "a message that comes while another branch wins is still there",
            select_loses_nothing::<P>,
        )
        .needs(two)
        .bound(1),
        Scenario::new(
            "combinators/select_against_timeout",
            "a select whose time is over has taken nothing",
            select_against_timeout::<P>,
        )
        .needs(one.clock())
        .bound(2),
        Scenario::new(
            "combinators/first_error_wins",
            "of two errors the first is reported, and each item is claimed once",
            first_error_wins::<P>,
        )
        .needs(two)
        .bound(1),
        Scenario::new(
            "combinators/merge_takes_each_once",
            "a merged stream has what each of its parts has",
            merge_takes_each_once::<P>,
        )
        .needs(two)
        .bound(1),
    ]
}
