//! The platform's stacks, as corosensei wants them.

use core::ops::Range;
use std::io;

use corosensei::stack::{Stack as Corosensei, StackPointer};
use raddle_platform::native::stack::{Stack, StackPool};

/// A stack with a guard page, from a worker's pool.
pub(crate) struct FiberStack(Stack);

// SAFETY: `Stack` promises what the trait asks for: a guard page at its low end within `limit`,
// and at least a page of usable memory; `base` is aligned to 16 bytes.
unsafe impl Corosensei for FiberStack {
    fn base(&self) -> StackPointer {
        self.0.base()
    }
    fn limit(&self) -> StackPointer {
        self.0.limit()
    }
}

impl FiberStack {
    /// The addresses that a fiber may touch.
    pub(crate) fn usable(&self) -> Range<usize> {
        self.0.usable()
    }

    /// Names the fiber for the message that an overflow prints.
    ///
    /// # Safety
    /// `name` stays valid while the stack is in use.
    pub(crate) unsafe fn set_label(&self, id: u64, name: Option<&str>) {
        // SAFETY: by the caller's promise.
        unsafe { self.0.set_label(id, name.unwrap_or("")) };
    }
}

/// Idle stacks per size whose memory a worker keeps when it sleeps: a few megabytes.
const HOT_STACKS: usize = 256;

/// A worker's stacks: one pool per size, the default size first. Few sizes are in use at a time,
/// so a list will do; a pool whose size is no longer asked for keeps its idle stacks.
pub(crate) struct Stacks(Vec<StackPool>);

impl Stacks {
    pub(crate) fn new(default_size: usize) -> Self {
        Self(vec![StackPool::new(default_size)])
    }

    /// A stack of `size` bytes, rounded up to pages.
    ///
    /// # Errors
    /// The kernel's, when it gives no more memory.
    pub(crate) fn take(&mut self, size: usize) -> io::Result<FiberStack> {
        let known = |pools: &[StackPool], size| pools.iter().position(|p| p.stack_size() == size);
        let index = known(&self.0, size).unwrap_or_else(|| {
            let pool = StackPool::new(size);
            known(&self.0, pool.stack_size()).unwrap_or_else(|| {
                self.0.push(pool);
                self.0.len() - 1
            })
        });
        self.0[index].take().map(FiberStack)
    }

    /// Gives the memory of idle stacks back to the kernel, but for the [`HOT_STACKS`] that will be
    /// used next. Cheap when there are no more.
    pub(crate) fn trim(&mut self) {
        for pool in &mut self.0 {
            pool.trim(HOT_STACKS);
        }
    }

    /// Takes a stack back.
    pub(crate) fn give(&mut self, stack: FiberStack) {
        let size = stack.0.size();
        match self.0.iter_mut().find(|pool| pool.stack_size() == size) {
            Some(pool) => pool.give(stack.0),
            None => drop(stack),
        }
    }
}
