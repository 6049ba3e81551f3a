//! `broadcast` under publishers and subscribers of all policies, on threads, fibers and futures.

use core::time::Duration;

use raddle_platform::Platform;
use raddle_runtime::runtime::Builder;
use raddle_streams::broadcast::{
    Policy, Publisher, RecvError, RecvTimeoutError, Start, Subscriber,
};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/broadcast_storm",
            "subscribers of all policies account for every item, while others come and go",
            &["spinlock", "broadcast-unwritten", "suspend", "lock-looks"],
            broadcast_storm::<P>,
        ),
        Stress::new(
            "stress/broadcast_overrun",
            "publishers that overrun one another give up no chunk that is still written to",
            &["broadcast-unwritten", "spinlock"],
            broadcast_overrun::<P>,
        ),
    ]
}

const PUBLISHERS: u64 = 3;
const EACH: u64 = 300;

/// An item that is on the heap, so that sanitizers see it freed.
type Item = Box<(u64, u64)>;

/// Receives to the end: how many items came, and how many it was told to have lost.
fn account<P: Platform>(mut subscriber: Subscriber<Item, P>) -> u64 {
    let (mut count, mut next) = (0, [0; PUBLISHERS as usize]);
    loop {
        match subscriber.recv_timeout(Duration::from_micros(50)) {
            Ok(item) => {
                let next = &mut next[item.0 as usize];
                assert!(item.1 >= *next, "in order, and once");
                *next = item.1 + 1;
                count += 1;
            }
            Err(RecvTimeoutError::TimedOut) => {}
            Err(RecvTimeoutError::Other(RecvError::Lagged(lost))) => count += lost,
            Err(RecvTimeoutError::Other(RecvError::CutOff(_))) => return PUBLISHERS * EACH,
            Err(RecvTimeoutError::Other(RecvError::Closed)) => return count,
            Err(RecvTimeoutError::Other(error)) => panic!("{error}"),
        }
    }
}

fn broadcast_storm<P: Platform>(budget: &Budget) -> u64 {
    let runtime = Builder::<P>::new_in().workers(2).build().expect("a runtime");
    let operations = budget.rounds(|| {
        let publisher = Publisher::<Item, P>::new_in(16);
        let policies = [Policy::Block, Policy::DropOldest, Policy::DropNewest, Policy::Disconnect];
        let subscribe = |policy| publisher.subscribe_with(policy, Start::Now);
        let on_threads = policies.map(subscribe);
        let on_fibers = policies.map(|policy| {
            let subscriber = subscribe(policy);
            runtime.spawn(move || account(subscriber))
        });
        let asynchronous = subscribe(Policy::Block);
        let task = runtime.spawn_async(async move {
            let (mut subscriber, mut count) = (asynchronous, 0);
            while subscriber.recv_async().await.is_ok() {
                count += 1;
            }
            count
        });
        raddle_scenarios::scope::<P, _>(|threads| {
            let watched = publisher.clone();
            let accounts = on_threads.map(|each| threads.spawn(move || account(each)));
            for name in 0..PUBLISHERS {
                let publisher = publisher.clone();
                threads.spawn(move || {
                    for item in 0..EACH {
                        publisher.publish(Box::new((name, item))).expect("open");
                    }
                });
            }
            drop(publisher);
            for _ in 0..20 {
                let mut guest = watched.subscribe_with(Policy::Block, Start::Oldest);
                drop(guest.try_recv());
            }
            drop(watched);
            for account in accounts {
                assert_eq!(account.join(), PUBLISHERS * EACH);
            }
        });
        for fiber in on_fibers {
            assert_eq!(fiber.join().expect("no panic"), PUBLISHERS * EACH);
        }
        assert_eq!(task.join().expect("no panic"), PUBLISHERS * EACH);
        9 * PUBLISHERS * EACH
    });
    assert_eq!(runtime.shutdown(Duration::from_secs(60)), Ok(()), "no task is left");
    operations
}

fn broadcast_overrun<P: Platform>(budget: &Budget) -> u64 {
    budget.rounds(|| {
        let publisher = Publisher::<Item, P>::new_in(1);
        let mut subscriber = publisher.subscribe();
        raddle_scenarios::scope::<P, _>(|threads| {
            for name in 0..PUBLISHERS {
                let publisher = &publisher;
                threads.spawn(move || {
                    for item in 0..EACH {
                        publisher.try_publish(Box::new((name, item))).expect("nobody blocks");
                    }
                });
            }
            for _ in 0..EACH {
                drop(subscriber.try_recv());
            }
        });
        PUBLISHERS * EACH
    })
}
