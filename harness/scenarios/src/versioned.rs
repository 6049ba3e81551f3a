//! Versioned values: reads against updates.

use core::ops::ControlFlow;

use raddle_platform::Platform;
use raddle_versioned::{Snapshot, UpdateError, Versioned, epoch, snapshots};

use crate::epoch::{Drops, Witness};
use crate::{Needs, Scenario, scope};

fn read_against_update<P: Platform>() {
    let drops = Drops::new();
    let cell = Versioned::<Witness<P>, P>::new_in(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| (cell.read().read(), cell.read().read()));
        let next = |old: &Witness<P>| Witness::new(old.read() + 1, &drops);
        assert_eq!(cell.update(next), Ok(()));
        assert_eq!(cell.read().read(), 2);
        let (first, second) = reader.join();
        assert!(first <= second, "a version does not come back");
    });
    drop(cell);
    drops.until(2);
}

fn two_updates<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| cell.update(|value| value + 1));
        let mine = cell.update(|value| value + 1);
        assert_eq!((mine, other.join()), (Ok(()), Ok(())), "each fails at most once");
    });
    assert_eq!(cell.into_inner(), 2, "no update is lost");
}

/// Both prune, and one of them something that the other has published.
fn two_that_prune<P: Platform>() {
    let drops = Drops::new();
    let cell = Versioned::<Witness<P>, P>::new_in(Witness::new(0, &drops));
    let add = || {
        let next = |old: &Witness<P>| Witness::new(old.read() + 1, &drops);
        assert_eq!(cell.update(next), Ok(()));
    };
    scope::<P, _>(|threads| {
        let other = threads.spawn(add);
        add();
        other.join();
    });
    assert_eq!(cell.read().read(), 2);
    drop(cell);
    // Of an attempt that was too late there may be one more.
    epoch::collect::<P>();
    assert!(drops.count() <= 4, "a version was dropped twice");
}

fn skipped_commit<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(1);
    let book = || {
        cell.try_update(|&left| match left.checked_sub(1) {
            Some(left) => ControlFlow::Continue(left),
            None => ControlFlow::Break("sold out"),
        })
    };
    scope::<P, _>(|threads| {
        let other = threads.spawn(book);
        let (mine, other) = (book(), other.join());
        let (sold, out) = (Ok(ControlFlow::Continue(())), Ok(ControlFlow::Break("sold out")));
        assert!((mine == sold && other == out) || (mine == out && other == sold));
    });
    assert_eq!(*cell.read(), 0);
}

/// Each of the tries meets somebody else's update.
fn update_gives_up<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    let mut tries = 0;
    let result = cell.update(|value| {
        tries += 1;
        assert_eq!(cell.update(|value| value + 10), Ok(()));
        value + 1
    });
    assert_eq!(result, Err(UpdateError::Conflict));
    assert_eq!(tries, P::CELL_BOUNDS.update_retries);
    assert_eq!(*cell.read(), 10 * tries, "nothing of it was published");
}

fn too_many_versions<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    let mut snapshots = Vec::new();
    for value in 1..P::CELL_BOUNDS.versions {
        snapshots.push(Snapshot::<P>::new_in());
        assert_eq!(cell.update(|_| value), Ok(()));
    }
    assert_eq!(cell.update(|_| 100), Err(UpdateError::TooManyVersions));
    for (seen, snapshot) in snapshots.iter().enumerate() {
        assert_eq!(*snapshot.read(&cell), seen as u32);
    }
    snapshots.clear();
    assert_eq!(cell.update(|_| 100), Ok(()));
    assert_eq!((cell.versions(), *cell.read()), (1, 100));
}

fn exclusive_teardown<P: Platform>() {
    let drops = Drops::new();
    let cell = Versioned::<Witness<P>, P>::new_in(Witness::new(1, &drops));
    let snapshot = Snapshot::<P>::new_in();
    scope::<P, _>(|threads| {
        threads.spawn(|| assert_eq!(cell.update(|_| Witness::new(2, &drops)), Ok(()))).join();
    });
    assert_eq!(cell.versions(), 2, "the snapshot keeps the first");
    let last = cell.into_inner();
    assert_eq!(drops.count(), 1, "who has the cell alone waits for nobody");
    assert_eq!(last.read(), 2);
    drop((last, snapshot));
    drops.until(2);
}

/// The update's closure panics: nothing is left behind.
fn update_that_panics<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(1);
    let update = || cell.update(|_| std::panic::resume_unwind(Box::new("planned")));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(update));
    assert!(result.is_err());
    assert_eq!(cell.update(|value| value + 1), Ok(()));
    assert_eq!(epoch::stats::<P>().pinned, 0, "the pin is gone");
    assert_eq!(*cell.read(), 2);
}

/// Who has a cell alone changes it in place; snapshots are counted.
fn alone<P: Platform>() {
    let mut cell = Versioned::<u32, P>::new_in(1);
    *cell.get_mut() += 1;
    assert_eq!(cell.update(|value| value + 1), Ok(()));
    let before = snapshots::<P>();
    let snapshot = Snapshot::<P>::new_in();
    assert_eq!(snapshots::<P>(), before + 1);
    assert_eq!(*snapshot.read(&cell), 3);
    drop(snapshot);
    assert_eq!((snapshots::<P>(), cell.into_inner()), (before, 3));
}

/// Both find the same place free.
fn two_snapshots<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(1);
    drop(Snapshot::<P>::new_in());
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| {
            let now = Snapshot::<P>::new_in();
            (*now.read(&cell), *now.read(&cell))
        });
        let before = Snapshot::<P>::new_in();
        assert_eq!(cell.update(|value| value + 1), Ok(()));
        assert_eq!(*before.read(&cell), 1, "what a snapshot sees is kept for it");
        let (first, second) = other.join();
        assert_eq!(first, second, "a snapshot does not move");
    });
    assert_eq!(snapshots::<P>(), 0);
}

/// A snapshot whose time is not known yet keeps what comes meanwhile, and no longer. (On the machine: a
/// thread that loses its processor there; transactions of the others failed for that.)
fn update_against_snapshot<P: Platform>() {
    let cell = Versioned::<u32, P>::new_in(0);
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(Snapshot::<P>::new_in()));
        for _ in 0..P::CELL_BOUNDS.versions {
            // The clock moves, so each version may be somebody's.
            drop(Snapshot::<P>::new_in());
            let updated = cell.update(|value| value + 1);
            assert!(matches!(updated, Ok(()) | Err(UpdateError::Conflict)), "{updated:?}");
        }
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    vec![
        Scenario::new(
            "versioned/read_against_update",
            "a reader sees a whole version, no version comes back, and each is dropped once",
            read_against_update::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new("versioned/two_updates", "no update is lost", two_updates::<P>)
            .needs(needs.threads(1))
            .bound(3),
        Scenario::new(
            "versioned/two_that_prune",
            "a version is unlinked and retired once",
            two_that_prune::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "versioned/skipped_commit",
            "an update that ends without a value has seen the newest",
            skipped_commit::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "versioned/alone",
            "who has a cell alone changes it in place, and snapshots are counted",
            alone::<P>,
        )
        .needs(needs),
        Scenario::new(
            "versioned/update_gives_up",
            "an update whose every try is too late says so, and has changed nothing",
            update_gives_up::<P>,
        )
        .needs(needs),
        Scenario::new(
            "versioned/too_many_versions",
            "snapshots keep as many versions as there may be, and then updates fail",
            too_many_versions::<P>,
        )
        .needs(needs),
        Scenario::new(
            "versioned/exclusive_teardown",
            "who has a cell alone drops all of its versions at once",
            exclusive_teardown::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "versioned/update_that_panics",
            "a panic in an update changes nothing and pins nothing",
            update_that_panics::<P>,
        )
        .needs(needs),
        Scenario::new(
            "versioned/two_snapshots",
            "two snapshots that begin at the same time have a place each",
            two_snapshots::<P>,
        )
        .needs(needs.threads(1))
        .bound(2),
        Scenario::new(
            "versioned/update_against_snapshot",
            "a snapshot that is being taken does not count as one that keeps all versions",
            update_against_snapshot::<P>,
        )
        .needs(needs.threads(1))
        .bound(2),
    ]
}
