//! A hash table that grows and shrinks a little at a time, and that can be scanned while it does.
//!
//! The buckets are chains, their number a power of two. When the load asks for another number, a
//! second array of buckets is made, and every following change moves a few buckets into it. At any
//! time each key is in exactly one place: in the old array if its bucket there has not been moved
//! yet, otherwise in the new one.
//!
//! # Scanning
//!
//! A scan is a series of steps, between which the table may change at will; all that it remembers
//! is a cursor. It visits the buckets in the order of their *bit-reversed* indices, an algorithm
//! that Pieter Noordhuis found for Redis. When an array of 2ⁿ buckets becomes one of 2ᵐ > 2ⁿ, the
//! keys of bucket `i` go to the buckets whose low n bits are `i`. In reversed order these are
//! neighbours: where `i` was visited, so were all of them, and where it was not, none of them was.
//! The same holds the other way round. While both arrays exist, a step visits one bucket of the
//! smaller array and all that correspond to it in the larger. So a key that is there from the
//! first step to the last is visited at least once, whatever happens to the others. It may be
//! visited more than once.

use crate::bytes::{Key, Value};

/// A key with its value.
#[derive(Debug)]
pub struct Entry {
    next: Link,
    hash: u64,
    /// When the key expires, in milliseconds of the platform's clock.
    pub deadline: u64,
    key: Key,
    /// The value.
    pub value: Value,
}

type Link = Option<Box<Entry>>;

impl Entry {
    /// The deadline of keys that do not expire.
    pub const NEVER: u64 = u64::MAX;

    /// A key that does not expire.
    pub fn new(hash: u64, key: &[u8], value: &[u8]) -> Box<Self> {
        let (key, value) = (key.into(), value.into());
        Box::new(Self { next: None, hash, deadline: Self::NEVER, key, value })
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.key.as_slice()
    }

    #[inline]
    fn is(&self, hash: u64, key: &[u8]) -> bool {
        self.hash == hash && self.key.as_slice() == key
    }
}

/// What [`Table::find_or_reap`] found.
#[derive(Debug)]
pub enum Found<'a> {
    /// No such key.
    Absent,
    /// The key, alive.
    Present(&'a mut Entry),
    /// The key was there, but dead, and was removed.
    Reaped(Box<Entry>),
}

/// The hash table. The caller hashes.
#[derive(Debug)]
pub struct Table {
    buckets: Box<[Link]>,
    /// While the table changes its size: the array that empties. Otherwise empty.
    previous: Box<[Link]>,
    /// Buckets of `previous` below this one are empty.
    moved: usize,
    len: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

fn array(buckets: usize) -> Box<[Link]> {
    (0..buckets).map(|_| None).collect()
}

/// The chain in which a key with this hash is or would be.
#[inline]
fn chain<'a>(
    buckets: &'a mut [Link],
    previous: &'a mut [Link],
    moved: usize,
    hash: u64,
) -> &'a mut Link {
    if !previous.is_empty() {
        let index = hash as usize & (previous.len() - 1);
        if index >= moved {
            return &mut previous[index];
        }
    }
    let index = hash as usize & (buckets.len() - 1);
    &mut buckets[index]
}

/// The link that points to the key, or the empty one at the end of the chain.
#[inline]
fn seek<'a>(mut link: &'a mut Link, hash: u64, key: &[u8]) -> &'a mut Link {
    while link.as_ref().is_some_and(|entry| !entry.is(hash, key)) {
        match link {
            Some(entry) => link = &mut entry.next,
            None => unreachable!("the link was just looked at"),
        }
    }
    link
}

/// Takes the entry out of its chain.
#[inline]
fn unlink(link: &mut Link) -> Option<Box<Entry>> {
    let mut entry = link.take()?;
    *link = entry.next.take();
    Some(entry)
}

impl Table {
    const BUCKETS_MIN: usize = 4;
    /// Below one key for so many buckets the table shrinks.
    const SPARSE: usize = 8;
    /// Full and empty buckets that one change of the table moves.
    const STEP: (usize, usize) = (2, 16);

    /// An empty table.
    pub fn new() -> Self {
        Self { buckets: array(Self::BUCKETS_MIN), previous: array(0), moved: 0, len: 0 }
    }

    /// How many keys there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no keys.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The key's entry.
    #[inline]
    pub fn find(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        seek(self.bucket(hash), hash, key).as_deref_mut()
    }

    /// The key's entry, unless `dead` says that it is to be removed.
    #[inline]
    pub fn find_or_reap(
        &mut self,
        hash: u64,
        key: &[u8],
        dead: impl FnOnce(&Entry) -> bool,
    ) -> Found<'_> {
        let bucket = chain(&mut self.buckets, &mut self.previous, self.moved, hash);
        let link = seek(bucket, hash, key);
        if link.as_deref().is_some_and(dead)
            && let Some(entry) = unlink(link)
        {
            self.len -= 1;
            return Found::Reaped(entry);
        }
        match link {
            Some(entry) => Found::Present(entry),
            None => Found::Absent,
        }
    }

    /// Adds an entry whose key is not there.
    pub fn insert(&mut self, mut entry: Box<Entry>) {
        let bucket = self.bucket(entry.hash);
        debug_assert!(seek(bucket, entry.hash, entry.key.as_slice()).is_none(), "the key is there");
        entry.next = bucket.take();
        *bucket = Some(entry);
        self.len += 1;
        if !self.advance(Self::STEP) && self.len > self.buckets.len() {
            self.resize(self.buckets.len() * 2);
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Box<Entry>> {
        let entry = unlink(seek(self.bucket(hash), hash, key))?;
        self.removed();
        Some(entry)
    }

    fn removed(&mut self) {
        self.len -= 1;
        self.advance(Self::STEP);
        self.shrink();
    }

    fn shrink(&mut self) {
        let sparse = self.len < self.buckets.len() / Self::SPARSE;
        if sparse && self.buckets.len() > Self::BUCKETS_MIN && self.previous.is_empty() {
            self.resize(self.len.next_power_of_two().max(Self::BUCKETS_MIN));
        }
    }

    #[inline]
    fn bucket(&mut self, hash: u64) -> &mut Link {
        chain(&mut self.buckets, &mut self.previous, self.moved, hash)
    }

    fn resize(&mut self, buckets: usize) {
        self.previous = core::mem::replace(&mut self.buckets, array(buckets));
        self.moved = 0;
    }

    /// Goes on with a change of size, if there is one: moves up to `full` buckets with keys and
    /// skips up to `empty` ones without. Returns whether there was one.
    pub fn advance(&mut self, (mut full, mut empty): (usize, usize)) -> bool {
        if self.previous.is_empty() {
            return false;
        }
        while full > 0 && empty > 0 && self.moved < self.previous.len() {
            let mut chain = self.previous[self.moved].take();
            *if chain.is_some() { &mut full } else { &mut empty } -= 1;
            while let Some(mut entry) = chain {
                let index = entry.hash as usize & (self.buckets.len() - 1);
                chain = entry.next.take();
                entry.next = self.buckets[index].take();
                self.buckets[index] = Some(entry);
            }
            self.moved += 1;
        }
        if self.moved == self.previous.len() {
            self.previous = array(0);
        }
        true
    }

    /// One step of a scan: calls `visit` for the keys of one bucket and returns the cursor of the
    /// next step. A scan begins with cursor 0, and ends when 0 is returned.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&Entry)) -> u64 {
        let (small, large) = match self.previous.len() {
            0 => (&self.buckets, &self.buckets),
            n if n < self.buckets.len() => (&self.previous, &self.buckets),
            _ => (&self.buckets, &self.previous),
        };
        if !self.previous.is_empty() {
            each(&small[cursor as usize & (small.len() - 1)], &mut visit);
        }
        corresponding(cursor, small.len(), large.len(), |bucket| each(&large[bucket], &mut visit))
    }

    /// As [`scan`](Self::scan), but removes the keys of which `dead` says so.
    pub fn sweep(&mut self, cursor: u64, mut dead: impl FnMut(&Entry) -> bool) -> u64 {
        let mut removed = 0;
        let mut clean = |mut link: &mut Link| {
            while let Some(entry) = link {
                if dead(entry) {
                    unlink(link);
                    removed += 1;
                } else {
                    link = match link {
                        Some(entry) => &mut entry.next,
                        None => break,
                    };
                }
            }
        };
        let next = if self.previous.is_empty() {
            let buckets = self.buckets.len();
            corresponding(cursor, buckets, buckets, |bucket| clean(&mut self.buckets[bucket]))
        } else {
            let (small, large) = if self.previous.len() < self.buckets.len() {
                (&mut self.previous, &mut self.buckets)
            } else {
                (&mut self.buckets, &mut self.previous)
            };
            clean(&mut small[cursor as usize & (small.len() - 1)]);
            corresponding(cursor, small.len(), large.len(), |bucket| clean(&mut large[bucket]))
        };
        self.len -= removed;
        self.shrink();
        next
    }

    /// Keeps the keys of which `keep` says so, and lets it change them.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut Entry) -> bool) {
        let mut removed = 0;
        for mut link in self.previous.iter_mut().chain(&mut self.buckets) {
            while let Some(entry) = link {
                if keep(entry) {
                    link = match link {
                        Some(entry) => &mut entry.next,
                        None => break,
                    };
                } else {
                    unlink(link);
                    removed += 1;
                }
            }
        }
        self.len -= removed;
        self.shrink();
    }

    /// Calls `visit` for every key.
    pub fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        for link in self.previous.iter().chain(&self.buckets) {
            each(link, &mut visit);
        }
    }

    /// Frees the table, and calls `pause` after each few thousand buckets: freeing millions of
    /// keys takes long.
    pub fn free(self, mut pause: impl FnMut()) {
        for array in [self.previous, self.buckets] {
            let mut links = array.into_vec();
            while !links.is_empty() {
                links.truncate(links.len().saturating_sub(4096));
                pause();
            }
        }
    }
}

fn each(mut link: &Link, visit: &mut impl FnMut(&Entry)) {
    while let Some(entry) = link {
        visit(entry);
        link = &entry.next;
    }
}

/// Calls `visit` with the buckets of an array of `large` that correspond to the one of an array of
/// `small` at which the cursor stands, and returns the next cursor. Both are powers of two.
fn corresponding(mut cursor: u64, small: usize, large: usize, mut visit: impl FnMut(usize)) -> u64 {
    let (small, large) = (small as u64 - 1, large as u64 - 1);
    loop {
        visit((cursor & large) as usize);
        // Count up from the highest bit of the index, with the carry to the right. The bits above
        // the index are set, so that the carry reaches it.
        cursor = (cursor | !large).reverse_bits().wrapping_add(1).reverse_bits();
        if cursor & (small ^ large) == 0 {
            return cursor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn hash(key: u32) -> u64 {
        u64::from(key).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    }

    fn insert(table: &mut Table, key: u32) {
        let name = key.to_be_bytes();
        if table.find(hash(key), &name).is_none() {
            table.insert(Entry::new(hash(key), &name, &name));
        }
    }

    fn remove(table: &mut Table, key: u32) -> bool {
        table.remove(hash(key), &key.to_be_bytes()).is_some()
    }

    fn number(entry: &Entry) -> u32 {
        u32::from_be_bytes(entry.key().try_into().unwrap())
    }

    /// What may happen between two steps of a scan.
    #[derive(Clone, Debug)]
    enum Change {
        Insert(std::ops::Range<u32>),
        Remove(std::ops::Range<u32>),
        Sweep(u64),
        Advance,
    }

    fn change() -> impl Strategy<Value = Change> {
        let range = (0u32..3000, 1u32..400).prop_map(|(start, n)| start..start + n);
        prop_oneof![
            range.clone().prop_map(Change::Insert),
            range.prop_map(Change::Remove),
            any::<u64>().prop_map(Change::Sweep),
            Just(Change::Advance),
        ]
    }

    fn apply(table: &mut Table, change: Change, stays: impl Fn(u32) -> bool) {
        match change {
            Change::Insert(range) => range.for_each(|key| insert(table, key)),
            Change::Remove(range) => range.filter(|key| !stays(*key)).for_each(|key| {
                remove(table, key);
            }),
            Change::Sweep(cursor) => {
                table.sweep(cursor, |entry| {
                    number(entry).is_multiple_of(3) && !stays(number(entry))
                });
            }
            Change::Advance => {
                table.advance((10, 100));
            }
        }
    }

    proptest! {
        #[test]
        fn a_scan_returns_every_key_that_stays(
            before in prop::collection::vec(change(), 0..6),
            stay in prop::collection::btree_set(0u32..3000, 1..60),
            between in prop::collection::vec(change(), 1..40),
        ) {
            let mut table = Table::new();
            for change in before {
                apply(&mut table, change, |_| false);
            }
            stay.iter().for_each(|key| insert(&mut table, *key));
            let mut missing = stay.clone();
            let mut cursor = 0;
            let mut changes = between.into_iter();
            for step in 0.. {
                cursor = table.scan(cursor, |entry| {
                    missing.remove(&number(entry));
                });
                if cursor == 0 {
                    break;
                }
                assert!(step < 1_000_000, "the scan does not end");
                if step % 3 == 0
                    && let Some(change) = changes.next()
                {
                    apply(&mut table, change, |key| stay.contains(&key));
                }
            }
            prop_assert_eq!(missing, BTreeSet::new());
        }

        #[test]
        fn a_table_follows_a_map(changes in prop::collection::vec(change(), 1..20)) {
            let (mut table, mut model) = (Table::new(), BTreeMap::new());
            for change in changes {
                match change {
                    Change::Insert(range) => range.for_each(|key| {
                        insert(&mut table, key);
                        model.insert(key, ());
                    }),
                    Change::Remove(range) => range.for_each(|key| {
                        assert_eq!(remove(&mut table, key), model.remove(&key).is_some());
                    }),
                    Change::Sweep(_) => {
                        let mut cursor = 0;
                        loop {
                            cursor = table.sweep(cursor, |entry| number(entry).is_multiple_of(3));
                            if cursor == 0 {
                                break;
                            }
                        }
                        model.retain(|key, ()| key % 3 != 0);
                    }
                    Change::Advance => apply(&mut table, Change::Advance, |_| false),
                }
                prop_assert_eq!(table.len(), model.len());
                let mut seen = BTreeMap::new();
                table.for_each(|entry| {
                    assert!(seen.insert(number(entry), ()).is_none(), "a key is there twice");
                });
                prop_assert_eq!(&seen, &model);
                for key in 0..100 {
                    let found = table.find(hash(key), &key.to_be_bytes());
                    prop_assert_eq!(found.is_some(), model.contains_key(&key));
                }
            }
        }
    }

    #[test]
    fn an_unchanged_table_is_scanned_once() {
        let mut table = Table::new();
        (0..1000).for_each(|key| insert(&mut table, key));
        while table.advance((1000, 1000)) {}
        let (mut cursor, mut visits, mut steps) = (0, 0, 0);
        loop {
            cursor = table.scan(cursor, |_| visits += 1);
            steps += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!((visits, steps), (1000, 1024));
    }

    #[test]
    fn the_number_of_buckets_follows_the_number_of_keys() {
        let mut table = Table::new();
        (0..100_000).for_each(|key| insert(&mut table, key));
        assert_eq!(table.buckets.len(), 1 << 17);
        (100..100_000).for_each(|key| assert!(remove(&mut table, key)));
        while table.advance((1000, 1000)) {
            table.shrink();
        }
        assert!(table.buckets.len() <= 1024, "{}", table.buckets.len());
        let mut pauses = 0;
        table.free(|| pauses += 1);
        assert!(pauses > 0);
    }

    #[test]
    fn what_is_not_retained_is_gone_also_while_the_table_moves() {
        for count in [0, 1, 3, 100, 129, 1000] {
            let mut table = Table::new();
            (0..count).for_each(|key| insert(&mut table, key));
            table.retain(|entry| {
                entry.deadline = 7;
                number(entry).is_multiple_of(3)
            });
            let kept: BTreeSet<u32> = (0..count).filter(|key| key % 3 == 0).collect();
            let mut found = BTreeSet::new();
            table.for_each(|entry| {
                assert_eq!(entry.deadline, 7);
                found.insert(number(entry));
            });
            assert_eq!((table.len(), &found), (kept.len(), &kept));
            for key in 0..count {
                let there = table.find(hash(key), &key.to_be_bytes()).is_some();
                assert_eq!(there, kept.contains(&key), "{key} of {count}");
            }
        }
    }

    #[test]
    fn a_dead_key_is_reaped_and_a_live_one_found() {
        let mut table = Table::new();
        insert(&mut table, 1);
        let name = 1u32.to_be_bytes();
        assert!(matches!(table.find_or_reap(hash(1), &name, |_| false), Found::Present(_)));
        assert!(matches!(table.find_or_reap(hash(1), &name, |_| true), Found::Reaped(_)));
        assert!(matches!(table.find_or_reap(hash(1), &name, |_| true), Found::Absent));
        assert!(table.is_empty());
    }
}
