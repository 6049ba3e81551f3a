//! The memory that the clients' buffers take, all together.
//!
//! Each connection charges the capacity of its buffers to the [`Ledger`] before it makes them
//! larger. When little is left, the ledger cuts off the largest client, then the next, until what
//! remains when they are gone is little enough. A connection that needs more than is left waits for
//! that; who must not wait (a publisher, for the sake of a subscriber) is refused.

use core::future::poll_fn;
use core::task::{Poll, Waker};
use std::collections::{BTreeMap, VecDeque};

use raddle::on::{
    Arc, Atomic, AtomicInt, Mutex, Native, Ordering, Platform, block_on, is_cancelled,
};

use crate::client::{Client, Cut};

/// No memory can be had: the client is cut off, or the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// All clients, and what they hold.
///
/// Everything is under one lock. Buffers change their capacities seldom, so that costs little, and
/// who is cut off depends on what all clients hold *at one moment*.
pub struct Ledger<P: Platform = Native> {
    accounts: Mutex<Accounts<P>, P>,
    limit: usize,
    next_id: P::AtomicU64,
}

struct Accounts<P: Platform> {
    clients: BTreeMap<u64, Arc<Client<P>, P>>,
    /// What they hold together.
    total: usize,
    /// Connections that wait for memory, by client.
    waiting: BTreeMap<u64, Waker>,
    evicted: u64,
}

impl<P: Platform> Ledger<P> {
    /// An account over `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let accounts =
            Accounts { clients: BTreeMap::new(), total: 0, waiting: BTreeMap::new(), evicted: 0 };
        Self { accounts: Mutex::new_in(accounts), limit, next_id: P::AtomicU64::new(1) }
    }

    /// An id for a new client.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds a client, unless there are `count_max` already.
    pub fn add(&self, client: Arc<Client<P>, P>, count_max: usize) -> bool {
        let mut accounts = self.accounts.lock();
        let fits = accounts.clients.len() < count_max;
        if fits {
            accounts.clients.insert(client.id, client);
        }
        fits
    }

    /// Forgets a client and takes back what it holds.
    pub fn remove(&self, client: &Client<P>) {
        let removed = self.accounts.lock().clients.remove(&client.id);
        self.release(client, client.memory());
        drop(removed);
    }

    /// All clients, in the order of their ids.
    pub fn clients(&self) -> Vec<Arc<Client<P>, P>> {
        self.accounts.lock().clients.values().cloned().collect()
    }

    /// How many clients there are.
    pub fn count(&self) -> usize {
        self.accounts.lock().clients.len()
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
        self.accounts.lock().total
    }

    /// How many clients were cut off to free memory.
    pub fn evicted(&self) -> u64 {
        self.accounts.lock().evicted
    }

    /// Charges `bytes` to `client` if they are left, at once.
    pub fn try_charge(&self, client: &Client<P>, bytes: usize) -> bool {
        self.charge_locked(&mut self.accounts.lock(), client, bytes)
    }

    fn charge_locked(&self, accounts: &mut Accounts<P>, client: &Client<P>, bytes: usize) -> bool {
        if bytes > self.limit.saturating_sub(accounts.total) {
            return false;
        }
        accounts.total += bytes;
        client.memory.store(client.memory() + bytes, Ordering::Relaxed);
        if accounts.total > self.threshold() {
            accounts.relieve(self.threshold(), client, 0);
        }
        true
    }

    /// Charges `bytes` to `client`, and waits for them if they are not left. To be called without
    /// a lock.
    ///
    /// # Errors
    /// The client is cut off, by this call or before, or the calling fiber is cancelled.
    pub fn charge(&self, client: &Client<P>, bytes: usize) -> Result<(), Exhausted> {
        if self.try_charge(client, bytes) {
            return Ok(());
        }
        block_on::<P, _>(poll_fn(|context| {
            let mut accounts = self.accounts.lock();
            accounts.waiting.remove(&client.id);
            if client.fate().is_some() || is_cancelled::<P>() {
                return Poll::Ready(Err(Exhausted));
            }
            if self.charge_locked(&mut accounts, client, bytes) {
                return Poll::Ready(Ok(()));
            }
            accounts.waiting.insert(client.id, context.waker().clone());
            accounts.relieve(self.limit, client, bytes);
            Poll::Pending
        }))
    }

    /// Gives `bytes` of `client`'s back.
    pub fn release(&self, client: &Client<P>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut accounts = self.accounts.lock();
        client.memory.store(client.memory() - bytes, Ordering::Relaxed);
        accounts.total -= bytes;
        let waiting = core::mem::take(&mut accounts.waiting);
        drop(accounts);
        waiting.into_values().for_each(Waker::wake);
    }

    /// Makes room for `additional` elements in `buffer`, whose capacity is charged to `client`, at
    /// once or not at all.
    pub fn reserve<B: Buffer>(
        &self,
        client: &Client<P>,
        buffer: &mut B,
        additional: usize,
    ) -> bool {
        let needed = buffer.len() + additional;
        if needed <= buffer.capacity() {
            return true;
        }
        let old = buffer.capacity();
        let growth = grown(old, needed) - old;
        if !self.try_charge(client, growth * B::ELEMENT) {
            return false;
        }
        buffer.reserve_exact(old + growth - buffer.len());
        self.settle(client, (old + growth) * B::ELEMENT, buffer.cost());
        true
    }

    /// Corrects the account when an allocation became `actual` instead of `charged`.
    pub fn settle(&self, client: &Client<P>, charged: usize, actual: usize) {
        if actual > charged {
            let mut accounts = self.accounts.lock();
            accounts.total += actual - charged;
            client.memory.store(client.memory() + (actual - charged), Ordering::Relaxed);
        } else {
            self.release(client, charged - actual);
        }
    }
}

impl<P: Platform> Accounts<P> {
    /// Cuts off the largest clients until what the others hold, and `more` bytes that `who` wants
    /// besides, is within `allowed`.
    fn relieve(&mut self, allowed: usize, who: &Client<P>, more: usize) {
        let wants = |client: &Client<P>| match client.id == who.id {
            true => client.memory().saturating_add(more),
            false => client.memory(),
        };
        let staying = |client: &&Arc<Client<P>, P>| client.fate().is_none();
        let mut rest: usize = self.clients.values().filter(staying).map(|c| wants(c)).sum();
        while rest > allowed {
            let candidates = self.clients.values().filter(staying);
            let Some(largest) = candidates.max_by_key(|client| wants(client)) else { return };
            rest -= wants(largest);
            // Another thread may be about to cut it off for another reason.
            self.evicted += u64::from(largest.cut(Cut::ClientMemory));
        }
    }
}

/// A buffer whose capacity is paid for.
pub trait Buffer {
    /// Bytes of an element.
    const ELEMENT: usize;

    /// How many elements it has.
    fn len(&self) -> usize;

    /// For how many it has memory.
    fn capacity(&self) -> usize;

    /// Makes room for so many more, and for no more than that if the allocator agrees.
    fn reserve_exact(&mut self, additional: usize);

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of its memory.
    fn cost(&self) -> usize {
        self.capacity() * Self::ELEMENT
    }
}

impl Buffer for Vec<u8> {
    const ELEMENT: usize = 1;

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn reserve_exact(&mut self, additional: usize) {
        self.reserve_exact(additional);
    }
}

impl<T> Buffer for VecDeque<T> {
    const ELEMENT: usize = size_of::<T>();

    fn len(&self) -> usize {
        self.len()
    }

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn reserve_exact(&mut self, additional: usize) {
        self.reserve_exact(additional);
    }
}

/// The capacity that a buffer of `capacity` gets when it needs `needed`: twice as much while it is
/// small, later an eighth more, as the buffers of all clients share a limit.
pub fn grown(capacity: usize, needed: usize) -> usize {
    let step = if capacity < 256 << 10 { capacity } else { capacity / 8 };
    needed.max(capacity.saturating_add(step))
}
