//! Which keys belong together: those that some operation joins, directly or through others.

use std::collections::BTreeMap;

use super::history::Call;
use super::model::{Keyed, Touches};

/// The groups of keys of a history, numbered in the order of their first use.
pub(crate) struct Components<K> {
    keys: BTreeMap<K, usize>,
    /// What each call is about; none if about everything.
    of_call: Vec<Option<usize>>,
    count: usize,
}

/// Union–find.
#[derive(Default)]
struct Forest(Vec<usize>);

impl Forest {
    fn add(&mut self) -> usize {
        self.0.push(self.0.len());
        self.0.len() - 1
    }

    fn root(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    fn union(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        let (first, second) = (a.min(b), a.max(b));
        self.0[second] = first;
    }
}

impl<K: Ord + Clone> Components<K> {
    pub(crate) fn new<M: Keyed<Key = K>>(
        model: &M,
        calls: &[Call<M::Operation, M::Outcome>],
    ) -> Self {
        let mut forest = Forest::default();
        let mut keys = BTreeMap::new();
        let mut nodes = Vec::with_capacity(calls.len());
        for call in calls {
            let Touches::Keys(touched) = model.touches(&call.operation) else {
                nodes.push(None);
                continue;
            };
            let mut first = None;
            for key in touched {
                let node = *keys.entry(key).or_insert_with(|| forest.add());
                forest.union(*first.get_or_insert(node), node);
            }
            // Of no key: a group of its own.
            nodes.push(Some(first.unwrap_or_else(|| forest.add())));
        }
        let mut numbers = BTreeMap::new();
        let mut number = |node| {
            let root = forest.root(node);
            let next = numbers.len();
            *numbers.entry(root).or_insert(next)
        };
        let of_call: Vec<_> = nodes.into_iter().map(|node| node.map(&mut number)).collect();
        let keys = keys.into_iter().map(|(key, node)| (key, number(node))).collect();
        Self { keys, of_call, count: numbers.len() }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The group that a call is about; none if it is about all.
    pub(crate) fn of_call(&self, call: usize) -> Option<usize> {
        self.of_call[call]
    }

    pub(crate) fn of_key(&self, key: &K) -> Option<usize> {
        self.keys.get(key).copied()
    }

    /// The keys of a group, or all.
    pub(crate) fn keys(&self, component: Option<usize>) -> impl Iterator<Item = &K> {
        let of = move |number: usize| component.is_none_or(|component| component == number);
        self.keys.iter().filter(move |(_, number)| of(**number)).map(|(key, _)| key)
    }
}
