//! QLOCK: one bit of a state word as a spin lock.

use raddle_platform::{Atomic, Ordering, Platform};

use crate::patience::Backoff;

/// Sets `bit` in `word`, waiting while another has it, and returns the word as it was before.
///
/// Who has it never suspends and runs no foreign code, so the wait is short; it may be preempted,
/// for which [`Backoff`] provides.
pub(crate) fn lock_bit<P: Platform>(word: &P::AtomicUsize, bit: usize) -> usize {
    let mut backoff = Backoff::new();
    let mut seen = word.load(Ordering::Relaxed);
    // HAMMER-WAIT-LOOP: queue-bit
    loop {
        if seen & bit == 0 {
            if try_lock_bit::<P>(word, bit, seen) {
                return seen;
            }
        } else {
            backoff.pause::<P>();
        }
        seen = word.load(Ordering::Relaxed);
    }
}

/// Sets `bit` if `word` is still as `seen`, where the bit is clear.
pub(crate) fn try_lock_bit<P: Platform>(word: &P::AtomicUsize, bit: usize, seen: usize) -> bool {
    // ORDERING: pairs with the releasing read-modify-writes that clear the bit (`settle` of each
    // primitive), for the nodes and the list.
    let taken = word.compare_exchange_weak(seen, seen | bit, Ordering::Acquire, Ordering::Relaxed);
    if taken.is_err() {
        P::retry("queue lock");
    }
    taken.is_ok()
}
