//! Watched values: no change is missed, and what belongs together is seen together.

use raddle_platform::{Atomic, Ordering, Platform};
use raddle_streams::observable::{Observable, Summary};
use raddle_streams::watch::{Receiver, RecvError, channel_in};

use crate::waiters::{Waiter, each_waiter};
use crate::{Needs, Scenario, scope};

fn changed<P: Platform, W: Waiter<P>>(receiver: &mut Receiver<u32, P>) -> Result<(), RecvError> {
    let receiver = core::cell::Cell::new(Some(receiver));
    let take = || receiver.take().expect("one of both is called");
    W::wait(|| take().changed(), || take().changed_async())
}

fn change_is_seen<P: Platform, W: Waiter<P>>() {
    let (sender, mut receiver) = channel_in::<_, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| {
                assert_eq!(changed::<P, W>(&mut receiver), Ok(()));
                assert_eq!(*receiver.borrow(), 1);
            });
        });
        assert!(sender.send(1).is_ok());
    });
}

fn change_before_the_end<P: Platform, W: Waiter<P>>() {
    let (sender, mut receiver) = channel_in::<_, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| {
                assert_eq!(changed::<P, W>(&mut receiver), Ok(()));
                assert_eq!(changed::<P, W>(&mut receiver), Err(RecvError::Disconnected));
                assert_eq!(*receiver.borrow(), 1);
            });
        });
        assert!(sender.send(1).is_ok());
        drop(sender);
    });
}

fn wait_for_a_property<P: Platform, W: Waiter<P>>() {
    let (sender, mut receiver) = channel_in::<_, P>(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| {
                let receiver = core::cell::Cell::new(Some(&mut receiver));
                let take = || receiver.take().expect("one of both is called");
                let value = W::wait(
                    || take().wait_for(|value| *value == 2).map(|value| *value),
                    || async {
                        take().wait_for_async(|value| *value == 2).await.map(|value| *value)
                    },
                );
                assert_eq!(value, Ok(2));
            });
        });
        sender.send_modify(|value| *value += 1);
        sender.send_modify(|value| *value += 1);
    });
}

/// The first is always half of the second.
fn observed_pair_is_never_torn<P: Platform>() {
    let pair = Observable::<(u64, u64), P>::new_in((0, 0));
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            for _ in 0..3 {
                pair.update(|(first, second)| (first + 1, second + 2));
            }
        });
        let (first, second) = pair.get();
        assert_eq!(first * 2, second, "torn");
    });
    assert_eq!(pair.get(), (3, 6));
}

fn updates_exclude_one_another<P: Platform>() {
    let sum = Observable::<Summary, P>::new_in(Summary::EMPTY);
    scope::<P, _>(|threads| {
        threads.spawn(|| sum.add(1));
        sum.add(2);
    });
    let expected = Summary { sum: 3, count: 2, min: 1, max: 2 };
    assert_eq!(sum.get(), expected);
}

fn observed_value_is_no_older_than_known<P: Platform>() {
    let count = Observable::<u64, P>::new_in(0);
    let done = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            count.update(|count| count + 1);
            // ORDERING: pairs with the load below.
            done.store(true, Ordering::Release);
        });
        // ORDERING: pairs with the store above.
        if done.load(Ordering::Acquire) {
            assert_eq!(count.get(), 1);
        }
    });
}

fn observer_waits<P: Platform, W: Waiter<P>>() {
    let count = Observable::<u64, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            W::run(|| {
                let value = W::wait(
                    || count.wait_for(|count| count == 2).expect("nobody cancels"),
                    || count.wait_for_async(|count| count == 2),
                );
                assert_eq!(value, 2);
            });
        });
        count.update(|count| count + 1);
        count.update(|count| count + 1);
    });
}

/// Senders and receivers come and go.
fn counted_ends<P: Platform>() {
    let (sender, receiver) = channel_in::<u32, P>(0);
    scope::<P, _>(|threads| {
        let other = sender.clone();
        let theirs = receiver.clone();
        threads.spawn(move || {
            assert!(other.send(1).is_ok());
            drop((other, theirs));
        });
        let late = sender.subscribe();
        assert!(sender.receiver_count() >= 2);
        drop((receiver, late));
    });
    assert_eq!((sender.receiver_count(), *sender.borrow()), (0, 1));
    assert!(sender.send(2).is_err(), "nobody watches");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1).parker();
    let waiting = [
        each_waiter!(
            "watch/change_is_seen",
            "a receiver that falls asleep while the value changes is told",
            change_is_seen,
            P
        ),
        each_waiter!(
            "watch/change_before_the_end",
            "a change before the end is seen, then the end",
            change_before_the_end,
            P
        ),
        each_waiter!(
            "watch/wait_for_a_property",
            "who waits for a property finds it however many changes there were",
            wait_for_a_property,
            P
        ),
        each_waiter!(
            "watch/observer_waits",
            "who waits for a number is told when it is there",
            observer_waits,
            P
        ),
    ];
    [
        waiting.concat().into_iter().map(|each| each.needs(one).bound(2)).collect(),
        vec![
            Scenario::new(
                "watch/observed_pair_is_never_torn",
                "two numbers that belong together are seen together",
                observed_pair_is_never_torn::<P>,
            )
            .needs(Needs::ATOMICS.threads(1))
            .bound(3),
            Scenario::new(
                "watch/counted_ends",
                "senders and receivers are counted, whoever makes and drops them",
                counted_ends::<P>,
            )
            .needs(Needs::ATOMICS.threads(1))
            .bound(3),
            Scenario::new(
                "watch/updates_exclude_one_another",
                "no update is lost",
                updates_exclude_one_another::<P>,
            )
            .needs(Needs::ATOMICS.threads(1))
            .bound(4),
            Scenario::new(
                "watch/observed_value_is_no_older_than_known",
                "who knows of an update sees it",
                observed_value_is_no_older_than_known::<P>,
            )
            .needs(Needs::ATOMICS.threads(1)),
        ],
    ]
    .concat()
}
