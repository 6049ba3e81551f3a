//! Fibers and futures.

use core::future::Future;

use raddle_platform::Native;
pub use raddle_runtime::task::Builder;
pub use raddle_runtime::{
    CancellationToken, Cancelled, JoinError, JoinHandle, Scope, ScopedJoinHandle, yield_async,
};

/// Spawns a fiber on the current runtime.
///
/// ```
/// let twice = raddle::run(|| raddle::spawn(|| 21 * 2).join().unwrap());
/// assert_eq!(twice, 42);
/// ```
///
/// # Panics
/// Outside every runtime.
pub fn spawn<F, T>(body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    raddle_runtime::spawn::<Native, F, T>(body)
}

/// Spawns a future on the current runtime; it may move between workers while it waits.
///
/// ```
/// let twice = raddle::run(|| raddle::spawn_async(async { 21 * 2 }).join().unwrap());
/// assert_eq!(twice, 42);
/// ```
///
/// # Panics
/// Outside every runtime.
pub fn spawn_async<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    raddle_runtime::spawn_async::<Native, F>(future)
}

/// Spawns a fiber that only the worker `index` runs.
///
/// # Panics
/// Outside every runtime, and if there is no such worker.
pub fn spawn_on<F, T>(index: usize, body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    raddle_runtime::spawn_on::<Native, F, T>(index, body)
}

/// Spawns a fiber that only this worker runs, so that it need not be `Send`.
///
/// # Panics
/// Outside a worker.
pub fn spawn_local<F, T>(body: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + 'static,
    T: 'static,
{
    raddle_runtime::spawn_local::<Native, F, T>(body)
}

/// Gives way to other tasks: a fiber goes behind the others of its worker; a plain thread yields
/// to the operating system.
pub fn yield_now() {
    raddle_runtime::yield_now::<Native>();
}

/// Runs `future` to its end, parking the calling fiber or blocking the calling thread.
///
/// ```
/// assert_eq!(raddle::block_on(async { 42 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    raddle_runtime::block_on::<Native, F>(future)
}

/// Runs `f` with a scope whose tasks may borrow from the caller; see [`raddle_runtime::scope`].
///
/// ```
/// let mut halves = [0, 0];
/// raddle::run(move || {
///     let (left, right) = halves.split_at_mut(1);
///     raddle::scope(|scope| {
///         scope.spawn(|| left[0] = 1);
///         scope.spawn(|| right[0] = 2);
///     });
///     assert_eq!(halves, [1, 2]);
/// });
/// ```
///
/// # Panics
/// With what `f` or a task panicked with.
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    raddle_runtime::scope::<Native, F, T>(f)
}

/// Whether the calling fiber was cancelled: for code that computes for long between its blocking
/// calls.
pub fn is_cancelled() -> bool {
    raddle_runtime::is_cancelled::<Native>()
}
