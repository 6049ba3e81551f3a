//! Commands on values.

use raddle::on::Platform;

use super::expiry::{self, Origin, Unit};
use super::keys::KeyHashes;
use super::{Failure, NOT_INTEGER, Outcome, SYNTAX, integer, wrong_arity};
use crate::commands::Command;
use crate::protocol::{Args, BULK_LENGTH_MAX, Decimal, Output, parse_integer};
use crate::session::Session;
use crate::table::Entry;

type S<'a, 's, P> = &'a mut Session<'s, P>;

pub(super) fn get<P: Platform>(session: S<'_, '_, P>, args: Args<'_>, out: &mut Output) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    match shard.find::<P>(hash, key) {
        Some(live) => {
            let value = live.into_bytes();
            out.room(value.len())?;
            out.bulk(value);
            session.tally.hits += 1;
        }
        None => {
            out.null();
            session.tally.misses += 1;
        }
    }
    Ok(())
}

/// When `SET` sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Absent,
    Present,
}

/// What `SET` does with the key's deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Forever,
    Keep,
    Until(u64),
}

struct SetOptions {
    condition: Condition,
    get: bool,
    lifetime: Lifetime,
}

impl SetOptions {
    fn parse<P: Platform>(args: Args<'_>) -> Result<Self, Failure> {
        let mut options =
            Self { condition: Condition::Always, get: false, lifetime: Lifetime::Forever };
        let mut expiry: Option<(&[u8], Unit, Origin)> = None;
        let mut index = 3;
        while index < args.len() {
            let unit = if args.is(index, "ex") {
                Some((Unit::Seconds, Origin::Now))
            } else if args.is(index, "px") {
                Some((Unit::Milliseconds, Origin::Now))
            } else if args.is(index, "exat") {
                Some((Unit::Seconds, Origin::Epoch))
            } else if args.is(index, "pxat") {
                Some((Unit::Milliseconds, Origin::Epoch))
            } else {
                None
            };
            if let Some((unit, origin)) = unit {
                // The same word may come twice, two different ones may not.
                let again = expiry.is_none_or(|(_, u, o)| (u, o) == (unit, origin));
                let value = args.get(index + 1).ok_or(SYNTAX)?;
                if !again || options.lifetime == Lifetime::Keep {
                    return Err(SYNTAX);
                }
                expiry = Some((value, unit, origin));
                index += 1;
            } else if args.is(index, "nx") && options.condition != Condition::Present {
                options.condition = Condition::Absent;
            } else if args.is(index, "xx") && options.condition != Condition::Absent {
                options.condition = Condition::Present;
            } else if args.is(index, "get") {
                options.get = true;
            } else if args.is(index, "keepttl") && expiry.is_none() {
                options.lifetime = Lifetime::Keep;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        if let Some((value, unit, origin)) = expiry {
            let deadline = expiry::parse_positive::<P>(value, unit, origin, Command::Set)?;
            options.lifetime = Lifetime::Until(deadline);
        }
        Ok(options)
    }
}

pub(super) fn set<P: Platform>(session: S<'_, '_, P>, args: Args<'_>, out: &mut Output) -> Outcome {
    let (key, value) = (args.at(1), args.at(2));
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    if args.len() == 3 {
        keyspace.lock(hash).set(hash, key, value, Entry::NEVER);
        out.ok();
        return Ok(());
    }
    let options = SetOptions::parse::<P>(args)?;
    set_with(session, key, value, &options, out)
}

fn set_with<P: Platform>(
    session: S<'_, '_, P>,
    key: &[u8],
    value: &[u8],
    options: &SetOptions,
    out: &mut Output,
) -> Outcome {
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let found = shard.find::<P>(hash, key);
    let allowed = match options.condition {
        Condition::Always => true,
        Condition::Absent => found.is_none(),
        Condition::Present => found.is_some(),
    };
    let deadline = match options.lifetime {
        Lifetime::Forever => Entry::NEVER,
        Lifetime::Keep => found.as_ref().map_or(Entry::NEVER, |live| live.deadline()),
        Lifetime::Until(deadline) => deadline,
    };
    if options.get {
        match found {
            Some(live) => {
                let old = live.into_bytes();
                out.room(old.len())?;
                out.bulk(old);
            }
            None => out.null(),
        }
    } else if allowed {
        out.ok();
    } else {
        out.null();
    }
    if allowed {
        shard.set(hash, key, value, deadline);
    }
    Ok(())
}

pub(super) fn setnx<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let (key, value) = (args.at(1), args.at(2));
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let absent = shard.find::<P>(hash, key).is_none();
    if absent {
        shard.insert(hash, key, value, Entry::NEVER);
    }
    out.integer(i64::from(absent));
    Ok(())
}

pub(super) fn setex<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
    unit: Unit,
) -> Outcome {
    let command = match unit {
        Unit::Seconds => Command::Setex,
        Unit::Milliseconds => Command::Psetex,
    };
    let deadline = expiry::parse_positive::<P>(args.at(2), unit, Origin::Now, command)?;
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(args.at(1));
    keyspace.lock(hash).set(hash, args.at(1), args.at(3), deadline);
    out.ok();
    Ok(())
}

pub(super) fn getset<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let options =
        SetOptions { condition: Condition::Always, get: true, lifetime: Lifetime::Forever };
    set_with(session, args.at(1), args.at(2), &options, out)
}

pub(super) fn getdel<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    match shard.find::<P>(hash, key) {
        Some(live) => {
            let value = live.into_bytes();
            out.room(value.len())?;
            out.bulk(value);
            shard.remove::<P>(hash, key);
            session.tally.hits += 1;
        }
        None => {
            out.null();
            session.tally.misses += 1;
        }
    }
    Ok(())
}

pub(super) fn append<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let (key, tail) = (args.at(1), args.at(2));
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let length = match shard.find::<P>(hash, key) {
        Some(mut live) => {
            let length = live.bytes().len() + tail.len();
            if length > BULK_LENGTH_MAX {
                return Err(Failure::error(
                    "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
                ));
            }
            live.append(tail);
            length
        }
        None => {
            shard.insert(hash, key, tail, Entry::NEVER);
            tail.len()
        }
    };
    out.count(length);
    Ok(())
}

pub(super) fn strlen<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let key = args.at(1);
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let length = keyspace.lock(hash).find::<P>(hash, key).map(|live| live.into_bytes().len());
    match length {
        Some(_) => session.tally.hits += 1,
        None => session.tally.misses += 1,
    }
    out.count(length.unwrap_or(0));
    Ok(())
}

/// `INCR` and its kind.
pub(super) fn add<P: Platform>(
    session: S<'_, '_, P>,
    key: &[u8],
    delta: i64,
    out: &mut Output,
) -> Outcome {
    const OVERFLOW: Failure = Failure::error("ERR increment or decrement would overflow");
    let keyspace = &session.shared.keyspace;
    let hash = keyspace.hash(key);
    let mut shard = keyspace.lock(hash);
    let sum = match shard.find::<P>(hash, key) {
        Some(mut live) => {
            let old = parse_integer(live.bytes()).ok_or(NOT_INTEGER)?;
            let sum = old.checked_add(delta).ok_or(OVERFLOW)?;
            live.set_value(Decimal::from(sum).as_bytes());
            sum
        }
        None => {
            shard.insert(hash, key, Decimal::from(delta).as_bytes(), Entry::NEVER);
            delta
        }
    };
    out.integer(sum);
    Ok(())
}

pub(super) fn incrby<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    add(session, args.at(1), integer(args.at(2))?, out)
}

pub(super) fn decrby<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let delta = integer(args.at(2))?
        .checked_neg()
        .ok_or(const { Failure::error("ERR decrement would overflow") })?;
    add(session, args.at(1), delta, out)
}

pub(super) fn mget<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    let keyspace = &session.shared.keyspace;
    let hashes = KeyHashes::new(keyspace, args, 1);
    let mut shards = hashes.lock(keyspace);
    let mut hits = 0;
    // Nulls and heads of short values are within what each key may take here.
    out.room(args.len() * 16)?;
    out.array(args.len() - 1);
    for (position, key) in args.from(1).enumerate() {
        let hash = hashes.at(keyspace, position, key);
        match shards.of(hash).find::<P>(hash, key) {
            Some(live) => {
                let value = live.into_bytes();
                let rest = (args.len() - position) * 16;
                if out.room(value.len() + rest).is_err() {
                    return Err(mget_room(args, |position, key| {
                        let hash = hashes.at(keyspace, position, key);
                        let live = shards.of(hash).find::<P>(hash, key);
                        live.map_or(0, |live| live.into_bytes().len())
                    }));
                }
                out.bulk(value);
                hits += 1;
            }
            None => out.null(),
        }
    }
    session.tally.hits += hits;
    session.tally.misses += args.len() as u64 - 1 - hits;
    Ok(())
}

/// The room that all values together need.
#[cold]
fn mget_room(args: Args<'_>, mut length: impl FnMut(usize, &[u8]) -> usize) -> Failure {
    let bytes = args
        .from(1)
        .enumerate()
        .map(|(position, key)| length(position, key).saturating_add(16))
        .fold(2 * Output::RESERVE, usize::saturating_add);
    Failure::Room(bytes)
}

pub(super) fn mset<P: Platform>(
    session: S<'_, '_, P>,
    args: Args<'_>,
    out: &mut Output,
) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(wrong_arity(Command::Mset.spec()));
    }
    let keyspace = &session.shared.keyspace;
    let hashes = KeyHashes::new(keyspace, args, 2);
    let mut shards = hashes.lock(keyspace);
    let mut index = 1;
    while index < args.len() {
        let key = args.at(index);
        let hash = hashes.at(keyspace, index / 2, key);
        shards.of(hash).set(hash, key, args.at(index + 1), Entry::NEVER);
        index += 2;
    }
    drop(shards);
    out.ok();
    Ok(())
}
