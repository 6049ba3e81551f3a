//! Tells the sanitizer of stack switches, where the program is compiled with one (`build.rs`). Otherwise
//! nobody is told, and nothing of this is left.
//!
//! **ThreadSanitizer** keeps for each fiber what it keeps for a thread, and counts the functions
//! that are entered and left. A switch *synchronises* here: what a fiber did happens before what
//! the next one of the same worker does. That is so on the machine, too, so nothing is reported that
//! is none; but a race between two fibers is found only when they run on two workers. Spreading
//! siblings over the workers is therefore a choice that the hammer harness makes ([`Choice::Spawn`]).
//!
//! Without synchronising switches both fibers of one worker would be checked against one another,
//! and so would everything that a worker's code and its fibers share by being on one thread: the
//! queues of the worker, thread-locals, what the allocator hands on. `docs/hammer.md` has the count
//! of false alarms.
//!
//! **AddressSanitizer** keeps the bounds of the stack, and may keep frames elsewhere. What a stack
//! of a fiber points to is alive, so parked stacks are roots of the search for leaks.
//!
//! [`Choice::Spawn`]: crate::Choice::Spawn

#[cfg(raddle_sanitize = "address")]
#[path = "context/address.rs"]
mod chosen;
#[cfg(not(any(raddle_sanitize = "address", raddle_sanitize = "thread")))]
#[path = "context/none.rs"]
mod chosen;
#[cfg(raddle_sanitize = "thread")]
#[path = "context/thread.rs"]
mod chosen;

pub use chosen::NativeContext;
