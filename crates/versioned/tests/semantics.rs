//! What a program can observe of cells, snapshots and transactions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc as StdArc, Barrier};
use std::thread;

use raddle_ownership::Arc;
use raddle_versioned::{
    ArcCell, Native, Snapshot, TransactionError, UpdateError, Versioned, snapshots, transaction,
};

/// Counts its drops.
struct Counted(StdArc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn assert_send_sync<T: Send + Sync>() {}

#[test]
fn cells_and_snapshots_are_shared_between_threads() {
    assert_send_sync::<ArcCell<String>>();
    assert_send_sync::<Versioned<String>>();
    assert_send_sync::<Snapshot>();
}

#[test]
fn a_cell_that_is_dropped_drops_what_it_holds_at_once() {
    let drops = StdArc::new(AtomicUsize::new(0));
    drop(ArcCell::<Counted>::new(Arc::new(Counted(drops.clone()))));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
    drop(Versioned::<Counted>::new(Counted(drops.clone())));
    assert_eq!(drops.load(Ordering::Relaxed), 2);
}

#[test]
fn readers_see_whole_values_while_writers_replace_them() {
    const ROUNDS: u64 = 2_000;
    let pair: ArcCell<(u64, u64)> = ArcCell::new(Arc::new((0, 0)));
    let versioned: Versioned<(u64, u64)> = Versioned::new((0, 0));
    let start = Barrier::new(3);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for value in 1..=ROUNDS {
                pair.store(Arc::new((value, 2 * value)));
                assert_eq!(versioned.update(|&(one, two)| (one + 1, two + 2)), Ok(()));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                let mut last = (0, 0);
                while last.0 < ROUNDS || last.1 < ROUNDS {
                    let (one, two) = *pair.load();
                    assert_eq!(two, 2 * one);
                    assert!(one >= last.0, "an older value came back");
                    let version = *versioned.read();
                    assert_eq!(version.1, 2 * version.0);
                    assert!(version.0 >= last.1, "an older version came back");
                    last = (one, version.0);
                }
            });
        }
    });
    assert_eq!(versioned.versions(), 1, "without snapshots nothing old is kept");
}

#[test]
fn a_snapshot_moves_between_threads_and_stands_still() {
    let cell: Versioned<u64> = Versioned::new(1);
    let snapshot = Snapshot::new();
    assert_eq!(cell.update(|_| 2), Ok(()));
    thread::scope(|scope| {
        let cell = &cell;
        let moved = scope.spawn(move || {
            assert_eq!(*snapshot.read(cell), 1);
            snapshot
        });
        let snapshot = moved.join().expect("no panic");
        assert_eq!(cell.update(|_| 3), Ok(()));
        assert_eq!(*snapshot.read(cell), 1);
    });
    // The next writer lets go what the snapshot has kept.
    assert_eq!(cell.update(|_| 4), Ok(()));
    assert_eq!(cell.versions(), 1);
}

#[test]
fn a_cell_that_is_younger_than_a_snapshot_has_its_first_value() {
    let snapshot = Snapshot::new();
    let cell: Versioned<u64> = Versioned::new(1);
    assert_eq!(cell.update(|_| 2), Ok(()));
    assert_eq!(*snapshot.read(&cell), 1);
}

#[test]
fn each_snapshot_keeps_its_own_version_and_no_more() {
    let cell: Versioned<u64> = Versioned::new(0);
    let mut held = Vec::new();
    for value in 1..=20 {
        if value % 5 == 0 {
            held.push((value - 1, Snapshot::new()));
        }
        assert_eq!(cell.update(|_| value), Ok(()));
    }
    assert_eq!(cell.versions(), held.len() + 1);
    for (value, snapshot) in &held {
        assert_eq!(*snapshot.read(&cell), *value);
    }
    held.remove(1);
    assert_eq!(cell.update(|_| 21), Ok(()));
    assert_eq!(cell.versions(), held.len() + 1, "one from the middle is pruned");
    assert!(snapshots::<Native>() >= held.len());
}

#[test]
fn versions_are_bounded() {
    let cell: Versioned<u64> = Versioned::new(0);
    let mut held = Vec::new();
    let refused = (1..1_000).find_map(|value| {
        held.push(Snapshot::new());
        cell.update(|_| value).err()
    });
    assert_eq!(refused, Some(UpdateError::TooManyVersions));
    let in_transaction = transaction(|tx| {
        tx.write(&cell, 7);
        Ok::<(), ()>(())
    });
    assert_eq!(in_transaction, Err(TransactionError::TooManyVersions));
    held.clear();
    assert_eq!(cell.update(|_| 8), Ok(()));
    assert_eq!(*cell.read(), 8);
}

/// Transfers in both directions and audits at the same time: no audit sees a part of a transfer.
#[test]
fn money_is_neither_made_nor_lost() {
    const ACCOUNTS: usize = 4;
    const EACH: i64 = 1_000;
    let accounts: Vec<Versioned<i64>> = (0..ACCOUNTS).map(|_| Versioned::new(EACH)).collect();
    let running = AtomicUsize::new(2);
    thread::scope(|scope| {
        for teller in 0..2 {
            let (accounts, running) = (&accounts, &running);
            scope.spawn(move || {
                for round in 0..2_000_usize {
                    let from = (round * 7 + teller) % ACCOUNTS;
                    let to = (from + 1 + round % (ACCOUNTS - 1)) % ACCOUNTS;
                    let moved: Result<(), TransactionError<()>> = transaction(|tx| {
                        tx.update(&accounts[from], |money| money - 3);
                        tx.update(&accounts[to], |money| money + 3);
                        Ok(())
                    });
                    assert!(matches!(moved, Ok(()) | Err(TransactionError::Conflict)));
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut audits = 0;
        while running.load(Ordering::Relaxed) > 0 || audits == 0 {
            let audit = Snapshot::new();
            let total: i64 = accounts.iter().map(|account| *audit.read(account)).sum();
            assert_eq!(total, EACH * ACCOUNTS as i64);
            audits += 1;
        }
    });
    let total: i64 = accounts.iter().map(|account| *account.read()).sum();
    assert_eq!(total, EACH * ACCOUNTS as i64);
}

#[test]
fn a_transaction_leaves_no_old_version_behind() {
    let drops = StdArc::new(AtomicUsize::new(0));
    let cell: Versioned<Counted> = Versioned::new(Counted(drops.clone()));
    let written = transaction(|tx| {
        tx.write(&cell, Counted(drops.clone()));
        Ok::<(), ()>(())
    });
    assert_eq!((written, cell.versions()), (Ok(()), 1));
    raddle_versioned::epoch::collect::<Native>();
    while drops.load(Ordering::Relaxed) == 0 {
        thread::yield_now();
    }
}

#[test]
fn a_transaction_reads_what_it_wrote_and_keeps_earlier_references() {
    let cell: Versioned<String> = Versioned::new("warp".to_owned());
    let result = transaction(|tx| {
        let before = tx.read(&cell);
        tx.write(&cell, "weft".to_owned());
        let first = tx.read(&cell);
        tx.write(&cell, "shed".to_owned());
        assert_eq!([before, first, tx.read(&cell)], ["warp", "weft", "shed"]);
        Ok::<_, ()>(first.clone())
    });
    assert_eq!(result, Ok("weft".to_owned()));
    assert_eq!(*cell.read(), "shed");
}

#[test]
fn errors_say_what_to_do() {
    assert!(UpdateError::TooManyVersions.to_string().contains("drop"));
    assert!(UpdateError::Conflict.to_string().contains("again"));
    let rejected = TransactionError::Rejected(std::fmt::Error);
    assert_eq!(rejected.to_string(), std::fmt::Error.to_string());
    assert!(std::error::Error::source(&rejected).is_some());
}
