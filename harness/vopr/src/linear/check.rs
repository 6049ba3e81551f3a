//! Checks a history, as a whole or in parts.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};

use super::components::Components;
use super::history::{Call, History};
use super::model::{Keyed, Model};
use super::search::{Budget, DeadEnd, Found, Root, Search, Via};
use super::verdict::{Counterexample, Placed, Stuck, Verdict};

/// When a check gives up. What it has in memory grows with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Configurations in all: sets of placed operations with a state.
    pub configurations: usize,
    /// States that are possible where one piece of the history ends and the next begins.
    pub states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { configurations: 1_000_000, states: 10_000 }
    }
}

type Calls<M> = [Call<<M as Model>::Operation, <M as Model>::Outcome>];

/// Checks the history of one object.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Operation, M::Outcome>,
    bounds: Bounds,
) -> Verdict {
    let calls = &history.calls;
    let (answered, unanswered) =
        (0..calls.len()).partition(|index| calls[*index].returned.is_some());
    let search = Search { model, calls, answered, unanswered };
    let roots = [Root { state: model.initial(), taken: Vec::new() }];
    let mut budget = Budget { used: 0, limit: bounds.configurations };
    match search.run(&roots, false, &mut budget) {
        Found::Ends(_) => Verdict::Linearizable,
        Found::GaveUp => Verdict::GaveUp { configurations: budget.used },
        Found::Stuck(measure) => match search.dead_end(&roots, measure) {
            Some(end) => explain(&search, &roots, &end, Vec::new(), 0),
            None => unreachable!("a search goes the same way twice"),
        },
    }
}

/// Checks the history of an object that has keys: each group of keys that some operation joins by
/// itself, and the pieces of the history that have operations on all keys as a whole.
pub fn check_keyed<M: Keyed>(
    model: &M,
    history: &History<M::Operation, M::Outcome>,
    bounds: Bounds,
) -> Verdict {
    let calls = &history.calls;
    let components = Components::new(model, calls);
    let budget = Budget { used: 0, limit: bounds.configurations };
    let mut checker = Checker { model, calls, components, budget, states: bounds.states };
    match checker.check() {
        Ok(()) => Verdict::Linearizable,
        Err(verdict) => verdict,
    }
}

/// What a dead end means to a reader.
fn explain<M: Model>(
    search: &Search<'_, M>,
    roots: &[Root<M::State>],
    end: &DeadEnd,
    keys: Vec<String>,
    before: usize,
) -> Verdict {
    let Search { model, calls, .. } = search;
    let mut state = model.initial();
    let (mut start, mut prefix) = (String::new(), Vec::new());
    for via in &end.path {
        match *via {
            Via::Root(number) => {
                state = roots[number].state.clone();
                start = format!("{state:?}");
            }
            Via::Call(index) => {
                state = model.step(&state, &calls[index]).unwrap_or(state);
                prefix.push(Placed { call: Some(index), text: calls[index].describe() });
            }
            Via::Fire(index) => {
                prefix.push(Placed { call: None, text: model.fired(&state, index) });
                state = model.fire(&state, index);
            }
        }
    }
    let windows = model.windows(&state);
    let why = |call| {
        let call: &Call<_, _> = &calls[call];
        match windows.iter().position(|window| window.latest < call.invoked.time) {
            Some(first) => format!("comes too late: before it {}", model.fired(&state, first)),
            None => model.refusal(&state, call),
        }
    };
    let stuck = |&call: &usize| Stuck { call, text: calls[call].describe(), why: why(call) };
    Verdict::NotLinearizable(Box::new(Counterexample {
        keys,
        checked: search.answered.len() + search.unanswered.len(),
        before,
        start,
        prefix,
        state: format!("{state:?}"),
        stuck: end.candidates.iter().map(stuck).collect(),
        culprit: end.culprit,
    }))
}

/// A piece of a history: between two moments at which nothing is in flight but what will never be
/// answered.
struct Piece {
    /// The answered calls.
    calls: Vec<usize>,
    /// Whether one of them is about all keys.
    whole: bool,
    /// The event that ends it.
    end: u64,
}

/// States that are possible together: any of each group's. A group that is not there is as at first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Possible<S> {
    parts: BTreeMap<usize, Vec<Root<S>>>,
    /// The unanswered calls about all keys that have taken effect.
    taken: Vec<usize>,
}

struct Checker<'a, M: Keyed> {
    model: &'a M,
    calls: &'a Calls<M>,
    components: Components<M::Key>,
    budget: Budget,
    states: usize,
}

impl<M: Keyed> Checker<'_, M> {
    fn check(&mut self) -> Result<(), Verdict> {
        let mut possible = vec![Possible { parts: BTreeMap::new(), taken: Vec::new() }];
        let pieces = self.pieces();
        for (index, piece) in pieces.iter().enumerate() {
            let last = index + 1 == pieces.len();
            possible = match piece.whole {
                true => self.whole(piece, possible, last)?,
                false => self.apart(piece, possible, last)?,
            };
            let mut seen = HashSet::<_, BuildHasherDefault<DefaultHasher>>::default();
            possible.retain(|it| seen.insert(it.clone()));
            if possible.len() > self.states {
                return Err(self.gave_up());
            }
        }
        Ok(())
    }

    fn gave_up(&self) -> Verdict {
        Verdict::GaveUp { configurations: self.budget.used }
    }

    /// Cuts `answered` calls where nothing is in flight.
    fn cut(&self, answered: impl Iterator<Item = usize>) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for index in answered {
            let call = &self.calls[index];
            match pieces.last_mut() {
                Some(piece) if call.from < piece.end => {
                    piece.calls.push(index);
                    piece.end = piece.end.max(call.to);
                }
                _ => pieces.push(Piece { calls: vec![index], whole: false, end: call.to }),
            }
        }
        pieces
    }

    /// The pieces of the history: those without an operation on all keys are made one.
    fn pieces(&self) -> Vec<Piece> {
        let all = |index: usize| self.components.of_call(index).is_none();
        let unanswered = self.unanswered(u64::MAX).into_iter().filter(|index| all(*index));
        let never = unanswered.map(|index| self.calls[index].from).min().unwrap_or(u64::MAX);
        let answered = (0..self.calls.len()).filter(|index| self.calls[*index].returned.is_some());
        let mut pieces: Vec<Piece> = Vec::new();
        for mut piece in self.cut(answered) {
            piece.whole = never < piece.end || piece.calls.iter().any(|index| all(*index));
            match pieces.last_mut() {
                Some(before) if !before.whole && !piece.whole => {
                    before.calls.append(&mut piece.calls);
                    before.end = piece.end;
                }
                _ => pieces.push(piece),
            }
        }
        pieces
    }

    /// The unanswered calls that were invoked before the event `end`.
    fn unanswered(&self, end: u64) -> Vec<usize> {
        let unanswered = |index: &usize| {
            let call = &self.calls[*index];
            call.returned.is_none() && call.from < end
        };
        (0..self.calls.len()).filter(unanswered).collect()
    }

    fn roots(&self, possible: &Possible<M::State>, component: usize) -> Vec<Root<M::State>> {
        let initial =
            || vec![Root { state: self.part(&self.model.initial(), component), taken: vec![] }];
        possible.parts.get(&component).cloned().unwrap_or_else(initial)
    }

    fn part(&self, state: &M::State, component: usize) -> M::State {
        self.model.part(state, &|key| self.components.of_key(key) == Some(component))
    }

    /// Each group by itself.
    fn apart(
        &mut self,
        piece: &Piece,
        possible: Vec<Possible<M::State>>,
        last: bool,
    ) -> Result<Vec<Possible<M::State>>, Verdict> {
        let mut by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &index in &piece.calls {
            if let Some(component) = self.components.of_call(index) {
                by.entry(component).or_default().push(index);
            }
        }
        let (mut next, mut failed) = (Vec::new(), None);
        for mut one in possible {
            let result = by.iter().try_for_each(|(&component, calls)| {
                let roots = self.roots(&one, component);
                let ends = self.group(component, calls, piece, roots, last)?;
                one.parts.insert(component, ends);
                Ok(())
            });
            match result {
                // One way to go on is enough at the end.
                Ok(()) if last => return Ok(Vec::new()),
                Ok(()) => next.push(one),
                Err(verdict @ Verdict::GaveUp { .. }) => return Err(verdict),
                Err(verdict) => failed = Some(failed.unwrap_or(verdict)),
            }
        }
        match failed {
            Some(failed) if next.is_empty() => Err(failed),
            _ => Ok(next),
        }
    }

    /// One group: the states in which it may be at the end of the piece.
    fn group(
        &mut self,
        component: usize,
        calls: &[usize],
        piece: &Piece,
        mut roots: Vec<Root<M::State>>,
        last: bool,
    ) -> Result<Vec<Root<M::State>>, Verdict> {
        let of_group = |index: &usize| self.components.of_call(*index) == Some(component);
        // All ends are wanted only if something comes after; then there are fewer of them at each
        // moment at which nothing of the group is in flight.
        let pieces = match last {
            true => vec![Piece { calls: calls.to_vec(), whole: false, end: piece.end }],
            false => self.cut(calls.iter().copied()),
        };
        for piece in pieces {
            let mut unanswered = self.unanswered(piece.end);
            unanswered.retain(of_group);
            let search =
                Search { model: self.model, calls: self.calls, answered: piece.calls, unanswered };
            roots = match search.run(&roots, !last, &mut self.budget) {
                Found::Ends(ends) => ends,
                Found::GaveUp => {
                    return Err(Verdict::GaveUp { configurations: self.budget.used });
                }
                Found::Stuck(measure) => {
                    return Err(self.stuck(&search, &roots, measure, Some(component)));
                }
            };
        }
        Ok(roots)
    }

    fn stuck(
        &self,
        search: &Search<'_, M>,
        roots: &[Root<M::State>],
        measure: (u64, usize),
        component: Option<usize>,
    ) -> Verdict {
        let Some(end) = search.dead_end(roots, measure) else {
            unreachable!("a search goes the same way twice")
        };
        let first = search.answered.first().map_or(0, |index| self.calls[*index].from);
        let earlier = |index: &usize| {
            let of = self.components.of_call(*index);
            let about = component.is_none() || of.is_none() || of == component;
            about && self.calls[*index].to < first
        };
        let before = (0..self.calls.len()).filter(earlier).count();
        let keys = self.components.keys(component).map(|key| format!("{key:?}")).collect();
        explain(search, roots, &end, keys, before)
    }

    /// All keys together.
    fn whole(
        &mut self,
        piece: &Piece,
        possible: Vec<Possible<M::State>>,
        last: bool,
    ) -> Result<Vec<Possible<M::State>>, Verdict> {
        let mut roots = Vec::new();
        for one in &possible {
            self.together(one, &mut roots)?;
        }
        let unanswered = self.unanswered(piece.end);
        let answered = piece.calls.clone();
        let search = Search { model: self.model, calls: self.calls, answered, unanswered };
        match search.run(&roots, !last, &mut self.budget) {
            Found::Ends(ends) => Ok(ends.into_iter().map(|end| self.split(&end)).collect()),
            Found::GaveUp => Err(self.gave_up()),
            Found::Stuck(measure) => Err(self.stuck(&search, &roots, measure, None)),
        }
    }

    /// Every combination of what is possible for each group.
    fn together(
        &self,
        possible: &Possible<M::State>,
        roots: &mut Vec<Root<M::State>>,
    ) -> Result<(), Verdict> {
        let groups: Vec<_> =
            (0..self.components.count()).map(|component| self.roots(possible, component)).collect();
        let combinations = groups
            .iter()
            .try_fold(1_usize, |product, group| product.checked_mul(group.len()))
            .filter(|count| roots.len() + count <= self.states);
        let Some(combinations) = combinations else { return Err(self.gave_up()) };
        for mut number in 0..combinations {
            let mut taken = possible.taken.clone();
            let mut parts = Vec::with_capacity(groups.len());
            for group in &groups {
                let root = &group[number % group.len()];
                number /= group.len();
                taken.extend_from_slice(&root.taken);
                parts.push(&root.state);
            }
            taken.sort_unstable();
            roots.push(Root { state: self.model.join(&parts), taken });
        }
        Ok(())
    }

    fn split(&self, end: &Root<M::State>) -> Possible<M::State> {
        let taken = |component: Option<usize>| {
            let of = |index: &&usize| self.components.of_call(**index) == component;
            end.taken.iter().filter(of).copied().collect()
        };
        let part = |component| {
            let root =
                Root { state: self.part(&end.state, component), taken: taken(Some(component)) };
            (component, vec![root])
        };
        let parts = (0..self.components.count()).map(part).collect();
        Possible { parts, taken: taken(None) }
    }
}
