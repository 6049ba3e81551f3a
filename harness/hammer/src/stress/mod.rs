//! Programs that only real threads go through: larger than a scenario, and longer.
//!
//! Each checks an invariant by counts or checksums, never by the clock, and goes on until its
//! [`Budget`] is used up. It names the wait loops that it [covers](Stress::covers): `cargo xtask
//! coverage-hammer` compares that with what is marked in the source, and with what was visited.
//!
//! # How to add one
//!
//! Write `src/stress/<subject>.rs` with `pub(super) fn list<P: Platform>() -> Vec<Stress>`, and name
//! it in [`all`]. A program is a function from the budget to the number of operations that it did:
//!
//! ```
//! use raddle_hammer::stress::{Budget, Stress};
//! use raddle_platform::{Atomic, AtomicInt, Native, Ordering, Platform};
//! use raddle_scenarios::scope;
//!
//! fn tickets<P: Platform>(budget: &Budget) -> u64 {
//!     let next = P::AtomicU64::new(0);
//!     let taken = P::AtomicU64::new(0);
//!     budget.rounds(|| {
//!         scope::<P, _>(|threads| {
//!             for _ in 0..4 {
//!                 threads.spawn(|| taken.fetch_xor(next.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed));
//!             }
//!         });
//!         4
//!     });
//!     let given = next.load(Ordering::Relaxed);
//!     assert_eq!(taken.load(Ordering::Relaxed), (0..given).fold(0, |all, ticket| all ^ ticket));
//!     given
//! }
//!
//! let tickets = Stress::new("stress/tickets", "no ticket is given twice", &[], tickets::<Native>);
//! assert_eq!(tickets.run(&Budget::ONE_ROUND), 4);
//! ```

mod broadcast;
mod channels;
mod files;
mod locks;
mod net;
mod ownership;
mod storms;
mod timers;
mod versioned;

use std::time::Instant;

use raddle_platform::Platform;

/// How long a stress program goes on.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    end: Option<Instant>,
}

impl Budget {
    /// A single round.
    pub const ONE_ROUND: Self = Self { end: None };

    /// Until `end`; one round at least.
    pub fn until(end: Instant) -> Self {
        Self { end: Some(end) }
    }

    /// Whether another round shall begin.
    pub fn lasts(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() < end)
    }

    /// Calls `round` once, and again for as long as the budget lasts; adds up what it returns.
    pub fn rounds(&self, mut round: impl FnMut() -> u64) -> u64 {
        let mut sum = round();
        while self.lasts() {
            sum += round();
        }
        sum
    }
}

/// A stress program.
#[derive(Clone, Copy, Debug)]
pub struct Stress {
    /// `stress/name`.
    pub name: &'static str,
    /// The invariant, in one sentence.
    pub property: &'static str,
    /// The tags of the wait loops that it goes through.
    pub covers: &'static [&'static str],
    run: fn(&Budget) -> u64,
}

impl Stress {
    /// A program that goes on for a budget and returns the number of its operations.
    pub const fn new(
        name: &'static str,
        property: &'static str,
        covers: &'static [&'static str],
        run: fn(&Budget) -> u64,
    ) -> Self {
        Self { name, property, covers, run }
    }

    /// Runs it, and returns how many operations it did.
    ///
    /// # Panics
    /// When its invariant does not hold.
    pub fn run(&self, budget: &Budget) -> u64 {
        (self.run)(budget)
    }
}

/// All stress programs, in the world `P`.
pub fn all<P: Platform>() -> Vec<Stress> {
    let lists: [fn() -> Vec<Stress>; _] = [
        storms::list::<P>,
        broadcast::list::<P>,
        locks::list::<P>,
        ownership::list::<P>,
        net::list::<P>,
        timers::list::<P>,
        files::list::<P>,
        channels::list::<P>,
        versioned::list::<P>,
    ];
    lists.into_iter().flat_map(|list| list()).collect()
}
