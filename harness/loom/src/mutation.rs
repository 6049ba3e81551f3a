//! Mutations: one site of the code under test does less than it says.
//!
//! A scenario that holds for the code as it is should fail for the code with one ordering weakened,
//! one wake-up dropped or one compare-exchange that lies: if no scenario does, then none looks at
//! what that ordering is for. The site is chosen by its place in the source when the check begins;
//! nothing is built again.

use core::fmt;
use core::panic::Location;
use core::str::FromStr;
use core::sync::atomic::Ordering;

use raddle_coverage::Site;

/// One change at one site, in all executions. Written `file:line:column=change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// Where.
    pub site: Site,
    /// What.
    pub change: Change,
}

/// What a mutation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Weakens the ordering. A fence that becomes relaxed is none. Written `AcqRel->Acquire`.
    Order(Weaker),
    /// Weakens the ordering with which a compare-exchange fails. Written
    /// `failure:Acquire->Relaxed`.
    Failure(Weaker),
    /// A notification of a driver does not arrive. Written `drop`.
    Drop,
    /// The wake-ups of threads whose last operation in production code was the one at the site do
    /// not arrive. (A `Waker` does not know who calls it.) Written `drop-wake`.
    DropWake,
    /// A compare-exchange that took effect says that it did not. Written `Ok->Err`.
    OkToErr,
    /// A compare-exchange that found another value, and changed nothing, says that it took effect.
    /// Written `Err->Ok`.
    ErrToOk,
}

/// An ordering, and one that promises less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weaker {
    /// As it stands in the source.
    pub from: Ordering,
    /// What the mutation makes of it.
    pub to: Ordering,
}

impl Mutation {
    /// Whether the operation at `location` is the one.
    pub(crate) fn is_at(&self, location: &Location<'_>) -> bool {
        self.site.line == location.line()
            && self.site.column == location.column()
            && self.site.file == location.file()
    }
}

impl Weaker {
    /// The orderings one step weaker than `order`, for an operation or for a fence. (Loads and
    /// stores that are SeqCst lose their place in the total order only; loom does not model it.)
    pub fn steps(order: Ordering, fence: bool) -> Vec<Self> {
        let to: &[Ordering] = match order {
            Ordering::SeqCst if fence => &[Ordering::AcqRel],
            Ordering::AcqRel => &[Ordering::Acquire, Ordering::Release],
            Ordering::Acquire | Ordering::Release => &[Ordering::Relaxed],
            _ => &[],
        };
        to.iter().map(|&to| Self { from: order, to }).collect()
    }
}

const ORDERINGS: [Ordering; 5] =
    [Ordering::Relaxed, Ordering::Acquire, Ordering::Release, Ordering::AcqRel, Ordering::SeqCst];

/// The ordering of this name.
pub fn ordering(name: &str) -> Option<Ordering> {
    ORDERINGS.into_iter().find(|order| format!("{order:?}") == name)
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.site, self.change)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(Weaker { from, to }) => write!(f, "{from:?}->{to:?}"),
            Self::Failure(Weaker { from, to }) => write!(f, "failure:{from:?}->{to:?}"),
            Self::Drop => f.write_str("drop"),
            Self::DropWake => f.write_str("drop-wake"),
            Self::OkToErr => f.write_str("Ok->Err"),
            Self::ErrToOk => f.write_str("Err->Ok"),
        }
    }
}

impl FromStr for Mutation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((site, change)) = text.split_once('=') else {
            return Err(format!("{text:?} is no mutation: write `file:line:column=change`"));
        };
        Ok(Self { site: site.parse()?, change: change.parse()? })
    }
}

impl FromStr for Change {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let weaker = |text: &str| {
            let (from, to) = text.split_once("->")?;
            let weaker = Weaker { from: ordering(from)?, to: ordering(to)? };
            [false, true]
                .into_iter()
                .any(|fence| Weaker::steps(weaker.from, fence).contains(&weaker))
                .then_some(weaker)
        };
        match text {
            "drop" => Ok(Self::Drop),
            "drop-wake" => Ok(Self::DropWake),
            "Ok->Err" => Ok(Self::OkToErr),
            "Err->Ok" => Ok(Self::ErrToOk),
            _ => match text.strip_prefix("failure:") {
                Some(failure) => weaker(failure).map(Self::Failure),
                None => weaker(text).map(Self::Order),
            }
            .ok_or_else(|| {
                format!(
                    "{text:?} is no change: an ordering that becomes one step weaker \
                     (`AcqRel->Acquire`, `failure:Acquire->Relaxed`, …), `drop`, `drop-wake`, \
                     `Ok->Err` or `Err->Ok`"
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutation, Ordering, Weaker};

    #[test]
    fn a_mutation_is_read_as_it_is_written() {
        let changes = [
            "AcqRel->Release",
            "failure:Acquire->Relaxed",
            "drop",
            "drop-wake",
            "Ok->Err",
            "Err->Ok",
        ];
        for change in changes {
            let text = format!("crates/a/src/lib.rs:12:5={change}");
            let mutation: Mutation = text.parse().expect("a mutation");
            assert_eq!(mutation.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_weakening_by_one_step_is_refused() {
        for change in ["", "Relaxed->Acquire", "AcqRel->Relaxed", "Acquire->Release", "Acquire"] {
            let text = format!("crates/a/src/lib.rs:12:5={change}");
            assert!(text.parse::<Mutation>().is_err(), "{text}");
        }
        assert!("drop".parse::<Mutation>().is_err());
    }

    #[test]
    fn a_seqcst_fence_has_a_weaker_one() {
        assert_eq!(Weaker::steps(Ordering::SeqCst, true).len(), 1);
        assert_eq!(Weaker::steps(Ordering::AcqRel, false).len(), 2);
        assert!(Weaker::steps(Ordering::Relaxed, false).is_empty());
    }
}
