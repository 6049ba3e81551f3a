//! Places in a program that its author wants to find again in a trace.

use raddle_platform::{Event, Platform};

/// Tells whoever observes the execution that the program has come to the place `name`, and a value
/// that matters there: the number of a request, how far a state machine is. In production this is
/// nothing; in a simulation it is an event of the trace, and a place where a debugger can stop.
///
/// ```
/// use raddle_runtime::{Native, Platform, checkpoint};
///
/// fn commit<P: Platform>(sequence: u64) {
///     checkpoint::<P>("committed", sequence);
/// }
/// commit::<Native>(7);
/// ```
#[inline]
pub fn checkpoint<P: Platform>(name: &str, value: u64) {
    P::event(&Event::Checkpoint { name, value });
}
