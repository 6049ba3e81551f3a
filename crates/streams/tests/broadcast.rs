//! `broadcast` from outside, on plain threads and futures.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use raddle_platform::{Native, suspend};
use raddle_streams::broadcast::{
    self, Policy, PublishError, Publisher, RecvError, RecvTimeoutError, Start, Subscriber,
    TryRecvError,
};

/// An item that counts how many of its kind are alive.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>, u64);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, value: u64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(alive.clone(), value)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(&self.0, self.1)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that is there, up to the first error.
fn drain<T: Clone>(subscriber: &mut Subscriber<T>) -> (Vec<T>, TryRecvError) {
    let mut items = Vec::new();
    loop {
        match subscriber.try_recv() {
            Ok(item) => items.push(item),
            Err(error) => return (items, error),
        }
    }
}

fn drain_to_empty<T: Clone>(subscriber: &mut Subscriber<T>) -> Vec<T> {
    let (items, error) = drain(subscriber);
    assert!(matches!(error, TryRecvError::Empty), "{error:?}");
    items
}

fn lagged<T: Clone + std::fmt::Debug>(subscriber: &mut Subscriber<T>) -> u64 {
    match subscriber.try_recv() {
        Err(TryRecvError::Other(RecvError::Lagged(lost))) => lost,
        other => panic!("{other:?} instead of a lag"),
    }
}

#[test]
fn everybody_receives_every_item_in_order() {
    for capacity in [1, 2, 7, 8, 64, 1000] {
        let publisher = Publisher::new(capacity);
        let mut subscribers: Vec<_> =
            (0..3).map(|_| publisher.subscribe_with(Policy::Block, Start::Now)).collect();
        std::thread::scope(|scope| {
            for subscriber in &mut subscribers {
                scope.spawn(|| {
                    let items: Vec<_> = subscriber.iter().map(Result::unwrap).collect();
                    assert_eq!(items, (0..300).collect::<Vec<_>>());
                });
            }
            (0..300).for_each(|item| publisher.publish(item).unwrap());
            publisher.close();
        });
    }
}

#[test]
fn items_of_several_publishers_have_one_order_for_all() {
    let publisher = Publisher::new(16);
    let subscribers: Vec<_> =
        (0..2).map(|_| publisher.subscribe_with(Policy::Block, Start::Now)).collect();
    let seen: Vec<Vec<_>> = std::thread::scope(|scope| {
        for name in 0..3 {
            let publisher = publisher.clone();
            scope.spawn(move || (0..500).for_each(|item| publisher.publish((name, item)).unwrap()));
        }
        drop(publisher);
        let threads: Vec<_> = subscribers
            .into_iter()
            .map(|subscriber| scope.spawn(|| subscriber.into_iter().map(Result::unwrap).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(seen[0], seen[1]);
    for name in 0..3 {
        let items: Vec<_> =
            seen[0].iter().filter(|item| item.0 == name).map(|item| item.1).collect();
        assert_eq!(items, (0..500).collect::<Vec<_>>());
    }
}

#[test]
fn who_lags_is_told_exactly_how_much_it_has_lost() {
    for capacity in [1, 3, 8, 100] {
        for extra in [0, 1, 5, 70, 500] {
            let (publisher, mut subscriber) = broadcast::channel(capacity);
            let published = (capacity + extra) as u64;
            (0..published).for_each(|item| publisher.publish(item).unwrap());
            assert_eq!(subscriber.lag(), published);
            let (mut items, mut lost, mut next) = (0, 0, 0);
            loop {
                match subscriber.try_recv() {
                    Ok(item) => {
                        assert_eq!(item, next);
                        (items, next) = (items + 1, next + 1);
                    }
                    Err(TryRecvError::Other(RecvError::Lagged(some))) => {
                        assert!(some > 0);
                        (lost, next) = (lost + some, next + some);
                    }
                    Err(error) => break assert!(matches!(error, TryRecvError::Empty)),
                }
            }
            assert_eq!(items + lost, published);
            assert!(items >= capacity as u64, "{items} of {capacity} kept");
            assert_eq!(lost == 0, next == items);
            assert_eq!(subscriber.lag(), 0);
        }
    }
}

#[test]
fn nothing_is_lost_within_the_capacity() {
    for capacity in [1, 2, 8, 9, 64, 300] {
        let (publisher, mut subscriber) = broadcast::channel(capacity);
        for before in 0..capacity {
            (0..before).for_each(|item| publisher.publish(item).unwrap());
            assert_eq!(drain_to_empty(&mut subscriber).len(), before);
            (0..capacity).for_each(|item| publisher.publish(item).unwrap());
            assert_eq!(drain_to_empty(&mut subscriber), (0..capacity).collect::<Vec<_>>());
        }
    }
}

#[test]
fn who_blocks_holds_the_publishers_back() {
    let publisher = Publisher::new(3);
    let mut slow = publisher.subscribe_with(Policy::Block, Start::Now);
    let mut fast = publisher.subscribe();
    (0..3).for_each(|item| publisher.try_publish(item).unwrap());
    assert_eq!(publisher.try_publish(3), Err(PublishError::Full(3)));
    assert_eq!(drain_to_empty(&mut fast), [0, 1, 2]);
    assert_eq!(publisher.try_publish(3), Err(PublishError::Full(3)));
    let late = publisher.publish_timeout(3, Duration::from_millis(1));
    assert_eq!(late, Err(PublishError::TimedOut(3)));
    assert_eq!(slow.recv().unwrap(), 0);
    publisher.try_publish(3).unwrap();
    assert_eq!(publisher.try_publish(4), Err(PublishError::Full(4)));
    drop(slow);
    (4..9).for_each(|item| publisher.try_publish(item).unwrap());
    assert_eq!(lagged(&mut fast), 3);
    assert_eq!(drain_to_empty(&mut fast), [6, 7, 8]);
}

#[test]
fn who_drops_the_newest_keeps_what_it_has() {
    let publisher = Publisher::new(3);
    let mut subscriber = publisher.subscribe_with(Policy::DropNewest, Start::Now);
    (0..6).for_each(|item| publisher.publish(item).unwrap());
    assert_eq!(subscriber.recv().unwrap(), 0);
    (6..8).for_each(|item| publisher.publish(item).unwrap());
    assert_eq!((subscriber.recv().unwrap(), subscriber.recv().unwrap()), (1, 2));
    assert_eq!(lagged(&mut subscriber), 3); // 3, 4 and 5
    assert_eq!(subscriber.recv().unwrap(), 6);
    assert_eq!(lagged(&mut subscriber), 1); // 7 came when 1, 2 and 6 were there
    publisher.publish(8).unwrap();
    assert_eq!(drain_to_empty(&mut subscriber), [8]);
}

#[test]
fn who_drops_the_newest_is_told_exactly_how_much_it_has_missed() {
    for (capacity, step) in [(8, 3), (64, 50), (64, 1), (100, 7)] {
        let publisher = Publisher::new(capacity);
        let mut subscriber = publisher.subscribe_with(Policy::DropNewest, Start::Now);
        let (mut next, mut lost) = (0, 0);
        for item in 0..2000_u64 {
            publisher.publish(item).unwrap();
            if item % 5 == 0 {
                for _ in 0..step {
                    match subscriber.try_recv() {
                        Ok(item) => {
                            assert_eq!(item, next);
                            next += 1;
                        }
                        Err(TryRecvError::Other(RecvError::Lagged(some))) => {
                            (next, lost) = (next + some, lost + some);
                        }
                        Err(error) => assert!(matches!(error, TryRecvError::Empty)),
                    }
                }
            }
        }
        assert!(step >= 5 || lost > 0);
        assert!(step < 50 || lost == 0);
        assert_eq!(subscriber.lag() + next, 2000);
    }
}

#[test]
fn who_is_to_be_disconnected_is_and_holds_nobody_back() {
    let publisher = Publisher::new(8); // chunks of 2, at most 5 of them
    let mut subscriber = publisher.subscribe_with(Policy::Disconnect, Start::Now);
    publisher.publish(0).unwrap();
    assert_eq!(subscriber.recv().unwrap(), 0);
    (1..20).for_each(|item| publisher.publish(item).unwrap());
    assert_eq!(subscriber.recv().unwrap(), 1); // the chunk in its hand
    for _ in 0..2 {
        assert!(matches!(subscriber.recv(), Err(RecvError::CutOff(16))));
    }
    assert_eq!(publisher.subscriber_count(), 1);
    drop(subscriber);
    assert_eq!(publisher.subscriber_count(), 0);
}

#[test]
fn a_subscriber_begins_where_it_wants() {
    let publisher = Publisher::new(4);
    let mut first = publisher.subscribe();
    (0..3).for_each(|item| publisher.publish(item).unwrap());
    let mut now = publisher.subscribe();
    let mut oldest = publisher.subscribe_with(Policy::Block, Start::Oldest);
    assert_eq!(first.recv().unwrap(), 0);
    let mut copy = first.clone();
    publisher.publish(3).unwrap();
    assert_eq!(drain_to_empty(&mut first), [1, 2, 3]);
    assert_eq!(drain_to_empty(&mut copy), [1, 2, 3]);
    assert_eq!(drain_to_empty(&mut now), [3]);
    assert_eq!(drain_to_empty(&mut oldest), [0, 1, 2, 3]);
    assert_eq!(publisher.subscriber_count(), 4);
    let mut again = oldest.resubscribe(Policy::DropOldest, Start::Now);
    publisher.publish(4).unwrap();
    assert_eq!(drain_to_empty(&mut again), [4]);
}

#[test]
fn a_copy_has_a_backlog_of_its_own() {
    let publisher = Publisher::new(2);
    let mut subscriber = publisher.subscribe_with(Policy::DropNewest, Start::Now);
    (0..3).for_each(|item| publisher.publish(item).unwrap());
    let mut copy = subscriber.clone();
    drop(subscriber.recv());
    drop(subscriber);
    assert_eq!((copy.recv().unwrap(), copy.recv().unwrap()), (0, 1));
    assert_eq!(lagged(&mut copy), 1);
    publisher.publish(3).unwrap();
    assert_eq!(copy.recv().unwrap(), 3);
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

#[test]
fn the_error_comes_after_the_items() {
    for capacity in [1, 4, 64] {
        let (publisher, mut subscriber) = broadcast::channel(capacity);
        publisher.publish(1).unwrap();
        let mut late = publisher.subscribe();
        assert!(publisher.close_with_error(Broken));
        assert!(!publisher.close());
        assert_eq!(publisher.publish(2), Err(PublishError::Closed(2)));
        assert_eq!(subscriber.recv().unwrap(), 1);
        for subscriber in [&mut subscriber, &mut late] {
            for _ in 0..2 {
                let Err(RecvError::Failed(failure)) = subscriber.recv() else { panic!("no error") };
                assert_eq!(failure.to_string(), "broken");
            }
        }
        for start in [Start::Now, Start::Oldest] {
            let mut after = publisher.subscribe_with(Policy::Block, start);
            let (_, error) = drain(&mut after);
            assert!(matches!(error, TryRecvError::Other(RecvError::Failed(_))));
            assert_eq!(after.lag(), 0);
        }
    }
}

#[test]
fn the_last_publisher_closes() {
    let (publisher, mut subscriber) = broadcast::channel::<u32>(4);
    let other = publisher.clone();
    assert!(publisher.same_stream(&other));
    drop(publisher);
    other.publish(1).unwrap();
    assert!(matches!(subscriber.try_recv(), Ok(1)));
    assert!(matches!(subscriber.try_recv(), Err(TryRecvError::Empty)));
    drop(other);
    assert!(matches!(subscriber.recv(), Err(RecvError::Closed)));
    assert!(subscriber.iter().next().is_none());
}

#[test]
fn what_everybody_has_received_is_dropped_also_when_nothing_follows() {
    let alive = Arc::new(AtomicUsize::new(0));
    for capacity in [1, 4, 64, 1024] {
        let chunk = (capacity / 4).clamp(1, 64);
        let publisher = Publisher::new(capacity);
        let mut subscribers: Vec<_> = [Policy::Block, Policy::DropOldest, Policy::DropNewest]
            .map(|policy| publisher.subscribe_with(policy, Start::Now))
            .into();
        for round in 0..5 {
            for value in 0..chunk as u64 {
                publisher.publish(Counted::new(&alive, value)).unwrap();
            }
            for subscriber in &mut subscribers {
                assert_ne!(alive.load(Ordering::Relaxed), 0, "round {round}");
                (0..chunk).for_each(|_| drop(subscriber.try_recv().unwrap()));
            }
            assert_eq!(alive.load(Ordering::Relaxed), 0, "capacity {capacity}, round {round}");
        }
        publisher.publish(Counted::new(&alive, 0)).unwrap();
        publisher.close();
        subscribers.iter_mut().for_each(|each| while each.recv().is_ok() {});
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn memory_is_bounded_whatever_a_subscriber_does() {
    let alive = Arc::new(AtomicUsize::new(0));
    let publisher = Publisher::new(64); // chunks of 16, at most 5
    let slow: Vec<_> = (0..20)
        .map(|at| {
            let policies = [Policy::DropOldest, Policy::DropNewest, Policy::Disconnect];
            let mut subscriber = publisher.subscribe_with(policies[at % 3], Start::Now);
            for value in 0..37 {
                publisher.publish(Counted::new(&alive, value)).unwrap();
            }
            subscriber.recv().unwrap();
            subscriber
        })
        .collect();
    for value in 0..10_000 {
        publisher.publish(Counted::new(&alive, value)).unwrap();
    }
    // Each of the 14 has one chunk in its hand, each of the 6 has five, and so has the stream.
    let most = (14 + 6 * 5 + 5) * 16;
    assert!(alive.load(Ordering::Relaxed) <= most);
    drop(slow);
    assert!(alive.load(Ordering::Relaxed) <= 16);
    drop(publisher);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn looking_takes_no_clone_and_a_panic_loses_one_item() {
    struct NotClone(u32);
    let publisher = Publisher::new(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    publisher.publish(NotClone(1)).unwrap();
    assert_eq!(subscriber.recv_with(|item| item.0).unwrap(), 1);
    publisher.publish(NotClone(2)).unwrap();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        subscriber.recv_with(|_| panic!("planned"))
    }));
    assert!(panic.is_err());
    publisher.try_publish(NotClone(3)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(subscriber.recv_with(|item| item.0).unwrap(), 3);
}

#[test]
fn waits_end_in_time() {
    let (_publisher, mut subscriber) = broadcast::channel::<u32>(4);
    let end = subscriber.recv_timeout(Duration::from_millis(1));
    assert!(matches!(end, Err(RecvTimeoutError::TimedOut)));
}

#[test]
fn futures_wait_too_and_lose_nothing_when_dropped() {
    let publisher = Publisher::new(1);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(subscriber.recv_async()).poll(&mut context).is_pending());
    publisher.publish(1).unwrap();
    {
        let mut publish = pin!(publisher.publish_async(2));
        assert!(publish.as_mut().poll(&mut context).is_pending());
        assert!(matches!(suspend::block_on::<Native, _>(subscriber.recv_async()), Ok(1)));
        assert_eq!(publish.poll(&mut context), Poll::Ready(Ok(())));
    }
    assert!(pin!(publisher.publish_async(3)).poll(&mut context).is_pending());
    assert!(matches!(subscriber.try_recv(), Ok(2)));
    assert!(matches!(subscriber.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_subscriber_is_a_stream() {
    let (publisher, mut subscriber) = broadcast::channel(2);
    let next = |subscriber: &mut Subscriber<u32>| {
        let mut subscriber = pin!(subscriber);
        suspend::block_on::<Native, _>(std::future::poll_fn(|context| {
            subscriber.as_mut().poll_next(context)
        }))
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            publisher.publish(1).unwrap();
            publisher.publish(2).unwrap();
        });
        assert!(matches!(next(&mut subscriber), Some(Ok(1))));
        assert!(matches!(next(&mut subscriber), Some(Ok(2))));
    });
    (3..6).for_each(|item| publisher.publish(item).unwrap());
    drop(publisher);
    assert!(matches!(next(&mut subscriber), Some(Err(RecvError::Lagged(1)))));
    assert!(matches!(next(&mut subscriber), Some(Ok(4))));
    assert!(matches!(next(&mut subscriber), Some(Ok(5))));
    assert!(next(&mut subscriber).is_none());
    assert!(next(&mut subscriber).is_none());
}

#[test]
fn many_threads_of_all_policies_account_for_every_item() {
    const ITEMS: u64 = 5_000;
    let publisher = Publisher::new(32);
    let policies = [Policy::Block, Policy::DropOldest, Policy::DropNewest, Policy::Disconnect];
    let subscribers: Vec<_> =
        policies.iter().map(|policy| publisher.subscribe_with(*policy, Start::Now)).collect();
    std::thread::scope(|scope| {
        for mut subscriber in subscribers {
            scope.spawn(move || {
                let (mut received, mut lost, mut next) = (BTreeSet::new(), 0, [0; 2]);
                loop {
                    match subscriber.recv() {
                        Ok((name, item)) => {
                            assert!(item >= next[name], "in order");
                            next[name] = item + 1;
                            assert!(received.insert((name, item)), "once");
                        }
                        Err(RecvError::Lagged(some)) => lost += some,
                        Err(RecvError::CutOff(_)) => return,
                        Err(error) => break assert!(matches!(error, RecvError::Closed)),
                    }
                }
                assert_eq!(received.len() as u64 + lost, 2 * ITEMS);
                assert!(subscriber.policy() != Policy::Block || lost == 0);
            });
        }
        for name in 0..2 {
            let publisher = publisher.clone();
            scope.spawn(move || {
                (0..ITEMS).for_each(|item| publisher.publish((name, item)).unwrap());
            });
        }
        drop(publisher);
    });
}

#[test]
fn a_stream_ends_when_its_chunks_cannot_be_numbered_any_more() {
    for capacity in [1, 3, 8, 64] {
        let publisher = broadcast::publisher_near_the_end::<u64, Native>(capacity, 3);
        let mut subscriber = publisher.subscribe_with(Policy::DropOldest, Start::Oldest);
        let mut received = Vec::new();
        let mut published = 0;
        while publisher.publish(published).is_ok() {
            published += 1;
            assert_eq!(subscriber.lag(), 1);
            received.push(subscriber.recv().expect("nothing is lost"));
        }
        assert_eq!(published % 3, 0, "three whole chunks");
        assert!(published > 0);
        assert_eq!(received, (0..published).collect::<Vec<_>>());
        assert!(publisher.is_closed());
        assert!(matches!(publisher.publish(7), Err(PublishError::Closed(7))));
        let Err(RecvError::Failed(failure)) = subscriber.recv() else { panic!("it has failed") };
        assert!(failure.get().is::<broadcast::Exhausted>());
        let late = publisher.subscribe_with(Policy::Block, Start::Now).recv();
        assert!(matches!(late, Err(RecvError::Failed(_))), "also for who comes late");
    }
}

/// There is room for 65,535 claims.
#[test]
fn claims_in_vain_do_not_add_up() {
    const OFTEN: u64 = 70_000;
    let publisher = Publisher::<u64>::new(4);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    for round in 0..2 {
        assert_eq!((0..OFTEN).filter(|item| publisher.try_publish(*item).is_ok()).count(), 4);
        assert_eq!(drain(&mut subscriber).0, [0, 1, 2, 3], "round {round}");
    }
    assert!(publisher.close());
    let refused = |item| matches!(publisher.try_publish(item), Err(PublishError::Closed(_)));
    assert!((0..OFTEN).all(refused));
    assert!(matches!(subscriber.recv(), Err(RecvError::Closed)));
    assert!(publisher.is_closed());
}

#[test]
fn a_subscriber_that_lags_receives_the_rest_of_a_stream_that_has_no_more_numbers() {
    let publisher = broadcast::publisher_near_the_end::<u64, Native>(4, 3);
    let mut subscriber = publisher.subscribe_with(Policy::Block, Start::Now);
    assert_eq!((0..9).take_while(|item| publisher.publish(*item).is_ok()).count(), 3);
    let received: Vec<_> = std::iter::from_fn(|| subscriber.recv().ok()).collect();
    assert_eq!(received, [0, 1, 2]);
}

/// Publishes 1 to 6; the subscriber has received 1 and has 2 in its hand. The stream keeps four
/// chunks of one item.
fn read_one_of_six(publisher: &Publisher<u64>, subscriber: &mut Subscriber<u64>) {
    for item in 1..=2 {
        publisher.publish(item).unwrap();
    }
    assert_eq!(subscriber.recv().unwrap(), 1);
    for item in 3..=6 {
        publisher.publish(item).unwrap();
    }
}

#[test]
fn a_subscriber_is_cut_off_when_the_chunk_after_the_one_in_its_hand_is_gone() {
    let publisher = Publisher::new(4);
    let mut alone = publisher.subscribe_with(Policy::Disconnect, Start::Now);
    read_one_of_six(&publisher, &mut alone);
    // Nobody else needs 3 to 5, so they went with 2, which this one had in its hand.
    let (items, told) = drain(&mut alone);
    assert_eq!(items, [2]);
    assert!(matches!(told, TryRecvError::Other(RecvError::CutOff(3))), "{told:?}");
}

#[test]
fn a_subscriber_is_not_cut_off_if_others_keep_the_chunk_that_it_goes_on_with() {
    let publisher = Publisher::new(4);
    let mut cut = publisher.subscribe_with(Policy::Disconnect, Start::Now);
    let _slow = publisher.subscribe();
    read_one_of_six(&publisher, &mut cut);
    let (items, told) = drain(&mut cut);
    assert_eq!(items, [2, 3, 4, 5, 6]);
    assert!(matches!(told, TryRecvError::Empty), "{told:?}");
}

#[test]
fn a_subscriber_with_nothing_in_its_hand_is_cut_off_before_it_has_received_anything() {
    let publisher = Publisher::new(4);
    let mut cut = publisher.subscribe_with(Policy::Disconnect, Start::Now);
    let _slow = publisher.subscribe();
    for item in 1..=5 {
        publisher.publish(item).unwrap();
    }
    let (items, told) = drain(&mut cut);
    assert_eq!(items, []);
    assert!(matches!(told, TryRecvError::Other(RecvError::CutOff(1))), "{told:?}");
}

/// Chunks of two items, five of which are kept; the last one is half full when the stream is closed.
#[test]
fn a_cut_off_subscriber_is_told_how_many_items_were_given_up() {
    let publisher = Publisher::new(8);
    let mut cut = publisher.subscribe_with(Policy::Disconnect, Start::Now);
    publisher.publish(1).unwrap();
    assert_eq!(cut.recv().unwrap(), 1);
    for item in 2..=11 {
        publisher.publish(item).unwrap();
    }
    publisher.close();
    let (items, told) = drain(&mut cut);
    assert_eq!(items, [2], "the rest of the chunk in its hand");
    assert!(matches!(told, TryRecvError::Other(RecvError::CutOff(9))), "{told:?}");
}

#[test]
fn the_oldest_item_is_that_of_the_oldest_chunk_that_the_stream_keeps() {
    let publisher = Publisher::new(8);
    let oldest = || drain(&mut publisher.subscribe_with(Policy::DropOldest, Start::Oldest)).0;
    assert_eq!(oldest(), []);
    let mut fast = publisher.subscribe();
    publisher.publish(1).unwrap();
    assert_eq!(fast.recv().unwrap(), 1);
    assert_eq!(oldest(), [1], "all have received it, but its chunk is not full");
    publisher.publish(2).unwrap();
    assert_eq!(oldest(), [1, 2], "somebody is still at the chunk");
    assert_eq!(fast.recv().unwrap(), 2);
    assert_eq!(oldest(), [], "all have left it");
    // Chunks of two items, of which five are kept.
    let mut slow = publisher.subscribe();
    publisher.publish(3).unwrap();
    assert_eq!(slow.recv().unwrap(), 3);
    for item in 4..=13 {
        publisher.publish(item).unwrap();
    }
    assert_eq!(oldest(), (5..=13).collect::<Vec<_>>(), "what was given up is missing");
    assert_eq!(slow.recv().unwrap(), 4, "also if another one has it in its hand");
}
