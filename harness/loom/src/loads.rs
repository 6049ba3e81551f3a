//! Mends a hole in loom's search.
//!
//! loom tries a second order of two accesses if they are *dependent*: to one location, and not
//! both loads. To find such pairs it remembers the last access to each location, and compares an
//! access with it when a thread is about to make one. A load overwrites that memory, too: when two
//! threads have loaded and then one of them writes, the write is compared with the later load only.
//! If that is the writer's own, the write is never tried before the other thread's load
//! (tokio-rs/loom#166, #392). Compare-exchange loops are of this very shape: a scenario of a
//! condition variable was "explored" in one single execution.
//!
//! So each location has a mark for each thread. A load touches the mark of its own thread. A
//! write first touches the marks of those threads whose loads since the last write are hidden from
//! loom by a later load. Nobody ever waits on a mark, so touching it is a point at which loom may
//! switch, and nothing else: it has no effect on memory and makes no happens-before edge. Marks
//! make no pair dependent that is not dependent in truth.
//!
//! `tests/completeness.rs` holds this against all sequentially consistent outcomes of random
//! programs.

use core::cell::{Cell, OnceCell};

use loom::sync::Condvar;

/// The loads of one location since the last write.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    marks: [OnceCell<Condvar>; loom::MAX_THREADS],
    /// The threads that have loaded since the last write, one bit each.
    loaders: Cell<u8>,
    /// The bit of the thread whose load was the last access; 0 if that was a write.
    last: Cell<u8>,
}

// SAFETY: used by model threads only, and they share one operating-system thread.
unsafe impl Send for Loads {}
// SAFETY: as above.
unsafe impl Sync for Loads {}

impl Loads {
    /// `thread` is about to load.
    pub(crate) fn before_load(&self, thread: usize) {
        self.marks[thread].get_or_init(Condvar::new).notify_one();
    }

    /// `thread` has loaded.
    pub(crate) fn after_load(&self, thread: usize) {
        let bit = 1 << thread;
        self.loaders.set(self.loaders.get() | bit);
        self.last.set(bit);
    }

    /// `thread` is about to write, or to read-modify-write.
    pub(crate) fn before_write(&self, thread: usize) {
        // From now on loom compares the coming write with every access as it is made, so only what
        // has happened already can be hidden.
        let hidden = self.loaders.get() & !self.last.get() & !(1 << thread);
        for loader in 0..self.marks.len() {
            if hidden & (1 << loader) != 0
                && let Some(mark) = self.marks[loader].get()
            {
                mark.notify_one();
            }
        }
    }

    /// A write has been made.
    pub(crate) fn after_write(&self) {
        self.loaders.set(0);
        self.last.set(0);
    }
}
