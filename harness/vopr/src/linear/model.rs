//! What the object does when one operation comes at a time.

use core::fmt::Debug;
use core::hash::Hash;

use super::history::Call;

/// A sequential object.
pub trait Model {
    /// All that it remembers.
    type State: Clone + Eq + Hash + Debug;
    /// What it is asked for.
    type Operation: Debug;
    /// What it answers.
    type Outcome: Debug;

    /// The state before the first operation.
    fn initial(&self) -> Self::State;

    /// The state after `call`, if the object can do that in `state` and answer what the caller was
    /// told; whatever it would answer, if the caller was told nothing.
    fn step(
        &self,
        state: &Self::State,
        call: &Call<Self::Operation, Self::Outcome>,
    ) -> Option<Self::State>;

    /// Whether `call`, having got the answer that it got, changed nothing. If it did in any state, the
    /// answer is no: a write of what is there already is a write. Only makes a check quicker.
    fn only_reads(&self, _call: &Call<Self::Operation, Self::Outcome>) -> bool {
        false
    }

    /// Why [`step`](Self::step) refuses, in words that follow "here it".
    fn refusal(
        &self,
        _state: &Self::State,
        _call: &Call<Self::Operation, Self::Outcome>,
    ) -> String {
        "cannot do that".to_owned()
    }

    /// What it will do by itself, and when.
    fn windows(&self, _state: &Self::State) -> Vec<Window> {
        Vec::new()
    }

    /// The state after it did what is at `index` in [`windows`](Self::windows).
    fn fire(&self, state: &Self::State, _index: usize) -> Self::State {
        state.clone()
    }

    /// What [`fire`](Self::fire) does, in words.
    fn fired(&self, _state: &Self::State, index: usize) -> String {
        format!("internal operation {index}")
    }
}

/// When an object does something by itself: virtual time in nanoseconds, both ends included. It does
/// not happen before, and it has happened after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The first moment.
    pub earliest: u64,
    /// The last.
    pub latest: u64,
}

/// The keys that an operation reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touches<K> {
    /// These.
    Keys(Vec<K>),
    /// Every key that there is.
    All,
}

/// An object that consists of independent ones, by key.
pub trait Keyed: Model {
    /// Names one.
    type Key: Ord + Clone + Debug;

    /// Which keys an operation is about.
    fn touches(&self, operation: &Self::Operation) -> Touches<Self::Key>;

    /// What `state` has of the keys that `keep` says.
    fn part(&self, state: &Self::State, keep: &dyn Fn(&Self::Key) -> bool) -> Self::State;

    /// The state that has these parts, which have no key in common.
    fn join(&self, parts: &[&Self::State]) -> Self::State;
}
