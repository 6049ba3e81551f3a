//! How long a waiter waits without being suspended: for the queue's bit, and before it parks. And
//! how often it may lose.

use core::time::Duration;

use raddle_platform::{Clock, Instant, Platform, Threads, suspend};

/// Pauses between looks at something that somebody else changes within a few instructions, such
/// as QLOCK. The other thread may have been preempted there, so in the end the processor is
/// offered to it.
#[derive(Debug, Default)]
pub struct Backoff {
    rounds: u32,
}

impl Backoff {
    /// Before the first look.
    pub const fn new() -> Self {
        Self { rounds: 0 }
    }

    /// Waits a little: longer at each call. Never suspends a fiber.
    #[track_caller]
    pub fn pause<P: Platform>(&mut self) {
        let _inside = P::called();
        self.pause_once::<P>();
    }

    fn pause_once<P: Platform>(&mut self) {
        if self.rounds < P::BOUNDS.pause_rounds {
            for _ in 0..1_u32 << self.rounds {
                P::spin_loop();
            }
            self.rounds += 1;
        } else {
            P::Threads::yield_now();
        }
    }
}

/// Yields before each look but the first.
///
/// Before the first there is one, after which a partner on the same worker has handed over what two
/// fibers pass back and forth. If that was not enough, the owner is busy and shall be left alone:
/// eight fibers on two workers were half as fast when they looked after each yield.
const YIELDS: u32 = 8;

/// Looks a few times whether `attempt` succeeds before its caller parks, and gives way to others
/// before each look, for longer after the first: a fiber to those of its scheduler, a thread to those
/// that want its processor.
///
/// There is no busy wait, not even a short one first. A waiter that watches the word takes its
/// cache line from the owner's processor again and again, and if it succeeds, the next one must
/// take the line from it; a waiter that goes away lets the owner lock and unlock from its own cache
/// meanwhile. Yielding also runs a thread that was preempted with the lock. (The bench `locks`
/// shows it: on two processors a few pauses before the first yield made eight threads half as
/// fast, and two threads no faster.)
pub(crate) fn yield_until<P: Platform>(mut attempt: impl FnMut() -> bool) -> bool {
    let mut yields = 1;
    // HAMMER-WAIT-LOOP: lock-looks
    for _ in 0..P::BOUNDS.lock_looks {
        for _ in 0..yields {
            suspend::with_current::<P, _>(|current| current.yield_now());
        }
        if attempt() {
            return true;
        }
        yields = YIELDS;
    }
    false
}

/// Looks whether `attempt` succeeds before its caller parks, for who waits for a partner that is at work,
/// as the other side of a channel is.
///
/// Unlike the owner of a lock, the partner is not slowed down by looks: they read a word that it has
/// written for just this reader. So a thread looks for a microsecond without giving way at all, and then
/// everybody gives way *between* any two looks. Two that pass something back and forth on one worker get
/// out of step otherwise, and stay so: while one yields without a look, the other looks in vain, and
/// begins to yield without a look itself. (The bench `channel`, between fibers at capacity 1: 660 ns a
/// message with a look after eight yields.)
///
/// Always inlined: see `EventCount::wait_looking`.
#[inline(always)]
pub fn look_until<P: Platform>(mut attempt: impl FnMut() -> bool) -> bool {
    if !suspend::in_fiber::<P>() && pause_until::<P>(&mut attempt) {
        return true;
    }
    let looks = P::BOUNDS.lock_looks.checked_sub(1).map_or(0, |more| 1 + more * YIELDS);
    suspend::with_current::<P, _>(
        #[inline(always)]
        |current| {
            // HAMMER-WAIT-LOOP: lock-looks
            for _ in 0..looks {
                current.yield_now();
                if attempt() {
                    return true;
                }
            }
            false
        },
    )
}

/// The longest of these busy waits. If each was twice as long as the one before, two that pass something
/// back and forth would each come late for the other's long ones.
const PAUSES: u32 = 8;

/// Looks with short busy waits in between, which are as long together as a [`Backoff`]'s. Not for a fiber,
/// whose worker has better things to do.
fn pause_until<P: Platform>(mut attempt: impl FnMut() -> bool) -> bool {
    if P::BOUNDS.lock_looks == 0 {
        return false;
    }
    let mut left = (1_u32 << P::BOUNDS.pause_rounds) - 1;
    let mut pauses = 1;
    // HAMMER-WAIT-LOOP: lock-looks
    while left > 0 {
        for _ in 0..pauses.min(left) {
            // COVERAGE-EXCLUDE(loom): its bound for looks is 0
            P::spin_loop();
        }
        if attempt() {
            return true;
        }
        left = left.saturating_sub(pauses);
        pauses = PAUSES.min(2 * pauses);
    }
    false
}

/// How often, and since when, a woken waiter found that a newcomer was faster.
pub(crate) struct Losses {
    count: u32,
    first: Option<Instant>,
}

impl Losses {
    pub(crate) const NONE: Self = Self { count: 0, first: None };

    /// Counts one more. Returns whether it is time that the waiter gets what it waits for.
    pub(crate) fn one_too_many<P: Platform>(&mut self) -> bool {
        self.count += 1;
        if self.count > P::BOUNDS.barges {
            return true;
        }
        let now = P::Clock::now();
        let first = *self.first.get_or_insert(now);
        now.as_nanos() - first.as_nanos() >= P::BOUNDS.barge_ns
    }
}

/// The end of a wait that begins now.
pub(crate) fn after<P: Platform>(timeout: Duration) -> Instant {
    P::Clock::now() + timeout
}
