//! How far to go: for each change, for a release, for a night.

use raddle_scenarios::{Expect, Scenario};

use crate::args::Args;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Normal,
    Nightly,
}

impl Effort {
    /// The most processor time for a scenario, in seconds.
    pub(crate) fn seconds(self) -> f64 {
        match self {
            Self::Quick => 20.0,
            Self::Normal => 120.0,
            Self::Nightly => 3600.0,
        }
    }

    /// The preemption bound for a scenario.
    fn bound(self, scenario: &Scenario) -> Option<usize> {
        match self {
            // A twin is over as soon as its bug is found, and it must be found.
            _ if scenario.expect != Expect::Holds => scenario.bound,
            Self::Quick => Some(scenario.bound.map_or(2, |bound| bound.clamp(2, 3) - 1)),
            Self::Normal => scenario.bound,
            Self::Nightly => scenario.bound.map(|bound| bound + 1),
        }
    }
}

/// The preemption bound to run `scenario` with.
pub(crate) fn bound(scenario: &Scenario, args: &Args) -> Option<usize> {
    if args.unbounded {
        return None;
    }
    args.max_preemptions.or_else(|| args.effort().bound(scenario))
}
