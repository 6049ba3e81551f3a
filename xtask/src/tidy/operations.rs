//! The names of the platform's operations, and how to tell them in the source.

use raddle_source::Path;

/// Methods of shared variables, apart from `fetch_*`.
const ATOMIC: &[&str] = &["load", "store", "swap", "compare_exchange", "compare_exchange_weak"];

/// Operations that other things have too, so that only a path through the platform tells.
const ASSOCIATED: &[&str] = &[
    "accept",
    "block_until_ready",
    "buggify",
    "choose",
    "connect",
    "event",
    "fill",
    "global",
    "join",
    "now",
    "park",
    "park_until",
    "peek",
    "recv",
    "send",
    "shutdown",
    "spawn",
    "take_error",
    "u64",
    "waker",
    "wall",
    "yield_now",
];

/// Operations of the platform itself whose names say enough.
const OWN: &[&str] = &["fence", "retry", "spin_loop"];

/// What a path goes through that leads to an operation.
const PLATFORM: &[&str] = &[
    "Atomic",
    "AtomicInt",
    "Clock",
    "Context",
    "Driver",
    "Native",
    "Notify",
    "Parker",
    "Platform",
    "Race",
    "Rng",
    "Threads",
];

/// The orderings that the standard library has.
pub(crate) const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// Whether a method of this name is an operation on a shared variable.
pub(crate) fn is_atomic(name: &str) -> bool {
    ATOMIC.contains(&name) || name.starts_with("fetch_")
}

/// Whether the path names an operation of the platform, called or not.
pub(crate) fn is_operation(path: &Path) -> bool {
    let Some((last, qualifier)) = path.segments.split_last() else { return false };
    if qualifier.is_empty() {
        return path.of_type() && is_atomic(&last.name);
    }
    if is_atomic(&last.name) || OWN.contains(&last.name.as_str()) {
        return true;
    }
    let through_platform = qualifier.iter().enumerate().any(|(index, segment)| {
        // A generic platform is called `P`.
        PLATFORM.contains(&segment.name.as_str()) || (index == 0 && segment.name == "P")
    });
    through_platform && ASSOCIATED.contains(&last.name.as_str())
}

/// The positions of the orderings among the arguments of a method call with `count` arguments.
pub(crate) fn ordering_arguments(method: &str, count: usize) -> &'static [usize] {
    match (method, count) {
        ("load" | "fence", 1) => &[0],
        ("store" | "swap", 2) => &[1],
        ("compare_exchange" | "compare_exchange_weak", 4) => &[2, 3],
        ("fetch_update", 3) => &[0, 1],
        (_, 2) if method.starts_with("fetch_") => &[1],
        _ => &[],
    }
}
