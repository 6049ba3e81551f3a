//! The search for an order.
//!
//! A configuration is a set of placed calls and the state that they leave. From each, the next may
//! be any call that was invoked before the first return among the unplaced ones (the *horizon*), or
//! whatever the model does by itself and may do before the horizon. Depth first; a configuration
//! that was seen is not entered again.
//!
//! An answered call that [only reads](Model::only_reads) and can come next comes next, and nothing
//! else is tried there: in any order that has it later it can be moved to here, where its answer is
//! right too, and what it is moved past does not notice. (A write of what is there already cannot
//! be moved so: later it may be the one that a read needs.) An unanswered call that leaves the state
//! as it is is not placed at all: that says nothing, and it may still come later.

use core::hash::BuildHasherDefault;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::bits::Bits;
use super::history::Call;
use super::model::{Model, Window};

/// The same in each process, unlike the standard one.
type Fixed = BuildHasherDefault<DefaultHasher>;

/// How much may be looked at, and how much was.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) used: usize,
    pub(crate) limit: usize,
}

/// Where a search begins or ends: the state, and the unanswered calls that have taken effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Root<S> {
    pub(crate) state: S,
    /// Sorted.
    pub(crate) taken: Vec<usize>,
}

/// What a search finds.
pub(crate) enum Found<S> {
    /// All answered calls can be placed: the first end, or all different ones.
    Ends(Vec<Root<S>>),
    /// They cannot.
    Stuck(Measure),
    /// The budget was too small.
    GaveUp,
}

/// How far a configuration is: where the horizon is among the events, and how many calls are placed.
pub(crate) type Measure = (u64, usize);

/// One step of an order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Via {
    Root(usize),
    Call(usize),
    Fire(usize),
}

/// The placed calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Done {
    /// The answered calls before this are placed, and it is not.
    base: usize,
    /// Which of those from `base` on are.
    ahead: Bits,
    /// Which of the unanswered ones are.
    taken: Bits,
}

struct Frame {
    done: Done,
    state: u32,
    via: Via,
    placed: usize,
    /// The event of the first return among the unplaced calls; none if all are placed.
    horizon: Option<(u64, usize)>,
    /// Its virtual time.
    time: u64,
    /// How many answered calls from `base` on were invoked before it.
    span: usize,
    windows: Vec<Window>,
    /// The first time by which the model must have done something by itself.
    latest: u64,
    /// The next candidate to try.
    cursor: usize,
}

/// The states that were met, each once.
struct States<S> {
    ids: HashMap<Rc<S>, u32, Fixed>,
    all: Vec<Rc<S>>,
}

impl<S: Eq + core::hash::Hash> States<S> {
    fn id(&mut self, state: S) -> u32 {
        if let Some(id) = self.ids.get(&state) {
            return *id;
        }
        let (id, state) = (self.all.len() as u32, Rc::new(state));
        self.all.push(Rc::clone(&state));
        self.ids.insert(state, id);
        id
    }
}

/// Whether to go on from a configuration.
enum Flow {
    Deeper,
    Back,
    Stop,
}

/// Calls that are to be placed.
pub(crate) struct Search<'a, M: Model> {
    pub(crate) model: &'a M,
    /// All of the history.
    pub(crate) calls: &'a [Call<M::Operation, M::Outcome>],
    /// Indices of answered ones, in the order of their invocations: each must be placed.
    pub(crate) answered: Vec<usize>,
    /// Indices of unanswered ones: each may.
    pub(crate) unanswered: Vec<usize>,
}

/// A configuration from which nothing leads on.
pub(crate) struct DeadEnd {
    /// How it came about.
    pub(crate) path: Vec<Via>,
    /// Who could come next by the time of the invocation.
    pub(crate) candidates: Vec<usize>,
    /// Who returned first among them.
    pub(crate) culprit: usize,
}

impl<M: Model> Search<'_, M> {
    /// Looks for an order from one of `roots`; for all ends if `all`.
    pub(crate) fn run(
        &self,
        roots: &[Root<M::State>],
        all: bool,
        budget: &mut Budget,
    ) -> Found<M::State> {
        let mut best = (0, 0);
        let mut ends = Vec::new();
        let within = self.walk(roots, budget, |frames, states| {
            let Some(frame) = frames.last() else { return Flow::Back };
            let Some((horizon, _)) = frame.horizon else {
                // Different configurations, so different ends.
                let state = states.all[frame.state as usize].as_ref().clone();
                ends.push(Root { state, taken: self.taken(frame) });
                return if all { Flow::Back } else { Flow::Stop };
            };
            best = best.max((horizon, frame.placed));
            Flow::Deeper
        });
        match within {
            false => Found::GaveUp,
            true if ends.is_empty() => Found::Stuck(best),
            true => Found::Ends(ends),
        }
    }

    /// The first configuration with this measure, after a search that got stuck.
    pub(crate) fn dead_end(&self, roots: &[Root<M::State>], measure: Measure) -> Option<DeadEnd> {
        let mut found = None;
        let mut unlimited = Budget { used: 0, limit: usize::MAX };
        self.walk(roots, &mut unlimited, |frames, _| {
            let Some(frame) = frames.last() else { return Flow::Back };
            let Some((horizon, culprit)) = frame.horizon else { return Flow::Back };
            if (horizon, frame.placed) != measure {
                return Flow::Deeper;
            }
            let path = frames.iter().map(|frame| frame.via).collect();
            let indices = 0..frame.span + self.unanswered.len();
            let candidates = indices.filter_map(|index| self.candidate(frame, index)).collect();
            found = Some(DeadEnd { path, candidates, culprit });
            Flow::Stop
        });
        found
    }

    /// Goes through all configurations, until `visit` stops it or the budget does: then `false`.
    fn walk(
        &self,
        roots: &[Root<M::State>],
        budget: &mut Budget,
        mut visit: impl FnMut(&[Frame], &States<M::State>) -> Flow,
    ) -> bool {
        let mut states = States { ids: HashMap::default(), all: Vec::new() };
        let mut seen: HashSet<(Done, u32), Fixed> = HashSet::default();
        let mut frames: Vec<Frame> = Vec::new();
        for (number, root) in roots.iter().enumerate() {
            let mut done = Done::default();
            for call in &root.taken {
                if let Some(index) = self.unanswered.iter().position(|other| other == call) {
                    done.taken.insert(index);
                }
            }
            let mut next = Some((Via::Root(number), done, root.state.clone(), 0));
            loop {
                if let Some((via, done, state, placed)) = next.take() {
                    let id = states.id(state);
                    if seen.insert((done.clone(), id)) {
                        if budget.used >= budget.limit {
                            return false;
                        }
                        budget.used += 1;
                        frames.push(self.frame(done, id, &states, via, placed));
                        match visit(&frames, &states) {
                            Flow::Deeper => {}
                            Flow::Back => drop(frames.pop()),
                            Flow::Stop => return true,
                        }
                    }
                }
                let Some(frame) = frames.last_mut() else { break };
                next = self.next(frame, &states);
                if next.is_none() {
                    frames.pop();
                }
            }
        }
        true
    }

    fn frame(
        &self,
        done: Done,
        state: u32,
        states: &States<M::State>,
        via: Via,
        placed: usize,
    ) -> Frame {
        let (mut horizon, mut time, mut span) = (None, u64::MAX, 0);
        for (offset, &index) in self.answered[done.base..].iter().enumerate() {
            let call = &self.calls[index];
            let first = horizon.map_or(u64::MAX, |(to, _)| to);
            if call.from >= first {
                break;
            }
            span = offset + 1;
            if !done.ahead.contains(offset) && call.to < first {
                horizon = Some((call.to, index));
                time = call.latest();
            }
        }
        let windows = self.model.windows(&states.all[state as usize]);
        let latest = windows.iter().map(|window| window.latest).min().unwrap_or(u64::MAX);
        Frame { done, state, via, placed, horizon, time, span, windows, latest, cursor: 0 }
    }

    /// The call that is the candidate `index`: not placed, and invoked before the horizon.
    fn candidate(&self, frame: &Frame, index: usize) -> Option<usize> {
        let (to, _) = frame.horizon?;
        if index < frame.span {
            let call = self.answered[frame.done.base + index];
            return (!frame.done.ahead.contains(index)).then_some(call);
        }
        let index = index - frame.span;
        let call = *self.unanswered.get(index)?;
        (!frame.done.taken.contains(index) && self.calls[call].from < to).then_some(call)
    }

    /// The state after the candidate `index`, if it can come next.
    fn after(&self, frame: &Frame, state: &M::State, index: usize) -> Option<(usize, M::State)> {
        let id = self.candidate(frame, index)?;
        let call = &self.calls[id];
        let in_time = call.invoked.time <= frame.latest;
        in_time.then(|| self.model.step(state, call)).flatten().map(|after| (id, after))
    }

    /// The next configuration that `frame` leads to.
    fn next(
        &self,
        frame: &mut Frame,
        states: &States<M::State>,
    ) -> Option<(Via, Done, M::State, usize)> {
        let state = states.all[frame.state as usize].as_ref();
        let calls = frame.span + self.unanswered.len();
        let mut only = false;
        if frame.cursor == 0 {
            let reads = |index: &usize| {
                let id = self.candidate(frame, *index);
                id.is_some_and(|id| self.model.only_reads(&self.calls[id]))
                    && self.after(frame, state, *index).is_some_and(|(_, after)| after == *state)
            };
            if let Some(index) = (0..frame.span).find(reads) {
                (frame.cursor, only) = (index, true);
            }
        }
        while frame.cursor < calls {
            let index = frame.cursor;
            frame.cursor = if only { usize::MAX } else { index + 1 };
            let Some((id, after)) = self.after(frame, state, index) else { continue };
            if index >= frame.span && after == *state {
                continue;
            }
            let mut done = frame.done.clone();
            if index < frame.span {
                done.ahead.insert(index);
                done.base += done.ahead.shift_out_ones();
            } else {
                done.taken.insert(index - frame.span);
            }
            return Some((Via::Call(id), done, after, frame.placed + 1));
        }
        while let Some(window) = frame.windows.get(frame.cursor - calls) {
            let index = frame.cursor - calls;
            frame.cursor += 1;
            if window.earliest > frame.time || window.earliest > frame.latest {
                continue;
            }
            let after = self.model.fire(state, index);
            return Some((Via::Fire(index), frame.done.clone(), after, frame.placed));
        }
        None
    }

    fn taken(&self, frame: &Frame) -> Vec<usize> {
        let indices = 0..self.unanswered.len();
        let taken = indices.filter(|index| frame.done.taken.contains(*index));
        taken.map(|index| self.unanswered[index]).collect()
    }
}
