//! Cells, for those who are pinned already: an inner pin passes no fence, so what it would have put in
//! order must be in order without it.

use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::EventCount;
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Clock, Platform};
use raddle_versioned::{
    ArcCell, Snapshot, Transaction, Versioned, epoch, internals, transaction_in,
};

use crate::epoch::{Drops, Witness};
use crate::{Needs, Scenario, scope};

type Shared<P> = Arc<Witness<P>, P>;
type Pointer<P> = ArcCell<Witness<P>, P>;

/// Each way to replace the value makes it visible as a whole.
fn pointer_replaced<P: Platform>(replace: fn(&Pointer<P>, Shared<P>)) {
    let drops = Drops::new();
    let first = Witness::new(1, &drops);
    let cell = Pointer::<P>::new_in(Arc::new_in(first));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| cell.load().read());
        let _pinned = epoch::pin_in::<P>();
        replace(&cell, Arc::new_in(Witness::new(2, &drops)));
        assert!(matches!(reader.join(), 1 | 2));
    });
}

fn pointer_stored<P: Platform>() {
    pointer_replaced::<P>(|cell, value| cell.store(value));
}

fn pointer_compared<P: Platform>() {
    pointer_replaced::<P>(|cell, value| {
        let seen = cell.load_full();
        assert!(cell.compare_and_publish(&seen, value).is_ok());
    });
}

/// The snapshot looks at the cell with nothing but its own fence behind it.
fn snapshot<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(1);
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let _pinned = epoch::pin_in::<P>();
            let snapshot = Snapshot::<P>::new_in();
            (*snapshot.read(&cell), *snapshot.read(&cell))
        });
        assert_eq!(cell.update(|value| value + 1), Ok(()));
        let (first, second) = reader.join();
        assert_eq!(first, second, "a snapshot stands still");
    });
}

/// Who has seen one write of a transaction has seen that it is committed, and nothing else stands between
/// that and its other writes.
fn reads_of_two_cells<P: Platform>() {
    let cells: [Versioned<i32, P>; 2] = core::array::from_fn(|_| Versioned::new_in(5));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let _pinned = epoch::pin_in::<P>();
            let one = *cells[1].read();
            (one, *cells[0].read())
        });
        // Aborted by the reader each time, perhaps.
        _ = transaction_in::<P, _, ()>(|tx: &Transaction<'_, P>| {
            tx.write(&cells[0], 4);
            tx.write(&cells[1], 6);
            Ok(())
        });
        let (one, other) = reader.join();
        assert!(one == 5 || other == 4, "who saw one write missed the other");
    });
}

/// An updater that finds the cell full prunes before it passes any fence, by a stamp of somebody else's.
fn room_against_snapshot<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    let mut kept = Vec::new();
    for value in 1..P::CELL_BOUNDS.versions - 1 {
        kept.push(Snapshot::<P>::new_in());
        assert_eq!(cell.update(|_| value), Ok(()));
    }
    let newest = *cell.read();
    scope::<P, _>(|threads| {
        threads.spawn(|| _ = cell.update(|value| value + 1));
        threads.spawn(|| {
            let _pinned = epoch::pin_in::<P>();
            _ = cell.update(|value| value + 1);
        });
        let snapshot = Snapshot::<P>::new_in();
        let (first, second) = (*snapshot.read(&cell), *snapshot.read(&cell));
        assert!(first >= newest, "what the snapshot saw was pruned");
        assert_eq!(first, second, "a snapshot stands still");
    });
}

/// Both want to prune, and one of them does for both: nothing is left that nobody needs.
fn two_that_prune<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    let add = || {
        let _pinned = epoch::pin_in::<P>();
        assert_eq!(cell.update(|value| value + 1), Ok(()));
    };
    scope::<P, _>(|threads| {
        let other = threads.spawn(add);
        add();
        other.join();
    });
    assert_eq!(cell.versions(), 1, "somebody has pruned for both");
    add();
    assert_eq!((cell.versions(), *cell.read()), (1, 3));
}

/// Both want to know where the cell stands in the order of all.
fn one_number<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    let number = || internals::number::<_, P>(&cell);
    scope::<P, _>(|threads| {
        let other = threads.spawn(number);
        let mine = number();
        assert_ne!(mine, 0, "that is nobody's");
        assert_eq!((other.join(), number()), (mine, mine));
    });
}

/// The age of a pin is not told before the time of its beginning is there.
fn age<P: Platform>() {
    let soon = Limits::until(P::Clock::now() + Duration::from_millis(5));
    let late = EventCount::<P>::new_in().wait(soon, || None::<()>);
    assert_eq!(late, Err(Interrupted::TimedOut));
    let begin = P::Clock::now();
    let pinned = epoch::pin_in::<P>();
    scope::<P, _>(|threads| {
        threads.spawn(internals::collect_for_all::<P>);
        let told = epoch::stats::<P>().oldest_pin;
        let most = P::Clock::now().as_nanos() - begin.as_nanos();
        assert!(told.as_nanos() <= u128::from(most), "older than what keeps it: {told:?}");
    });
    drop(pinned);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    let with = |threads, name, property, run: fn()| {
        Scenario::new(name, property, run).needs(needs.threads(threads)).bound(2)
    };
    vec![
        with(
            1,
            "pinned/pointer_stored",
            "who finds a value that was stored sees the whole of it",
            pointer_stored::<P>,
        ),
        with(
            1,
            "pinned/pointer_compared",
            "who finds a value that was exchanged sees the whole of it",
            pointer_compared::<P>,
        ),
        with(1, "pinned/snapshot", "a snapshot stands still", snapshot::<P>),
        with(
            1,
            "pinned/reads_of_two_cells",
            "who has read one of a transaction's writes misses no other later",
            reads_of_two_cells::<P>,
        ),
        with(
            2,
            "pinned/room_against_snapshot",
            "who makes room leaves what a snapshot looks for",
            room_against_snapshot::<P>,
        )
        .bound(1),
        with(
            1,
            "pinned/two_that_prune",
            "who prunes does so for those who came meanwhile, and the next one can",
            two_that_prune::<P>,
        ),
        with(1, "pinned/one_number", "a cell has one number", one_number::<P>),
        with(1, "pinned/age", "no pin is told to be older than it is", age::<P>),
    ]
}
