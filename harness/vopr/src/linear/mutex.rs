//! A lock.

use super::history::Call;
use super::model::Model;

/// A lock that one client at a time has, not twice.
#[derive(Clone, Copy, Debug)]
pub struct Mutex;

/// What a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MutexOp {
    /// To be the caller's, now or later.
    Lock,
    /// To be the caller's now.
    TryLock,
    /// To be nobody's again.
    Unlock,
}

/// What a lock answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MutexOutcome {
    /// It is the caller's, or nobody's any more.
    Done,
    /// Somebody else has it.
    Busy,
    /// The caller waits no longer: its time is up, or it was cancelled.
    GaveUp,
}

impl Model for Mutex {
    /// Who has it.
    type State = Option<u32>;
    type Operation = MutexOp;
    type Outcome = MutexOutcome;

    fn initial(&self) -> Option<u32> {
        None
    }

    fn step(&self, state: &Option<u32>, call: &Call<MutexOp, MutexOutcome>) -> Option<Option<u32>> {
        let caller = Some(call.process);
        match (call.operation, call.outcome()) {
            // Waiting may end at any time.
            (MutexOp::Lock, Some(MutexOutcome::GaveUp)) => Some(*state),
            (MutexOp::TryLock, Some(MutexOutcome::Busy)) => state.is_some().then_some(*state),
            (MutexOp::Lock | MutexOp::TryLock, None | Some(MutexOutcome::Done)) => {
                state.is_none().then_some(caller)
            }
            (MutexOp::Unlock, None | Some(MutexOutcome::Done)) => {
                (*state == caller).then_some(None)
            }
            _ => None,
        }
    }

    fn only_reads(&self, call: &Call<MutexOp, MutexOutcome>) -> bool {
        matches!(call.outcome(), Some(MutexOutcome::Busy | MutexOutcome::GaveUp))
    }

    fn refusal(&self, state: &Option<u32>, _: &Call<MutexOp, MutexOutcome>) -> String {
        match state {
            Some(owner) => format!("is client {owner}'s"),
            None => "is nobody's".to_owned(),
        }
    }
}
