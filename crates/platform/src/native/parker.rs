//! A futex word per thread.
//!
//! ```text
//! EMPTY  --wake-->  NOTIFIED   --park--> EMPTY, returns at once
//! EMPTY  --park-->  PARKED     --wake--> NOTIFIED and futex wake; the sleeper takes it: EMPTY
//! PARKED --deadline--> EMPTY
//! ```
//! Only the owner writes EMPTY and PARKED, anybody writes NOTIFIED, always by read-modify-write.
//! The owner's acquiring swap pairs with the releasing swap of `wake`: what happened before the
//! wake is visible after the park.

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::clock::{NativeClock, timespec};
use super::counted::Counted;
use super::waits::Loop;
use crate::parker::Parker;
use crate::time::{Clock, Instant};

const EMPTY: u32 = 0;
const NOTIFIED: u32 = 1;
const PARKED: u32 = 2;

/// Parks on a futex.
#[derive(Debug)]
pub struct NativeParker;

#[derive(Default)]
struct Token(AtomicU32);

thread_local! {
    static TOKEN: Counted<Token> = Counted::new(Token::default());
}

/// The functions of its wakers, whose data is a counted pointer to it.
static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: the data of a waker, whose reference stays.
        let token = ManuallyDrop::new(unsafe { Counted::<Token>::from_raw(data) });
        raw_waker((*token).clone())
    },
    // SAFETY: the data of a waker, whose reference is given away.
    |data| unsafe { Counted::<Token>::from_raw(data) }.wake(),
    // SAFETY: the data of a waker, whose reference stays.
    |data| ManuallyDrop::new(unsafe { Counted::<Token>::from_raw(data) }).wake(),
    // SAFETY: the data of a waker, whose reference is given away.
    |data| drop(unsafe { Counted::<Token>::from_raw(data) }),
);

fn raw_waker(token: Counted<Token>) -> RawWaker {
    RawWaker::new(token.into_raw(), &WAKER)
}

impl Token {
    fn wake(&self) {
        // ORDERING: pairs with the acquiring swaps in `park`.
        if self.0.swap(NOTIFIED, Ordering::Release) == PARKED {
            futex(&self.0, libc::FUTEX_WAKE, 1, None);
        }
    }

    fn park(&self, deadline: Option<Instant>) {
        // ORDERING: pairs with the releasing swap in `wake`.
        if self.0.swap(PARKED, Ordering::Acquire) == NOTIFIED {
            // ORDERING: as above: a second wake may have come in between, and counts as this one.
            self.0.swap(EMPTY, Ordering::Acquire);
            return;
        }
        // HAMMER-WAIT-LOOP: park
        loop {
            Loop::Park.waits();
            futex(&self.0, libc::FUTEX_WAIT_BITSET, PARKED, deadline);
            let due = deadline.is_some_and(|deadline| NativeClock::now() >= deadline);
            if due || self.0.load(Ordering::Relaxed) == NOTIFIED {
                // ORDERING: pairs with the releasing swap in `wake`.
                self.0.swap(EMPTY, Ordering::Acquire);
                return;
            }
        }
    }
}

/// FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC deadline.
fn futex(word: &AtomicU32, operation: libc::c_int, value: u32, deadline: Option<Instant>) {
    let time = deadline.map(timespec);
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let operation = operation | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is alive for the length of the call; the unused pointer is null. Failures
    // (EAGAIN, EINTR, ETIMEDOUT) are told from the word and the clock by the caller.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation,
            value,
            time,
            core::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        );
    }
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn token() -> Counted<Token> {
    TOKEN.with(Counted::clone)
}

impl Parker for NativeParker {
    fn waker() -> Waker {
        // SAFETY: the functions keep the contract of `RawWaker`, and the token may be used by all.
        unsafe { Waker::from_raw(raw_waker(token())) }
    }
    fn park() {
        token().park(None);
    }
    fn park_until(deadline: Instant) {
        token().park(Some(deadline));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_wake_that_comes_first_is_kept() {
        NativeParker::waker().wake();
        NativeParker::park();
    }

    #[test]
    fn a_wake_from_another_thread_ends_the_park() {
        let waker = NativeParker::waker();
        let other = std::thread::spawn(move || waker.wake());
        NativeParker::park();
        other.join().expect("waking does not panic");
    }

    #[test]
    fn a_deadline_ends_the_park_and_leaves_no_token() {
        let start = NativeClock::now();
        let deadline = start + Duration::from_millis(5);
        NativeParker::park_until(deadline);
        assert!(NativeClock::now() >= deadline);
        let again = NativeClock::now() + Duration::from_millis(5);
        NativeParker::park_until(again);
        assert!(NativeClock::now() >= again, "no stale token ended the second park");
    }
}
