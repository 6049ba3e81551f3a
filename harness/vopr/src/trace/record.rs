//! Records events while an execution runs: what is wanted, and no more than there is room for.

use core::panic::Location;
use core::sync::atomic::Ordering;
use std::collections::BTreeMap;

use super::event::{self, Events, FIRST_IS_ADDRESS, SECOND_IS_ADDRESS};
use super::varint::{put, put_text};
use crate::history::{Effect, Name, On, Operation};

/// How much is observed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing: the decisions are kept anyway.
    #[default]
    Decisions,
    /// What starts, ends, wakes, waits, yields and advances time; and what the program tells.
    Blocking,
    /// Every operation.
    Operations,
}

/// What happens when the room for events is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The first events are kept.
    Stop,
    /// The last events are kept.
    #[default]
    Ring,
    /// The execution fails.
    Fail,
}

/// Which events are wanted. An empty list wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Simulated threads, by number.
    pub threads: Vec<u32>,
    /// Names of operations, or kinds of what the program tells.
    pub kinds: Vec<String>,
    /// Parts of `file:line:column`.
    pub sites: Vec<String>,
}

impl Filter {
    /// Whether an event is wanted.
    pub fn admits(&self, thread: u32, kind: &str, site: &str) -> bool {
        self.admits_early(thread, kind)
            && (self.sites.is_empty() || self.sites.iter().any(|part| site.contains(part)))
    }

    fn admits_early(&self, thread: u32, kind: &str) -> bool {
        let threads = self.threads.is_empty() || self.threads.contains(&thread);
        threads && (self.kinds.is_empty() || self.kinds.iter().any(|known| known == kind))
    }
}

/// What to record of an execution besides its decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much.
    pub level: Level,
    /// What of it.
    pub filter: Filter,
    /// From which step on.
    pub from_step: u64,
    /// How many bytes there are for events.
    pub cap_bytes: usize,
    /// What happens when they are used up.
    pub overflow: Overflow,
}

impl Default for Record {
    /// Nothing; and of what is asked for, the last 64 MiB.
    fn default() -> Self {
        Self {
            level: Level::Decisions,
            filter: Filter::default(),
            from_step: 0,
            cap_bytes: 64 << 20,
            overflow: Overflow::Ring,
        }
    }
}

impl Record {
    /// Everything at `level`, within the default room.
    pub fn level(level: Level) -> Self {
        Self { level, ..Self::default() }
    }
}

/// A chunk is cut at this size; below, where the room is small, so that a ring has several.
const CHUNK_BYTES: usize = 32 * 1024;

/// When and by whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) step: u64,
    pub(crate) decision: u64,
    pub(crate) time_ns: u64,
    pub(crate) thread: u32,
    pub(crate) site: &'static Location<'static>,
}

/// There is no room, and the execution is to fail.
#[derive(Debug)]
pub(crate) struct Full;

/// Texts of one chunk. Whatever is in the source has an address by which it is found again; no
/// address decides anything.
#[derive(Debug, Default)]
struct Texts {
    sites: BTreeMap<usize, u32>,
    known: BTreeMap<String, u32>,
}

impl Texts {
    fn put(&mut self, out: &mut Vec<u8>, text: &str) -> u32 {
        if let Some(&number) = self.known.get(text) {
            put(out, u64::from(number));
            return number;
        }
        put(out, 0);
        put_text(out, text);
        let number = self.known.len() as u32 + 1;
        self.known.insert(text.to_owned(), number);
        number
    }

    fn put_site(&mut self, out: &mut Vec<u8>, site: &'static Location<'static>) {
        let address = core::ptr::from_ref(site).addr();
        if let Some(&number) = self.sites.get(&address) {
            return put(out, u64::from(number));
        }
        let number = self.put(out, &text_of(site));
        self.sites.insert(address, number);
    }
}

/// A site as a text.
pub(crate) fn text_of(site: &Location<'_>) -> String {
    format!("{}:{}:{}", site.file(), site.line(), site.column())
}

/// Writes events as payloads of chunks.
#[derive(Debug)]
pub(crate) struct Recorder {
    record: Record,
    events: Events,
    /// The bytes of all finished chunks.
    bytes: usize,
    /// The chunk at hand: its events, without what stands before them.
    records: Vec<u8>,
    in_chunk: u64,
    last: (u64, u64, u64),
    texts: Texts,
    body: Vec<u8>,
}

impl Recorder {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            record,
            events: Events::default(),
            bytes: 0,
            records: Vec::new(),
            in_chunk: 0,
            last: (0, 0, 0),
            texts: Texts::default(),
            body: Vec::new(),
        }
    }

    /// What was recorded.
    pub(crate) fn finish(mut self) -> Events {
        self.cut();
        self.events
    }

    fn wants(&self, level: Level, kind: &str, stamp: &Stamp) -> bool {
        let Record { filter, .. } = &self.record;
        level <= self.record.level
            && stamp.step >= self.record.from_step
            && filter.admits_early(stamp.thread, kind)
            && (filter.sites.is_empty() || filter.admits(stamp.thread, kind, &text_of(stamp.site)))
    }

    /// An operation has taken effect.
    pub(crate) fn operation(
        &mut self,
        stamp: &Stamp,
        operation: Operation,
        effect: Effect,
    ) -> Result<(), Full> {
        let name = operation.name.text();
        if !self.wants(level_of(operation.name), name, stamp) {
            return Ok(());
        }
        self.add(event::OPERATION, stamp, |out, texts| {
            texts.put(out, name);
            out.push(operation.on as u8);
            if operation.on != On::Nothing {
                put(out, u64::from(operation.object));
            }
            out.push(match operation.order {
                None => 0,
                Some(Ordering::Relaxed) => 1,
                Some(Ordering::Acquire) => 2,
                Some(Ordering::Release) => 3,
                Some(Ordering::AcqRel) => 4,
                Some(_) => 5,
            });
            put_effect(out, operation.name, effect);
        })
    }

    /// The program tells something.
    pub(crate) fn told(
        &mut self,
        stamp: &Stamp,
        kind: &str,
        fields: &[(String, event::Contents)],
    ) -> Result<(), Full> {
        if !self.wants(Level::Blocking, kind, stamp) {
            return Ok(());
        }
        self.add(event::TOLD, stamp, |out, texts| {
            texts.put(out, kind);
            put(out, fields.len() as u64);
            for (name, contents) in fields {
                texts.put(out, name);
                match contents {
                    event::Contents::Number(number) => {
                        out.push(0);
                        put(out, *number);
                    }
                    event::Contents::Text(text) => {
                        out.push(1);
                        put_text(out, text);
                    }
                }
            }
        })
    }

    fn add(
        &mut self,
        tag: u8,
        stamp: &Stamp,
        write: impl FnOnce(&mut Vec<u8>, &mut Texts),
    ) -> Result<(), Full> {
        let room = self.record.cap_bytes;
        if self.record.overflow == Overflow::Stop && self.events.dropped > 0 {
            self.events.dropped += 1;
            return Ok(());
        }
        let body = &mut self.body;
        body.clear();
        body.push(tag);
        let (step, decision, time_ns) = self.last;
        put(body, stamp.step - step);
        put(body, stamp.decision - decision);
        let change = stamp.time_ns.wrapping_sub(time_ns) as i64;
        put(body, ((change << 1) ^ (change >> 63)) as u64);
        put(body, u64::from(stamp.thread));
        self.texts.put_site(body, stamp.site);
        write(body, &mut self.texts);
        if self.bytes + self.records.len() + self.body.len() + 8 > room {
            match self.record.overflow {
                Overflow::Stop => {
                    self.events.dropped += 1;
                    return Ok(());
                }
                Overflow::Fail => return Err(Full),
                Overflow::Ring => {}
            }
        }
        self.last = (stamp.step, stamp.decision, stamp.time_ns);
        put(&mut self.records, self.body.len() as u64);
        self.records.extend_from_slice(&self.body);
        self.in_chunk += 1;
        if self.records.len() >= CHUNK_BYTES.min(room / 8) {
            self.cut();
        }
        Ok(())
    }

    /// Ends the chunk, and makes room for the next.
    fn cut(&mut self) {
        if self.in_chunk == 0 {
            return;
        }
        let mut chunk = Vec::with_capacity(self.records.len() + 20);
        // How many came before, the dropped ones too: the numbers of events do not change.
        put(&mut chunk, self.events.count + self.events.dropped);
        put(&mut chunk, self.in_chunk);
        chunk.append(&mut self.records);
        self.bytes += chunk.len();
        self.events.count += self.in_chunk;
        self.events.chunks.push_back(chunk);
        (self.in_chunk, self.last) = (0, (0, 0, 0));
        self.texts = Texts::default();
        while self.record.overflow == Overflow::Ring && self.bytes > self.record.cap_bytes {
            let Some(chunk) = self.events.chunks.pop_front() else { return };
            self.bytes -= chunk.len();
            let count = event::span(&chunk).map_or(0, |(_, count)| count);
            self.events.count -= count;
            self.events.dropped += count;
        }
    }
}

/// From which level on an operation is recorded. One that is not named here is not frequent.
pub(crate) fn level_of(name: Name) -> Level {
    use Name as N;
    match name {
        N::Load | N::Store | N::Swap | N::CompareExchange | N::CompareExchangeWeak => {
            Level::Operations
        }
        N::FetchAdd | N::FetchSub | N::FetchAnd | N::FetchOr | N::FetchXor => Level::Operations,
        N::FetchMax | N::FetchMin | N::WithMut | N::Drop | N::Fence => Level::Operations,
        N::Read | N::Write | N::SpinLoop | N::Retry | N::Global => Level::Operations,
        N::Now | N::Wall => Level::Operations,
        _ => Level::Blocking,
    }
}

fn put_effect(out: &mut Vec<u8>, name: Name, effect: Effect) {
    // What may be an address is another value in every process.
    let is_address = |value: u64| {
        value >= 1 << 32
            && !matches!(name, Name::Random | Name::Fill | Name::Now | Name::Wall | Name::Advance)
    };
    let words = |out: &mut Vec<u8>, tag: u8, words: &[u64]| {
        let mut byte = tag;
        for (&word, flag) in words.iter().zip([FIRST_IS_ADDRESS, SECOND_IS_ADDRESS]) {
            byte |= if is_address(word) { flag } else { 0 };
        }
        out.push(byte);
        for &word in words {
            match is_address(word) {
                true => out.push((word & 0xf) as u8),
                false => put(out, word),
            }
        }
    };
    match effect {
        Effect::Done => out.push(0),
        Effect::Value(value) => words(out, 1, &[value]),
        Effect::Change(old, new) => words(out, 2, &[old, new]),
        Effect::Refused { expected, found } => words(out, 3, &[expected, found]),
        Effect::Spuriously(value) => words(out, 4, &[value]),
        Effect::Token => out.push(5),
        Effect::TimedOut => out.push(6),
        Effect::Woken => out.push(7),
        Effect::Errno(number) => words(out, 8, &[u64::from(number.unsigned_abs())]),
    }
}
