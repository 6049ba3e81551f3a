//! Which addresses are stacks, and whose: readable from a signal handler.
//!
//! A handler can take no lock and must not follow a pointer to freed memory. So the records form
//! a list that only grows, and are never freed; the record of an unmapped slab is used again for
//! the next slab *of the same geometry*. Its geometry therefore never changes once the record is
//! published, and the one field that does, `start`, is a single word: a reader cannot see half of
//! one slab and half of another.
//!
//! Labels are written and read relaxed. The handler believes a label only if the faulting thread
//! runs *on* that stack, and whoever runs on a stack happens after the label was set.

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use super::super::lock::Lock;

/// How a slab is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes of the guard page below each stack.
    pub(super) guard: usize,
    /// Usable bytes of each stack.
    pub(super) usable: usize,
    /// Stacks in the slab.
    pub(super) count: usize,
}

impl Geometry {
    /// From the guard page of one stack to that of the next.
    pub(super) fn stride(&self) -> usize {
        self.guard + self.usable
    }

    /// Bytes of the mapping. [`Geometry`]s are made so that this does not overflow.
    pub(super) fn bytes(&self) -> usize {
        self.stride() * self.count
    }
}

/// Who uses a stack.
#[derive(Debug, Default)]
pub(super) struct Label {
    id: AtomicU64,
    name: AtomicPtr<u8>,
    name_bytes: AtomicUsize,
}

impl Label {
    /// # Safety
    /// `name` is alive until the label is set again or cleared.
    pub(super) unsafe fn set(&self, id: u64, name: &str) {
        self.id.store(id, Ordering::Relaxed);
        self.name.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        self.name_bytes.store(name.len(), Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.id.store(0, Ordering::Relaxed);
        self.name_bytes.store(0, Ordering::Relaxed);
    }

    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// # Safety
    /// The caller runs on the label's stack, or owns it.
    pub(super) unsafe fn name(&self) -> &[u8] {
        let bytes = self.name_bytes.load(Ordering::Relaxed);
        if bytes == 0 {
            return &[];
        }
        // SAFETY: `set` got both from one `&str`, which lives until the label changes; nobody
        // changes it while the caller owns or occupies the stack.
        unsafe { core::slice::from_raw_parts(self.name.load(Ordering::Relaxed), bytes) }
    }
}

/// What the handler knows of one slab.
#[derive(Debug)]
pub(super) struct Record {
    geometry: Geometry,
    /// The lowest address of the slab; 0 while the record waits for its next one.
    start: AtomicUsize,
    labels: Box<[Label]>,
    next: Option<&'static Record>,
}

/// The newest record.
static HEAD: AtomicPtr<Record> = AtomicPtr::new(core::ptr::null_mut());
/// Records without a slab. The lock also serialises the pushes onto `HEAD`; no handler takes it.
static SPARE: Lock<Vec<&'static Record>> = Lock::new(Vec::new());

fn newest() -> Option<&'static Record> {
    // ORDERING: pairs with the releasing store in `register`: the record's fields are visible.
    let head = HEAD.load(Ordering::Acquire);
    // SAFETY: `HEAD` is null or a record that was leaked in `register`.
    unsafe { head.as_ref() }
}

/// Makes the slab at `start` known.
pub(super) fn register(geometry: Geometry, start: usize) -> &'static Record {
    let mut spare = SPARE.lock();
    if let Some(at) = spare.iter().rposition(|record| record.geometry == geometry) {
        let record = spare.swap_remove(at);
        record.start.store(start, Ordering::Relaxed);
        return record;
    }
    let record: &'static mut Record = Box::leak(Box::new(Record {
        geometry,
        start: AtomicUsize::new(start),
        labels: (0..geometry.count).map(|_| Label::default()).collect(),
        next: newest(),
    }));
    let record: &'static Record = record;
    // ORDERING: pairs with the acquiring load in `newest`.
    HEAD.store(core::ptr::from_ref(record).cast_mut(), Ordering::Release);
    record
}

impl Record {
    /// Forgets the slab. Its memory must still be mapped, else another slab could be there.
    pub(super) fn retire(&'static self) {
        self.start.store(0, Ordering::Relaxed);
        SPARE.lock().push(self);
    }

    pub(super) fn label(&self, index: usize) -> &Label {
        &self.labels[index]
    }

    /// The index of the stack, guard page included, that `address` lies in, and how far above
    /// the stack's lowest byte.
    fn find(&self, address: usize) -> Option<(usize, usize)> {
        let start = self.start.load(Ordering::Relaxed);
        let offset = address.checked_sub(start)?;
        let stride = self.geometry.stride();
        (start != 0 && offset < self.geometry.bytes()).then(|| (offset / stride, offset % stride))
    }
}

/// A stack that ran into its guard page.
#[derive(Debug)]
pub(super) struct Overflow {
    pub(super) label: &'static Label,
    pub(super) usable: usize,
}

/// The stack whose guard page `fault` lies in, if `stack_pointer` lies in the same stack. A wild
/// access to the guard page of somebody else's stack is not an overflow.
///
/// Async-signal-safe. The number of steps is that of the slabs that ever lived at once.
pub(super) fn overflowed(fault: usize, stack_pointer: usize) -> Option<Overflow> {
    let mut next = newest();
    while let Some(record) = next {
        if let Some((index, offset)) = record.find(fault) {
            let occupied = record.find(stack_pointer).is_some_and(|(at, _)| at == index);
            return (offset < record.geometry.guard && occupied)
                .then(|| Overflow { label: record.label(index), usable: record.geometry.usable });
        }
        next = record.next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses that no mapping of this process has.
    const NOWHERE: usize = 1 << 60;

    #[test]
    fn an_overflow_is_a_fault_in_the_guard_page_of_the_stack_one_runs_on() {
        let geometry = Geometry { guard: 4096, usable: 8192, count: 3 };
        let record = register(geometry, NOWHERE);
        let second = NOWHERE + geometry.stride();
        // SAFETY: the name is a constant.
        unsafe { record.label(1).set(7, "seven") };

        let found = overflowed(second + 4095, second + 4096).expect("in the guard page");
        assert_eq!((found.label.id(), found.usable), (7, 8192));
        // SAFETY: nobody changes the label.
        assert_eq!(unsafe { found.label.name() }, b"seven");
        assert!(overflowed(second, second + 8).is_some(), "its lowest byte");
        assert!(overflowed(second + 4096, second + 4096).is_none(), "the stack's lowest byte");
        assert!(overflowed(second - 1, second).is_none(), "the highest byte of the one below");
        assert!(overflowed(second, second - 1).is_none(), "runs on another stack");
        assert!(overflowed(second, 0).is_none(), "runs on no fiber's stack");
        assert!(overflowed(NOWHERE - 1, NOWHERE).is_none(), "below the slab");
        assert!(overflowed(NOWHERE + geometry.bytes(), second).is_none(), "above the slab");

        record.retire();
        assert!(overflowed(second, second + 8).is_none(), "no slab any more");
        let other = register(Geometry { count: 2, ..geometry }, NOWHERE);
        assert!(!core::ptr::eq(record, other), "another geometry has its own record");
        other.retire();
        let again = register(geometry, NOWHERE);
        assert!(core::ptr::eq(record, again), "the same geometry gets the record again");
        again.retire();
    }
}
