//! Versioned cells: writers, readers that come and go, audits, and garbage that must end.

use raddle_ownership::Arc;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell, Threads};
use raddle_scenarios::scope;
use raddle_versioned::{
    ArcCell, Snapshot, Transaction, TransactionError, Versioned, epoch, transaction_in,
};

use super::{Budget, Stress};

pub(super) fn list<P: Platform>() -> Vec<Stress> {
    vec![
        Stress::new(
            "stress/versioned",
            "audits find all the money, readers whole values, and in the end nothing is in limbo",
            &["spinlock", "transaction-prepared"],
            versioned::<P>,
        ),
        Stress::new(
            "stress/garbage_bound",
            "who makes garbage while somebody stays pinned waits at the bound",
            &["garbage-limit"],
            garbage_bound::<P>,
        ),
    ]
}

const ACCOUNTS: usize = 4;
const EACH: i64 = 100;
/// Of each thread, in a round.
const STEPS: usize = 400;

/// A pair that is written together, in memory that a checker watches.
struct Pair<P: Platform>(RaceCell<(u64, u64), P>);

impl<P: Platform> Pair<P> {
    fn new(value: u64) -> Self {
        Self(RaceCell::new_in((value, 2 * value)))
    }

    fn check(&self) -> u64 {
        // SAFETY: written before it is shared, and by its destructor.
        let (one, two) = unsafe { self.0.with(|pair| *pair) };
        assert_eq!(two, 2 * one, "a value was torn, or freed too early");
        one
    }
}

impl<P: Platform> Drop for Pair<P> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`; and this is the check.
        unsafe { self.0.with_mut(|pair| *pair = (1, 1)) };
    }
}

struct Bank<P: Platform> {
    accounts: [Versioned<i64, P>; ACCOUNTS],
    version: Versioned<Pair<P>, P>,
    shared: ArcCell<Pair<P>, P>,
    done: P::AtomicU64,
}

impl<P: Platform> Bank<P> {
    fn transfer(&self, step: usize) {
        let (from, to) = (step % ACCOUNTS, (step * 3 + 1) % ACCOUNTS);
        let moved: Result<(), TransactionError<()>> =
            transaction_in::<P, _, _>(|tx: &Transaction<'_, P>| {
                tx.update(&self.accounts[from], |money| money - 1);
                tx.update(&self.accounts[to], |money| money + 1);
                Ok(())
            });
        assert!(matches!(moved, Ok(()) | Err(TransactionError::Conflict)), "{moved:?}");
        // Somebody may be faster each time.
        let _conflict = self.version.update(|pair| Pair::new(pair.check() + 1));
        self.shared.store(Arc::new_in(Pair::new(step as u64)));
    }

    fn audit(&self) {
        let now = Snapshot::<P>::new_in();
        let total: i64 = self.accounts.iter().map(|account| *now.read(account)).sum();
        assert_eq!(total, EACH * ACCOUNTS as i64, "money was made or lost");
    }

    fn read(&self, last: &mut u64) {
        let version = self.version.read().check();
        assert!(version >= *last, "an older version came back");
        *last = version;
        self.shared.load().check();
        self.shared.load_full().check();
    }

    /// Two writers, an auditor, and readers each of which ends after a few reads, some of them while
    /// they are pinned.
    fn round(&self) -> u64 {
        scope::<P, _>(|threads| {
            for writer in 0..2 {
                threads.spawn(move || (0..STEPS).for_each(|step| self.transfer(step * 2 + writer)));
            }
            threads.spawn(|| (0..STEPS).for_each(|_| self.audit()));
            for _ in 0..4 {
                let reader = threads.spawn(|| {
                    let mut last = 0;
                    let pinned = epoch::pin_in::<P>();
                    (0..STEPS / 4).for_each(|_| self.read(&mut last));
                    drop(pinned);
                });
                reader.join();
            }
        });
        let steps = 4 * STEPS as u64;
        self.done.fetch_add(steps, Ordering::Relaxed);
        steps
    }
}

fn versioned<P: Platform>(budget: &Budget) -> u64 {
    let bank = Bank::<P> {
        accounts: core::array::from_fn(|_| Versioned::new_in(EACH)),
        version: Versioned::new_in(Pair::new(1)),
        shared: ArcCell::new_in(Arc::new_in(Pair::new(1))),
        done: P::AtomicU64::new(0),
    };
    let done = budget.rounds(|| bank.round());
    assert_eq!(bank.done.load(Ordering::Relaxed), done);
    bank.audit();
    limbo_empties::<P>();
    done
}

/// The collector frees everything, without a word from anybody.
fn limbo_empties<P: Platform>() {
    while epoch::stats::<P>().limbo_items > 0 {
        P::Threads::yield_now();
    }
}

fn garbage_bound<P: Platform>(budget: &Budget) -> u64 {
    let limit = P::CELL_BOUNDS.garbage_limit;
    let most = limit + P::CELL_BOUNDS.garbage_batch;
    let done = budget.rounds(|| {
        let pinned = epoch::pin_in::<P>();
        scope::<P, _>(|threads| {
            threads.spawn(|| {
                for value in 0..most as u64 + 1 {
                    epoch::pin_in::<P>().retire(Box::new(value));
                }
            });
            while epoch::stats::<P>().limbo_items < limit {
                P::Threads::yield_now();
            }
            for _ in 0..100 {
                P::Threads::yield_now();
                assert!(epoch::stats::<P>().limbo_items <= most, "garbage is over its bound");
            }
            drop(pinned);
        });
        most as u64
    });
    limbo_empties::<P>();
    done
}
