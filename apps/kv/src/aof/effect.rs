//! What a command has changed: the payload of a record.
//!
//! An effect is what was *done*, not what was asked for: the value after an `INCR`, the moment at
//! which a key expires. To repeat the effects in their order gives the same keys, whenever that is
//! done.
//!
//! ```text
//! record   wall clock less the monotonic one, in milliseconds (8), effects
//! effect   kind (1), and
//!          Set       key, deadline (8), value
//!          Remove    key
//!          Deadline  key, deadline (8)
//!          Append    key, length of the value before (8), what was added
//!          Clear
//! key, value           length (4), bytes
//! ```
//! All numbers are little-endian. Deadlines are milliseconds of the monotonic clock, like those of
//! the keyspace: the difference makes moments of them that mean something after a restart.
//!
//! A record may be repeated on a state that is younger than the one that it was made in, if all
//! records after it are repeated too (a [rewrite](super::rewrite) needs that): nothing but
//! `Append` looks at what is there, and that one says where it begins.

use raddle::on::{Clock, Platform};

use crate::table::Entry;

const SET: u8 = 1;
const REMOVE: u8 = 2;
const DEADLINE: u8 = 3;
const APPEND: u8 = 4;
const CLEAR: u8 = 5;

/// Effects that are written down while a shard is locked.
#[derive(Debug, Default)]
pub struct Effects {
    bytes: Vec<u8>,
    /// Whether there are deadlines in it.
    timed: bool,
}

/// Buffers above this are given back when they have been emptied.
const KEPT_MAX: usize = 64 << 10;

impl Effects {
    fn blob(&mut self, bytes: &[u8]) {
        // Keys, values and tails are shorter than a request, which is shorter than 2^32.
        self.bytes.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    /// The key has this value and deadline now.
    pub(crate) fn set(&mut self, key: &[u8], value: &[u8], deadline: u64) {
        self.bytes.push(SET);
        self.blob(key);
        self.number(deadline);
        self.blob(value);
        self.timed |= deadline != Entry::NEVER;
    }

    /// The key is gone.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.bytes.push(REMOVE);
        self.blob(key);
    }

    /// The key expires then.
    pub(crate) fn deadline(&mut self, key: &[u8], deadline: u64) {
        self.bytes.push(DEADLINE);
        self.blob(key);
        self.number(deadline);
        self.timed |= deadline != Entry::NEVER;
    }

    /// The key's value, which had `at` bytes, has got more.
    pub(crate) fn append(&mut self, key: &[u8], at: usize, tail: &[u8]) {
        self.bytes.push(APPEND);
        self.blob(key);
        self.number(at as u64);
        self.blob(tail);
    }

    /// All keys are gone.
    pub(crate) fn clear(&mut self) {
        self.bytes.push(CLEAR);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_timed(&self) -> bool {
        self.timed
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_MAX);
        self.timed = false;
    }
}

/// What the clocks differ by, in milliseconds.
pub(super) fn clock_difference<P: Platform>() -> i64 {
    let wall = i64::try_from(P::Clock::wall().as_millis()).unwrap_or(i64::MAX);
    wall.saturating_sub_unsigned(crate::keyspace::now_ms::<P>())
}

/// An effect that was read. Its deadline is in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect<'a> {
    Set { key: &'a [u8], value: &'a [u8], deadline: u64 },
    Remove { key: &'a [u8] },
    Deadline { key: &'a [u8], deadline: u64 },
    Append { key: &'a [u8], at: u64, tail: &'a [u8] },
    Clear,
}

impl<'a> Effect<'a> {
    /// The key that it is about; none if it is about all of them.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Set { key, .. }
            | Self::Remove { key }
            | Self::Deadline { key, .. }
            | Self::Append { key, .. } => Some(key),
            Self::Clear => None,
        }
    }
}

/// The effects of a payload; none at the place where it makes no sense.
pub(super) struct Reading<'a> {
    rest: &'a [u8],
    difference: i64,
}

impl<'a> Reading<'a> {
    /// `None` if the payload is no record's.
    pub(super) fn new(payload: &'a [u8]) -> Option<Self> {
        let mut reading = Self { rest: payload, difference: 0 };
        reading.difference = reading.number()?.cast_signed();
        Some(reading)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        self.take(length as usize)
    }

    fn deadline(&mut self) -> Option<u64> {
        let deadline = self.number()?;
        let wall = deadline.saturating_add_signed(self.difference);
        Some(if deadline == Entry::NEVER { Entry::NEVER } else { wall })
    }

    fn effect(&mut self) -> Option<Effect<'a>> {
        let kind = self.take(1)?[0];
        if kind == CLEAR {
            return Some(Effect::Clear);
        }
        let key = self.blob()?;
        Some(match kind {
            SET => Effect::Set { key, deadline: self.deadline()?, value: self.blob()? },
            REMOVE => Effect::Remove { key },
            DEADLINE => Effect::Deadline { key, deadline: self.deadline()? },
            APPEND => Effect::Append { key, at: self.number()?, tail: self.blob()? },
            _ => return None,
        })
    }
}

impl<'a> Iterator for Reading<'a> {
    type Item = Option<Effect<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let effect = self.effect();
        if effect.is_none() {
            self.rest = &[];
        }
        Some(effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_read_as_they_were_written() {
        let mut effects = Effects::default();
        effects.set(b"k", b"value", 1000);
        effects.set(b"", b"", Entry::NEVER);
        effects.deadline(b"k", 7);
        effects.append(b"k", 5, b"!");
        effects.remove(b"k");
        effects.clear();
        assert!(effects.is_timed());
        let payload = [&100_i64.to_le_bytes()[..], effects.as_bytes()].concat();
        let read: Vec<_> = Reading::new(&payload).unwrap().map(Option::unwrap).collect();
        let expected = [
            Effect::Set { key: b"k", value: b"value", deadline: 1100 },
            Effect::Set { key: b"", value: b"", deadline: Entry::NEVER },
            Effect::Deadline { key: b"k", deadline: 107 },
            Effect::Append { key: b"k", at: 5, tail: b"!" },
            Effect::Remove { key: b"k" },
            Effect::Clear,
        ];
        assert_eq!(read, expected);
        for length in 0..payload.len() {
            // Cut anywhere, it is read to the cut, and no further.
            let Some(reading) = Reading::new(&payload[..length]) else { continue };
            let read: Vec<_> = reading.collect();
            let whole = read.iter().flatten().count();
            assert!(read.iter().flatten().eq(&expected[..whole]));
            assert!(whole < expected.len());
        }
        assert!(Reading::new(&[0, 0, 0, 0, 0, 0, 0, 0, 9]).unwrap().any(|effect| effect.is_none()));
    }
}
