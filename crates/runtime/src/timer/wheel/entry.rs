//! A timer, and lists of timers.
//!
//! The lists are intrusive: an entry holds its own links, so linking it allocates nothing, and
//! unlinking it needs no search. They are doubly linked and not circular:
//!
//! ```text
//! List { head ──► first ⇄ second ⇄ third ◄── tail }
//! ```

use core::cell::UnsafeCell;
use core::fmt;
use core::marker::{PhantomData, PhantomPinned};
use core::ptr::NonNull;
use core::task::Waker;

use raddle_platform::{Instant, Native, Platform};

/// Which list of its wheel an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In none: not set yet, fired, or removed.
    Nowhere,
    /// Among those of the wheel's current tick.
    Current,
    /// In a slot of the wheel.
    Slot { level: u8, slot: u8 },
}

/// What the wheel keeps of a timer. Touched only by whoever has the wheel to himself.
pub(super) struct Node {
    previous: Option<NonNull<Node>>,
    next: Option<NonNull<Node>>,
    pub(super) deadline: Instant,
    /// The how manieth of its wheel it is.
    pub(super) number: u64,
    pub(super) place: Place,
    /// Whom to wake; `None` once fired or removed.
    pub(super) waker: Option<Waker>,
}

/// A timer, to be linked into a [`Wheel`](super::Wheel). Lives on the stack of the fiber or in the
/// pinned future that waits.
///
/// The cell is there because a wheel writes the links of an entry while the entry's owner may hold
/// references to what surrounds it.
pub(crate) struct Entry<P: Platform = Native> {
    node: UnsafeCell<Node>,
    _pinned: PhantomPinned,
    platform: PhantomData<fn() -> P>,
}

impl<P: Platform> Entry<P> {
    /// An entry that is in no wheel.
    pub(crate) const fn new() -> Self {
        let node = Node {
            previous: None,
            next: None,
            deadline: Instant::ZERO,
            number: 0,
            place: Place::Nowhere,
            waker: None,
        };
        Self { node: UnsafeCell::new(node), _pinned: PhantomPinned, platform: PhantomData }
    }

    /// The node of `entry`, by raw pointers all the way: no reference to the entry is made.
    ///
    /// # Safety
    /// `entry` is alive.
    pub(super) unsafe fn node(entry: NonNull<Self>) -> NonNull<Node> {
        // SAFETY: the entry is alive, so the field's address is inside it.
        let cell = unsafe { &raw const (*entry.as_ptr()).node };
        // SAFETY: the address of a field is not null.
        unsafe { NonNull::new_unchecked(UnsafeCell::raw_get(cell)) }
    }
}

impl<P: Platform> Drop for Entry<P> {
    fn drop(&mut self) {
        let place = self.node.get_mut().place;
        debug_assert_eq!(place, Place::Nowhere, "the wheel would point to a dead entry");
    }
}

impl<P: Platform> fmt::Debug for Entry<P> {
    /// Says nothing about the state, which belongs to the wheel.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

/// A list of entries. All functions want the entries that are linked here to be alive and touched
/// by nobody else, which is what [`Wheel::insert`](super::Wheel::insert) has its callers promise.
#[derive(Clone, Copy)]
pub(super) struct List {
    head: Option<NonNull<Node>>,
    tail: Option<NonNull<Node>>,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: None, tail: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The deadline of the first entry.
    pub(super) fn front_deadline(&self) -> Option<Instant> {
        // SAFETY: linked entries are alive, and nobody else touches them.
        self.head.map(|node| unsafe { node.as_ref().deadline })
    }

    /// # Safety
    /// The node is alive, in no list, and stays where it is until it is unlinked.
    pub(super) unsafe fn push_back(&mut self, node: NonNull<Node>) {
        // SAFETY: by the caller's promise.
        unsafe { self.link_after(self.tail, node) };
    }

    /// Puts the node behind all entries whose deadline is not later than its own. Looks from the
    /// back: most timers are set for later than those before them.
    ///
    /// # Safety
    /// As for [`push_back`](Self::push_back).
    pub(super) unsafe fn insert_sorted(&mut self, node: NonNull<Node>) {
        // SAFETY: alive, by the caller's promise.
        let deadline = unsafe { node.as_ref().deadline };
        let mut before = self.tail;
        while let Some(other) = before {
            // SAFETY: linked entries are alive, and nobody else touches them.
            let other = unsafe { other.as_ref() };
            if other.deadline <= deadline {
                break;
            }
            before = other.previous;
        }
        // SAFETY: by the caller's promise; `before` is in this list.
        unsafe { self.link_after(before, node) };
    }

    /// Links `node` behind `previous`, or first.
    ///
    /// # Safety
    /// As for [`push_back`](Self::push_back); `previous` is in this list.
    unsafe fn link_after(&mut self, previous: Option<NonNull<Node>>, mut node: NonNull<Node>) {
        // SAFETY: `node` is alive and in no list; `previous` and `next` are other nodes, in this
        // list, so alive and touched by nobody else.
        unsafe {
            let next = match previous {
                Some(mut previous) => previous.as_mut().next.replace(node),
                None => self.head.replace(node),
            };
            match next {
                Some(mut next) => next.as_mut().previous = Some(node),
                None => self.tail = Some(node),
            }
            node.as_mut().previous = previous;
            node.as_mut().next = next;
        }
    }

    /// # Safety
    /// The node is in this list.
    pub(super) unsafe fn unlink(&mut self, mut node: NonNull<Node>) {
        // SAFETY: the node and its neighbours are different nodes of this list, so alive and
        // touched by nobody else.
        unsafe {
            let previous = node.as_mut().previous.take();
            let next = node.as_mut().next.take();
            match previous {
                Some(mut previous) => previous.as_mut().next = next,
                None => self.head = next,
            }
            match next {
                Some(mut next) => next.as_mut().previous = previous,
                None => self.tail = previous,
            }
        }
    }

    /// Sorts by deadline, keeping the order of equal ones: a merge sort, for a tick in which very
    /// many timers fall due would take forever otherwise. Free if the list is sorted, as most are.
    pub(super) fn sort(&mut self) {
        if self.is_sorted() {
            return;
        }
        // runs[i] holds 2^i entries, or none: the digits of a binary counter.
        let mut runs = [Self::new(); usize::BITS as usize];
        while let Some(node) = self.pop_front() {
            let mut run = Self::new();
            // SAFETY: it was linked a moment ago: alive, pinned, and now in no list.
            unsafe { run.push_back(node) };
            for earlier in &mut runs {
                if earlier.is_empty() {
                    *earlier = run;
                    break;
                }
                run = core::mem::replace(earlier, Self::new()).merge(run);
            }
        }
        // Larger runs hold earlier entries.
        *self = runs.into_iter().fold(Self::new(), |later, earlier| earlier.merge(later));
    }

    fn is_sorted(&self) -> bool {
        let mut next = self.head;
        let mut last = Instant::ZERO;
        while let Some(node) = next {
            // SAFETY: linked entries are alive, and nobody else touches them.
            let node = unsafe { node.as_ref() };
            if node.deadline < last {
                return false;
            }
            last = node.deadline;
            next = node.next;
        }
        true
    }

    /// Two sorted lists as one; of equal deadlines those of `self` come first.
    fn merge(mut self, mut other: Self) -> Self {
        let mut merged = Self::new();
        loop {
            let from = match (self.front_deadline(), other.front_deadline()) {
                (Some(mine), Some(others)) if others < mine => &mut other,
                (Some(_), _) => &mut self,
                (None, _) => &mut other,
            };
            let Some(node) = from.pop_front() else { return merged };
            // SAFETY: it was linked a moment ago: alive, pinned, and now in no list.
            unsafe { merged.push_back(node) };
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<NonNull<Node>> {
        let node = self.head?;
        // SAFETY: the head is in this list.
        unsafe { self.unlink(node) };
        Some(node)
    }
}
