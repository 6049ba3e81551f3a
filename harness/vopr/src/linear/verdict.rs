//! What came of a check.

use core::fmt;

/// Whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// There is an order that explains every answer.
    Linearizable,
    /// There is none.
    NotLinearizable(Box<Counterexample>),
    /// The search was ended by its bound: nothing is known.
    GaveUp {
        /// How many configurations it had looked at.
        configurations: usize,
    },
}

/// How far a history can be explained, and what cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The keys that were checked together; empty for an object without keys.
    pub keys: Vec<String>,
    /// How many operations were checked together here.
    pub checked: usize,
    /// How many operations on these keys came before those, and are explained.
    pub before: usize,
    /// The state that they left, one of them if several are possible.
    pub start: String,
    /// The longest prefix that is linearizable, in an order that explains it.
    pub prefix: Vec<Placed>,
    /// The state after it.
    pub state: String,
    /// The operations of which one had to come next: none can.
    pub stuck: Vec<Stuck>,
    /// The one of them that returned first, as an index of the history's calls: up to its return the
    /// history is linearizable, and with it no more.
    pub culprit: usize,
}

/// An operation at its place in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The index among the history's calls; none for what the object did by itself.
    pub call: Option<usize>,
    /// In words.
    pub text: String,
}

/// An operation that has no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The index among the history's calls.
    pub call: usize,
    /// In words.
    pub text: String,
    /// Why it cannot come next.
    pub why: String,
}

impl Verdict {
    /// Whether there is an order that explains every answer.
    #[must_use]
    pub fn is_linearizable(&self) -> bool {
        *self == Self::Linearizable
    }

    /// Nothing, if the history is linearizable.
    ///
    /// # Panics
    /// When it is not, and when that is not known.
    #[track_caller]
    pub fn unwrap(&self) {
        assert!(self.is_linearizable(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => f.write_str("linearizable"),
            Self::NotLinearizable(counterexample) => counterexample.fmt(f),
            Self::GaveUp { configurations } => write!(
                f,
                "not known whether it is linearizable: gave up after {configurations} \
                 configurations; a shorter history, fewer clients or a larger bound may tell"
            ),
        }
    }
}

/// How many of the last placed operations are printed.
const SHOWN: usize = 12;

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed = self.prefix.iter().filter(|placed| placed.call.is_some()).count();
        write!(f, "not linearizable: of {} operations", self.checked)?;
        if !self.keys.is_empty() {
            write!(f, " on {}", self.keys.join(", "))?;
        }
        writeln!(f, " {placed} can be put in an order, and none of the others can come next.")?;
        if self.before > 0 {
            writeln!(f, "{} earlier ones are explained.", self.before)?;
        }
        writeln!(f, "In order, from the state {}:", self.start)?;
        let skipped = self.prefix.len().saturating_sub(SHOWN);
        if skipped > 0 {
            writeln!(f, "  … {skipped} more")?;
        }
        for Placed { text, .. } in &self.prefix[skipped..] {
            writeln!(f, "  {text}")?;
        }
        writeln!(f, "That gives the state {}. One of these had to come next:", self.state)?;
        for Stuck { call, text, why } in &self.stuck {
            let mark = if *call == self.culprit { ">" } else { " " };
            writeln!(f, "{mark} {text}")?;
            writeln!(f, "      no: here it {why}")?;
        }
        writeln!(f, "Up to the return of the one marked > there is an order that explains all.")
    }
}
