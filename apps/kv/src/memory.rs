//! The memory that the clients' buffers take, all together.
//!
//! Each connection charges the capacity of its buffers to the [`Ledger`] before it makes them
//! larger. When little is left, the ledger cuts off the largest client, then the next, until what
//! remains when they are gone is little enough. A connection that needs more than is left waits for
//! that; who must not wait (a publisher, for the sake of a subscriber) is refused.

use core::task::Poll;
use core::task::Waker;
use std::collections::BTreeMap;

use raddle_parking_lot::ParkingMutex;
use raddle_platform::suspend::{self, Limits};
use raddle_platform::{Atomic, AtomicInt, Native, Ordering, Platform};

use crate::client::{Client, Clients, Cut};

/// No memory can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// Counts what the clients hold.
pub struct Ledger<P: Platform = Native> {
    /// All clients that can be cut off.
    pub clients: Clients<P>,
    total: P::AtomicUsize,
    limit: usize,
    /// Connections that wait for memory, by client.
    waiting: ParkingMutex<BTreeMap<u64, Waker>, P>,
    evicted: P::AtomicU64,
}

impl<P: Platform> Ledger<P> {
    /// An account over `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            clients: Clients::new(),
            total: P::AtomicUsize::new(0),
            limit,
            waiting: ParkingMutex::new_in(BTreeMap::new()),
            evicted: P::AtomicU64::new(0),
        }
    }

    /// What may be held.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Beyond this the largest client is cut off. The rest keeps the others running until that
    /// client's connection has freed what it holds.
    fn threshold(&self) -> usize {
        self.limit - self.limit / 16
    }

    /// What is held.
    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// How many clients were cut off.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Charges `bytes` to `client` if they are left, at once.
    pub fn try_charge(&self, client: &Client<P>, bytes: usize) -> bool {
        let total = self.total.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if total > self.limit {
            self.total.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        client.memory.fetch_add(bytes, Ordering::Relaxed);
        if total > self.threshold() {
            self.relieve(client, 0);
        }
        true
    }

    /// Charges `bytes` to `client`, and waits for them if they are not left. Holds no lock.
    ///
    /// # Errors
    /// The client is cut off, by this call or before.
    pub fn charge(&self, client: &Client<P>, bytes: usize) -> Result<(), Exhausted> {
        if self.try_charge(client, bytes) {
            return Ok(());
        }
        let outcome = suspend::wait::<P, _>(Limits::CANCELLABLE, |context| {
            // Registered before the look, so that what is released after the look wakes.
            self.waiting.lock().insert(client.id, context.waker().clone());
            if client.fate().is_some() {
                return Poll::Ready(Err(Exhausted));
            }
            if self.try_charge(client, bytes) {
                return Poll::Ready(Ok(()));
            }
            self.relieve(client, bytes);
            Poll::Pending
        });
        self.waiting.lock().remove(&client.id);
        outcome.unwrap_or(Err(Exhausted))
    }

    /// Gives `bytes` of `client`'s back.
    pub fn release(&self, client: &Client<P>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        client.memory.fetch_sub(bytes, Ordering::Relaxed);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        let waiting = core::mem::take(&mut *self.waiting.lock());
        waiting.into_values().for_each(Waker::wake);
    }

    /// Makes room for `additional` bytes in `buffer`, whose capacity is charged to `client`, at
    /// once or not at all.
    pub fn reserve(&self, client: &Client<P>, buffer: &mut Vec<u8>, additional: usize) -> bool {
        let needed = buffer.len() + additional;
        if needed <= buffer.capacity() {
            return true;
        }
        let old = buffer.capacity();
        let growth = grown(old, needed) - old;
        if !self.try_charge(client, growth) {
            return false;
        }
        buffer.reserve_exact(old + growth - buffer.len());
        self.settle(client, old + growth, buffer.capacity());
        true
    }

    /// Corrects the account when an allocation became `actual` instead of `charged`.
    pub fn settle(&self, client: &Client<P>, charged: usize, actual: usize) {
        if actual > charged {
            self.total.fetch_add(actual - charged, Ordering::Relaxed);
            client.memory.fetch_add(actual - charged, Ordering::Relaxed);
        } else {
            self.release(client, charged - actual);
        }
    }

    /// Cuts off the largest clients until what the others hold, and `more` bytes for `who`, stay
    /// below the threshold (or, if `who` waits, within the limit).
    fn relieve(&self, who: &Client<P>, more: usize) {
        let allowed = if more == 0 { self.threshold() } else { self.limit - more.min(self.limit) };
        loop {
            let mut leaving = 0usize;
            let mut largest: Option<(usize, u64)> = None;
            self.clients.for_each(|client| {
                let extra = if client.id == who.id { more } else { 0 };
                let memory = client.memory().saturating_add(extra);
                if client.fate().is_some() {
                    leaving = leaving.saturating_add(memory);
                } else if largest.is_none_or(|(most, _)| memory > most) {
                    largest = Some((memory, client.id));
                }
            });
            let Some((_, largest)) = largest else { return };
            if self.total().saturating_sub(leaving) <= allowed {
                return;
            }
            self.clients.for_each(|client| {
                if client.id == largest && client.cut(Cut::ClientMemory) {
                    self.evicted.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
}

/// The capacity that a buffer of `capacity` gets when it needs `needed`: twice as much while it is
/// small, later an eighth more, as the buffers of all clients share a limit.
pub fn grown(capacity: usize, needed: usize) -> usize {
    let step = if capacity < 256 << 10 { capacity } else { capacity / 8 };
    needed.max(capacity.saturating_add(step))
}
