//! A broadcast stream with a lock in place of the lock-free path: what `broadcast` is measured against,
//! with one lock or another.
//!
//! Waiting is the same as there. Subscribers hold the publishers back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use raddle_parking_lot::{EventCount, ParkingMutex};
use raddle_platform::suspend::Limits;

/// A mutex, as far as the stream needs one.
pub trait Lock<T>: Send + Sync + 'static {
    /// A lock around `value`.
    fn new(value: T) -> Self;
    /// Calls `f` under the lock.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
}

impl<T: Send + 'static> Lock<T> for ParkingMutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }
}

impl<T: Send + 'static> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock().expect("not poisoned"))
    }
}

/// What the lock guards.
#[derive(Debug)]
pub struct Ring {
    capacity: usize,
    subscribers: usize,
    /// Items, and how many subscribers have still to receive each.
    items: VecDeque<(u64, usize)>,
    /// How many items were given up before the first of them.
    first: u64,
    closed: bool,
}

#[derive(Debug)]
struct Shared<L> {
    ring: L,
    items: EventCount,
    space: EventCount,
}

/// Publishes to all subscribers.
#[derive(Debug)]
pub struct Publisher<L>(Arc<Shared<L>>);

impl<L> Clone for Publisher<L> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Receives every item.
#[derive(Debug)]
pub struct Subscriber<L> {
    shared: Arc<Shared<L>>,
    next: u64,
}

/// A stream with so many subscribers.
pub fn stream<L: Lock<Ring>>(
    capacity: usize,
    subscribers: usize,
) -> (Publisher<L>, Vec<Subscriber<L>>) {
    let items = VecDeque::with_capacity(capacity);
    let ring = L::new(Ring { capacity, subscribers, items, first: 0, closed: false });
    let shared = Arc::new(Shared { ring, items: EventCount::new(), space: EventCount::new() });
    let subscriber = |_| Subscriber { shared: shared.clone(), next: 0 };
    let subscribers = (0..subscribers).map(subscriber).collect();
    (Publisher(shared), subscribers)
}

impl<L: Lock<Ring>> Publisher<L> {
    /// Publishes an item; waits while a subscriber has still to receive what is there.
    pub fn publish(&self, item: u64) {
        let attempt = || {
            self.0.ring.with(|ring| {
                let room = ring.items.len() < ring.capacity;
                room.then(|| ring.items.push_back((item, ring.subscribers)))
            })
        };
        self.0.space.wait(Limits::NONE, attempt).expect("a wait without limits");
        self.0.items.notify_all();
    }

    /// Ends the stream.
    pub fn close(&self) {
        self.0.ring.with(|ring| ring.closed = true);
        self.0.items.notify_all();
    }
}

impl<L: Lock<Ring>> Subscriber<L> {
    /// Receives the next item; `None` at the end.
    pub fn recv(&mut self) -> Option<u64> {
        let mut freed = false;
        let attempt = || {
            self.shared.ring.with(|ring| {
                let index = (self.next - ring.first) as usize;
                let Some((item, missing)) = ring.items.get_mut(index) else {
                    return ring.closed.then_some(None);
                };
                *missing -= 1;
                let item = *item;
                if *missing == 0 {
                    // All before it are received by all, too.
                    ring.items.pop_front();
                    ring.first += 1;
                    freed = true;
                }
                Some(Some(item))
            })
        };
        let item = self.shared.items.wait(Limits::NONE, attempt).expect("a wait without limits");
        if freed {
            self.shared.space.notify_all();
        }
        self.next += u64::from(item.is_some());
        item
    }
}
