//! Tells that something is there before it is.

use core::array;

use raddle_platform::{Atomic, Ordering, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

const SLOTS: usize = 4;
/// How often the reader looks.
const LOOKS: usize = 8;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "publish_before_init",
        property: "what can be seen has its value",
        planted: nothing_is_seen::<P, false>,
        corrected: nothing_is_seen::<P, true>,
    }
}

struct Log<P: Platform> {
    length: P::AtomicUsize,
    /// 0 where nothing was written yet.
    slots: [P::AtomicUsize; SLOTS],
}

impl<P: Platform> Log<P> {
    fn push<const CORRECT: bool>(&self, index: usize) {
        if CORRECT {
            self.slots[index].store(index + 1, Ordering::Relaxed);
        }
        // ORDERING: pairs with the acquiring load of `last_is_empty`.
        self.length.store(index + 1, Ordering::Release);
        if !CORRECT {
            // The planted bug: the reader may be here already.
            self.slots[index].store(index + 1, Ordering::Relaxed);
        }
    }

    fn last_is_empty(&self) -> bool {
        // ORDERING: pairs with the releasing store of `push`.
        let length = self.length.load(Ordering::Acquire);
        length > 0 && self.slots[length - 1].load(Ordering::Relaxed) == 0
    }
}

fn nothing_is_seen<P: Platform, const CORRECT: bool>() -> bool {
    let log = Log::<P> {
        length: P::AtomicUsize::new(0),
        slots: array::from_fn(|_| P::AtomicUsize::new(0)),
    };
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            (0..SLOTS).for_each(|index| log.push::<CORRECT>(index));
        });
        start.wait();
        (0..LOOKS).filter(|_| log.last_is_empty()).count() > 0
    })
}
