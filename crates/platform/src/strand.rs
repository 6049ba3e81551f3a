//! What a world keeps with each task.

/// Stands in the header of every task: a world that must know its tasks by where they come from,
/// and not by ids that depend on the schedule, keeps it here. `()` is the one of worlds that do not.
pub trait Strand: Send + Sync + Sized + 'static {
    /// What [`enter`](Strand::enter) hands to [`leave`](Strand::leave).
    type Outer: Copy;
    /// Of a task that the calling task or thread is about to spawn.
    fn child() -> Self;
    /// The task runs on the calling thread from now on.
    fn enter(&self) -> Self::Outer;
    /// The task has stopped, and what ran on the thread before runs again.
    fn leave(outer: Self::Outer);
}

impl Strand for () {
    type Outer = ();
    #[inline(always)]
    fn child() {}
    #[inline(always)]
    fn enter(&self) {}
    #[inline(always)]
    fn leave((): ()) {}
}
