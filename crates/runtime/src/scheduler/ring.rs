//! A worker's run queue: bounded, popped at the front by its owner and by thieves.
//!
//! The owner pushes at the tail; the owner and thieves take from the head. A thief takes half of
//! what it finds, straight into its own ring. The shape is that of Go's and tokio's run queues
//! (a fixed ring, batches, overflow to a global queue) and not Chase and Lev's deque, because here
//! no slot is ever read and written at the same time: a model checker may hold us to it.
//!
//! ```text
//!  head (u64):  63 ......... 32   31 ......... 0
//!               reserved          taken
//!
//!    slots   … free │ being copied by a thief │ queued          │ free …
//!                   ▲ reserved                ▲ taken           ▲ tail
//! ```
//!
//! * `taken` is where the next task is; `reserved` trails it while a thief copies. Without a thief
//!   both are equal. All positions count up without bound (modulo 2^32) and index the slots modulo
//!   their number.
//! * Only the owner writes `tail`, and writes a slot only if `tail - reserved` is below the number
//!   of slots: never one that a thief still copies.
//! * The owner pops by moving `taken` (and `reserved` with it, if they are equal).
//! * A thief first moves `taken` over half of the queue with `reserved` left behind; then it
//!   copies those slots, which nobody else touches; then it moves `reserved` up to `taken`. While
//!   `reserved` trails, other thieves leave at once.
//! * A full ring moves half of itself, and the new task, to the injector. If a thief is at it, the
//!   new task alone goes there.
//!
//! # What is ordered
//!
//! A slot is written by its owner only, so there are two edges and no more:
//!
//! 1. *write before read*: the owner stores `tail` with release after it wrote the slots; a thief
//!    loads `tail` with acquire before it reads them. The owner itself needs no edge to read what
//!    it wrote.
//! 2. *read before the next write*: a thief moves `reserved` up with release after it copied; the
//!    owner loads `head` with acquire before it writes slots that this gives back. Exchanges of
//!    `head` in between are read-modify-writes, and so belong to the release sequence whatever
//!    their own orderings are.
//!
//! All other accesses are relaxed. That a slot is taken once follows from the exchanges of `head`
//! alone: a position is queued as long as `taken` is not beyond it, an exchange succeeds only from
//! the value that its positions were computed from, and positions do not come back. A thief whose
//! `head` is newer than its `tail` finds more than all slots queued, and leaves.
//!
//! Scenarios: `queue::*`; with the slot written before the room is checked against `reserved`, the
//! thief's copy races the owner's write.

use core::ptr::NonNull;

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use super::injector::{Injector, Linked};
use crate::task::Header;

type Task<P> = NonNull<Header<P>>;

/// The queue. Methods named `owner_…` are for its worker alone.
pub(crate) struct Ring<P: Platform> {
    head: P::AtomicU64,
    tail: P::AtomicU32,
    slots: Box<[RaceCell<*mut Header<P>, P>]>,
}

// SAFETY: slots are exchanged by the protocol above; tasks may be sent between threads.
unsafe impl<P: Platform> Send for Ring<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for Ring<P> {}

fn pack(reserved: u32, taken: u32) -> u64 {
    u64::from(reserved) << 32 | u64::from(taken)
}

fn unpack(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

impl<P: Platform> Ring<P> {
    pub(crate) fn new() -> Self {
        let slots = P::BOUNDS.run_queue_slots;
        assert!(slots.is_power_of_two(), "positions wrap: the number of slots divides 2^32");
        Self {
            head: P::AtomicU64::new(0),
            tail: P::AtomicU32::new(0),
            slots: (0..slots).map(|_| RaceCell::new_in(core::ptr::null_mut())).collect(),
        }
    }

    fn slot(&self, position: u32) -> &RaceCell<*mut Header<P>, P> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Writes the slot at `position`.
    ///
    /// # Safety
    /// The caller owns the ring, and `position` is at or above the tail and free.
    unsafe fn write(&self, position: u32, task: Task<P>) {
        // SAFETY: by the caller's promise nobody reads the slot before the tail passes it.
        unsafe { self.slot(position).with_mut(|slot| *slot = task.as_ptr()) };
    }

    /// Reads the slot at `position`.
    ///
    /// # Safety
    /// The caller took the position, and the slot was written before.
    unsafe fn read(&self, position: u32) -> Task<P> {
        // SAFETY: by the caller's promise nobody writes the slot meanwhile, and it holds a task.
        unsafe { self.slot(position).with(|slot| NonNull::new_unchecked(*slot)) }
    }

    /// Whether nothing is to be had. A hint unless the caller has ordered it by a fence.
    pub(crate) fn is_empty(&self) -> bool {
        let (_, taken) = unpack(self.head.load(Ordering::Relaxed));
        self.tail.load(Ordering::Relaxed) == taken
    }

    /// Adds a task at the back; half of a full ring overflows to the injector.
    ///
    /// # Safety
    /// The caller is the ring's worker, and owns the task's queue entry.
    pub(crate) unsafe fn owner_push(&self, task: Task<P>, injector: &Injector<P>) {
        let tail = self.tail.load(Ordering::Relaxed);
        loop {
            // ORDERING: pairs with the exchange in `release`: the thief has read the slots that it
            // gives back here.
            let head = self.head.load(Ordering::Acquire);
            let (reserved, taken) = unpack(head);
            if (tail.wrapping_sub(reserved) as usize) < self.slots.len() {
                // SAFETY: the caller owns the ring, and there is room.
                unsafe { self.write(tail, task) };
                // ORDERING: pairs with the load of the tail in `reserve`: the slot is visible.
                self.tail.store(tail.wrapping_add(1), Ordering::Release);
                return;
            }
            if reserved != taken {
                injector.push(task);
                return;
            }
            // SAFETY: by the caller's promises.
            if unsafe { self.overflow(task, taken, injector) } {
                return;
            }
            P::retry("run queue overflow");
        }
    }

    /// Moves half of the full ring, then `task`, to the injector. `false` if a thief came first.
    ///
    /// # Safety
    /// As in [`owner_push`](Ring::owner_push).
    unsafe fn overflow(&self, task: Task<P>, taken: u32, injector: &Injector<P>) -> bool {
        let half = (self.slots.len() / 2) as u32;
        let end = taken.wrapping_add(half);
        let moved = self.head.compare_exchange(
            pack(taken, taken),
            pack(end, end),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if moved.is_err() {
            return false;
        }
        let mut batch = Linked::new();
        for offset in 0..half {
            // SAFETY: the exchange took these positions for the caller.
            batch.push_back(unsafe { self.read(taken.wrapping_add(offset)) });
        }
        batch.push_back(task);
        injector.push_batch(batch);
        true
    }

    /// Takes the task at the front.
    ///
    /// # Safety
    /// The caller is the ring's worker.
    pub(crate) unsafe fn owner_pop(&self) -> Option<Task<P>> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (reserved, taken) = unpack(head);
            if taken == self.tail.load(Ordering::Relaxed) {
                return None;
            }
            let next = taken.wrapping_add(1);
            let reserved = if reserved == taken { next } else { reserved };
            match self.head.compare_exchange_weak(
                head,
                pack(reserved, next),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                // SAFETY: the exchange took the position for the caller.
                Ok(_) => return Some(unsafe { self.read(taken) }),
                Err(found) => head = found,
            }
            P::retry("run queue pop");
        }
    }

    /// A thief, the owner of `target`, takes half of what is here. Returns one task to run at once
    /// and how many were taken in all; the others are in `target`.
    ///
    /// # Safety
    /// The caller is the worker of `target`, which is another ring than this.
    pub(crate) unsafe fn steal_into(&self, target: &Self) -> Option<(Task<P>, usize)> {
        let target_tail = target.tail.load(Ordering::Relaxed);
        // ORDERING: pairs with the exchange in `release` of a thief at `target`: it has read the
        // slots that are about to be written.
        let (target_reserved, _) = unpack(target.head.load(Ordering::Acquire));
        if target_tail.wrapping_sub(target_reserved) as usize > target.slots.len() / 2 {
            return None;
        }
        let (first, count) = self.reserve()?;
        // The last one is run at once; the others go to the target.
        for offset in 0..count - 1 {
            // SAFETY: `reserve` set these positions aside for the caller.
            let task = unsafe { self.read(first.wrapping_add(offset)) };
            // SAFETY: the caller owns `target`, of which half the slots are free.
            unsafe { target.write(target_tail.wrapping_add(offset), task) };
        }
        // SAFETY: as above.
        let task = unsafe { self.read(first.wrapping_add(count - 1)) };
        self.release();
        if count > 1 {
            // ORDERING: pairs with the acquiring load of the tail in `reserve` by other thieves.
            target.tail.store(target_tail.wrapping_add(count - 1), Ordering::Release);
        }
        Some((task, count as usize))
    }

    /// Sets half of the queue aside for the caller: the first position and how many.
    fn reserve(&self) -> Option<(u32, u32)> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (reserved, taken) = unpack(head);
            // ORDERING: pairs with the stores in `owner_push` and `steal_into`: the slots are
            // visible.
            let tail = self.tail.load(Ordering::Acquire);
            let queued = tail.wrapping_sub(taken);
            // A head read before the owner popped can stand beyond the tail's window.
            if reserved != taken || queued == 0 || queued as usize > self.slots.len() {
                return None;
            }
            let count = queued - queued / 2;
            match self.head.compare_exchange_weak(
                head,
                pack(taken, taken.wrapping_add(count)),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some((taken, count)),
                Err(found) => head = found,
            }
            P::retry("run queue steal");
        }
    }

    /// Gives the positions that [`reserve`](Ring::reserve) set aside back to the owner.
    fn release(&self) {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let (_, taken) = unpack(head);
            // ORDERING: pairs with the loads of `head` in `owner_push` and `steal_into`: the copies
            // are done before the slots are written again.
            match self.head.compare_exchange_weak(
                head,
                pack(taken, taken),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(found) => head = found,
            }
            P::retry("run queue release");
        }
    }
}
