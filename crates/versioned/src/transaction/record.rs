//! Whether a transaction is committed: one word for all that it writes.
//!
//! ```text
//! ACTIVE ──▶ PREPARING ──▶ PREPARED(time) ──▶ COMMITTED(time)
//!    └───────────┴──────────────┴──▶ ABORTED
//! ```
//!
//! | state | who makes it so | what is known |
//! |---|---|---|
//! | ACTIVE | its transaction | some of its versions are in their cells |
//! | PREPARING | its transaction | all of them are |
//! | PREPARED | anybody who reads the clock for it | if it is committed, then at this time |
//! | COMMITTED | its transaction | what it has read was still the newest after PREPARED |
//! | ABORTED | anybody, as long as it is not committed | its versions never were |
//!
//! Its versions are in their cells before it is committed, and count from the moment of the one
//! compare-exchange that makes it so: all at once for everybody.

use raddle_platform::{Atomic, Ordering, Platform};

use crate::clock::VersionClock;

const TAG_BITS: u32 = 3;
const ACTIVE: u64 = 0;
const PREPARING: u64 = 1;
const PREPARED: u64 = 2;
const COMMITTED: u64 = 3;
const ABORTED: u64 = 4;

/// What everybody can learn of a transaction from a version that it wrote.
pub(crate) struct Record<P: Platform> {
    state: P::AtomicU64,
    /// Differs between any two transactions that run at the same time.
    number: u32,
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Preparing,
    Prepared(u64),
    Committed(u64),
    Aborted,
}

impl State {
    fn of(word: u64) -> Self {
        let time = word >> TAG_BITS;
        match word & ((1 << TAG_BITS) - 1) {
            ACTIVE => Self::Active,
            PREPARING => Self::Preparing,
            PREPARED => Self::Prepared(time),
            COMMITTED => Self::Committed(time),
            _ => Self::Aborted,
        }
    }

    fn word(self) -> u64 {
        match self {
            Self::Active => ACTIVE,
            Self::Preparing => PREPARING,
            Self::Prepared(time) => time << TAG_BITS | PREPARED,
            Self::Committed(time) => time << TAG_BITS | COMMITTED,
            Self::Aborted => ABORTED,
        }
    }
}

impl<P: Platform> Record<P> {
    pub(crate) fn new(number: u32) -> Self {
        Self { state: P::AtomicU64::new(ACTIVE), number }
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn state(&self) -> State {
        // ORDERING: pairs with the releasing `advance`: who sees that it is committed sees all of
        // its versions in their cells.
        State::of(self.state.load(Ordering::Acquire))
    }

    /// Goes from one state to the next; `false` if somebody has changed it.
    fn advance(&self, from: State, to: State) -> bool {
        // ORDERING: releases the versions to `state`.
        // ORDERING-AUDIT: the fence before the clock is read, and that of `validate`, release them as well.
        let changed = self.state.compare_exchange(
            from.word(),
            to.word(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if changed.is_err() {
            P::retry("transaction record");
        }
        changed.is_ok()
    }

    /// All versions are in their cells.
    pub(super) fn prepare(&self) -> bool {
        self.advance(State::Active, State::Preparing)
    }

    /// What was read is still there.
    pub(super) fn commit(&self, time: u64) -> bool {
        self.advance(State::Prepared(time), State::Committed(time))
    }

    /// Gives a transaction that is [`Preparing`](State::Preparing) its time.
    pub(crate) fn draw(&self, clock: &VersionClock<P>) {
        self.advance(State::Preparing, State::Prepared(clock.now_after_publishing()));
    }

    /// Ends a transaction that was found in `state`, if it is still there.
    pub(crate) fn abort(&self, state: State) {
        self.advance(state, State::Aborted);
    }

    /// Ends the caller's own transaction, which is not committed.
    pub(super) fn give_up(&self) {
        // Nobody looks further for its versions after that, so there is nothing to order.
        self.state.swap(ABORTED, Ordering::Relaxed);
    }

    /// Whether it is committed at `time` at the latest, and will not become so later.
    ///
    /// If it is prepared for a time up to that, it is about to end: waits a little, and then ends it.
    pub(crate) fn is_committed_at(&self, time: u64, clock: &VersionClock<P>) -> bool {
        let mut looks = 0;
        // HAMMER-WAIT-LOOP: transaction-prepared
        loop {
            match self.state() {
                State::Active | State::Aborted => return false,
                State::Committed(committed) => return committed <= time,
                State::Prepared(prepared) if prepared > time => return false,
                State::Preparing => self.draw(clock),
                found @ State::Prepared(_) if looks == P::BOUNDS.lock_looks => self.abort(found),
                State::Prepared(_) => {
                    looks += 1;
                    // COVERAGE-EXCLUDE(loom): its bound for looks is 0, for a spin makes it explore less
                    P::spin_loop();
                }
            }
        }
    }
}
