//! All keys, in shards, with their expiry.
//!
//! A key belongs to the shard that the high bits of its hash name; its bucket there comes from the
//! low bits. Each shard is a [`Table`] behind a lock. A command locks the shards of all its keys,
//! in the order of their indices, for as long as it runs and no longer: never across I/O, never
//! across a suspension. So every command is atomic, and there is no deadlock.
//!
//! The hash is SipHash-1-3 with a random key: nobody can choose keys that meet in one bucket.
//!
//! An expired key is removed by whoever meets it first: a command that looks for it, or the
//! [`Sweep`], which walks through the tables in small steps and gets those that nobody asks for.
//!
//! If there is a [journal](crate::aof), every change of a shard also writes down its *effect*; what
//! one command has changed becomes one record, before the first of its shards is unlocked. So the
//! records of each key stand in the order in which it changed.

use core::ops::{Deref, DerefMut};
use core::time::Duration;

use raddle::on::{Arc, Clock, Mutex, MutexGuard, Native, Platform, Rng, yield_now};
use siphasher::sip::SipHasher13;

use crate::aof::{Effects, Journal};
use crate::table::{Entry, Found, Table};

/// The platform's clock in milliseconds, the unit of deadlines.
#[inline]
pub fn now_ms<P: Platform>() -> u64 {
    P::Clock::now().as_nanos() / 1_000_000
}

/// Whether a key with this deadline is gone. Asks the clock only if the key can expire.
#[inline]
fn expired<P: Platform>(deadline: u64) -> bool {
    deadline != Entry::NEVER && now_ms::<P>() > deadline
}

/// One part of the keyspace.
#[derive(Debug, Default)]
pub struct Shard {
    table: Table,
    /// How many keys have a deadline.
    volatile: usize,
    /// How many keys were removed because they had expired.
    expired: u64,
    /// Where the sweep goes on.
    sweep: u64,
    /// What was changed since the shard was locked, if somebody wants to know.
    effects: Option<Box<Effects>>,
}

/// A key that is there and has not expired.
#[derive(Debug)]
pub struct Live<'a> {
    entry: &'a mut Entry,
    volatile: &'a mut usize,
    effects: Option<&'a mut Effects>,
}

impl<'a> Live<'a> {
    /// The value's bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.entry.value.as_slice()
    }

    /// Changes the value, and leaves the deadline.
    #[inline]
    pub fn set_value(&mut self, value: &[u8]) {
        if let Some(effects) = &mut self.effects {
            effects.set(self.entry.key(), value, self.entry.deadline);
        }
        self.entry.value.set(value);
    }

    /// Adds bytes at the end of the value.
    #[inline]
    pub fn append(&mut self, tail: &[u8]) {
        if let Some(effects) = &mut self.effects {
            effects.append(self.entry.key(), self.entry.value.as_slice().len(), tail);
        }
        self.entry.value.append(tail);
    }

    /// The value's bytes, for as long as the shard is locked.
    #[inline]
    pub fn into_bytes(self) -> &'a [u8] {
        self.entry.value.as_slice()
    }

    /// When the key expires, or [`Entry::NEVER`].
    #[inline]
    pub fn deadline(&self) -> u64 {
        self.entry.deadline
    }

    /// Changes when the key expires.
    #[inline]
    pub fn set_deadline(&mut self, deadline: u64) {
        if let Some(effects) = &mut self.effects {
            effects.deadline(self.entry.key(), deadline);
        }
        self.put_deadline(deadline);
    }

    #[inline]
    fn put_deadline(&mut self, deadline: u64) {
        *self.volatile -= usize::from(self.entry.deadline != Entry::NEVER);
        *self.volatile += usize::from(deadline != Entry::NEVER);
        self.entry.deadline = deadline;
    }
}

impl Shard {
    /// The key, if it is there and alive.
    #[inline]
    pub fn find<P: Platform>(&mut self, hash: u64, key: &[u8]) -> Option<Live<'_>> {
        match self.table.find_or_reap(hash, key, |entry| expired::<P>(entry.deadline)) {
            Found::Present(entry) => {
                let effects = self.effects.as_deref_mut();
                Some(Live { entry, volatile: &mut self.volatile, effects })
            }
            Found::Absent => None,
            Found::Reaped(_) => {
                if let Some(effects) = &mut self.effects {
                    effects.remove(key);
                }
                self.volatile -= 1;
                self.expired += 1;
                None
            }
        }
    }

    /// Adds a key that is not there.
    pub fn insert(&mut self, hash: u64, key: &[u8], value: &[u8], deadline: u64) {
        if let Some(effects) = &mut self.effects {
            effects.set(key, value, deadline);
        }
        self.put(hash, key, value, deadline);
    }

    fn put(&mut self, hash: u64, key: &[u8], value: &[u8], deadline: u64) {
        let mut entry = Entry::new(hash, key, value);
        entry.deadline = deadline;
        self.volatile += usize::from(deadline != Entry::NEVER);
        self.table.insert(entry);
    }

    /// Sets the key's value and deadline, whatever was there.
    #[inline]
    pub fn set(&mut self, hash: u64, key: &[u8], value: &[u8], deadline: u64) {
        if let Some(effects) = &mut self.effects {
            effects.set(key, value, deadline);
        }
        match self.table.find(hash, key) {
            Some(entry) => {
                entry.value.set(value);
                let mut live = Live { entry, volatile: &mut self.volatile, effects: None };
                live.put_deadline(deadline);
            }
            None => self.put(hash, key, value, deadline),
        }
    }

    /// Cuts the key's value at `at` bytes and adds `tail`. A key that is not there begins empty.
    pub(crate) fn append_at(&mut self, hash: u64, key: &[u8], at: usize, tail: &[u8]) {
        let (old, deadline) = match self.table.find(hash, key) {
            Some(entry) if entry.value.as_slice().len() == at => return entry.value.append(tail),
            Some(entry) => (entry.value.as_slice().to_vec(), entry.deadline),
            None => (Vec::new(), Entry::NEVER),
        };
        let mut value = old;
        value.resize(at, 0);
        value.extend_from_slice(tail);
        self.set(hash, key, &value, deadline);
    }

    /// Changes the key's deadline, if it is there.
    pub(crate) fn change_deadline(&mut self, hash: u64, key: &[u8], deadline: u64) {
        if let Some(entry) = self.table.find(hash, key) {
            let effects = self.effects.as_deref_mut();
            Live { entry, volatile: &mut self.volatile, effects }.set_deadline(deadline);
        }
    }

    /// Removes the key, whether it has expired or not.
    pub(crate) fn discard(&mut self, hash: u64, key: &[u8]) {
        if let Some(entry) = self.table.remove(hash, key) {
            self.volatile -= usize::from(entry.deadline != Entry::NEVER);
        }
    }

    /// Gives every key that can expire the deadline that `change` makes of its own, and removes
    /// those of which it makes none.
    fn change_deadlines(&mut self, mut change: impl FnMut(u64) -> Option<u64>) {
        let Self { table, volatile, effects, .. } = self;
        table.retain(|entry| {
            if entry.deadline == Entry::NEVER {
                return true;
            }
            let Some(deadline) = change(entry.deadline) else {
                if let Some(effects) = effects {
                    effects.remove(entry.key());
                }
                *volatile -= 1;
                return false;
            };
            *volatile -= usize::from(deadline == Entry::NEVER);
            entry.deadline = deadline;
            true
        });
    }

    /// Removes the key; `false` if it was not there or had expired.
    pub fn remove<P: Platform>(&mut self, hash: u64, key: &[u8]) -> bool {
        let Some(entry) = self.table.remove(hash, key) else { return false };
        if let Some(effects) = &mut self.effects {
            effects.remove(key);
        }
        self.volatile -= usize::from(entry.deadline != Entry::NEVER);
        let expired = expired::<P>(entry.deadline);
        self.expired += u64::from(expired);
        !expired
    }

    /// One step of a scan over this shard, as [`Table::scan`].
    pub fn scan<P: Platform>(&self, cursor: u64, mut visit: impl FnMut(&Entry)) -> u64 {
        self.table.scan(cursor, |entry| {
            if !expired::<P>(entry.deadline) {
                visit(entry);
            }
        })
    }

    /// Calls `visit` for every key that has not expired at `now`.
    pub fn for_each(&self, now: u64, mut visit: impl FnMut(&Entry)) {
        self.table.for_each(|entry| {
            if entry.deadline == Entry::NEVER || entry.deadline >= now {
                visit(entry);
            }
        });
    }

    /// How many keys there are, with those that have expired and were not removed yet.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many keys have a deadline.
    pub fn volatile(&self) -> usize {
        self.volatile
    }

    /// How many keys were removed because they had expired.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// The shard without its keys, and its table.
    fn clear(&mut self) -> Table {
        self.volatile = 0;
        core::mem::take(&mut self.table)
    }
}

/// Keeps shards out of one another's cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// All keys.
pub struct Keyspace<P: Platform = Native> {
    shards: Box<[Padded<Mutex<Shard, P>>]>,
    hasher: SipHasher13,
    journal: Option<Arc<Journal<P>, P>>,
}

/// Where a walk over all keys stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    shard: usize,
    cursor: u64,
}

/// How many shards there can be: as many as bits in the set of those that a command locks.
pub const SHARDS_MAX: usize = 64;

impl<P: Platform> Keyspace<P> {
    /// An empty keyspace of `shards` shards.
    ///
    /// # Panics
    /// If `shards` is no power of two, or above [`SHARDS_MAX`].
    pub fn new(shards: usize) -> Self {
        assert!(shards.is_power_of_two() && shards <= SHARDS_MAX, "{shards} shards");
        let mut key = [0; 16];
        P::Rng::fill(&mut key);
        Self {
            shards: (0..shards).map(|_| Padded(Mutex::new_in(Shard::default()))).collect(),
            hasher: SipHasher13::new_with_key(&key),
            journal: None,
        }
    }

    /// From now on every change goes into `journal`.
    pub(crate) fn set_journal(&mut self, journal: Arc<Journal<P>, P>) {
        for shard in &self.shards {
            shard.0.lock().effects = Some(Box::default());
        }
        self.journal = Some(journal);
    }

    /// Where changes are written down, if they are.
    #[inline]
    pub fn journal(&self) -> Option<&Arc<Journal<P>, P>> {
        self.journal.as_ref()
    }

    /// A key's hash, by which it is found.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        // Twice, because a shift by all 64 bits is none.
        (hash >> 32 >> (32 - self.shards.len().trailing_zeros())) as usize
    }

    /// Locks the shard of the key with this hash.
    #[inline]
    pub fn lock(&self, hash: u64) -> Guard<'_, P> {
        self.lock_shard(self.index(hash))
    }

    #[inline]
    fn lock_shard(&self, index: usize) -> Guard<'_, P> {
        Guard { shard: self.shards[index].0.lock(), journal: self.journal.as_deref() }
    }

    /// Locks the shards of all keys with these hashes.
    pub fn lock_many(&self, hashes: impl IntoIterator<Item = u64>) -> Locked<'_, P> {
        let shards = hashes.into_iter().fold(0, |set, hash| set | 1 << self.index(hash));
        self.lock_set(shards)
    }

    /// Locks everything.
    pub fn lock_all(&self) -> Locked<'_, P> {
        self.lock_set(u64::MAX >> (64 - self.shards.len()))
    }

    fn lock_set(&self, mut shards: u64) -> Locked<'_, P> {
        let mut guards = [const { None }; SHARDS_MAX];
        while shards != 0 {
            let index = shards.trailing_zeros() as usize;
            guards[index] = Some(self.shards[index].0.lock());
            shards &= shards - 1;
        }
        Locked { keyspace: self, guards }
    }

    /// One step of a scan over all keys, as [`Table::scan`]. The cursor holds the shard in its low
    /// bits and the position there above. Shards without keys take no step.
    pub fn scan(&self, cursor: u64, visit: impl FnMut(&Entry)) -> u64 {
        let last = self.shards.len() as u64 - 1;
        let bits = last.count_ones();
        let (mut index, mut position) = (cursor & last, cursor >> bits);
        loop {
            let shard = self.shards[index as usize].0.lock();
            if !shard.is_empty() {
                let next = shard.scan::<P>(position, visit);
                if next != 0 {
                    return next << bits | index;
                }
                return (index + 1) & last;
            }
            if index == last {
                return 0;
            }
            index += 1;
            position = 0;
        }
    }

    /// A part of a walk over all keys, which begins at `Place::default()`; the place where the next
    /// part begins, or none at the end. A key that is there from the first part to the last is
    /// visited at least once.
    pub(crate) fn visit_some(&self, place: Place, mut visit: impl FnMut(&Entry)) -> Option<Place> {
        let Place { shard, mut cursor } = place;
        let guard = self.shards[shard].0.lock();
        for _ in 0..Sweep::SLICE {
            cursor = guard.scan::<P>(cursor, &mut visit);
            if cursor == 0 {
                let shard = shard + 1;
                return (shard < self.shards.len()).then_some(Place { shard, cursor });
            }
        }
        Some(Place { shard, cursor })
    }

    /// As [`Shard::change_deadlines`], for all keys.
    pub(crate) fn change_deadlines(&self, mut change: impl FnMut(u64) -> Option<u64>) {
        for index in 0..self.shards.len() {
            self.lock_shard(index).change_deadlines(&mut change);
        }
    }

    /// Removes all keys.
    pub fn clear(&self) {
        let mut shards = self.lock_all();
        if let Some(effects) = shards.iter_mut().find_map(|shard| shard.effects.as_mut()) {
            effects.clear();
        }
        let tables: Vec<Table> = shards.iter_mut().map(Shard::clear).collect();
        drop(shards);
        for table in tables {
            table.free(yield_now::<P>);
        }
    }

    /// Does a tick's worth of the search for expired keys, and finishes what tables have begun.
    /// Returns how many keys it removed.
    ///
    /// The work of a tick is bounded. It is larger while much of what it meets has expired.
    pub fn sweep(&self, sweep: &mut Sweep) -> usize {
        let mut removed = 0;
        let mut met = 0;
        let mut steps = 0;
        for _ in 0..self.shards.len() {
            loop {
                let mut guard = self.lock_shard(sweep.shard);
                let Shard { table, volatile, expired, sweep: cursor, effects } = &mut *guard;
                table.advance((Sweep::SLICE, Sweep::SLICE));
                if *volatile == 0 {
                    break;
                }
                let now = now_ms::<P>();
                for _ in 0..Sweep::SLICE {
                    *cursor = table.sweep(*cursor, |entry| {
                        let dead = entry.deadline < now;
                        if dead && let Some(effects) = effects {
                            effects.remove(entry.key());
                        }
                        met += usize::from(entry.deadline != Entry::NEVER);
                        *volatile -= usize::from(dead);
                        *expired += u64::from(dead);
                        removed += usize::from(dead);
                        dead
                    });
                    steps += 1;
                    if *cursor == 0 {
                        break;
                    }
                }
                let around = *cursor == 0;
                drop(guard);
                yield_now::<P>();
                let rich = removed * Sweep::RICH > met;
                if steps >= if rich { Sweep::STEPS_MAX } else { Sweep::STEPS } {
                    return removed;
                }
                if around {
                    break;
                }
            }
            sweep.shard = (sweep.shard + 1) % self.shards.len();
        }
        removed
    }
}

/// The state of the search for expired keys.
#[derive(Debug, Default)]
pub struct Sweep {
    shard: usize,
}

impl Sweep {
    /// How often the search goes on.
    pub const PERIOD: Duration = Duration::from_millis(100);
    /// Buckets that are searched under one lock.
    const SLICE: usize = 256;
    /// Buckets that are searched in a tick.
    const STEPS: usize = 16 << 10;
    /// Buckets that are searched in a tick if more than one in [`RICH`](Self::RICH) keys that can
    /// expire has done so.
    const STEPS_MAX: usize = 128 << 10;
    const RICH: usize = 10;
}

/// A shard that is locked.
pub struct Guard<'a, P: Platform> {
    shard: MutexGuard<'a, Shard, P>,
    journal: Option<&'a Journal<P>>,
}

impl<P: Platform> Deref for Guard<'_, P> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl<P: Platform> DerefMut for Guard<'_, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl<P: Platform> Drop for Guard<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let (Some(journal), Some(effects)) = (self.journal, &mut self.shard.effects) {
            journal.record([&mut **effects]);
        }
    }
}

/// Several shards that are locked at the same time.
pub struct Locked<'a, P: Platform> {
    keyspace: &'a Keyspace<P>,
    guards: [Option<MutexGuard<'a, Shard, P>>; SHARDS_MAX],
}

impl<P: Platform> Locked<'_, P> {
    /// The shard of a key with this hash.
    ///
    /// # Panics
    /// If it is not among those that are locked.
    #[inline]
    pub fn of(&mut self, hash: u64) -> &mut Shard {
        match &mut self.guards[self.keyspace.index(hash)] {
            Some(guard) => guard,
            None => panic!("the key was not among those that the command named"),
        }
    }

    /// The shards.
    pub fn iter(&self) -> impl Iterator<Item = &Shard> {
        self.guards.iter().flatten().map(|guard| &**guard)
    }

    /// The shards, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.guards.iter_mut().flatten().map(|guard| &mut **guard)
    }
}

impl<P: Platform> Drop for Locked<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(journal) = self.keyspace.journal.as_deref() {
            let shards = self.guards.iter_mut().flatten();
            journal.record(shards.filter_map(|shard| shard.effects.as_deref_mut()));
        }
    }
}
