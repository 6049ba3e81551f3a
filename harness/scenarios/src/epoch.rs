//! Epochs: nothing is freed that somebody may still read.

use raddle_ownership::Arc;
use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell, Threads};
use raddle_versioned::{epoch, internals};

use crate::{Needs, Scenario, scope};

/// A value that notices unordered uses, and tells how often its like was dropped.
pub(crate) struct Witness<P: Platform> {
    value: RaceCell<u32, P>,
    drops: Arc<Drops<P>, P>,
}

pub(crate) struct Drops<P: Platform>(P::AtomicUsize);

impl<P: Platform> Drops<P> {
    pub(crate) fn new() -> Arc<Self, P> {
        Arc::new_in(Self(P::AtomicUsize::new(0)))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until there have been `count`. The collector may be about to drop some of them.
    pub(crate) fn until(&self, count: usize) {
        epoch::collect::<P>();
        while self.count() < count {
            P::Threads::yield_now();
        }
        assert_eq!(self.count(), count, "each is dropped once");
    }
}

impl<P: Platform> Witness<P> {
    pub(crate) fn new(value: u32, drops: &Arc<Drops<P>, P>) -> Self {
        let cell = RaceCell::new_in(0);
        // SAFETY: not shared yet. Written here, so that who finds it without synchronization races.
        unsafe { cell.with_mut(|place| *place = value) };
        Self { value: cell, drops: Arc::clone(drops) }
    }

    pub(crate) fn read(&self) -> u32 {
        // SAFETY: written only by the destructor.
        unsafe { self.value.with(|value| *value) }
    }
}

impl<P: Platform> Drop for Witness<P> {
    fn drop(&mut self) {
        // SAFETY: `&mut self`; and this is the check.
        unsafe { self.value.with_mut(|value| *value = 0) };
        self.drops.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A pointer that readers follow and writers replace, by hand.
struct Shared<P: Platform>(P::AtomicPtr<Witness<P>>);

impl<P: Platform> Shared<P> {
    fn new(value: Witness<P>) -> Self {
        Self(P::AtomicPtr::new(Box::into_raw(Box::new(value))))
    }

    fn read(&self) -> u32 {
        let _pinned = epoch::pin_in::<P>();
        self.read_pinned()
    }

    fn read_pinned(&self) -> u32 {
        // ORDERING: pairs with the releasing swap in `replace`, for the value.
        let found = self.0.load(Ordering::Acquire);
        // SAFETY: the caller is pinned, and retired values are freed when nobody is.
        unsafe { (*found).read() }
    }

    fn replace(&self, value: Witness<P>) {
        let pinned = epoch::pin_in::<P>();
        // ORDERING: releases the value to `read`; acquires the old one, which is dropped some day.
        let old = self.0.swap(Box::into_raw(Box::new(value)), Ordering::AcqRel);
        // SAFETY: came from a box, and was taken out just now.
        pinned.retire(unsafe { Box::from_raw(old) });
    }
}

impl<P: Platform> Drop for Shared<P> {
    fn drop(&mut self) {
        self.0.with_mut(|pointer| {
            // SAFETY: came from a box; nobody else has the structure.
            drop(unsafe { Box::from_raw(*pointer) });
        });
    }
}

fn read_against_retire<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| shared.read());
        shared.replace(Witness::new(2, &drops));
        assert!(matches!(reader.join(), 1 | 2));
    });
    drops.until(1);
    drop(shared);
    assert_eq!(drops.count(), 2);
}

fn pinned_again<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| (shared.read(), shared.read()));
        shared.replace(Witness::new(2, &drops));
        let (first, second) = reader.join();
        assert!(first <= second, "what was replaced does not come back");
    });
}

fn nested_pins<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| {
            let outer = epoch::pin_in::<P>();
            drop(outer.clone());
            let seen = shared.read_pinned();
            drop(epoch::pin_in::<P>());
            assert!(shared.read_pinned() >= seen);
        });
        shared.replace(Witness::new(2, &drops));
        reader.join();
    });
}

/// A thread ends and leaves garbage that somebody may still read; its participant goes to another.
fn pin_across_exit<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let pinned = epoch::pin_in::<P>();
        let before = shared.read_pinned();
        threads.spawn(|| shared.replace(Witness::new(2, &drops))).join();
        assert_eq!(before, 1);
        assert_eq!(drops.count(), 0, "somebody who is pinned may be reading it");
        drop(pinned);
        threads.spawn(|| shared.replace(Witness::new(3, &drops))).join();
        assert_eq!(shared.read(), 3);
    });
}

/// The collector looks who is pinned; then somebody is, and the owner of the bag seals something new.
fn two_that_collect<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        // A pin keeps something in the bag of a thread that ends; the next one takes its place over.
        // (Who collects for all needs none.)
        let pinned = epoch::pin_in::<P>();
        threads.spawn(|| shared.replace(Witness::new(2, &drops))).join();
        drop(pinned);
        threads.spawn(|| shared.replace(Witness::new(3, &drops)));
        threads.spawn(internals::collect_for_all::<P>);
        assert!(matches!(shared.read(), 2 | 3));
    });
}

fn two_that_enter<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| shared.replace(Witness::new(2, &drops)));
        shared.replace(Witness::new(3, &drops));
        other.join();
    });
    assert!(matches!(shared.read(), 2 | 3));
    drop(shared);
}

fn too_much_garbage<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    let limit = P::CELL_BOUNDS.garbage_limit;
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| shared.read());
        for value in 0..limit {
            shared.replace(Witness::new(2 + value as u32, &drops));
            assert!(epoch::stats::<P>().limbo_items <= limit, "garbage is bounded");
        }
        reader.join();
    });
}

/// Nobody touches the structure any more, and its garbage is freed all the same.
fn garbage_of_an_idle_thread<P: Platform>() {
    let drops = Drops::new();
    let shared = Shared::<P>::new(Witness::new(1, &drops));
    let pinned = epoch::pin_in::<P>();
    scope::<P, _>(|threads| {
        threads.spawn(|| shared.replace(Witness::new(2, &drops))).join();
        drop(pinned);
        internals::call_collector::<P>();
    });
    while drops.count() == 0 {
        P::Threads::yield_now();
    }
}

/// The collector has seen the pin, so its age is known, and does not begin anew when it is seen again.
fn age_of_a_pin<P: Platform>() {
    let pinned = epoch::pin_in::<P>();
    internals::collect_for_all::<P>();
    let first = epoch::stats::<P>();
    internals::collect_for_all::<P>();
    let second = epoch::stats::<P>();
    assert!(first.pinned >= 1 && second.pinned >= 1);
    assert!(second.oldest_pin >= first.oldest_pin, "a pin does not get younger");
    drop(pinned);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    vec![
        Scenario::new(
            "epoch/read_against_retire",
            "what was unlinked is freed after everybody who could read it has gone, and then it is",
            read_against_retire::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "epoch/pinned_again",
            "a collector that sees a later pin has not missed what was read under the one before",
            pinned_again::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new("epoch/nested_pins", "the outermost guard counts", nested_pins::<P>)
            .needs(needs.threads(1))
            .bound(3),
        Scenario::new(
            "epoch/pin_across_exit",
            "a thread that ends leaves its garbage to who is pinned, and its place to another",
            pin_across_exit::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "epoch/two_that_collect",
            "a look at who is pinned says nothing about what was sealed after it",
            two_that_collect::<P>,
        )
        .needs(needs.threads(2))
        .bound(2),
        Scenario::new(
            "epoch/two_that_enter",
            "two threads that pin themselves for the first time do not hinder each other",
            two_that_enter::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "epoch/too_much_garbage",
            "who makes more garbage than the limit waits until there is room",
            too_much_garbage::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "epoch/garbage_of_an_idle_thread",
            "garbage is freed although nobody pins, retires or collects any more",
            garbage_of_an_idle_thread::<P>,
        )
        .needs(needs.threads(1))
        .bound(3),
        Scenario::new(
            "epoch/age_of_a_pin",
            "who keeps the garbage, and for how long, is told while it does",
            age_of_a_pin::<P>,
        )
        .needs(needs),
    ]
}
