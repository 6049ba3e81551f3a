//! What was observed: operations, and what the program under test told of itself.
//!
//! Events determine nothing: a replay does not look at them. They are self-describing, so that a
//! reader shows kinds that came to be after it was built.

use core::fmt;
use std::collections::VecDeque;
use std::rc::Rc;

use super::error::Broken;
use super::varint::Bytes;

/// Something observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How many operations the execution had begun.
    pub step: u64,
    /// How many decisions had been taken.
    pub decision: u64,
    /// The virtual time, in nanoseconds.
    pub time_ns: u64,
    /// The simulated thread.
    pub thread: u32,
    /// Where in the source, as `file:line:column`.
    pub site: Rc<str>,
    /// What.
    pub what: What,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An operation of the platform that has taken effect.
    Operation {
        /// Its name.
        name: Rc<str>,
        /// What it was on.
        object: Option<Object>,
        /// Its memory ordering.
        order: Option<&'static str>,
        /// What came of it.
        effect: Effect,
    },
    /// What the program told: [`raddle_platform::Event`].
    Told {
        /// The kind, as its name in the source: `Scheduled`.
        kind: Rc<str>,
        /// Its contents by name.
        fields: Vec<(Rc<str>, Contents)>,
    },
    /// What this build does not know.
    Unknown {
        /// Its number.
        tag: u8,
    },
}

/// What an operation is on: a kind of object, and how many of it were created before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// An atomic.
    Atomic(u32),
    /// Unsynchronised data.
    Cell(u32),
    /// A thread.
    Thread(u32),
    /// The socket with that descriptor.
    Socket(u32),
}

/// A number, unless it may be an address: that is another one in every process. Of an address only
/// the low bits are kept, which carry flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A number.
    Number(u64),
    /// The low four bits of what may be an address.
    Address(u8),
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was done.
    Done,
    /// It read or wrote this.
    Value(Word),
    /// It replaced the first by the second.
    Change(Word, Word),
    /// It expected the first and found the second.
    Refused(Word, Word),
    /// It failed for no reason, at this value.
    Spuriously(Word),
    /// It was woken.
    Woken,
    /// Its deadline came.
    TimedOut,
    /// It ended for no reason.
    ForNoReason,
    /// It was refused with this errno.
    Errno(Word),
    /// What this build does not know.
    Unknown(u8),
}

/// The contents of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A number.
    Number(u64),
    /// A text.
    Text(Rc<str>),
}

/// Tags of records.
pub(crate) const OPERATION: u8 = 1;
pub(crate) const TOLD: u8 = 2;
/// In the byte of an effect: the first word, or the second, is an address.
pub(crate) const FIRST_IS_ADDRESS: u8 = 0x40;
pub(crate) const SECOND_IS_ADDRESS: u8 = 0x80;

/// As [`Event`] has them; by number in the file.
pub(crate) const ORDERS: [&str; 6] = ["", "Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

impl Event {
    /// The operation's name, or the kind.
    pub fn kind(&self) -> &str {
        match &self.what {
            What::Operation { name, .. } => name,
            What::Told { kind, .. } => kind,
            What::Unknown { .. } => "unknown",
        }
    }

    /// A field of what the program told, if it is a number.
    pub fn field(&self, name: &str) -> Option<u64> {
        let What::Told { fields, .. } = &self.what else { return None };
        fields.iter().find_map(|(known, contents)| match contents {
            Contents::Number(number) if **known == *name => Some(*number),
            _ => None,
        })
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Address(low) => write!(f, "@…{low:x}"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => Ok(()),
            Self::Value(value) => write!(f, "= {value}"),
            Self::Change(old, new) => write!(f, "{old} -> {new}"),
            Self::Refused(expected, found) => write!(f, "expected {expected}, found {found}"),
            Self::Spuriously(value) => write!(f, "failed spuriously at {value}"),
            Self::Woken => f.write_str("woken"),
            Self::TimedOut => f.write_str("timed out"),
            Self::ForNoReason => f.write_str("woken for no reason"),
            Self::Errno(number) => write!(f, "errno {number}"),
            Self::Unknown(tag) => write!(f, "effect {tag}"),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { name, object, order, effect } => {
                match object {
                    Some(Object::Atomic(number)) => write!(f, "atomic#{number} ")?,
                    Some(Object::Cell(number)) => write!(f, "cell#{number} ")?,
                    Some(Object::Thread(number)) => write!(f, "thread {number} ")?,
                    Some(Object::Socket(number)) => write!(f, "socket#{number} ")?,
                    None => {}
                }
                f.write_str(name)?;
                if let Some(order) = order {
                    write!(f, "({order})")?;
                }
                match effect {
                    Effect::Done => Ok(()),
                    effect => write!(f, " {effect}"),
                }
            }
            Self::Told { kind, fields } => {
                f.write_str(kind)?;
                for (name, contents) in fields {
                    match contents {
                        Contents::Number(number) => write!(f, " {name}={number}")?,
                        Contents::Text(text) => write!(f, " {name}={text:?}")?,
                    }
                }
                Ok(())
            }
            Self::Unknown { tag } => write!(f, "an event of the unknown kind {tag}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, decision, time_ns, thread, site, what } = self;
        write!(f, "step {step:>6}  decision {decision:>6}  {time_ns:>10} ns  thread {thread}  ")?;
        write!(f, "{:<48} {site}", what.to_string())
    }
}

/// The events of an execution, as they were recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Payloads of chunks.
    pub(crate) chunks: VecDeque<Vec<u8>>,
    pub(crate) count: u64,
    pub(crate) dropped: u64,
}

impl Events {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How many there was no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        // The recorder wrote them: nothing is broken.
        self.chunks.iter().flat_map(|chunk| decode(chunk).unwrap_or_default())
    }
}

/// What a chunk of events begins with: how many events came before, and how many these are.
pub(crate) fn span(payload: &[u8]) -> Result<(u64, u64), Broken> {
    let mut bytes = Bytes::new(payload);
    let first = bytes.number()?;
    // A record has its length, tag, five numbers at least.
    let count = bytes.count(7)? as u64;
    Ok((first, count))
}

/// The events of a payload.
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Event>, Broken> {
    let (_, count) = span(payload)?;
    let mut bytes = Bytes::new(payload);
    bytes.number()?;
    bytes.number()?;
    let mut reader = Decoder { texts: Vec::new(), step: 0, decision: 0, time_ns: 0 };
    // Grows with what is really there: a record may say less than it is.
    let mut events = Vec::new();
    for _ in 0..count {
        let length = bytes.count(1)?;
        let mut record = Bytes::new(bytes.take(length)?);
        events.push(reader.event(&mut record)?);
    }
    if bytes.is_empty() { Ok(events) } else { Err(Broken("bytes are left over")) }
}

/// What the records of a chunk refer to.
struct Decoder {
    texts: Vec<Rc<str>>,
    step: u64,
    decision: u64,
    time_ns: u64,
}

fn add(to: &mut u64, bytes: &mut Bytes<'_>) -> Result<u64, Broken> {
    *to = to.checked_add(bytes.number()?).ok_or(Broken("a number is too large"))?;
    Ok(*to)
}

impl Decoder {
    /// A text that stands here, or that stood here before.
    fn text(&mut self, bytes: &mut Bytes<'_>) -> Result<Rc<str>, Broken> {
        match bytes.small()? {
            0 => {
                let text: Rc<str> = bytes.text()?.into();
                self.texts.push(Rc::clone(&text));
                Ok(text)
            }
            known => {
                let text = self.texts.get(known as usize - 1);
                text.cloned().ok_or(Broken("a text that is not there"))
            }
        }
    }

    fn event(&mut self, bytes: &mut Bytes<'_>) -> Result<Event, Broken> {
        let tag = bytes.byte()?;
        let step = add(&mut self.step, bytes)?;
        let decision = add(&mut self.decision, bytes)?;
        // Time may go back where a clock fault says so.
        let change = bytes.number()?;
        let change = (change >> 1) as i64 ^ -((change & 1) as i64);
        self.time_ns = self.time_ns.wrapping_add_signed(change);
        let (time_ns, thread) = (self.time_ns, bytes.small()?);
        let site = self.text(bytes)?;
        let what = match tag {
            OPERATION => self.operation(bytes)?,
            TOLD => self.told(bytes)?,
            tag => What::Unknown { tag },
        };
        Ok(Event { step, decision, time_ns, thread, site, what })
    }

    fn operation(&mut self, bytes: &mut Bytes<'_>) -> Result<What, Broken> {
        let name = self.text(bytes)?;
        let on = bytes.byte()?;
        let number = if on == 0 { 0 } else { bytes.small()? };
        let object = match on {
            1 => Some(Object::Atomic(number)),
            2 => Some(Object::Cell(number)),
            3 => Some(Object::Thread(number)),
            4 => Some(Object::Socket(number)),
            _ => None,
        };
        let order = ORDERS.get(usize::from(bytes.byte()?)).copied().filter(|it| !it.is_empty());
        let effect = bytes.byte()?;
        let mut word = |address: u8| {
            Ok(match effect & address {
                0 => Word::Number(bytes.number()?),
                _ => Word::Address(bytes.byte()? & 0xf),
            })
        };
        let mut both = || Ok((word(FIRST_IS_ADDRESS)?, word(SECOND_IS_ADDRESS)?));
        let effect = match effect & 0x3f {
            0 => Effect::Done,
            1 => Effect::Value(word(FIRST_IS_ADDRESS)?),
            2 => both().map(|(old, new)| Effect::Change(old, new))?,
            3 => both().map(|(expected, found)| Effect::Refused(expected, found))?,
            4 => Effect::Spuriously(word(FIRST_IS_ADDRESS)?),
            5 => Effect::Woken,
            6 => Effect::TimedOut,
            7 => Effect::ForNoReason,
            8 => Effect::Errno(word(FIRST_IS_ADDRESS)?),
            tag => Effect::Unknown(tag),
        };
        Ok(What::Operation { name, object, order, effect })
    }

    fn told(&mut self, bytes: &mut Bytes<'_>) -> Result<What, Broken> {
        let kind = self.text(bytes)?;
        let count = bytes.count(3)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let name = self.text(bytes)?;
            let contents = match bytes.byte()? {
                0 => Contents::Number(bytes.number()?),
                1 => Contents::Text(bytes.text()?.into()),
                _ => return Err(Broken("contents of an unknown form")),
            };
            fields.push((name, contents));
        }
        Ok(What::Told { kind, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_chunk_ends_where_its_events_end() {
        assert_eq!(decode(&[0, 0]), Ok(Vec::new()));
        assert!(decode(&[0, 0, 7]).is_err() && decode(&[0, 1]).is_err());
    }
}
