//! Permits.

use super::history::Call;
use super::model::Model;

/// So many permits.
#[derive(Clone, Copy, Debug)]
pub struct Semaphore {
    /// How many there are at first.
    pub permits: u64,
    /// First come, first served: an attempt to take some at once fails while somebody waits, also
    /// where there are enough. (Who waits is not part of the state, so such a failure is explained
    /// by any number of permits.)
    pub fair: bool,
}

/// What a semaphore is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SemaphoreOp {
    /// So many, now or later.
    Acquire(u64),
    /// So many now.
    TryAcquire(u64),
    /// To take so many back.
    Release(u64),
    /// How many there are.
    Available,
}

/// What a semaphore answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SemaphoreOutcome {
    /// Given, or taken back.
    Done,
    /// There are not so many now.
    Refused,
    /// The caller waits no longer: its time is up, or it was cancelled.
    GaveUp,
    /// So many.
    Count(u64),
}

impl Model for Semaphore {
    /// How many nobody has.
    type State = u64;
    type Operation = SemaphoreOp;
    type Outcome = SemaphoreOutcome;

    fn initial(&self) -> u64 {
        self.permits
    }

    fn step(&self, state: &u64, call: &Call<SemaphoreOp, SemaphoreOutcome>) -> Option<u64> {
        use SemaphoreOp::{Acquire, Available, Release, TryAcquire};
        use SemaphoreOutcome::{Count, Done, GaveUp, Refused};
        match (call.operation, call.outcome()) {
            (Acquire(_), Some(GaveUp)) => Some(*state),
            (TryAcquire(count), Some(Refused)) => (self.fair || *state < count).then_some(*state),
            (Acquire(count) | TryAcquire(count), None | Some(Done)) => state.checked_sub(count),
            (Release(count), None | Some(Done)) => state.checked_add(count),
            (Available, Some(Count(count))) => (state == count).then_some(*state),
            (Available, None) => Some(*state),
            _ => None,
        }
    }

    fn only_reads(&self, call: &Call<SemaphoreOp, SemaphoreOutcome>) -> bool {
        use SemaphoreOutcome::{Count, GaveUp, Refused};
        matches!(call.outcome(), Some(Refused | GaveUp | Count(_)))
    }

    fn refusal(&self, state: &u64, _: &Call<SemaphoreOp, SemaphoreOutcome>) -> String {
        format!("has {state} permits")
    }
}
