//! A variable.

use core::fmt::Debug;
use core::hash::Hash;

use super::history::Call;
use super::model::Model;

/// One value, read and written as a whole.
#[derive(Clone, Debug)]
pub struct Register<V> {
    initial: V,
}

impl<V> Register<V> {
    /// That has this value first.
    pub fn of(initial: V) -> Self {
        Self { initial }
    }
}

/// What a register is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOp<V> {
    /// The value.
    Read,
    /// To have this value.
    Write(V),
    /// To have this value, and for the one before.
    Swap(V),
    /// To have the second value if it has the first.
    CompareExchange(V, V),
}

/// What a register answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterOutcome<V> {
    /// Written.
    Done,
    /// Read.
    Value(V),
    /// Whether it was exchanged.
    Exchanged(bool),
}

impl<V: Clone + Eq + Hash + Debug> Register<V> {
    fn answer(state: &V, operation: &RegisterOp<V>) -> (RegisterOutcome<V>, V) {
        use RegisterOutcome::{Done, Exchanged, Value};
        match operation {
            RegisterOp::Read => (Value(state.clone()), state.clone()),
            RegisterOp::Write(value) => (Done, value.clone()),
            RegisterOp::Swap(value) => (Value(state.clone()), value.clone()),
            RegisterOp::CompareExchange(old, new) if state == old => (Exchanged(true), new.clone()),
            RegisterOp::CompareExchange(..) => (Exchanged(false), state.clone()),
        }
    }
}

impl<V: Clone + Eq + Hash + Debug> Model for Register<V> {
    type State = V;
    type Operation = RegisterOp<V>;
    type Outcome = RegisterOutcome<V>;

    fn initial(&self) -> V {
        self.initial.clone()
    }

    fn step(&self, state: &V, call: &Call<RegisterOp<V>, RegisterOutcome<V>>) -> Option<V> {
        let (answer, next) = Self::answer(state, &call.operation);
        call.outcome().is_none_or(|outcome| *outcome == answer).then_some(next)
    }

    fn only_reads(&self, call: &Call<RegisterOp<V>, RegisterOutcome<V>>) -> bool {
        let failed = call.outcome() == Some(&RegisterOutcome::Exchanged(false));
        failed || call.operation == RegisterOp::Read
    }

    fn refusal(&self, state: &V, call: &Call<RegisterOp<V>, RegisterOutcome<V>>) -> String {
        format!("would answer {:?}", Self::answer(state, &call.operation).0)
    }
}
