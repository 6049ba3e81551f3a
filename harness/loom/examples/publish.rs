//! A half-published value: the failing example that docs/loom.md reads line by line.
//!
//! `cargo run --release -p raddle-loom --example publish`

use raddle_loom::{Loom, Model, Verdict};
use raddle_platform::{Atomic, Ordering, Platform, RaceCell};
use raddle_scenarios::scope;

/// A value for another thread, and a flag that says it is there.
struct Mailbox<P: Platform> {
    value: RaceCell<u32, P>,
    full: P::AtomicBool,
}

fn post_and_take<P: Platform>() {
    let mailbox = Mailbox::<P> { value: RaceCell::new_in(0), full: P::AtomicBool::new(false) };
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: nobody reads before the flag is set.
            unsafe { mailbox.value.with_mut(|value| *value = 7) };
            // The bug: it should be Release.
            mailbox.full.store(true, Ordering::Relaxed);
        });
        // ORDERING: would pair with a release store in the other thread.
        if mailbox.full.load(Ordering::Acquire) {
            // SAFETY: the flag is set, so the value has been written, or so we think.
            assert_eq!(unsafe { mailbox.value.with(|value| *value) }, 7);
        }
    });
}

fn main() {
    let report = Model::new().check(post_and_take::<Loom>);
    match report.verdict {
        Verdict::Failed(failure) => println!("after {} executions\n{failure}", report.executions),
        verdict => println!("{verdict:?} after {} executions", report.executions),
    }
}
