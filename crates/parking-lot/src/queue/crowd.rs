//! Those of a chain who do not fit into one batch.
//!
//! All of them are to have their verdict before anybody is woken, because waking runs foreign code, and
//! that might drop a waiter of the same chain, or wait for a thread that does: a waiter that was unlinked
//! cannot go before its verdict. But the wakers are in the nodes, and a node may be gone as soon as it
//! has its verdict; and there is neither room for all the wakers elsewhere, nor may there be an allocation.
//!
//! So these are *told* their verdict first, and stay linked to one another in a crowd, which is on the
//! stack of who wakes them. From then on everybody leaves it by itself or is taken out, whatever comes
//! first. Who wakes takes out a batch at a time, under the crowd's lock, and wakes it without.
//!
//! ```text
//!  LEAVING --told-->  crowd | TOLD | verdict  --who wakes-->  LEAVING  --its waker taken--> verdict
//!                             |
//!                             +------the owner------------->  GOING    --unlinked---------> verdict
//! ```
//!
//! Both ways out begin with a compare-exchange of the node's state, so only one is taken. The crowd is
//! there until its list is empty. Who is GOING takes nothing but the lock, and then a few steps: who wakes
//! waits for that if it finds it as the first, and never has the lock while it waits or wakes.

use core::ptr;

use raddle_platform::{Atomic, Event, Ordering, Platform, Threads};

use super::list::{Chain, MOST, Wake};
use super::node::{LEAVING, Node, STATES, TOLD};
use crate::patience::Backoff;
use crate::spinlock::Spinlock;

/// The owner unlinks the node itself; only it sees this state again.
const GOING: usize = 5;

/// Nodes that are told their verdict. The alignment leaves [`STATES`] to the word of a node.
#[repr(align(16))]
pub(super) struct Crowd<P: Platform> {
    first: Spinlock<*const Node<P>, P>,
    verdict: usize,
}

impl<P: Platform> Crowd<P> {
    /// Tells the nodes from `first` on their verdict, and then wakes them.
    ///
    /// # Safety
    /// As for [`Chain::publish`]; the nodes are linked by `next` and `prev`.
    pub(super) unsafe fn publish(first: *const Node<P>, verdict: usize) {
        let crowd = Self { first: Spinlock::new(first), verdict };
        // SAFETY: the caller's promise.
        unsafe { crowd.tell() };
        let rest = Rest(&crowd);
        crowd.wake();
        // There is none.
        core::mem::forget(rest);
    }

    /// The state of a node that is told.
    fn told(&self) -> usize {
        ptr::from_ref(self).expose_provenance() | TOLD | self.verdict
    }

    /// # Safety
    /// The nodes were unlinked, and are alive until they are told.
    unsafe fn tell(&self) {
        // Who goes meanwhile waits for the lock, and leaves the links as they are.
        self.first.locked(|first| {
            let mut node = *first;
            while !node.is_null() {
                // SAFETY: alive, and nobody else's but the crowd's, while the lock is held.
                unsafe {
                    let next = (*node).shared.with(|shared| shared.next);
                    // ORDERING: pairs with the acquiring load in `Node::verdict`, as in `publish_one`,
                    // and for the crowd.
                    (*node).state.store(self.told(), Ordering::Release);
                    node = next;
                }
            }
        });
    }

    /// Wakes all that do not leave by themselves.
    fn wake(&self) {
        let mut backoff = Backoff::new();
        // HAMMER-WAIT-LOOP: crowd
        loop {
            let mut wakes = [const { Wake::NOBODY }; MOST];
            let mut count = 0;
            let rest = self.first.locked(|first| {
                while !first.is_null() && count < Chain::<P>::BATCH {
                    // SAFETY: what is linked is alive, and the lock is held.
                    let Some(wake) = (unsafe { self.take_out(first) }) else { break };
                    wakes[count] = wake;
                    count += 1;
                }
                !first.is_null()
            });
            if count > 1 {
                P::event(&Event::BatchWoken { count });
            }
            // The lock is not held any more.
            drop(wakes);
            if !rest {
                return;
            }
            if count == 0 {
                backoff.pause::<P>();
            }
        }
    }

    /// Takes the first node out and gives it its verdict; none if its owner is about to unlink it.
    ///
    /// # Safety
    /// The caller holds the lock; there is a first node.
    unsafe fn take_out(&self, first: &mut *const Node<P>) -> Option<Wake> {
        let node = *first;
        // SAFETY: the node is alive until its verdict, and the crowd's after the compare-exchange.
        unsafe {
            let state = &(*node).state;
            let told = self.told();
            state.compare_exchange(told, LEAVING, Ordering::Relaxed, Ordering::Relaxed).ok()?;
            let (next, waker) =
                (*node).shared.with_mut(|shared| (shared.next, shared.waker.take()));
            *first = next;
            if !next.is_null() {
                (*next).shared.with_mut(|shared| shared.prev = ptr::null());
            }
            // A swap because the owner may be in its compare-exchange.
            // ORDERING: pairs with the acquiring load in `Node::verdict`, as in `publish_one`.
            state.swap(self.verdict, Ordering::Release);
            Some(Wake::new(waker))
        }
    }

    /// The owner of `node` has found the state `told`. Takes the node out of its crowd, and returns its
    /// verdict, or that it is LEAVING already.
    ///
    /// # Safety
    /// The caller owns the node, and has acquired its state, which was `told`.
    #[cold]
    pub(super) unsafe fn leave(node: &Node<P>, told: usize) -> usize {
        let going = node.state.compare_exchange(told, GOING, Ordering::Relaxed, Ordering::Relaxed);
        if going.is_err() {
            // Taken out meanwhile: the verdict follows within a few instructions, and no foreign code.
            return LEAVING;
        }
        let crowd: *const Self = ptr::with_exposed_provenance(told & !STATES);
        // SAFETY: the crowd stays until it is empty, and this node is in it until the lock is released.
        unsafe {
            (*crowd).first.locked(|first| {
                let (prev, next) = node.shared.with(|shared| (shared.prev, shared.next));
                if prev.is_null() {
                    *first = next;
                } else {
                    (*prev).shared.with_mut(|shared| shared.next = next);
                }
                if !next.is_null() {
                    (*next).shared.with_mut(|shared| shared.prev = prev);
                }
            });
        }
        let verdict = told & STATES & !TOLD;
        node.state.swap(verdict, Ordering::Relaxed);
        verdict
    }
}

/// Wakes the rest of a crowd if a waker panics.
struct Rest<'a, P: Platform>(&'a Crowd<P>);

impl<P: Platform> Drop for Rest<'_, P> {
    fn drop(&mut self) {
        if !P::Threads::tearing_down() {
            self.0.wake();
        }
    }
}
