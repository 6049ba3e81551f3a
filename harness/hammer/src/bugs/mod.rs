//! Small bugs that are there on purpose: how much more often do delays find them?
//!
//! Each needs a thread to be interrupted between two certain operations, for as long as another one
//! takes to do its part. A run says by a count or a checksum whether that happened; it ends soon
//! whether or not it did, and no sanitizer is needed. Each has a *corrected* twin, the same program
//! without the bug, which must never show it.
//!
//! `cargo xtask hammer --bugs` measures them; `docs/hammer-bugs.md` has the table.
//!
//! ```
//! use raddle_platform::Native;
//!
//! for bug in raddle_hammer::bugs::all::<Native>() {
//!     assert!(!(bug.corrected)(), "{}: {}", bug.name, bug.property);
//! }
//! ```

mod free_list;
mod hand_off;
mod lost_update;
mod park;
mod publish;
mod unlock;

use core::sync::atomic::{AtomicUsize, Ordering};

use raddle_platform::Platform;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// A word or two, with underscores.
    pub name: &'static str,
    /// What holds without the bug.
    pub property: &'static str,
    /// Runs it once; whether the bug showed.
    pub planted: fn() -> bool,
    /// The same without the bug: never true.
    pub corrected: fn() -> bool,
}

/// All of them, in the world `P`.
pub fn all<P: Platform>() -> [Bug; 6] {
    [
        lost_update::bug::<P>(),
        park::bug::<P>(),
        publish::bug::<P>(),
        free_list::bug::<P>(),
        hand_off::bug::<P>(),
        unlock::bug::<P>(),
    ]
}

/// Where threads wait for one another before they begin. Starting a thread takes a thousand times
/// as long as these programs, so without it one would be through before the other is there, and
/// runs without delays would find nothing for a reason that says nothing.
///
/// Made of std's atomics: it is no site, so it is not delayed, and no visit counts.
struct StartLine(AtomicUsize);

impl StartLine {
    const fn of(threads: usize) -> Self {
        Self(AtomicUsize::new(threads))
    }

    fn wait(&self) {
        // ORDERING: pairs with the acquiring load below.
        self.0.fetch_sub(1, Ordering::Release);
        let mut rounds = 0_u32;
        // ORDERING: pairs with the releasing decrement above.
        while self.0.load(Ordering::Acquire) != 0 {
            rounds += 1;
            if rounds.is_multiple_of(256) {
                std::thread::yield_now();
            } else {
                core::hint::spin_loop();
            }
        }
    }
}
