//! The log of decisions, and the hash that is chained over it.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::control::Script;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(u8)]
pub enum Kind {
    /// What happens next: the runnable threads by number, then the next deadline if anybody waits
    /// for one, then a spurious wake of each parked thread by number.
    Schedule = 0,
    /// What the program asked [`Platform::choose`](raddle_platform::Platform::choose) for.
    Choose = 1,
    /// Whether a weak compare-exchange takes effect (0) or fails for no reason (1).
    WeakExchange = 2,
    /// What a network does without being at fault: how long a segment takes, which completion comes
    /// first.
    Network = 3,
    /// Whether a fault strikes (0 for no), and in which way.
    Fault = 4,
    /// What a disk does without being at fault: how long an operation takes, and what a loss of
    /// power leaves of what was not synced.
    Disk = 5,
}

impl Kind {
    /// The kind whose number this is.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        [Self::Schedule, Self::Choose, Self::WeakExchange, Self::Network, Self::Fault, Self::Disk]
            .get(bits as usize)
            .copied()
    }
}

/// One choice among several: its kind, how many options there were, and which was taken. (A choice
/// of one option is none, and not in the log.)
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision(u32);

/// Options and the choice have 14 bits each.
const BITS: u32 = 14;
/// More options than anything offers.
pub(crate) const MAX_OPTIONS: usize = (1 << BITS) - 1;

impl Decision {
    /// The decision for option `chosen` of `options`.
    ///
    /// # Panics
    /// When there are more options than the log can say, or `chosen` is none of them.
    #[inline]
    pub fn new(kind: Kind, options: usize, chosen: usize) -> Self {
        assert!(chosen < options && options <= MAX_OPTIONS, "option {chosen} of {options}");
        Self((kind as u32) << (2 * BITS) | (options as u32) << BITS | chosen as u32)
    }

    /// The decision, if there is such a one.
    pub(crate) fn checked(kind: Kind, options: u64, chosen: u64) -> Option<Self> {
        let sound = chosen < options && options <= MAX_OPTIONS as u64;
        sound.then(|| Self::new(kind, options as usize, chosen as usize))
    }

    /// What was decided.
    pub fn kind(self) -> Kind {
        Kind::from_bits(self.0 >> (2 * BITS)).unwrap_or(Kind::Schedule)
    }

    /// How many options there were.
    #[inline]
    pub fn options(self) -> usize {
        (self.0 >> BITS & ((1 << BITS) - 1)) as usize
    }

    /// Which was taken.
    #[inline]
    pub fn chosen(self) -> usize {
        (self.0 & ((1 << BITS) - 1)) as usize
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} of {}", self.kind(), self.chosen(), self.options())
    }
}

/// What determines an execution of a program: the root seed, every decision, in order, and the orders
/// of whoever held time.
///
/// Its text form is one line: `1:` (the version), the root seed, and the decisions, in hexadecimal;
/// then the orders after a `;`, if there are any.
/// It is for a report, and has no [`prefixes`](Self::prefixes); the [file format](crate::trace) has
/// all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The root seed, from which random values come.
    pub seed: u64,
    /// The decisions.
    pub decisions: Vec<Decision>,
    /// What the certificate was on the way. Whoever changes a decision takes this away.
    pub prefixes: Prefixes,
    /// The orders of an [`Execution`](crate::Execution)'s owner.
    pub control: Script,
}

impl Trace {
    /// A trace of which only the decisions are known: a replay of it compares no certificates.
    pub fn new(seed: u64, decisions: Vec<Decision>) -> Self {
        Self { seed, decisions, ..Self::default() }
    }

    /// The certificate after `count` decisions, where it is kept in full: at the start, after every
    /// [`INTERVAL`] of them, and at the end.
    pub fn certificate_after(&self, count: usize) -> Option<Certificate> {
        self.prefixes.full(count)
    }

    /// What is known of the certificate after `count` decisions.
    pub fn mark_after(&self, count: usize) -> Option<Known> {
        match self.prefixes.full(count) {
            Some(full) if count == 0 || count <= self.prefixes.len() => Some(Known::Full(full)),
            _ => self.prefixes.mark(count.checked_sub(1)?).map(Known::Mark),
        }
    }

    /// The certificate of the whole execution, if it is known.
    pub fn certificate(&self) -> Option<Certificate> {
        self.prefixes.last.filter(|_| self.prefixes.len() == self.decisions.len())
    }
}

/// What is known of a certificate that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Known {
    /// All of it.
    Full(Certificate),
    /// Its last four bits.
    Mark(u8),
    /// Nothing.
    Nothing,
}

impl Known {
    /// Whether it may be this one.
    pub fn fits(self, certificate: Certificate) -> bool {
        match self {
            Self::Full(full) => full == certificate,
            Self::Mark(mark) => mark == certificate.mark(),
            Self::Nothing => true,
        }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(certificate) => write!(f, "{certificate}"),
            Self::Mark(mark) => write!(f, "…{mark:x}"),
            Self::Nothing => f.write_str("unknown"),
        }
    }
}

/// After how many decisions the certificate is kept in full.
pub const INTERVAL: usize = 64;

/// What the certificate of an execution was after each decision: its last four bits, and in full
/// after every [`INTERVAL`] of them. So a replay notices another way at the very decision (in 15 of
/// 16 cases, else at one of the next), and two traces are compared by binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    marks: Vec<u8>,
    full: Vec<Certificate>,
    last: Option<Certificate>,
}

impl Prefixes {
    /// Notes the certificate after another decision.
    #[inline]
    pub(crate) fn push(&mut self, certificate: Certificate) {
        self.marks.push(certificate.mark());
        self.last = Some(certificate);
        if self.marks.len().is_multiple_of(INTERVAL) {
            self.full.push(certificate);
        }
    }

    /// Notes the last four bits of a certificate, and all of it where that is known: after every
    /// [`INTERVAL`] decisions.
    pub(crate) fn restore(&mut self, mark: u8, full: Option<Certificate>) {
        self.marks.push(mark & 0xf);
        self.full.extend(full);
        self.last = full;
    }

    /// What [`return_to`](Self::return_to) needs.
    pub(crate) fn position(&self) -> (usize, usize, Option<Certificate>) {
        (self.marks.len(), self.full.len(), self.last)
    }

    /// Forgets what was added since.
    pub(crate) fn return_to(&mut self, (marks, full, last): (usize, usize, Option<Certificate>)) {
        self.marks.truncate(marks);
        self.full.truncate(full);
        self.last = last;
    }

    /// Says what the certificate is after the last decision.
    pub(crate) fn end(&mut self, last: Certificate) {
        self.last = Some(last);
    }

    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.marks.capacity() + self.full.capacity() * size_of::<Certificate>()
    }

    /// After how many decisions it is known.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The last four bits of the certificate after the decision `index`.
    pub(crate) fn mark(&self, index: usize) -> Option<u8> {
        self.marks.get(index).copied()
    }

    /// The whole certificate after `count` decisions, where it is kept.
    pub(crate) fn full(&self, count: usize) -> Option<Certificate> {
        if count == 0 {
            Some(Certificate::default())
        } else if count.is_multiple_of(INTERVAL) {
            self.full.get(count / INTERVAL - 1).copied()
        } else {
            self.last.filter(|_| count == self.marks.len())
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{:x}:", self.seed)?;
        for (index, decision) in self.decisions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{:x}", decision.0)?;
        }
        if !self.control.is_empty() {
            write!(f, ";{}", self.control)?;
        }
        Ok(())
    }
}

impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("no trace: {what}");
        let mut parts = text.trim().splitn(3, ':');
        match parts.next() {
            Some("1") => {}
            other => return Err(format!("version {other:?} of a trace; this reads version 1")),
        }
        let seed = parts.next().and_then(|seed| u64::from_str_radix(seed, 16).ok());
        let seed = seed.ok_or_else(|| wrong("the seed is missing"))?;
        let list = parts.next().ok_or_else(|| wrong("the decisions are missing"))?;
        let (list, control) = list.split_once(';').unwrap_or((list, ""));
        let mut decisions = Vec::new();
        for word in list.split(',').filter(|word| !word.is_empty()) {
            let bits = u32::from_str_radix(word, 16).map_err(|_| wrong(word))?;
            let decision = Decision(bits);
            let known = Kind::from_bits(bits >> (2 * BITS)).is_some();
            if !known || decision.chosen() >= decision.options() {
                return Err(wrong(word));
            }
            decisions.push(decision);
        }
        Ok(Self { control: control.parse()?, ..Self::new(seed, decisions) })
    }
}

/// A hash chained over all decisions and what could have been decided instead: two executions with
/// one certificate took the same way. It has no addresses and no line numbers in it, so it is the
/// same in every process, and survives an edit that changes no operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Certificate(u64);

impl Default for Certificate {
    fn default() -> Self {
        Self(0x6a09_e667_f3bc_c908)
    }
}

/// Mixes by the two halves of a product, as wyhash does.
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

impl Certificate {
    /// As a number.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// From a number.
    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The last four bits.
    #[inline]
    pub(crate) fn mark(self) -> u8 {
        (self.0 & 0xf) as u8
    }

    /// The certificate of both executions, one after the other.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self(fold(self.0 ^ next.0.rotate_left(32), 0xd6e8_feb8_6659_fd93) ^ next.0)
    }

    /// Adds one decision: when (in steps), by whom, among what, and which.
    #[inline]
    pub(crate) fn extend(&mut self, step: u64, who: u64, enabled: u64, decision: Decision) {
        let what = fold(enabled ^ 0x9e37_79b9_7f4a_7c15, u64::from(decision.0) | 1 << 63);
        let when = fold(step ^ 0xbf58_476d_1ce4_e5b9, who.wrapping_add(0x94d0_49bb_1331_11eb));
        self.0 = fold(self.0 ^ what, 0xd6e8_feb8_6659_fd93) ^ when.rotate_left(17);
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificate, Decision, Kind, Trace};

    #[test]
    fn a_trace_is_read_as_it_is_written() {
        let decisions =
            vec![Decision::new(Kind::Schedule, 3, 2), Decision::new(Kind::WeakExchange, 2, 1)];
        let trace = Trace::new(0xabc, decisions);
        assert_eq!(trace.to_string().parse(), Ok(trace.clone()));
        let control = "1:0,7:500,9:free".parse().expect("orders");
        let trace = Trace { control, ..trace };
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!("1:5:".parse(), Ok(Trace::new(5, Vec::new())));
        for wrong in ["", "2:5:", "1:x:", "1:5", "1:5:zz", "1:5:ffffffff", "1:5:4001"] {
            assert!(wrong.parse::<Trace>().is_err() || wrong == "1:5:4001", "{wrong}");
        }
    }

    #[test]
    fn a_certificate_depends_on_all_that_it_is_made_of() {
        let of = |step, who, enabled, chosen| {
            let mut certificate = Certificate::default();
            certificate.extend(step, who, enabled, Decision::new(Kind::Schedule, 3, chosen));
            certificate
        };
        let all = [of(1, 0, 7, 0), of(2, 0, 7, 0), of(1, 1, 7, 0), of(1, 0, 6, 0), of(1, 0, 7, 1)];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other != one), "{index}");
        }
    }
}
