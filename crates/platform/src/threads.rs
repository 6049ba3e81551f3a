//! Operating-system threads and their slots.

use core::any::Any;

/// One of the pointers that each thread carries: a thread-local variable that generic code can
/// have (a `thread_local!` cannot name `P`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum SlotKey {
    /// What parks instead of the thread: see [`suspend`](crate::suspend).
    Suspender,
    /// The runtime's worker on this thread.
    Worker,
    /// The runtime that spawns from this thread go to.
    Runtime,
    /// The epoch participant of this thread, which begins with its
    /// [`Pins`](crate::suspend::Pins).
    Epoch,
    /// How often this thread, or one of its fibers, has parked: a number, not an address.
    Parks,
}

impl SlotKey {
    /// How many keys there are.
    pub const COUNT: usize = 5;
}

/// Starts threads and keeps what belongs to each.
pub trait Threads {
    /// A thread that was started.
    type JoinHandle: Send + 'static;

    /// Starts a thread.
    ///
    /// # Errors
    /// The operating system's, when it refuses another thread.
    #[track_caller]
    fn spawn(name: String, body: Box<dyn FnOnce() + Send>) -> std::io::Result<Self::JoinHandle>;

    /// Waits for the end of a thread.
    ///
    /// # Errors
    /// The payload with which the thread panicked.
    #[track_caller]
    fn join(handle: Self::JoinHandle) -> Result<(), Box<dyn Any + Send>>;

    /// An id of the calling thread, unique in its world and never zero.
    fn id() -> u64;

    /// Lets others run.
    #[track_caller]
    fn yield_now();

    /// How many threads can run at the same time; at least 1.
    fn available_parallelism() -> usize;

    /// What the calling thread keeps under `key`; null at first.
    fn slot(key: SlotKey) -> *mut ();

    /// Puts `value` under `key` and returns the value before.
    fn set_slot(key: SlotKey, value: *mut ()) -> *mut ();

    /// Runs `f` when the calling thread ends, in the reverse order of registration. Returns whether
    /// it will: not if the thread has run these already, and is in the destructor of a thread-local.
    fn on_exit(f: Box<dyn FnOnce()>) -> bool;

    /// Whether this thread is unwinding. With fibers std's answer is also `true` for the
    /// neighbours of a fiber that suspended while it unwound.
    fn panicking() -> bool;

    /// Whether the world is being torn down, so that a caught panic must go on unwinding.
    fn tearing_down() -> bool;
}
