//! Snapshots and transactions: one point in time, all or nothing.

use raddle_platform::{Platform, Threads};
use raddle_versioned::{Snapshot, Transaction, TransactionError, Versioned, epoch, transaction_in};

use crate::epoch::{Drops, Witness};
use crate::{Needs, Scenario, scope};

type Cell<P> = Versioned<i32, P>;
type Outcome<T> = Result<T, TransactionError<()>>;

fn pair<P: Platform>() -> [Cell<P>; 2] {
    [Versioned::new_in(5), Versioned::new_in(5)]
}

/// Moves 1 from one cell to the other.
fn transfer<P: Platform>(from: &Cell<P>, to: &Cell<P>) -> Outcome<()> {
    transaction_in::<P, _, _>(|tx: &Transaction<'_, P>| {
        tx.update(from, |value| value - 1);
        tx.update(to, |value| value + 1);
        Ok(())
    })
}

fn snapshot_is_never_mixed<P: Platform>() {
    let [left, right] = pair::<P>();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let snapshot = Snapshot::<P>::new_in();
            (*snapshot.read(&left), *snapshot.read(&right))
        });
        let moved = transfer(&left, &right);
        let (one, other) = reader.join();
        assert_eq!(one + other, 10, "a part of a transaction was seen");
        // A snapshot may end a transaction that is about to commit, each time.
        assert!(matches!(moved, Ok(()) | Err(TransactionError::Conflict)));
    });
    assert_eq!(*left.read() + *right.read(), 10);
}

fn read_is_never_mixed<P: Platform>() {
    let [left, right] = pair::<P>();
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let one = *right.read();
            (one, *left.read())
        });
        let moved = transfer(&left, &right);
        // A reader may end a transaction that is about to commit, each time.
        assert!(matches!(moved, Ok(()) | Err(TransactionError::Conflict)));
        let (one, other) = reader.join();
        assert!(one == 5 || other == 4, "who saw one write missed the other");
    });
}

/// The transaction writes `closed` only if nobody has come in. Who comes in and then reads that it is
/// not closed can rely on that: the transaction comes later, and sees it.
fn read_after_replacing<P: Platform>() {
    let inside = Versioned::<bool, P>::new_in(false);
    let closed = Versioned::<bool, P>::new_in(false);
    scope::<P, _>(|threads| {
        let closer = threads.spawn(|| {
            transaction_in::<P, _, ()>(|tx: &Transaction<'_, P>| {
                let empty = !*tx.read(&inside);
                if empty {
                    tx.write(&closed, true);
                }
                Ok(empty)
            })
        });
        assert_eq!(inside.update(|_| true), Ok(()));
        let found_closed = *closed.read();
        if closer.join() == Ok(true) {
            assert!(found_closed, "it was closed after somebody was inside");
        }
    });
}

/// Who has read what an update wrote takes a snapshot that has it, too.
fn snapshot_after_read<P: Platform>() {
    let cell = Versioned::<i32, P>::new_in(1);
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let seen = *cell.read();
            let snapshot = Snapshot::<P>::new_in();
            (seen, *snapshot.read(&cell))
        });
        assert_eq!(cell.update(|_| 2), Ok(()));
        let (seen, in_snapshot) = reader.join();
        assert!(seen <= in_snapshot, "the snapshot is older than what was read before it");
    });
}

/// Updates prune while a snapshot looks for what they replaced.
fn snapshot_against_pruning<P: Platform>() {
    let drops = Drops::new();
    let cell = Versioned::<Witness<P>, P>::new_in(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let snapshot = Snapshot::<P>::new_in();
            let first = snapshot.read(&cell).read();
            (first, snapshot.read(&cell).read())
        });
        for value in 2..4 {
            assert_eq!(cell.update(|_| Witness::new(value, &drops)), Ok(()));
        }
        let (first, second) = reader.join();
        assert_eq!(first, second, "a snapshot stands still");
        assert!((1..4).contains(&first));
    });
}

/// Each reads both and writes one: in every order of the two, one of them sees the other's.
fn write_skew<P: Platform>() {
    let [left, right] = pair::<P>();
    let guarded = |mine: &Cell<P>| -> Outcome<bool> {
        transaction_in::<P, _, _>(|tx: &Transaction<'_, P>| {
            let enough = tx.read(&left) + tx.read(&right) >= 10;
            if enough {
                // The borrow is of the same cell that the closure was given.
                let cell = if core::ptr::eq(mine, &left) { &left } else { &right };
                tx.update(cell, |value| value - 5);
            }
            Ok(enough)
        })
    };
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| guarded(&right));
        let both = [guarded(&left), other.join()];
        let took = both.iter().filter(|outcome| **outcome == Ok(true)).count();
        assert!(took <= 1, "both took what was there once");
        assert_eq!(*left.read() + *right.read(), 10 - 5 * took as i32);
    });
}

/// Two transactions whose cells overlap in one.
fn overlapping<P: Platform>() {
    let cells: [Cell<P>; 3] = core::array::from_fn(|_| Versioned::new_in(5));
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| transfer(&cells[1], &cells[2]));
        let both = [transfer(&cells[0], &cells[1]), other.join()];
        assert!(both.iter().any(Result::is_ok), "one of both gets through");
        let done = both.map(|outcome| i32::from(outcome.is_ok()));
        let values = cells.each_ref().map(|cell| *cell.read());
        assert_eq!(values, [5 - done[0], 5 + done[0] - done[1], 5 + done[1]]);
    });
}

/// An update of one cell meets a transaction that writes it.
fn transaction_against_update<P: Platform>() {
    let [left, right] = pair::<P>();
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| left.update(|value| value + 100));
        let moved = i32::from(transfer(&left, &right).is_ok());
        let added = if other.join().is_ok() { 100 } else { 0 };
        assert_eq!((*left.read(), *right.read()), (5 + added - moved, 5 + moved));
    });
}

/// With nobody in the way it commits at the first try, and leaves nothing behind.
fn alone<P: Platform>() {
    let [left, right] = pair::<P>();
    assert_eq!(transfer(&left, &right), Ok(()));
    assert_eq!((*left.read(), *right.read()), (4, 6));
    assert_eq!((left.versions(), right.versions()), (1, 1), "what was replaced is pruned");
}

/// Its body fails, or panics: no cell is changed or marked.
fn rolled_back<P: Platform>() {
    let drops = Drops::new();
    let cell = Versioned::<Witness<P>, P>::new_in(Witness::new(1, &drops));
    let rejected = transaction_in::<P, (), &str>(|tx: &Transaction<'_, P>| {
        tx.write(&cell, Witness::new(2, &drops));
        tx.write(&cell, Witness::new(3, &drops));
        assert_eq!(tx.read(&cell).read(), 3, "a transaction reads what it wrote");
        Err("no")
    });
    assert_eq!(rejected, Err(TransactionError::Rejected("no")));
    let panicking = || {
        transaction_in::<P, (), ()>(|tx: &Transaction<'_, P>| {
            tx.write(&cell, Witness::new(4, &drops));
            std::panic::resume_unwind(Box::new("planned"))
        })
    };
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking));
    assert!(unwound.is_err());
    assert_eq!(drops.count(), 3, "what was not committed is dropped");
    assert_eq!(cell.update(|old| Witness::new(old.read() + 10, &drops)), Ok(()));
    assert_eq!(cell.read().read(), 11);
    assert_eq!(epoch::stats::<P>().pinned, 0);
}

/// Each time something that was read has changed before it commits.
fn exhausted<P: Platform>() {
    let [read, written] = pair::<P>();
    let mut tries = 0;
    let result = transaction_in::<P, (), ()>(|tx: &Transaction<'_, P>| {
        tries += 1;
        let seen = *tx.read(&read);
        assert_eq!(read.update(|value| value + 1), Ok(()));
        tx.write(&written, seen);
        Ok(())
    });
    assert_eq!(result, Err(TransactionError::Conflict));
    assert_eq!(tries, P::CELL_BOUNDS.transaction_retries + 1);
    assert_eq!(*written.read(), 5, "nothing of it was committed");
    assert_eq!(written.update(|value| value + 1), Ok(()), "and nothing is in the way");
}

/// Many transfers and many audits, by more threads than a model checker can follow.
fn bank<P: Platform>() {
    let cells: [Cell<P>; 3] = core::array::from_fn(|_| Versioned::new_in(10));
    scope::<P, _>(|threads| {
        for teller in 0..2 {
            let cells = &cells;
            threads.spawn(move || {
                for round in 0..3 {
                    let (from, to) = ((teller + round) % 3, (teller + round + 1) % 3);
                    if transfer(&cells[from], &cells[to]).is_err() {
                        P::Threads::yield_now();
                    }
                }
            });
        }
        for _ in 0..3 {
            let audit = Snapshot::<P>::new_in();
            P::Threads::yield_now();
            let total: i32 = cells.iter().map(|cell| *audit.read(cell)).sum();
            assert_eq!(total, 30, "money was made or lost");
        }
    });
    let total: i32 = cells.iter().map(|cell| *cell.read()).sum();
    assert_eq!(total, 30);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    let two = |name, property, run: fn()| {
        Scenario::new(name, property, run).needs(needs.threads(1)).bound(3)
    };
    vec![
        two(
            "transaction/snapshot_is_never_mixed",
            "a snapshot sees all that a transaction wrote, or nothing",
            snapshot_is_never_mixed::<P>,
        )
        .bound(2),
        two(
            "transaction/read_is_never_mixed",
            "who has read one of a transaction's writes misses no other later",
            read_is_never_mixed::<P>,
        ),
        two(
            "transaction/read_after_replacing",
            "a transaction is not put between what a thread replaced and what it then read",
            read_after_replacing::<P>,
        )
        .bound(2),
        two(
            "transaction/snapshot_after_read",
            "a snapshot has what its taker has read before",
            snapshot_after_read::<P>,
        ),
        two(
            "transaction/snapshot_against_pruning",
            "what a snapshot looks for is kept while others replace and prune",
            snapshot_against_pruning::<P>,
        )
        .bound(2),
        two(
            "transaction/write_skew",
            "of two transactions that each invalidate what the other read, one sees the other",
            write_skew::<P>,
        )
        .bound(2),
        two(
            "transaction/overlapping",
            "transactions over {0,1} and {1,2}: each commits or changes nothing, and one commits",
            overlapping::<P>,
        )
        .bound(2),
        two(
            "transaction/transaction_against_update",
            "neither a transaction nor an update is lost or half done",
            transaction_against_update::<P>,
        )
        .bound(2),
        Scenario::new(
            "transaction/alone",
            "a transaction with nobody in its way commits",
            alone::<P>,
        )
        .needs(needs),
        Scenario::new(
            "transaction/rolled_back",
            "an error and a panic leave no cell changed, and none marked",
            rolled_back::<P>,
        )
        .needs(needs),
        Scenario::new(
            "transaction/exhausted",
            "a transaction that is always too late says so, and has changed nothing",
            exhausted::<P>,
        )
        .needs(needs),
        Scenario::new(
            "transaction/bank",
            "transfers move money and audits find all of it",
            bank::<P>,
        )
        .needs(needs.threads(2).long()),
    ]
}
