//! What a simulator must reach: the categories of the source, divided by what they are about.

use raddle_source::operations::Category;

use crate::catalogue::Entry;
use crate::join::{Point, Tally};

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Shared variables.
    Atomic,
    /// Memory fences.
    Fence,
    /// Unsynchronised shared data.
    Cell,
    /// Turns of a busy wait.
    Spin,
    /// Optimistic loops that start over.
    Retry,
    /// The clock.
    Time,
    /// Randomness.
    Random,
    /// Calls on sockets.
    Network,
    /// Calls on files.
    File,
    /// Submissions, completions and waits of a driver.
    Ring,
    /// Parking, threads, and choices of what comes next.
    Scheduler,
    /// Events, values of the world, rare paths on demand.
    Other,
}

/// A driver's operations on its ring. Those on files begin with "file"; all others are the network's.
const RING: &[&str] = &["submit", "cancel", "tick", "wait", "end", "notify", "notify_other"];

impl Subject {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Atomic,
        Self::Fence,
        Self::Cell,
        Self::Spin,
        Self::Retry,
        Self::Time,
        Self::Random,
        Self::Network,
        Self::File,
        Self::Ring,
        Self::Scheduler,
        Self::Other,
    ];

    /// What an operation is about.
    pub fn of(entry: &Entry) -> Self {
        let name = entry.operation.name.as_str();
        match entry.category {
            Category::Atomic => Self::Atomic,
            Category::Fence => Self::Fence,
            Category::Cell => Self::Cell,
            Category::Spin => Self::Spin,
            Category::Retry => Self::Retry,
            Category::Clock => Self::Time,
            Category::Rng => Self::Random,
            Category::Driver if RING.contains(&name) => Self::Ring,
            Category::Driver if name.starts_with("file") => Self::File,
            Category::Driver => Self::Network,
            Category::Parker | Category::Thread => Self::Scheduler,
            Category::Other if name == "choose" => Self::Scheduler,
            Category::Other => Self::Other,
        }
    }

    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::Fence => "fence",
            Self::Cell => "cell",
            Self::Spin => "spin",
            Self::Retry => "retry",
            Self::Time => "time",
            Self::Random => "random",
            Self::Network => "network",
            Self::File => "file",
            Self::Ring => "ring",
            Self::Scheduler => "scheduler",
            Self::Other => "other",
        }
    }

    /// How much of it the scenarios of the simulator must reach, in percent; none where that is left
    /// to model checkers.
    pub const fn goal(self) -> Option<f64> {
        match self {
            Self::Time | Self::Random | Self::Retry | Self::Scheduler => Some(90.0),
            Self::Network | Self::File | Self::Ring => Some(100.0),
            _ => None,
        }
    }

    /// What of it was reached.
    pub fn tally(self, points: &[Point<'_>]) -> Tally {
        Tally::of(points.iter().filter(|point| Self::of(point.entry) == self))
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn each_has_a_name_of_its_own() {
        let mut names = Subject::ALL.map(Subject::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Subject::ALL.len());
    }
}
