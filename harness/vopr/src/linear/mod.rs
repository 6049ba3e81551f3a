//! Linearizability: whether the answers that clients got are those of one copy that did one
//! operation at a time, each between its invocation and its return (Herlihy, Wing, TOPLAS 1990).
//!
//! ```text
//! Recorder    notes operations inside of a simulation, in virtual time
//! History     who asked what, when, and what came back, or nothing yet
//! Model       what one copy does: Register, Map, Queue, Mutex, Semaphore, or yours
//! check       one object; check_keyed: many keys, each group that an operation joins by itself
//! Verdict     Linearizable, NotLinearizable and why, or GaveUp
//! ```
//!
//! The search is Wing and Gong's (J. Parallel Distrib. Comput. 1993) with Lowe's memory of
//! what was tried (Concurrency and Computation 29, 2017): it places operations one after the other,
//! takes any that was invoked before each unplaced one returned, goes back where nothing fits, and
//! never looks twice at the same set of placed operations with the same state.
//!
//! * An operation that never returned may have taken effect at any time after its invocation, or
//!   never. Both are tried.
//! * What the model does by itself, as the expiry of a key, may be placed anywhere in its
//!   [`Window`], and has to be placed before an operation that was invoked after it.
//! * Objects that no operation joins are checked apart, which is sound because linearizability is
//!   local. An operation on all keys joins all of them: so the history is cut where nothing is in
//!   flight, and only the pieces with such operations are checked as a whole. From piece to piece
//!   all states that are possible are handed on.
//!
//! ```
//! use raddle_vopr::linear::{Bounds, History, Moment, Register, RegisterOp, RegisterOutcome, check};
//!
//! let at = |step| Moment { step, time: 0 };
//! let mut history = History::default();
//! let write = history.invoke(0, RegisterOp::Write(7), at(1));
//! history.complete(write, RegisterOutcome::Done, at(2));
//! let read = history.invoke(1, RegisterOp::Read, at(3));
//! history.complete(read, RegisterOutcome::Value(0), at(4));
//! let verdict = check(&Register::of(0), &history, Bounds::default());
//! assert!(verdict.to_string().contains("here it would answer Value(7)"), "{verdict}");
//! ```

mod bits;
mod check;
mod components;
mod history;
mod map;
mod model;
mod mutex;
mod queue;
mod recorder;
mod register;
mod search;
mod semaphore;
mod verdict;

pub use check::{Bounds, check, check_keyed};
pub use history::{Call, CallId, History, Moment};
pub use map::{Bytes, Map, MapOp, Reply, When};
pub use model::{Keyed, Model, Touches, Window};
pub use mutex::{Mutex, MutexOp, MutexOutcome};
pub use queue::{Queue, QueueOp, QueueOutcome};
pub use recorder::Recorder;
pub use register::{Register, RegisterOp, RegisterOutcome};
pub use semaphore::{Semaphore, SemaphoreOp, SemaphoreOutcome};
pub use verdict::{Counterexample, Placed, Stuck, Verdict};
