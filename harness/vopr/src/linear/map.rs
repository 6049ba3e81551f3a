//! A key–value server.
//!
//! What the commands do is what Redis's commands of the same names do to strings.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use super::history::Call;
use super::model::{Keyed, Model, Touches, Window};

/// A key or a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A key–value server, empty at first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Map {
    /// By how much the server's clock may be off that of the history: a key may expire so much too
    /// early or too late. At least the unit of the server's deadlines.
    pub skew: Duration,
    /// Whether keys that have expired may count in [`MapOp::DbSize`] until somebody asks for them.
    pub counts_expired: bool,
}

/// When [`MapOp::Set`] does anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Always.
    #[default]
    Always,
    /// If the key is not there.
    Absent,
    /// If it is.
    Present,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the commands and of their arguments")]
pub enum MapOp {
    Get(Bytes),
    /// Without `expires` the key has no deadline any more.
    Set {
        key: Bytes,
        value: Bytes,
        expires: Option<Duration>,
        when: When,
    },
    Del(Vec<Bytes>),
    Exists(Vec<Bytes>),
    Incr(Bytes, i64),
    Append(Bytes, Bytes),
    MGet(Vec<Bytes>),
    MSet(Vec<(Bytes, Bytes)>),
    Expire(Bytes, Duration),
    Persist(Bytes),
    /// In milliseconds.
    Pttl(Bytes),
    DbSize,
    Flush,
}

impl MapOp {
    /// A `SET` without options.
    pub fn set(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let (key, value) = (key.into(), value.into());
        Self::Set { key, value, expires: None, when: When::Always }
    }
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Ok,
    /// Nothing there, or nothing done.
    Nil,
    /// A value.
    Value(Bytes),
    /// A number.
    Integer(i64),
    /// A value for each key.
    Values(Vec<Option<Bytes>>),
    /// Refused, and nothing done.
    Error,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// None of a key that has expired and may still be counted.
    value: Option<Bytes>,
    expires: Option<Window>,
}

type State = BTreeMap<Bytes, Entry>;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// As Redis reads numbers: nothing but digits and a sign.
fn number(bytes: &Bytes) -> Option<i64> {
    let text = core::str::from_utf8(&bytes.0).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// One command at work.
struct Doing<'a> {
    map: &'a Map,
    call: &'a Call<MapOp, Reply>,
    state: State,
}

impl Doing<'_> {
    /// The value. Who has expired is forgotten by this.
    fn look(&mut self, key: &Bytes) -> Option<&mut Entry> {
        if self.state.get(key).is_some_and(|entry| entry.value.is_none()) {
            self.state.remove(key);
        }
        self.state.get_mut(key)
    }

    fn get(&mut self, key: &Bytes) -> Option<Bytes> {
        self.look(key).and_then(|entry| entry.value.clone())
    }

    fn set(&mut self, key: &Bytes, value: Bytes, expires: Option<Window>) {
        self.state.insert(key.clone(), Entry { value: Some(value), expires });
    }

    /// The deadline of a key that gets so long, between its invocation and its return.
    fn window(&self, after: Duration) -> Window {
        let (after, skew) = (nanos(after), nanos(self.map.skew));
        let Call { invoked, .. } = self.call;
        Window {
            earliest: invoked.time.saturating_add(after).saturating_sub(skew),
            latest: self.call.latest().saturating_add(after).saturating_add(skew),
        }
    }

    fn count(&mut self, keys: &[Bytes], mut f: impl FnMut(&mut Self, &Bytes) -> bool) -> Reply {
        let mut count = 0;
        for key in keys {
            count += i64::from(f(self, key));
        }
        Reply::Integer(count)
    }

    /// Adds to a number, and keeps its deadline.
    fn add(&mut self, key: &Bytes, by: i64) -> Reply {
        let (old, expires) = match self.look(key) {
            Some(Entry { value: Some(value), expires }) => (number(value), *expires),
            _ => (Some(0), None),
        };
        let Some(new) = old.and_then(|old| old.checked_add(by)) else { return Reply::Error };
        self.set(key, new.to_string().as_str().into(), expires);
        Reply::Integer(new)
    }

    fn append(&mut self, key: &Bytes, more: &Bytes) -> Reply {
        if self.look(key).is_none() {
            self.set(key, more.clone(), None);
            return Reply::Integer(more.0.len() as i64);
        }
        let value = self.look(key).and_then(|entry| entry.value.as_mut());
        let length = value.map_or(0, |value| {
            value.0.extend_from_slice(&more.0);
            value.0.len()
        });
        Reply::Integer(length as i64)
    }

    fn expire(&mut self, key: &Bytes, after: Duration) -> Reply {
        let window = self.window(after);
        let Some(entry) = self.look(key) else { return Reply::Integer(0) };
        if after.is_zero() {
            self.state.remove(key);
        } else {
            entry.expires = Some(window);
        }
        Reply::Integer(1)
    }

    /// Does the command, and answers. Two commands have several answers that are right: they look
    /// at the one that was given.
    fn answer(&mut self) -> Reply {
        match &self.call.operation {
            MapOp::Get(key) => self.get(key).map_or(Reply::Nil, Reply::Value),
            MapOp::Set { key, value, expires, when } => {
                let there = self.look(key).is_some();
                let refused =
                    matches!((when, there), (When::Absent, true) | (When::Present, false));
                if refused {
                    return Reply::Nil;
                }
                let window = expires.map(|after| self.window(after));
                self.set(key, value.clone(), window);
                Reply::Ok
            }
            MapOp::Del(keys) => self.count(keys, |it, key| {
                let there = it.look(key).is_some();
                it.state.remove(key);
                there
            }),
            MapOp::Exists(keys) => self.count(keys, |it, key| it.look(key).is_some()),
            MapOp::Incr(key, by) => self.add(key, *by),
            MapOp::Append(key, more) => self.append(key, more),
            MapOp::MGet(keys) => Reply::Values(keys.iter().map(|key| self.get(key)).collect()),
            MapOp::MSet(pairs) => {
                pairs.iter().for_each(|(key, value)| self.set(key, value.clone(), None));
                Reply::Ok
            }
            MapOp::Expire(key, after) => self.expire(key, *after),
            MapOp::Persist(key) => {
                let had = self.look(key).is_some_and(|entry| entry.expires.take().is_some());
                Reply::Integer(i64::from(had))
            }
            MapOp::Pttl(key) => self.pttl(key),
            MapOp::DbSize => self.size(),
            MapOp::Flush => {
                self.state.clear();
                Reply::Ok
            }
        }
    }

    fn pttl(&mut self, key: &Bytes) -> Reply {
        let window = match self.look(key) {
            None => return Reply::Integer(-2),
            Some(Entry { expires: None, .. }) => return Reply::Integer(-1),
            Some(Entry { expires: Some(window), .. }) => *window,
        };
        // Rounded either way.
        let least = window.earliest.saturating_sub(self.call.latest()) / 1_000_000;
        let most = window.latest.saturating_sub(self.call.invoked.time).div_ceil(1_000_000);
        self.within(least, most)
    }

    fn size(&mut self) -> Reply {
        let live = self.state.values().filter(|entry| entry.value.is_some()).count();
        self.within(live as u64, self.state.len() as u64)
    }

    /// The answer that was given if it is in between, or else the least.
    fn within(&self, least: u64, most: u64) -> Reply {
        match self.call.outcome() {
            Some(Reply::Integer(answer)) if (least as i64..=most as i64).contains(answer) => {
                Reply::Integer(*answer)
            }
            _ => Reply::Integer(least as i64),
        }
    }
}

impl Map {
    fn answer(&self, state: &State, call: &Call<MapOp, Reply>) -> (Reply, State) {
        let mut doing = Doing { map: self, call, state: state.clone() };
        let reply = doing.answer();
        (reply, doing.state)
    }

    /// The key whose deadline is at `index` of the windows.
    fn due<'s>(&self, state: &'s State, index: usize) -> Option<&'s Bytes> {
        let timed = state.iter().filter(|(_, entry)| entry.expires.is_some());
        timed.map(|(key, _)| key).nth(index)
    }
}

impl Model for Map {
    type State = State;
    type Operation = MapOp;
    type Outcome = Reply;

    fn initial(&self) -> State {
        State::new()
    }

    fn step(&self, state: &State, call: &Call<MapOp, Reply>) -> Option<State> {
        let (answer, next) = self.answer(state, call);
        call.outcome().is_none_or(|outcome| *outcome == answer).then_some(next)
    }

    fn only_reads(&self, call: &Call<MapOp, Reply>) -> bool {
        match &call.operation {
            MapOp::Get(_) | MapOp::Exists(_) | MapOp::MGet(_) | MapOp::Pttl(_) | MapOp::DbSize => {
                true
            }
            MapOp::Del(_) | MapOp::Expire(..) | MapOp::Persist(_) => {
                call.outcome() == Some(&Reply::Integer(0))
            }
            _ => matches!(call.outcome(), Some(Reply::Nil | Reply::Error)),
        }
    }

    fn refusal(&self, state: &State, call: &Call<MapOp, Reply>) -> String {
        format!("would answer {:?}", self.answer(state, call).0)
    }

    fn windows(&self, state: &State) -> Vec<Window> {
        state.values().filter_map(|entry| entry.expires).collect()
    }

    fn fire(&self, state: &State, index: usize) -> State {
        let mut next = state.clone();
        if let Some(key) = self.due(state, index) {
            next.remove(key);
            if self.counts_expired {
                next.insert(key.clone(), Entry { value: None, expires: None });
            }
        }
        next
    }

    fn fired(&self, state: &State, index: usize) -> String {
        match self.due(state, index) {
            Some(key) => format!("{key:?} expires"),
            None => "nothing".to_owned(),
        }
    }
}

impl Keyed for Map {
    type Key = Bytes;

    fn touches(&self, operation: &MapOp) -> Touches<Bytes> {
        match operation {
            MapOp::Get(key)
            | MapOp::Set { key, .. }
            | MapOp::Incr(key, _)
            | MapOp::Append(key, _)
            | MapOp::Expire(key, _)
            | MapOp::Persist(key)
            | MapOp::Pttl(key) => Touches::Keys(vec![key.clone()]),
            MapOp::Del(keys) | MapOp::Exists(keys) | MapOp::MGet(keys) => {
                Touches::Keys(keys.clone())
            }
            MapOp::MSet(pairs) => Touches::Keys(pairs.iter().map(|(key, _)| key.clone()).collect()),
            MapOp::DbSize | MapOp::Flush => Touches::All,
        }
    }

    fn part(&self, state: &State, keep: &dyn Fn(&Bytes) -> bool) -> State {
        let kept = state.iter().filter(|(key, _)| keep(key));
        kept.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }

    fn join(&self, parts: &[&State]) -> State {
        let entries = parts.iter().flat_map(|part| part.iter());
        entries.map(|(key, entry)| (key.clone(), entry.clone())).collect()
    }
}
