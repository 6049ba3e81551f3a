//! What a trace can show of an execution, by kind: what the program tells of itself, and what the
//! simulator does to it.

use raddle_platform::EventKind;

use super::event::{Event, What};

/// A kind of [`Event`] that is more than an operation: what somebody who reads a trace looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observed {
    /// What the code that ships tells.
    Told(EventKind),
    /// The simulator let the next deadline come.
    TimeAdvanced,
    /// The seed of a stream, at the beginning.
    RngSeed,
    /// The program drew a random value.
    RngValue,
    /// A fault struck.
    FaultInjected,
    /// A wait ended for no reason.
    SpuriousWake,
}

impl Observed {
    pub(crate) const FAULT: &str = "FaultInjected";
    pub(crate) const SEED: &str = "RngSeed";

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::TimeAdvanced,
            Self::RngSeed,
            Self::RngValue,
            Self::FaultInjected,
            Self::SpuriousWake,
        ];
        EventKind::ALL.iter().copied().map(Self::Told).chain(own)
    }

    /// As [`Event::kind`] says it. (A new kind without a name does not compile.)
    pub const fn name(self) -> &'static str {
        match self {
            Self::Told(kind) => kind.name(),
            Self::TimeAdvanced => "time advances",
            Self::RngSeed => Self::SEED,
            Self::RngValue => "u64",
            Self::FaultInjected => Self::FAULT,
            Self::SpuriousWake => "spurious wake",
        }
    }
}

impl Event {
    /// What it is, if it is more than an operation.
    pub fn observed(&self) -> Option<Observed> {
        match &self.what {
            What::Unknown { .. } => None,
            _ => Observed::all().find(|kind| kind.name() == self.kind()),
        }
    }
}
