//! A broadcast stream with everybody at it: larger than what a model checker follows.

use raddle_platform::{Atomic, Ordering, Platform};
use raddle_streams::broadcast::{Policy, Publisher, Start};

use crate::broadcast::{Counted, TWO_SLOTS, receive_all};
use crate::waiters::Thread;
use crate::{Needs, Scenario, scope};

/// Two publishers and all policies.
fn everybody_at_once<P: Platform>() {
    const EACH: u32 = 5;
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(TWO_SLOTS / 2);
    let subscribe = |policy| publisher.subscribe_with(policy, Start::Now);
    let beside = [Policy::Block, Policy::DropOldest].map(subscribe);
    let after = [Policy::DropNewest, Policy::Disconnect].map(subscribe);
    scope::<P, _>(|threads| {
        let receive = |subscriber| {
            let (items, lost) = receive_all::<P, Thread, _>(subscriber);
            (items.iter().map(Counted::get).collect::<Vec<_>>(), lost)
        };
        let publish = |publisher: Publisher<_, P>, first| {
            for item in first..first + EACH {
                assert!(publisher.publish(Counted::<P>::new(&alive, item)).is_ok());
            }
        };
        let theirs = beside.map(|subscriber| threads.spawn(move || receive(subscriber)));
        let other = publisher.clone();
        threads.spawn(move || publish(other, 100));
        publish(publisher, 0);
        let mut seen: Vec<_> = after.into_iter().map(receive).collect();
        seen.extend(theirs.map(|thread| thread.join()));
        let (all, lost) = seen.remove(2);
        assert_eq!((all.len() as u32, lost), (2 * EACH, 0), "who blocks loses nothing");
        for (items, lost) in seen {
            let mut order = all.iter();
            assert!(items.iter().all(|item| order.any(|other| item == other)), "one order for all");
            assert!(lost == u64::MAX || items.len() as u64 + lost == u64::from(2 * EACH));
        }
    });
    assert_eq!(alive.load(Ordering::Relaxed), 0, "all dropped, and once");
}

/// Subscribers come and go, and one dies with items before it.
fn coming_and_going<P: Platform>() {
    let alive = P::AtomicUsize::new(0);
    let publisher = Publisher::<_, P>::new_in(TWO_SLOTS);
    let policies = [Policy::Block, Policy::DropOldest, Policy::DropNewest];
    scope::<P, _>(|threads| {
        for policy in policies {
            let publisher = &publisher;
            threads.spawn(move || {
                for start in [Start::Now, Start::Oldest] {
                    let mut subscriber = publisher.subscribe_with(policy, start);
                    let mut last = 0;
                    for _ in 0..3 {
                        if let Ok(item) = subscriber.recv_with(Counted::get) {
                            assert!(item > last, "in order");
                            last = item;
                        }
                    }
                }
            });
        }
        for item in 1..=12 {
            assert!(publisher.publish(Counted::<P>::new(&alive, item)).is_ok());
        }
        assert!(publisher.close());
    });
    drop(publisher);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "broadcast/everybody_at_once",
            "all policies beside each other: one order, nothing lost silently, all dropped",
            everybody_at_once::<P>,
        )
        .needs(Needs::ATOMICS.long().threads(3).parker()),
        Scenario::new(
            "broadcast/coming_and_going",
            "subscribers come and go in the middle of everything",
            coming_and_going::<P>,
        )
        .needs(Needs::ATOMICS.long().threads(3).parker()),
    ]
}
