//! Pointer cells: readers against who replaces.

use raddle_ownership::Arc;
use raddle_platform::Platform;
use raddle_versioned::{ArcCell, Conflict, epoch};

use crate::epoch::{Drops, Witness};
use crate::{Needs, Scenario, scope};

type Cell<P> = ArcCell<Witness<P>, P>;

fn cell<P: Platform>(drops: &Arc<Drops<P>, P>) -> Cell<P> {
    ArcCell::new_in(Arc::new_in(Witness::new(1, drops)))
}

fn read_against_store<P: Platform>() {
    let drops = Drops::new();
    let cell = cell::<P>(&drops);
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| (cell.load().read(), cell.load().read()));
        cell.store(Arc::new_in(Witness::new(2, &drops)));
        assert_eq!(cell.load().read(), 2);
        let (first, second) = reader.join();
        assert!(first <= second);
    });
    drop(cell);
    drops.until(2);
}

fn load_full_against_store<P: Platform>() {
    let drops = Drops::new();
    let cell = cell::<P>(&drops);
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| cell.load_full());
        cell.store(Arc::new_in(Witness::new(2, &drops)));
        epoch::collect::<P>();
        let mine = reader.join();
        assert!(matches!(mine.read(), 1 | 2), "what was counted stays");
    });
}

fn swap_against_swap<P: Platform>() {
    let drops = Drops::new();
    let cell = cell::<P>(&drops);
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| cell.swap(Arc::new_in(Witness::new(2, &drops))).read());
        let mine = cell.swap(Arc::new_in(Witness::new(3, &drops))).read();
        let theirs = other.join();
        let left = cell.load().read();
        let mut all = [mine, theirs, left];
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3], "each value is in one place");
    });
}

fn two_updates<P: Platform>() {
    let cell = ArcCell::<u32, P>::new_in(Arc::new_in(0));
    let add = || cell.rcu(|value| Arc::new_in(value + 1)).map(|old| *old);
    scope::<P, _>(|threads| {
        let other = threads.spawn(add);
        let (mine, theirs) = (add(), other.join());
        assert!(mine.is_ok() && theirs.is_ok(), "each fails at most once");
        assert_ne!(mine, theirs, "no update is lost");
    });
    assert_eq!(*cell.into_inner(), 2);
}

/// Each of the tries meets somebody else's store.
fn update_gives_up<P: Platform>() {
    let cell = ArcCell::<u32, P>::new_in(Arc::new_in(0));
    let mut tries = 0;
    let result = cell.rcu(|value| {
        tries += 1;
        cell.store(Arc::new_in(value + 10));
        Arc::new_in(value + 1)
    });
    assert_eq!(result.map(|old| *old), Err(Conflict));
    assert_eq!(tries, P::CELL_BOUNDS.update_retries);
    assert_eq!(*cell.load(), 10 * tries, "nothing of it was published");
}

fn compare_and_publish<P: Platform>() {
    let cell = ArcCell::<u32, P>::new_in(Arc::new_in(0));
    let seen = cell.load_full();
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| cell.compare_and_publish(&seen, Arc::new_in(1)).is_ok());
        let mine = cell.compare_and_publish(&seen, Arc::new_in(2)).is_ok();
        assert_ne!(mine, other.join(), "one of both is first");
        assert_eq!(*cell.load(), if mine { 2 } else { 1 });
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    vec![
        Scenario::new(
            "cells/read_against_store",
            "a guard reads what it has loaded, and values do not come back",
            read_against_store::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "cells/load_full_against_store",
            "a counted reference outlives the cell's",
            load_full_against_store::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "cells/swap_against_swap",
            "of two swaps one gets the first value and the other the first one's",
            swap_against_swap::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new("cells/two_updates", "no update is lost", two_updates::<P>)
            .needs(needs.threads(1))
            .bound(3),
        Scenario::new(
            "cells/update_gives_up",
            "an update whose every try is too late says so, and has changed nothing",
            update_gives_up::<P>,
        )
        .needs(needs),
        Scenario::new(
            "cells/compare_and_publish",
            "of two that replace the same value one succeeds",
            compare_and_publish::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
    ]
}
