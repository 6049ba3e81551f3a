//! Commands on keys, whatever their values.

use raddle::on::{Platform, yield_now};

use super::{Failure, NOT_INTEGER, Outcome, SYNTAX};
use crate::glob;
use crate::keyspace::{Keyspace, Locked, now_ms};
use crate::protocol::{Args, Decimal, Output, parse_integer};
use crate::session::Session;
use crate::table::Entry;

type S<'a, 's, P> = &'a mut Session<'s, P>;

/// The hashes of a command's keys. Each is needed twice: to lock and to look.
pub(super) struct KeyHashes {
    known: [u64; Self::KNOWN],
    count: usize,
}

impl KeyHashes {
    /// So many are remembered. A command with more keys meets almost all shards anyway, so it
    /// locks all of them and hashes only to look.
    const KNOWN: usize = 32;

    /// Hashes every `step`-th argument from the first.
    #[inline]
    pub(super) fn new<P: Platform>(keyspace: &Keyspace<P>, args: Args<'_>, step: usize) -> Self {
        let mut hashes = Self { known: [0; Self::KNOWN], count: (args.len() - 1).div_ceil(step) };
        if hashes.count <= Self::KNOWN {
            for (position, hash) in hashes.known[..hashes.count].iter_mut().enumerate() {
                *hash = keyspace.hash(args.at(1 + position * step));
            }
        }
        hashes
    }

    /// Locks what the keys need.
    #[inline]
    pub(super) fn lock<'a, P: Platform>(&self, keyspace: &'a Keyspace<P>) -> Locked<'a, P> {
        match self.known.get(..self.count) {
            Some(hashes) => keyspace.lock_many(hashes.iter().copied()),
            None => keyspace.lock_all(),
        }
    }

    /// The hash of `key`, which is at `position`.
    #[inline]
    pub(super) fn at<P: Platform>(
        &self,
        keyspace: &Keyspace<P>,
        position: usize,
        key: &[u8],
    ) -> u64 {
        if self.count <= Self::KNOWN { self.known[position] } else { keyspace.hash(key) }
    }
}

pub(super) fn del<P: Platform>(session: S<'_, '_, P>, args: Args<'_>, out: &mut Output) -> Outcome {
    let keyspace = &session.shared.keyspace;
    let hashes = KeyHashes::new(keyspace, args, 1);
    let mut shards = hashes.lock(keyspace);
    let mut removed = 0;
    for (position, key) in args.from(1).enumerate() {
        let hash = hashes.at(keyspace, position, key);
        removed += usize::from(shards.of(hash).remove::<P>(hash, key));
    }
    out.count(removed);
    Ok(())
}

pub(super) fn exists<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let keyspace = &session.shared.keyspace;
    let hashes = KeyHashes::new(keyspace, args, 1);
    let mut shards = hashes.lock(keyspace);
    let mut found = 0;
    for (position, key) in args.from(1).enumerate() {
        let hash = hashes.at(keyspace, position, key);
        found += usize::from(shards.of(hash).find::<P>(hash, key).is_some());
    }
    session.tally.hits += found as u64;
    session.tally.misses += (args.len() - 1 - found) as u64;
    out.count(found);
    Ok(())
}

pub(super) fn type_of<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let found = keyspace.lock(hash).find::<P>(hash, key).is_some();
    out.simple(if found { "string" } else { "none" });
    Ok(())
}

/// Writes keys while there is room for them, and counts what they need when there is none.
struct Keys<'a> {
    out: &'a mut Output,
    start: usize,
    count: usize,
    missing: usize,
}

impl<'a> Keys<'a> {
    fn new(out: &'a mut Output) -> Self {
        let start = out.len();
        Self { out, start, count: 0, missing: 0 }
    }

    fn push(&mut self, key: &[u8]) {
        // The head of a bulk string is within the extra bytes.
        let length = key.len() + 32;
        if self.missing == 0 && self.out.room(length).is_ok() {
            self.out.bulk(key);
            self.count += 1;
        } else {
            self.missing += length;
        }
    }

    /// Puts the array's head in front.
    fn finish(self, before: impl FnOnce(&mut Output)) -> Outcome {
        if self.missing > 0 {
            let written = self.out.len() - self.start;
            return Err(Failure::Room(written + self.missing + Output::RESERVE));
        }
        let count = self.count;
        self.out.prepend(self.start, |out| {
            before(out);
            out.array(count);
        });
        Ok(())
    }
}

pub(super) fn keys<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let pattern = args.at(1);
    let shards = session.shared.keyspace.lock_all();
    let now = now_ms::<P>();
    let mut keys = Keys::new(out);
    for shard in shards.iter() {
        shard.for_each(now, |entry| {
            if pattern == b"*" || glob::matches(pattern, entry.key()) {
                keys.push(entry.key());
            }
        });
    }
    drop(shards);
    keys.finish(|_| {})
}

pub(super) fn scan<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let mut cursor = parse_cursor(args.at(1))?;
    let (mut pattern, mut count, mut of_type) = (None, 10, true);
    let mut index = 2;
    while index < args.len() {
        let value = args.get(index + 1).ok_or(SYNTAX)?;
        if args.is(index, "match") {
            pattern = (value != b"*").then_some(value);
        } else if args.is(index, "count") {
            let number = parse_integer(value).ok_or(NOT_INTEGER)?;
            count = usize::try_from(number).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
        } else if args.is(index, "type") {
            of_type = value.eq_ignore_ascii_case(b"string");
        } else {
            return Err(SYNTAX);
        }
        index += 2;
    }

    let mut keys = Keys::new(out);
    let mut visited = 0;
    let mut visit = |entry: &Entry| {
        visited += 1;
        if of_type && pattern.is_none_or(|pattern| glob::matches(pattern, entry.key())) {
            keys.push(entry.key());
        }
        visited
    };
    let mut seen = 0;
    // A sparse table must not make one call long.
    for step in 1..=count.saturating_mul(10) {
        cursor = session.shared.keyspace.scan(cursor, |entry| seen = visit(entry));
        if cursor == 0 || seen >= count {
            break;
        }
        if step % 1024 == 0 {
            yield_now::<P>();
        }
    }
    let cursor = Decimal::from(cursor);
    keys.finish(|out| {
        out.array(2);
        out.bulk(cursor.as_bytes());
    })
}

fn parse_cursor(text: &[u8]) -> Result<u64, Failure> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(text)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or(const { Failure::error("ERR invalid cursor") })
}

pub(super) fn dbsize<P: Platform>(session: S<'_, '_, P>, out: &mut Output) -> Outcome {
    let shards = session.shared.keyspace.lock_all();
    out.count(shards.iter().map(|shard| shard.len()).sum());
    Ok(())
}

pub(super) fn flush<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    if args.len() > 2 || args.len() == 2 && !args.is(1, "sync") && !args.is(1, "async") {
        return Err(SYNTAX);
    }
    session.shared.keyspace.clear();
    out.ok();
    Ok(())
}
