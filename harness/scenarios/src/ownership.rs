//! `Arc` and `Weak`: the two counts against each other.
//!
//! Its broken twins are in `tests/broken/arc.rs`.

use raddle_ownership::{Arc, Weak};
use raddle_platform::{Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// A shared value that notices unordered uses, and tells how often it was dropped.
struct Witness<'a, P: Platform> {
    value: RaceCell<u32, P>,
    /// Written by drops, read after the threads are joined.
    drops: &'a RaceCell<usize, P>,
}

impl<'a, P: Platform> Witness<'a, P> {
    fn new(drops: &'a RaceCell<usize, P>) -> Self {
        Self { value: RaceCell::new_in(7), drops }
    }

    fn read(&self) -> u32 {
        // SAFETY: written only through `&mut self`.
        unsafe { self.value.with(|value| *value) }
    }

    fn write(&mut self, value: u32) {
        // Not `get_mut`, which checks nothing.
        // SAFETY: `&mut self`.
        unsafe { self.value.with_mut(|place| *place = value) };
    }
}

impl<P: Platform> Clone for Witness<'_, P> {
    fn clone(&self) -> Self {
        Self { value: RaceCell::new_in(self.read()), drops: self.drops }
    }
}

impl<P: Platform> Drop for Witness<'_, P> {
    fn drop(&mut self) {
        self.write(0);
        // SAFETY: drops of different values are ordered by the scenarios, and this is the check.
        unsafe { self.drops.with_mut(|drops| *drops += 1) };
    }
}

/// How many drops there were; after the threads are joined.
fn count<P: Platform>(drops: &RaceCell<usize, P>) -> usize {
    // SAFETY: the threads are joined.
    unsafe { drops.with(|drops| *drops) }
}

fn clone_against_drop<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let theirs = Arc::clone(&arc);
        threads.spawn(move || {
            assert_eq!(theirs.read(), 7);
            drop(theirs);
        });
        let another = Arc::clone(&arc);
        drop(arc);
        assert_eq!(another.read(), 7);
    });
    assert_eq!(count(&drops), 1);
}

fn upgrade_against_last_drop<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let weak = Arc::downgrade(&arc);
        threads.spawn(move || {
            if let Some(arc) = weak.upgrade() {
                assert_eq!(arc.read(), 7);
            }
        });
        drop(arc);
    });
    assert_eq!(count(&drops), 1);
}

fn get_mut_against_downgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let mut arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let theirs = Arc::clone(&arc);
        threads.spawn(move || {
            let weak = Arc::downgrade(&theirs);
            drop(theirs);
            if let Some(arc) = weak.upgrade() {
                arc.read();
            }
        });
        if let Some(alone) = Arc::get_mut(&mut arc) {
            alone.write(8);
        }
    });
    assert_eq!(count(&drops), 1);
}

fn get_mut_against_upgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let mut arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let weak = Arc::downgrade(&arc);
        threads.spawn(move || {
            if let Some(arc) = weak.upgrade() {
                drop(weak);
                arc.read();
            }
        });
        if let Some(alone) = Arc::get_mut(&mut arc) {
            alone.write(8);
        }
    });
    assert_eq!(count(&drops), 1);
}

fn make_mut_against_upgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    let clones = scope::<P, _>(|threads| {
        let mut arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let weak = Arc::downgrade(&arc);
        // The Arc stays with the result, so that the two drops of a clone are ordered.
        let theirs = threads.spawn(move || {
            let arc = weak.upgrade();
            if let Some(arc) = &arc {
                assert!(matches!(arc.read(), 7 | 8));
            }
            arc
        });
        Arc::make_mut(&mut arc).write(8);
        assert_eq!(arc.read(), 8);
        let theirs = theirs.join();
        let cloned = theirs.is_some_and(|theirs| !Arc::ptr_eq(&theirs, &arc));
        usize::from(cloned)
    });
    assert_eq!(count(&drops), 1 + clones);
}

/// Nothing but the end of the other Arc orders its use before the write.
fn make_mut_against_drop<P: Platform>() {
    let drops = RaceCell::new_in(0);
    let clones = scope::<P, _>(|threads| {
        let mut arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let before = Arc::as_ptr(&arc);
        let theirs = Arc::clone(&arc);
        let theirs = threads.spawn(move || {
            assert_eq!(theirs.read(), 7);
            // Not dropped here if it is the last, so that the two drops of a clone are ordered.
            Arc::into_inner(theirs)
        });
        Arc::make_mut(&mut arc).write(8);
        drop(theirs.join());
        usize::from(Arc::as_ptr(&arc) != before)
    });
    assert_eq!(count(&drops), 1 + clones);
}

fn make_mut_against_downgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let theirs = Arc::clone(&arc);
        let theirs = threads.spawn(move || {
            let weak = Arc::downgrade(&theirs);
            drop(theirs);
            let arc = weak.upgrade();
            if let Some(arc) = &arc {
                arc.read();
            }
            arc
        });
        let mut arc = arc;
        Arc::make_mut(&mut arc).write(8);
        drop(theirs.join());
    });
    assert!(matches!(count(&drops), 1 | 2));
}

fn try_unwrap_against_upgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let weak = Arc::downgrade(&arc);
        threads.spawn(move || {
            if let Some(arc) = weak.upgrade() {
                assert_eq!(arc.read(), 7);
            }
        });
        if let Ok(mut witness) = Arc::try_unwrap(arc) {
            witness.write(8);
        }
    });
    assert_eq!(count(&drops), 1);
}

fn try_unwrap_against_downgrade<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let theirs = Arc::clone(&arc);
        threads.spawn(move || {
            let weak = Arc::downgrade(&theirs);
            drop(theirs);
            if let Some(arc) = weak.upgrade() {
                assert_eq!(arc.read(), 7);
            }
        });
        if let Ok(mut witness) = Arc::try_unwrap(arc) {
            witness.write(8);
        }
    });
    assert_eq!(count(&drops), 1);
}

fn one_of_two_gets_the_value<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let theirs = Arc::clone(&arc);
        let take = |arc: Arc<Witness<'_, P>, P>| {
            arc.read();
            Arc::into_inner(arc).map(|mut witness| witness.write(8)).is_some()
        };
        let theirs = threads.spawn(move || take(theirs));
        let ours = take(arc);
        assert_ne!(ours, theirs.join());
    });
    assert_eq!(count(&drops), 1);
}

fn two_downgrades<P: Platform>() {
    let mut arc = Arc::<_, P>::new_in(7);
    scope::<P, _>(|threads| {
        threads.spawn(|| drop(Arc::downgrade(&arc)));
        drop(Arc::downgrade(&arc));
    });
    assert_eq!((Arc::strong_count(&arc), Arc::weak_count(&arc)), (1, 0));
    assert!(Arc::get_mut(&mut arc).is_some());
}

fn last_weak_against_last_arc<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_in(Witness::<P>::new(&drops));
        let weak = Arc::downgrade(&arc);
        threads.spawn(move || drop(weak));
        drop(arc);
    });
    assert_eq!(count(&drops), 1);
}

fn counts<P: Platform>() {
    let arc = Arc::<_, P>::new_in(7);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            let clone = Arc::clone(&arc);
            drop(Arc::downgrade(&clone));
        });
        assert!(matches!(Arc::strong_count(&arc), 1 | 2));
        assert!(matches!(Arc::weak_count(&arc), 0 | 1));
    });
    assert_eq!((Arc::strong_count(&arc), Arc::weak_count(&arc)), (1, 0));
}

fn counts_of_a_weak<P: Platform>() {
    let arc = Arc::<_, P>::new_in(7);
    let weak = Arc::downgrade(&arc);
    scope::<P, _>(|threads| {
        threads.spawn(move || drop(arc));
        assert!(matches!(weak.weak_count(), 0 | 1));
        assert!(matches!(weak.strong_count(), 0 | 1));
    });
    assert_eq!((weak.strong_count(), weak.weak_count()), (0, 0));
}

fn upgrade_against_new_cyclic<P: Platform>() {
    let drops = RaceCell::new_in(0);
    scope::<P, _>(|threads| {
        let arc = Arc::<_, P>::new_cyclic_in(|me: &Weak<Witness<'_, P>, P>| {
            let me = me.clone();
            threads.spawn(move || {
                if let Some(arc) = me.upgrade() {
                    assert_eq!(arc.read(), 7);
                }
            });
            Witness::<P>::new(&drops)
        });
        assert_eq!(arc.read(), 7);
    });
    assert_eq!(count(&drops), 1);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS.threads(1);
    let mut list = vec![
        Scenario::new(
            "ownership/clone_against_drop",
            "a value outlives every use of every clone, and is dropped once",
            clone_against_drop::<P>,
        ),
        Scenario::new(
            "ownership/upgrade_against_last_drop",
            "an upgrade either gives a value that stays, or nothing",
            upgrade_against_last_drop::<P>,
        ),
        Scenario::new(
            "ownership/get_mut_against_downgrade",
            "get_mut does not overlook a Weak that was made from another Arc while it looked",
            get_mut_against_downgrade::<P>,
        ),
        Scenario::new(
            "ownership/get_mut_against_upgrade",
            "get_mut does not overlook an Arc that a Weak became before it was dropped",
            get_mut_against_upgrade::<P>,
        ),
        Scenario::new(
            "ownership/make_mut_against_upgrade",
            "make_mut mutates a value that nobody else can see",
            make_mut_against_upgrade::<P>,
        ),
        Scenario::new(
            "ownership/make_mut_against_drop",
            "make_mut mutates a value after every use by others",
            make_mut_against_drop::<P>,
        ),
        Scenario::new(
            "ownership/make_mut_against_downgrade",
            "make_mut does not overlook a Weak that was made from another Arc",
            make_mut_against_downgrade::<P>,
        ),
        Scenario::new(
            "ownership/try_unwrap_against_upgrade",
            "a value that was moved out cannot be got by a Weak",
            try_unwrap_against_upgrade::<P>,
        ),
        Scenario::new(
            "ownership/try_unwrap_against_downgrade",
            "a value that was moved out cannot be got by a Weak that was made meanwhile",
            try_unwrap_against_downgrade::<P>,
        ),
        Scenario::new(
            "ownership/one_of_two_gets_the_value",
            "of two into_inner exactly one gets the value, after all uses",
            one_of_two_gets_the_value::<P>,
        ),
        Scenario::new(
            "ownership/two_downgrades",
            "Weaks made at the same time are all counted",
            two_downgrades::<P>,
        ),
        Scenario::new(
            "ownership/last_weak_against_last_arc",
            "the memory is freed once, by whoever is last",
            last_weak_against_last_arc::<P>,
        ),
        Scenario::new("ownership/counts", "the counts are those of some moment", counts::<P>),
        Scenario::new(
            "ownership/counts_of_a_weak",
            "the counts that a Weak tells are those of some moment, and 0 at the end",
            counts_of_a_weak::<P>,
        ),
        Scenario::new(
            "ownership/upgrade_against_new_cyclic",
            "a Weak of a cyclic value gives nothing, or the whole value",
            upgrade_against_new_cyclic::<P>,
        ),
    ];
    for scenario in &mut list {
        scenario.needs = needs;
    }
    list
}
