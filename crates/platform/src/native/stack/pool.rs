//! A worker's stacks.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;

use super::super::counted::Counted;
use super::registry::Geometry;
use super::slab::{self, Guard, Slab, Stack};

/// The stacks of one worker.
///
/// `take` and `give` are a pop and a push, a few nanoseconds. A stack that was never used costs a
/// system call for its guard page when it is first taken, and every 64th one another two for the
/// slab.
///
/// ```
/// use raddle_platform::native::stack::{DEFAULT_STACK_SIZE, StackPool};
/// let mut pool = StackPool::new(DEFAULT_STACK_SIZE);
/// let stack = pool.take()?;
/// let base = stack.base();
/// pool.give(stack);
/// assert_eq!(pool.take()?.base(), base);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct StackPool {
    geometry: Geometry,
    guard: Guard,
    /// Stacks that nobody uses, the hottest last.
    idle: Vec<Stack>,
    /// So many of the first `idle` ones have given their pages back.
    trimmed: usize,
    slabs: Vec<Counted<Slab>>,
    /// So many stacks of the last slab have a guard page, and so a handle or a user.
    protected: usize,
    /// One owner: a pool moves between threads, but is not shared.
    _owner: PhantomData<Cell<()>>,
}

impl StackPool {
    /// An empty pool of stacks with `stack_size` usable bytes, rounded up to pages, two at least.
    /// They are bytes of address space: memory is used as it is touched.
    pub fn new(stack_size: usize) -> Self {
        Self::with_guard(stack_size, Guard::Madvise)
    }

    /// As [`new`](Self::new), starting with the given kind of guard page. A pool falls back to
    /// [`Guard::Mprotect`] by itself where the kernel wants it.
    pub fn with_guard(stack_size: usize, guard: Guard) -> Self {
        let geometry = slab::geometry(stack_size);
        Self {
            geometry,
            guard,
            idle: Vec::new(),
            trimmed: 0,
            slabs: Vec::new(),
            protected: geometry.count,
            _owner: PhantomData,
        }
    }

    /// A stack: the one given back last, or else one that was dropped elsewhere, or else a new
    /// one.
    ///
    /// # Errors
    ///
    /// The kernel has no memory, addresses or mappings left. The inner error is a
    /// [`MapError`](super::MapError), which says what to change. The pool stays usable.
    #[inline]
    pub fn take(&mut self) -> io::Result<Stack> {
        match self.idle.pop() {
            Some(stack) => {
                self.trimmed = self.trimmed.min(self.idle.len());
                Ok(stack)
            }
            None => self.take_cold(),
        }
    }

    #[cold]
    fn take_cold(&mut self) -> io::Result<Stack> {
        self.trimmed = 0;
        // Only where a slab is about to be mapped: then one look at each slab is paid for by the
        // stacks that the new slab would bring.
        if self.protected == self.geometry.count {
            for slab in &self.slabs {
                Slab::collect(slab, |stack| self.idle.push(stack));
            }
            if let Some(stack) = self.idle.pop() {
                return Ok(stack);
            }
            self.slabs.push(Slab::map(self.geometry)?);
            self.protected = 0;
        }
        let slab = self.slabs.last().expect("only a mapped slab has stacks without a guard page");
        self.guard = slab.protect(self.protected, self.guard)?;
        let stack = Slab::stack(slab, self.protected);
        self.protected += 1;
        Ok(stack)
    }

    /// Takes back a stack that nothing runs on any more. It may come from another pool; one of
    /// another size goes back to its own.
    #[inline]
    pub fn give(&mut self, stack: Stack) {
        // Equal sizes are equal geometries.
        if stack.size() == self.geometry.usable {
            stack.clear_label();
            self.idle.push(stack);
        }
    }

    /// Gives the memory of idle stacks back to the kernel, except that of the `keep` hottest ones.
    /// The stacks stay in the pool: their pages appear anew when they are used. One system call
    /// for each stack that was used since the last time.
    pub fn trim(&mut self, keep: usize) {
        let surplus = self.idle.len().saturating_sub(keep);
        for stack in self.idle.iter_mut().take(surplus).skip(self.trimmed) {
            stack.discard_pages();
        }
        self.trimmed = self.trimmed.max(surplus);
    }

    /// How many idle stacks are in the pool.
    pub fn idle(&self) -> usize {
        self.idle.len()
    }

    /// How many stacks the pool has made: those in use and the idle ones.
    pub fn made(&self) -> usize {
        self.slabs.len() * self.geometry.count - (self.geometry.count - self.protected)
    }

    /// Usable bytes of each stack.
    pub fn stack_size(&self) -> usize {
        self.geometry.usable
    }

    /// How the pool makes its guard pages: [`Guard::Mprotect`] once the kernel has refused the
    /// other.
    pub fn guard(&self) -> Guard {
        self.guard
    }
}
