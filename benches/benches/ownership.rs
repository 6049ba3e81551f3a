//! `Arc` and `Weak`: a graph is built, shared by a storm of clones and upgrades, and torn down.
//!
//! A graph has a thousand nodes; each owns up to two that were made before it and knows the graph by a
//! `Weak`. Times are per node for building and dropping, and per round of each thread in a storm: a clone, a
//! downgrade, an upgrade, and the drops of all three.

use std::hint::black_box;
use std::ops::Deref;
use std::sync as std_sync;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use raddle_benches::{at_once, lcg};

const NODES: u64 = 1000;

/// What the bench needs of a pair of pointers.
trait Pointers: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    type Arc<T: Send + Sync + 'static>: Clone + Deref<Target = T> + Send + Sync;
    type Weak<T: Send + Sync + 'static>: Clone + Send + Sync;
    fn share<T: Send + Sync + 'static>(value: T) -> Self::Arc<T>;
    fn cyclic<T: Send + Sync + 'static>(make: impl FnOnce(&Self::Weak<T>) -> T) -> Self::Arc<T>;
    fn downgrade<T: Send + Sync + 'static>(arc: &Self::Arc<T>) -> Self::Weak<T>;
    fn upgrade<T: Send + Sync + 'static>(weak: &Self::Weak<T>) -> Option<Self::Arc<T>>;
    fn owners<T: Send + Sync + 'static>(arc: &Self::Arc<T>) -> usize;
}

macro_rules! pointers {
    ($type:ident, $name:literal, $family:ident) => {
        struct $type;

        impl Pointers for $type {
            const NAME: &'static str = $name;
            type Arc<T: Send + Sync + 'static> = $family::Arc<T>;
            type Weak<T: Send + Sync + 'static> = $family::Weak<T>;
            fn share<T: Send + Sync + 'static>(value: T) -> Self::Arc<T> {
                $family::Arc::new(value)
            }
            fn cyclic<T: Send + Sync + 'static>(
                make: impl FnOnce(&Self::Weak<T>) -> T,
            ) -> Self::Arc<T> {
                $family::Arc::new_cyclic(make)
            }
            fn downgrade<T: Send + Sync + 'static>(arc: &Self::Arc<T>) -> Self::Weak<T> {
                $family::Arc::downgrade(arc)
            }
            fn upgrade<T: Send + Sync + 'static>(weak: &Self::Weak<T>) -> Option<Self::Arc<T>> {
                weak.upgrade()
            }
            fn owners<T: Send + Sync + 'static>(arc: &Self::Arc<T>) -> usize {
                $family::Arc::strong_count(arc)
            }
        }
    };
}

pointers!(Raddle, "raddle", raddle_ownership);
pointers!(Std, "std", std_sync);

struct Node<F: Pointers> {
    value: u64,
    owned: [Option<F::Arc<Node<F>>>; 2],
    graph: F::Weak<Graph<F>>,
}

struct Graph<F: Pointers> {
    nodes: Vec<F::Arc<Node<F>>>,
}

fn graph<F: Pointers>() -> F::Arc<Graph<F>> {
    F::cyclic(|graph| {
        let mut nodes: Vec<F::Arc<Node<F>>> = Vec::with_capacity(NODES as usize);
        for value in 0..NODES {
            let before = |seed| nodes.get((lcg(seed, 1) >> 33) as usize % nodes.len().max(1));
            let owned = [before(value).cloned(), before(!value).cloned()];
            nodes.push(F::share(Node { value, owned, graph: graph.clone() }));
        }
        Graph { nodes }
    })
}

/// The nodes and what they own know the graph, and one another, as they were built.
fn check<F: Pointers>(graph: &F::Arc<Graph<F>>) {
    let owned: usize = graph.nodes.iter().map(|node| node.owned.iter().flatten().count()).sum();
    let owners: usize = graph.nodes.iter().map(F::owners).sum();
    assert_eq!(owners, owned + graph.nodes.len(), "each owner is counted once");
    for node in [&graph.nodes[0], &graph.nodes[NODES as usize - 1]] {
        let upgraded = F::upgrade(&node.graph).expect("the graph is alive");
        assert!(std::ptr::eq(&*upgraded, &**graph));
    }
}

/// The time for building so many nodes, and the time for dropping them.
fn build_and_drop<F: Pointers>(nodes: u64) -> (Duration, Duration) {
    let (mut building, mut dropping) = (Duration::ZERO, Duration::ZERO);
    let graphs = nodes.div_ceil(NODES);
    for _ in 0..graphs {
        let start = Instant::now();
        let graph = black_box(graph::<F>());
        building += start.elapsed();
        check::<F>(&graph);
        let last = F::downgrade(&graph.nodes[0]);
        let start = Instant::now();
        drop(graph);
        dropping += start.elapsed();
        assert!(F::upgrade(&last).is_none(), "nobody owns a node any more");
    }
    let share = nodes as f64 / (graphs * NODES) as f64;
    (building.mul_f64(share), dropping.mul_f64(share))
}

/// `threads` threads go through so many rounds each, over the first `hot` nodes.
fn storm<F: Pointers>(threads: usize, hot: u64, rounds: u64) -> Duration {
    let graph = graph::<F>();
    let nodes = &graph.nodes[..hot as usize];
    let (elapsed, sums) = at_once(threads, |thread| {
        let (mut sum, mut random) = (0_u64, thread as u64);
        for _ in 0..rounds {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_041);
            let node = nodes[((random >> 33) % hot) as usize].clone();
            let weak = F::downgrade(&node);
            drop(node);
            sum += F::upgrade(&weak).map_or(0, |node| 1 + node.value / NODES);
        }
        sum
    });
    assert_eq!(sums.iter().sum::<u64>(), threads as u64 * rounds, "each upgrade found its node");
    check::<F>(&graph);
    elapsed
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Measures both families by the same function.
fn both(
    criterion: &mut Criterion,
    case: &str,
    ours: impl Fn(u64) -> Duration,
    std: impl Fn(u64) -> Duration,
) {
    let mut group: Group<'_> = criterion.benchmark_group(format!("ownership/{case}"));
    group.bench_function(Raddle::NAME, |bencher| bencher.iter_custom(&ours));
    group.bench_function(Std::NAME, |bencher| bencher.iter_custom(&std));
    group.finish();
}

fn life(criterion: &mut Criterion) {
    let build = (|n| build_and_drop::<Raddle>(n).0, |n| build_and_drop::<Std>(n).0);
    both(criterion, "build", build.0, build.1);
    let tear_down = (|n| build_and_drop::<Raddle>(n).1, |n| build_and_drop::<Std>(n).1);
    both(criterion, "tear_down", tear_down.0, tear_down.1);
}

fn storms(criterion: &mut Criterion) {
    for (threads, hot) in [(1, NODES), (2, NODES), (2, 1)] {
        let nodes = if hot == 1 { "one_node" } else { "graph" };
        both(
            criterion,
            &format!("storm/{threads}_threads/{nodes}"),
            |rounds| storm::<Raddle>(threads, hot, rounds),
            |rounds| storm::<Std>(threads, hot, rounds),
        );
    }
}

criterion_group! {
    name = ownership;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = life, storms
}
criterion_main!(ownership);
