//! First in, first out.

use core::fmt::Debug;
use core::hash::Hash;
use core::marker::PhantomData;
use std::collections::VecDeque;

use super::history::Call;
use super::model::Model;

/// A queue, empty at first.
#[derive(Clone, Copy, Debug)]
pub struct Queue<V> {
    capacity: usize,
    values: PhantomData<fn() -> V>,
}

impl<V> Queue<V> {
    /// Takes as many as come.
    pub fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// Takes so many.
    pub fn bounded(capacity: usize) -> Self {
        Self { capacity, values: PhantomData }
    }
}

/// What a queue is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp<V> {
    /// To take this at its end.
    Enqueue(V),
    /// For what is at its front.
    Dequeue,
    /// For all that it has.
    Drain,
}

/// What a queue answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOutcome<V> {
    /// Taken.
    Done,
    /// Not taken: it has as many as it takes.
    Full,
    /// What was at the front.
    Value(V),
    /// There is nothing.
    Empty,
    /// All that it had, the oldest first.
    All(Vec<V>),
}

impl<V: Clone + Eq + Hash + Debug> Queue<V> {
    fn answer(
        &self,
        state: &VecDeque<V>,
        operation: &QueueOp<V>,
    ) -> (QueueOutcome<V>, VecDeque<V>) {
        let mut next = state.clone();
        let outcome = match operation {
            QueueOp::Enqueue(_) if state.len() >= self.capacity => QueueOutcome::Full,
            QueueOp::Enqueue(value) => {
                next.push_back(value.clone());
                QueueOutcome::Done
            }
            QueueOp::Dequeue => next.pop_front().map_or(QueueOutcome::Empty, QueueOutcome::Value),
            QueueOp::Drain => QueueOutcome::All(next.drain(..).collect()),
        };
        (outcome, next)
    }
}

impl<V: Clone + Eq + Hash + Debug> Model for Queue<V> {
    type State = VecDeque<V>;
    type Operation = QueueOp<V>;
    type Outcome = QueueOutcome<V>;

    fn initial(&self) -> VecDeque<V> {
        VecDeque::new()
    }

    fn step(
        &self,
        state: &VecDeque<V>,
        call: &Call<QueueOp<V>, QueueOutcome<V>>,
    ) -> Option<VecDeque<V>> {
        let (answer, next) = self.answer(state, &call.operation);
        call.outcome().is_none_or(|outcome| *outcome == answer).then_some(next)
    }

    fn only_reads(&self, call: &Call<QueueOp<V>, QueueOutcome<V>>) -> bool {
        matches!(call.outcome(), Some(QueueOutcome::Full | QueueOutcome::Empty))
    }

    fn refusal(&self, state: &VecDeque<V>, call: &Call<QueueOp<V>, QueueOutcome<V>>) -> String {
        format!("would answer {:?}", self.answer(state, &call.operation).0)
    }
}
