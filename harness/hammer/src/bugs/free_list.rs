//! A free list that takes a node for untouched because it is the first one again (ABA).
//!
//! ```text
//!  thread A               thread B               list
//!  head is 0, next is 1                          0 → 1 → 2 → 3
//!                         pops 0, pops 1         2 → 3
//!                         pushes 0               0 → 2 → 3
//!  head is 0: now 1                              1, which is B's
//! ```
//! A treatment is a version beside the head (Treiber, IBM RJ 5118, 1986).

use core::array;

use raddle_platform::{Atomic, Ordering, Platform};
use raddle_scenarios::scope;

use super::{Bug, StartLine};

const NODES: usize = 4;
/// The end of the list.
const NONE: u64 = u32::MAX as u64;
const ROUNDS: usize = 3;

pub(super) fn bug<P: Platform>() -> Bug {
    Bug {
        name: "aba_in_free_list",
        property: "each node is in the list once when all were given back",
        planted: nodes_go_astray::<P, false>,
        corrected: nodes_go_astray::<P, true>,
    }
}

/// Head: the version in the upper half, the first node in the lower.
struct FreeList<P: Platform, const CORRECT: bool> {
    head: P::AtomicU64,
    next: [P::AtomicU64; NODES],
}

impl<P: Platform, const CORRECT: bool> FreeList<P, CORRECT> {
    fn full() -> Self {
        let next = |node| if node + 1 < NODES { node as u64 + 1 } else { NONE };
        Self {
            head: P::AtomicU64::new(0),
            next: array::from_fn(|node| P::AtomicU64::new(next(node))),
        }
    }

    fn replace(&self, head: u64, node: u64) -> bool {
        // The planted bug: no version.
        let version = if CORRECT { (head >> 32) + 1 } else { 0 };
        // ORDERING: pairs with itself and with the loads of the head: the next of a node that was
        // pushed is seen by whoever pops it.
        let replaced = self.head.compare_exchange(
            head,
            version << 32 | node,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        replaced.is_ok()
    }

    fn head(&self) -> u64 {
        // ORDERING: pairs with the releasing exchange in `replace`.
        self.head.load(Ordering::Acquire)
    }

    fn pop(&self) -> Option<u64> {
        loop {
            let head = self.head();
            let node = head & NONE;
            if node == NONE {
                return None;
            }
            let next = self.next[node as usize].load(Ordering::Relaxed);
            if self.replace(head, next) {
                return Some(node);
            }
            P::retry("pop");
        }
    }

    fn push(&self, node: u64) {
        loop {
            let head = self.head();
            self.next[node as usize].store(head & NONE, Ordering::Relaxed);
            if self.replace(head, node) {
                return;
            }
            P::retry("push");
        }
    }

    /// How often each node is in the list, which may be a circle by now.
    fn is_damaged(&self) -> bool {
        let mut seen = [0; NODES];
        let mut node = self.head() & NONE;
        for _ in 0..=NODES {
            if node == NONE {
                break;
            }
            seen[node as usize] += 1;
            node = self.next[node as usize].load(Ordering::Relaxed);
        }
        seen != [1; NODES]
    }
}

/// One thread takes a node and gives it back, the other takes two, and gives the first back first.
fn nodes_go_astray<P: Platform, const CORRECT: bool>() -> bool {
    let list = FreeList::<P, CORRECT>::full();
    let start = StartLine::of(2);
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            start.wait();
            for _ in 0..ROUNDS {
                let taken = [list.pop(), list.pop()];
                taken.into_iter().flatten().for_each(|node| list.push(node));
            }
        });
        start.wait();
        for _ in 0..ROUNDS {
            list.pop().into_iter().for_each(|node| list.push(node));
        }
    });
    list.is_damaged()
}
