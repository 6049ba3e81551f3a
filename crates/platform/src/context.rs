//! Told of every stack switch.

/// What must know of stack switches: ThreadSanitizer in the hammer harness, nobody in production.
///
/// The runtime calls [`create`](Context::create) when a fiber gets its stack,
/// [`switch_to`](Context::switch_to) immediately before each switch (into the fiber, and back),
/// and [`destroy`](Context::destroy) after the last.
pub trait Context {
    /// One execution context.
    type Handle: Copy;
    /// The context that runs now.
    fn current() -> Self::Handle;
    /// A context for a new stack.
    fn create() -> Self::Handle;
    /// The very next thing is a switch to `to`.
    fn switch_to(to: Self::Handle);
    /// The context's stack will not run again.
    fn destroy(handle: Self::Handle);
}
