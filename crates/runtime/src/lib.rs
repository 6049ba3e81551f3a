//! Fibers and futures on the same workers, with timers and I/O.
//!
//! Blocking code is easy to write and threads are too heavy to have a hundred thousand of;
//! futures are light, and colour every function. Raddle's *fibers* are stackful: code that blocks
//! parks its fiber, and the worker thread goes on with another. *Futures* run beside them, on the
//! same workers, with the same locks, timers and sockets.
//!
//! ```
//! use raddle_runtime::{Native, Runtime, sleep, spawn, spawn_async, sleep_async};
//! use std::time::Duration;
//!
//! let runtime: Runtime = Runtime::new()?;
//! let result = runtime.run(|| {
//!     let fiber = spawn::<Native, _, _>(|| sleep::<Native>(Duration::from_millis(1)).is_ok());
//!     let future = spawn_async::<Native, _>(async {
//!         sleep_async::<Native>(Duration::from_millis(1)).await;
//!         2
//!     });
//!     (fiber.join().unwrap(), future.join().unwrap())
//! });
//! assert_eq!(result.unwrap(), (true, 2));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Everything is generic over the [`Platform`]: the same run loop, stealing, parking and timers
//! run in production and under the harnesses. Programs that only run use the façade, `raddle`,
//! which fills in [`Native`].
//!
//! **Architecture Invariant:** a *started* fiber never changes its worker. Its stack may hold
//! references to thread-locals and values that are not `Send`, which no compiler checks
//! (rust-lang/unsafe-code-guidelines#602). Fibers that were not started, and `Send` futures, are
//! stolen freely.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cancel;
mod checkpoint;
pub mod fs;
mod handle;
mod io;
pub mod net;
pub mod runtime;
mod scheduler;
mod scope;
pub mod signal;
mod stack;
pub mod task;
mod timer;

pub use cancel::{CancellationToken, Cancelled, is_cancelled, is_cancelled_error};
pub use checkpoint::checkpoint;
pub use handle::Handle;
pub use raddle_platform::{Instant, Native, Platform};
pub use runtime::{Runtime, spawn, spawn_async, spawn_local, spawn_on, yield_async, yield_now};
#[doc(hidden)]
pub use scheduler::internals;
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use task::{JoinError, JoinHandle};
pub use timer::{
    Elapsed, Sleep, Timeout, sleep, sleep_async, sleep_until, sleep_until_async, timeout,
};

/// Runs `future` to its end, parking the calling fiber or blocking the calling thread while it is
/// pending. On a plain thread use [`Runtime::block_on`] if it needs timers or I/O.
pub fn block_on<P: Platform, F: Future>(future: F) -> F::Output {
    raddle_platform::suspend::block_on::<P, F>(future)
}
