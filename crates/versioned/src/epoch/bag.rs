//! What one participant has retired.

use std::collections::VecDeque;

/// Something that nobody new can find, and how to free it.
pub(crate) struct Retired {
    pointer: *mut (),
    destroy: unsafe fn(*mut ()),
    bytes: usize,
}

// SAFETY: who retires promises that it may be freed on any thread.
unsafe impl Send for Retired {}

impl Retired {
    /// # Safety
    /// `destroy(pointer)` may be called once, on any thread, at any time after nobody can read what
    /// is there any more.
    pub(crate) unsafe fn new(pointer: *mut (), destroy: unsafe fn(*mut ()), bytes: usize) -> Self {
        Self { pointer, destroy, bytes }
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        // SAFETY: promised at `new`, and who drops it knows that nobody can read it any more.
        unsafe { (self.destroy)(self.pointer) };
    }
}

/// What was retired: first since the last sealing, then by stamps.
#[derive(Default)]
pub(crate) struct Bag {
    fresh: Vec<Retired>,
    sealed: VecDeque<(u64, Vec<Retired>)>,
    items: usize,
    bytes: usize,
}

impl Bag {
    /// Puts something in. Returns how many are there now, and how many of them are not sealed.
    pub(crate) fn push(&mut self, retired: Retired) -> (usize, usize) {
        self.items += 1;
        self.bytes += retired.bytes;
        self.fresh.push(retired);
        (self.items, self.fresh.len())
    }

    pub(crate) fn items(&self) -> usize {
        self.items
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes out what is not sealed; the caller [puts it back](Self::seal) with a stamp.
    pub(crate) fn take_fresh(&mut self) -> Vec<Retired> {
        core::mem::take(&mut self.fresh)
    }

    /// Puts in what was unlinked before `stamp`.
    pub(crate) fn seal(&mut self, stamp: u64, retired: Vec<Retired>) {
        if !retired.is_empty() {
            self.sealed.push_back((stamp, retired));
        }
    }

    /// Takes out what was stamped before `oldest`, to be dropped outside of the lock.
    pub(crate) fn take_before(&mut self, oldest: u64) -> Vec<Vec<Retired>> {
        let mut taken = Vec::new();
        // Two collectors may have sealed in another order than they came here.
        self.sealed.retain_mut(|(stamp, retired)| {
            let keep = *stamp >= oldest;
            if !keep {
                taken.push(core::mem::take(retired));
            }
            keep
        });
        for retired in taken.iter().flatten() {
            self.items -= 1;
            self.bytes -= retired.bytes;
        }
        taken
    }
}
