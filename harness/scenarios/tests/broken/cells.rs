//! Broken twins of cells that are read while others replace them: a value that is freed too early, a
//! commit that is seen in parts, and a mark that a panic leaves behind.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};

use crate::{Needs, Scenario, scope};

/// How the twin of the epochs is broken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The reader has no fence between its pin and its look.
    NoFence,
    /// The reader says at the end that it was never pinned, without releasing what it read.
    NoRelease,
    /// The collector does not look who is pinned.
    NoLook,
}

/// One reader, one value of two, and a mark instead of freed memory.
struct Shared<P: Platform> {
    current: P::AtomicUsize,
    pinned: P::AtomicBool,
    values: [RaceCell<u32, P>; 2],
    handshake: P::Handshake,
}

const FREED: u32 = u32::MAX;

impl<P: Platform> Shared<P> {
    fn read(&self, bug: Bug) -> u32 {
        self.pinned.store(true, Ordering::Relaxed);
        if bug != Bug::NoFence {
            // ORDERING: pairs with the fence of `replace`.
            P::fence(Ordering::SeqCst, &[&self.handshake]);
        }
        // ORDERING: pairs with the releasing swap in `replace`.
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: not freed while the reader is pinned: the property under test.
        let value = unsafe { self.values[current].with(|value| *value) };
        if bug == Bug::NoRelease {
            self.pinned.store(false, Ordering::Relaxed);
        } else {
            // ORDERING: pairs with the acquiring load in `replace`.
            self.pinned.store(false, Ordering::Release);
        }
        value
    }

    fn replace(&self, bug: Bug) {
        // ORDERING: pairs with the acquiring load in `read`.
        self.current.swap(1, Ordering::AcqRel);
        // ORDERING: pairs with the fence of `read`.
        P::fence(Ordering::SeqCst, &[&self.handshake]);
        // ORDERING: pairs with the releasing store in `read`.
        if bug == Bug::NoLook || !self.pinned.load(Ordering::Acquire) {
            // SAFETY: unlinked, and nobody is pinned: the property under test.
            unsafe { self.values[0].with_mut(|value| *value = FREED) };
        }
    }
}

fn early_free<P: Platform>(bug: Bug) {
    let shared = Shared::<P> {
        current: P::AtomicUsize::new(0),
        pinned: P::AtomicBool::new(false),
        values: [RaceCell::new_in(1), RaceCell::new_in(2)],
        handshake: P::Handshake::default(),
    };
    scope::<P, _>(|threads| {
        let reader = threads.spawn(|| shared.read(bug));
        shared.replace(bug);
        assert_ne!(reader.join(), FREED, "read what was freed");
    });
}

/// Two cells that are written together: `ATOMIC`, by one word that says which of both pairs counts.
struct Pair<P: Platform, const ATOMIC: bool> {
    committed: P::AtomicBool,
    cells: [P::AtomicU32; 2],
}

impl<P: Platform, const ATOMIC: bool> Pair<P, ATOMIC> {
    fn write(&self) {
        if !ATOMIC {
            for cell in &self.cells {
                // ORDERING: pairs with the acquiring load in `read`.
                cell.store(1, Ordering::Release);
            }
        }
        // ORDERING: pairs with the acquiring load in `read`.
        self.committed.store(true, Ordering::Release);
    }

    fn read(&self, cell: usize) -> u32 {
        if ATOMIC {
            // ORDERING: pairs with the releasing store in `write`.
            return u32::from(self.committed.load(Ordering::Acquire));
        }
        // ORDERING: pairs with the releasing store in `write`.
        self.cells[cell].load(Ordering::Acquire)
    }
}

fn mixed_commit<P: Platform, const ATOMIC: bool>() {
    let pair = Pair::<P, ATOMIC> {
        committed: P::AtomicBool::new(false),
        cells: [P::AtomicU32::new(0), P::AtomicU32::new(0)],
    };
    scope::<P, _>(|threads| {
        threads.spawn(|| pair.write());
        let first = pair.read(0);
        let second = pair.read(1);
        assert!(second >= first, "one write was seen and the other was missed");
    });
}

/// A cell whose lowest bit says that somebody writes it; `UNMARKS`, also if that one panics.
struct Marked<P: Platform, const UNMARKS: bool>(P::AtomicU32);

const MARK: u32 = 1;

impl<P: Platform, const UNMARKS: bool> Marked<P, UNMARKS> {
    fn update(&self, make: impl FnOnce(u32) -> u32) -> bool {
        // ORDERING: pairs with the releasing swaps below.
        let before = self.0.fetch_or(MARK, Ordering::Acquire);
        if before & MARK != 0 {
            return false;
        }
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| make(before >> 1)));
        match made {
            Ok(value) => {
                // ORDERING: pairs with the acquiring access above.
                self.0.swap(value << 1, Ordering::Release);
                true
            }
            Err(panic) => {
                if UNMARKS {
                    // ORDERING: as above.
                    self.0.swap(before, Ordering::Release);
                }
                std::panic::resume_unwind(panic)
            }
        }
    }
}

fn mark_after_a_panic<P: Platform, const UNMARKS: bool>() {
    let cell = Marked::<P, UNMARKS>(P::AtomicU32::new(0));
    let panics = || cell.update(|_| std::panic::resume_unwind(Box::new("planned")));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics));
    assert!(panicked.is_err());
    assert!(cell.update(|value| value + 1), "nobody writes, and the cell is marked");
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let needs = Needs::ATOMICS;
    let one = needs.threads(1);
    vec![
        Scenario::new(
            "twin/read_against_free",
            "without a bug, the twin frees nothing that is being read",
            || early_free::<P>(Bug::None),
        )
        .needs(one),
        Scenario::new(
            "broken/early_free_without_fence",
            "twin: the reader's pin comes through after its look",
            || early_free::<P>(Bug::NoFence),
        )
        .needs(one.weak_memory())
        .races(),
        Scenario::new(
            "broken/early_free_without_release",
            "twin: what was read is not ordered before it is freed",
            || early_free::<P>(Bug::NoRelease),
        )
        .needs(one.race_detection())
        .races(),
        Scenario::new(
            "broken/early_free_without_look",
            "twin: the collector does not ask who is pinned",
            || early_free::<P>(Bug::NoLook),
        )
        .needs(one.race_detection())
        .races(),
        Scenario::new(
            "twin/commit_of_two",
            "without a bug, the twin commits both at one moment",
            mixed_commit::<P, true>,
        )
        .needs(one),
        Scenario::new(
            "broken/mixed_commit",
            "twin: two stores, one after the other",
            mixed_commit::<P, false>,
        )
        .needs(one)
        .fails("one write was seen and the other was missed"),
        Scenario::new(
            "twin/panic_in_an_update",
            "without a bug, the twin takes its mark back",
            mark_after_a_panic::<P, true>,
        )
        .needs(needs),
        Scenario::new(
            "broken/mark_after_a_panic",
            "twin: the mark of who panicked stays, and nobody can write any more",
            mark_after_a_panic::<P, false>,
        )
        .needs(needs)
        .fails("nobody writes, and the cell is marked"),
    ]
}
