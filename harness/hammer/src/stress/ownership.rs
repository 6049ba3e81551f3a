//! Shared ownership: upgrades against the last drop.

use raddle_ownership::{Arc, Weak};
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/upgrade_versus_drop",
            "a value is destroyed once, by whoever lets it go last, and never while one has it",
            &[],
            upgrade_versus_drop::<P>,
        ),
        Stress::new(
            "stress/get_mut_versus_downgrade",
            "nobody has a value alone while another has a reference of any kind",
            &["arc-downgrade"],
            get_mut_versus_downgrade::<P>,
        ),
    ]
}

/// So many values in all, if the budget is for that long.
const ROUNDS: u64 = 50_000;
/// Between two starts of threads.
const BATCH: u64 = 500;

struct Value<'a, P: Platform> {
    destroyed: &'a P::AtomicU64,
    alive: P::AtomicBool,
}

impl<P: Platform> Drop for Value<'_, P> {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, Ordering::Relaxed), "destroyed twice");
        self.destroyed.fetch_add(1, Ordering::Relaxed);
    }
}

fn upgrade_versus_drop<P: Platform>(budget: &Budget) -> u64 {
    let mut rounds = 0;
    let destroyed = P::AtomicU64::new(0);
    while rounds == 0 || (budget.lasts() && rounds < ROUNDS) {
        rounds += batch::<P>(&destroyed);
    }
    // With time left, on and on.
    while budget.lasts() {
        rounds += batch::<P>(&destroyed);
    }
    assert_eq!(destroyed.load(Ordering::Relaxed), rounds, "each value once");
    rounds
}

fn batch<P: Platform>(destroyed: &P::AtomicU64) -> u64 {
    let values: Vec<Arc<Value<'_, P>, P>> = (0..BATCH)
        .map(|_| Arc::new_in(Value { destroyed, alive: P::AtomicBool::new(true) }))
        .collect();
    let weak = || values.iter().map(Arc::downgrade).collect::<Vec<Weak<_, P>>>();
    let (ours, theirs) = (weak(), weak());
    raddle_scenarios::scope::<P, _>(|threads| {
        for weak in [ours, theirs] {
            threads.spawn(move || {
                for weak in weak {
                    if let Some(value) = weak.upgrade() {
                        let again = Arc::downgrade(&value);
                        assert!(value.alive.load(Ordering::Relaxed), "upgraded to a dead one");
                        drop(value);
                        drop(again.upgrade());
                    }
                }
            });
        }
        threads.spawn(move || drop(values));
    });
    BATCH
}

fn get_mut_versus_downgrade<P: Platform>(budget: &Budget) -> u64 {
    const TURNS: u64 = 2_000;
    budget.rounds(|| {
        let mut mine = Arc::<_, P>::new_in(RaceCell::<u64, P>::new_in(0));
        let theirs = mine.clone();
        let alone = raddle_scenarios::scope::<P, _>(|threads| {
            threads.spawn(move || {
                for _ in 0..TURNS {
                    let weak = Arc::downgrade(&theirs);
                    // SAFETY: nobody writes while this thread has `theirs`.
                    let value = unsafe { theirs.with(|value| *value) };
                    assert_eq!(value, 0, "written beside a reader");
                    drop(weak.upgrade());
                }
            });
            (0..TURNS)
                .filter(|_| {
                    let alone = Arc::get_mut(&mut mine);
                    alone.is_some_and(|value| {
                        *value.get_mut() += 1;
                        true
                    })
                })
                .count() as u64
        });
        let value = Arc::get_mut(&mut mine).map(|value| *value.get_mut());
        assert_eq!(value, Some(alone), "each write counts");
        2 * TURNS
    })
}
