//! Told of every stack switch.

use core::ops::Range;

/// What must know of stack switches: the sanitizers in the hammer harness, nobody in production.
///
/// A sanitizer keeps a shadow of the running stack. It is told right before a switch where it goes
/// ([`switch_to`](Context::switch_to)), and on the other stack that it has happened
/// ([`switched`](Context::switched)), before anything else is done there:
///
/// ```text
///  worker's stack                          fiber's stack
///  create(stack)
///  switch_to(fiber), resume      ───────▶  switched()
///                                          …
///  switched()                    ◀───────  switch_to(worker), suspend
///  switch_to(fiber), resume      ───────▶  switched()
///                                          …
///  switched()                    ◀───────  switch_for_good(worker), suspend
///  destroy(fiber)
/// ```
///
/// The functions that return in between are counted too, so a fiber *ends by a suspension* from
/// which it is never resumed: returning from its first function would leave frames on the shadow
/// of a stack that they were not entered on. For the same reason `switch_to` is inlined.
pub trait Context {
    /// One execution context.
    type Handle: Copy;
    /// The context that runs now.
    fn current() -> Self::Handle;
    /// A context for code that has not begun; `stack` is what it may touch of its stack.
    fn create(stack: Range<usize>) -> Self::Handle;
    /// The very next thing is a switch to `to`.
    fn switch_to(to: Self::Handle);
    /// The very next thing is a switch to `to`, after which this stack never runs again.
    fn switch_for_good(to: Self::Handle);
    /// A switch to this stack has just happened.
    fn switched();
    /// The context will not run again.
    fn destroy(handle: Self::Handle);
}
