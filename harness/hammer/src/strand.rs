//! Who visits a site: a task or thread, named by the path of spawns that led to it.
//!
//! ```text
//! main            path = H(0, its name)
//! ├── 1st child   path = H(path of main, 0)
//! │   └── …
//! └── 2nd child   path = H(path of main, 1)
//! ```
//! A parent counts its own children, so the path is the same in every run in which the parent
//! spawns in the same order, whatever the schedule. A child is a task, or a thread that the platform
//! started; any other thread is named by its name.

use core::cell::Cell;
use core::ptr;
use std::hash::Hasher;

use crate::mix::Mixer;

/// A task has counters for so many sites. A power of two.
const PLACES: usize = 256;

/// A site looks for its counter in so many places. Whoever finds none counts with the site that has
/// the first of them: that one may be in a loop, and then the count is another one in each run. So
/// it must be rare.
const PROBES: usize = 32;

/// How often a site was visited, and which: 0, or the upper part of the site's hash and the count.
type Counter = u64;

/// The part of a counter that counts, and wraps.
const COUNT: Counter = (1 << 24) - 1;

/// One task or thread.
#[derive(Debug)]
pub struct Strand {
    path: Cell<u64>,
    children: Cell<u64>,
    /// Where the primitive was called that it is in, or was in last.
    caller: Cell<u64>,
    choices: Cell<u64>,
    /// How often the shares of a Dirichlet distribution were drawn.
    draws: Cell<u64>,
    visits: [Cell<Counter>; PLACES],
}

// SAFETY: a task's strand is touched by the thread that runs the task, and spawning, waking and
// stealing order its runs; a thread's own is thread-local.
unsafe impl Sync for Strand {}

/// Of a thread whose path nobody has told yet.
const UNNAMED: u64 = 0;

thread_local! {
    static OWN: Strand = const { Strand::new(UNNAMED) };
    static RUNNING: Cell<*const Strand> = const { Cell::new(ptr::null()) };
}

impl Strand {
    const fn new(path: u64) -> Self {
        Self {
            path: Cell::new(path),
            children: Cell::new(0),
            caller: Cell::new(0),
            choices: Cell::new(0),
            draws: Cell::new(0),
            visits: [const { Cell::new(0) }; PLACES],
        }
    }

    /// Its name.
    pub(crate) fn path(&self) -> u64 {
        self.path.get()
    }

    /// How often it has been at a site before, by the site's hash.
    pub(crate) fn visit(&self, site: u64) -> u64 {
        let counter = self.counter(site);
        let (tag, count) = (counter.get() & !COUNT, counter.get() & COUNT);
        counter.set(tag | (count + 1) & COUNT);
        count
    }

    /// The counter of a site: its own, as long as there is room. Which sites a task visits first
    /// may depend on the schedule, so sites that shared one would depend on it, too.
    fn counter(&self, site: u64) -> &Cell<Counter> {
        // Not 0, which is nobody's.
        let tag = (site & !COUNT).max(COUNT + 1);
        let places = (0..PROBES).map(|probe| (site as usize + probe) % PLACES);
        for counter in places.map(|place| &self.visits[place]) {
            if counter.get() == 0 {
                counter.set(tag);
            }
            if counter.get() & !COUNT == tag {
                return counter;
            }
        }
        &self.visits[site as usize % PLACES]
    }

    /// Where the primitive was called that it is in, or was in last.
    pub(crate) fn caller(&self) -> u64 {
        self.caller.get()
    }

    /// It calls a primitive.
    pub(crate) fn calls(&self, site: u64) {
        self.caller.set(site);
    }

    /// How often it has chosen before.
    pub(crate) fn choice(&self) -> u64 {
        self.choices.replace(self.choices.get() + 1)
    }

    /// How often it has drawn shares; once more from now on, if `again`.
    pub(crate) fn draw(&self, again: bool) -> u64 {
        self.draws.set(self.draws.get() + u64::from(again));
        self.draws.get()
    }

    fn next_path(&self) -> u64 {
        let count = self.children.replace(self.children.get() + 1);
        Mixer::new(self.path()).add(count).finish().max(UNNAMED + 1)
    }
}

// Not inlined: a thread-local's address must not be kept over a stack switch.
#[inline(never)]
fn replace_running(strand: *const Strand) -> *const Strand {
    RUNNING.replace(strand)
}

/// Calls `f` with whoever runs now.
#[inline(never)]
pub(crate) fn with<R>(f: impl FnOnce(&Strand) -> R) -> R {
    let running = RUNNING.get();
    // SAFETY: `enter` put it there, and its task runs, so it is alive.
    if let Some(strand) = unsafe { running.as_ref() } {
        return f(strand);
    }
    OWN.with(|own| {
        if own.path() == UNNAMED {
            let mut mixer = Mixer::new(0);
            mixer.write(std::thread::current().name().unwrap_or("").as_bytes());
            own.path.set(mixer.finish().max(UNNAMED + 1));
        }
        f(own)
    })
}

/// The path of the next thread that whoever runs now will start.
pub(crate) fn next_thread() -> u64 {
    with(Strand::next_path)
}

/// Begins the calling thread anew: its counts at zero, its path as given.
pub(crate) fn begin(path: u64) {
    OWN.with(|own| {
        let fresh = Strand::new(path.max(UNNAMED + 1));
        own.path.set(fresh.path.get());
        for (mine, new) in own.visits.iter().zip(fresh.visits) {
            mine.set(new.get());
        }
        for count in [&own.children, &own.caller, &own.choices, &own.draws] {
            count.set(0);
        }
    });
}

impl raddle_platform::Strand for Strand {
    type Outer = *const Self;

    fn child() -> Self {
        Self::new(with(Self::next_path))
    }

    fn enter(&self) -> *const Self {
        replace_running(self)
    }

    fn leave(outer: *const Self) {
        replace_running(outer);
    }
}

#[cfg(test)]
mod tests {
    use super::{Hasher, Mixer, PLACES, Strand, begin, next_thread, with};
    use raddle_platform::Strand as _;

    #[test]
    fn the_same_spawns_have_the_same_paths() {
        let paths = || {
            begin(5);
            let first = Strand::child();
            let outer = first.enter();
            let nested = (Strand::child().path(), next_thread());
            Strand::leave(outer);
            (first.path(), nested, Strand::child().path())
        };
        let (first, (nested, thread), second) = paths();
        assert_eq!(paths(), (first, (nested, thread), second));
        let mut all = [5, first, nested, thread, second];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:x?}");
    }

    /// A hash, as sites have.
    fn site(number: u64) -> u64 {
        Mixer::new(number).finish()
    }

    #[test]
    fn visits_count_by_site_and_task() {
        begin(6);
        let task = Strand::child();
        let (one, other) = (site(3), site(4));
        assert_eq!([one, one, other].map(|site| with(|own| own.visit(site))), [0, 1, 0]);
        assert_eq!(task.visit(one), 0);
        begin(6);
        assert_eq!(with(|own| own.visit(one)), 0, "a thread that begins anew has been nowhere");
    }

    #[test]
    fn sites_do_not_share_a_counter() {
        let task = Strand::child();
        // More than half full; among 160 of 256, several begin at the same place.
        let sites = || (0..160).map(site);
        for visit in 0..3 {
            assert!(sites().all(|site| task.visit(site) == visit));
        }
        // What loops beside them changes nothing.
        assert!((0..1000).all(|visit| task.visit(site(160)) == visit));
        assert!(sites().all(|site| task.visit(site) == 3));
    }

    #[test]
    fn more_sites_than_counters_are_counted_all_the_same() {
        let task = Strand::child();
        let visits: Vec<_> =
            (0..2 * PLACES as u64).map(|number| task.visit(site(number))).collect();
        assert!(visits.iter().filter(|visit| **visit == 0).count() >= PLACES);
    }
}
