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

/// Visits are counted in so many places; sites that share one still count the same in each run.
const PLACES: usize = 256;

/// One task or thread.
#[derive(Debug)]
pub struct Strand {
    path: Cell<u64>,
    children: Cell<u64>,
    /// Where the primitive was called that it is in.
    caller: Cell<u64>,
    choices: Cell<u64>,
    /// How often the shares of a Dirichlet distribution were drawn.
    draws: Cell<u64>,
    visits: [Cell<u32>; PLACES],
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
        let count = &self.visits[(site % PLACES as u64) as usize];
        count.set(count.get().wrapping_add(1));
        u64::from(count.get().wrapping_sub(1))
    }

    /// Where the primitive was called that it is in.
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
    use super::{Strand, begin, next_thread, with};
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

    #[test]
    fn visits_count_by_site_and_task() {
        begin(6);
        let task = Strand::child();
        assert_eq!([3, 3, 4].map(|site| with(|own| own.visit(site))), [0, 1, 0]);
        assert_eq!(task.visit(3), 0);
        begin(6);
        assert_eq!(with(|own| own.visit(3)), 0, "a thread that begins anew has been nowhere");
    }
}
