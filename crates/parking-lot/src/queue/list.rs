//! The ring of waiters, and the chain of those that leave it.

use core::ptr;
use core::task::Waker;

use raddle_platform::{Atomic, Event, Ordering, Platform};

use super::crowd::Crowd;
use super::node::{GRANTED, LEAVING, Node};

/// A first-in-first-out ring of linked nodes: the address of the first one, whose `prev` is the
/// last. It is a value that the holder of QLOCK takes out of the state word (or from beside it),
/// changes, and puts back when it clears the bit.
///
/// All methods that touch nodes share one contract: **the caller holds the QLOCK that guards this
/// list**, so every linked node is alive and nobody else touches its links.
pub(crate) struct List<P: Platform> {
    head: *const Node<P>,
}

impl<P: Platform> Clone for List<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for List<P> {}

// SAFETY: the address of nodes that any thread may touch under QLOCK.
unsafe impl<P: Platform> Send for List<P> {}

impl<P: Platform> List<P> {
    pub(crate) const EMPTY: Self = Self { head: ptr::null() };

    /// The list whose first node's address stands in the bits of `word` that are not in `flags`.
    #[inline]
    pub(crate) fn from_word(word: usize, flags: usize) -> Self {
        Self { head: ptr::with_exposed_provenance(word & !flags) }
    }

    /// The address of the first node, for a state word.
    #[inline]
    pub(crate) fn to_word(self) -> usize {
        self.head.expose_provenance()
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.head.is_null()
    }

    /// The first node.
    #[inline]
    pub(crate) fn front(self) -> Option<*const Node<P>> {
        (!self.head.is_null()).then_some(self.head)
    }

    /// How many nodes from the first on have the property.
    ///
    /// # Safety
    /// See [`List`].
    pub(crate) unsafe fn count_while(self, property: impl Fn(*const Node<P>) -> bool) -> usize {
        let mut count = 0;
        let mut node = self.head;
        while !node.is_null() && property(node) {
            count += 1;
            // SAFETY: QLOCK is held; all nodes are alive.
            node = unsafe { (*node).shared.with(|shared| shared.next) };
            if node == self.head {
                break;
            }
        }
        count
    }

    /// Links `node` as the last.
    ///
    /// # Safety
    /// See [`List`]; `node` is not linked, and stays where it is until it is unlinked.
    pub(crate) unsafe fn push_back(&mut self, node: *const Node<P>) {
        // SAFETY: QLOCK is held; all nodes are alive.
        unsafe {
            if self.head.is_null() {
                (*node).shared.with_mut(|shared| (shared.prev, shared.next) = (node, node));
                self.head = node;
            } else {
                let first = self.head;
                let last =
                    (*first).shared.with_mut(|shared| core::mem::replace(&mut shared.prev, node));
                (*last).shared.with_mut(|shared| shared.next = node);
                (*node).shared.with_mut(|shared| (shared.prev, shared.next) = (last, first));
            }
        }
    }

    /// Links `node` as the first.
    ///
    /// # Safety
    /// As [`push_back`](Self::push_back).
    pub(crate) unsafe fn push_front(&mut self, node: *const Node<P>) {
        // SAFETY: the caller's promise. In a ring, first and last differ only by where it begins.
        unsafe { self.push_back(node) };
        self.head = node;
    }

    /// Unlinks `node`, which is LEAVING then.
    ///
    /// # Safety
    /// See [`List`]; `node` is linked in this list.
    pub(crate) unsafe fn remove(&mut self, node: *const Node<P>) {
        // SAFETY: QLOCK is held; all nodes are alive.
        unsafe {
            let (prev, next) = (*node).shared.with(|shared| (shared.prev, shared.next));
            if next == node {
                self.head = ptr::null();
            } else {
                (*prev).shared.with_mut(|shared| shared.next = next);
                (*next).shared.with_mut(|shared| shared.prev = prev);
                if self.head == node {
                    self.head = next;
                }
            }
            (*node).state.store(LEAVING, Ordering::Relaxed);
        }
    }

    /// Unlinks the first node, which is LEAVING then, and appends it to `chain`.
    ///
    /// # Safety
    /// See [`List`]; the list is not empty.
    pub(crate) unsafe fn pop_into(&mut self, chain: &mut Chain<P>) {
        let node = self.head;
        // SAFETY: the caller's promise; the unlinked node belongs to the chain from here on.
        unsafe {
            self.remove(node);
            chain.push(node);
        }
    }
}

/// Nodes that have left a list and wait for their verdict: theirs is the one who unlinked them.
#[must_use = "a waiter whose verdict is never published waits for ever"]
pub(crate) struct Chain<P: Platform> {
    first: *const Node<P>,
    last: *const Node<P>,
    length: usize,
    verdict: usize,
}

/// How many wakers are taken out of their nodes at a time, at most.
pub(super) const MOST: usize = 16;

impl<P: Platform> Chain<P> {
    /// How many wakers are taken out of their nodes at a time.
    pub(super) const BATCH: usize =
        if P::BOUNDS.completion_batch < MOST { P::BOUNDS.completion_batch } else { MOST };

    /// An empty chain, whose nodes will be told `verdict`.
    pub(crate) const fn new(verdict: usize) -> Self {
        Self { first: ptr::null(), last: ptr::null(), length: 0, verdict }
    }

    /// What will be told to all of the chain.
    pub(crate) fn set_verdict(&mut self, verdict: usize) {
        self.verdict = verdict;
    }

    /// # Safety
    /// The caller has unlinked `node`.
    unsafe fn push(&mut self, node: *const Node<P>) {
        // SAFETY: the nodes of the chain are the caller's until the verdict.
        unsafe {
            (*node).shared.with_mut(|shared| (shared.prev, shared.next) = (self.last, ptr::null()));
            if self.first.is_null() {
                self.first = node;
            } else {
                (*self.last).shared.with_mut(|shared| shared.next = node);
            }
        }
        self.last = node;
        self.length += 1;
    }

    /// Takes the first node out; the caller is the one who unlinked it from now on.
    pub(crate) fn take_first(&mut self) -> Option<*const Node<P>> {
        let node = self.first;
        if node.is_null() {
            return None;
        }
        // SAFETY: the chain's nodes are alive until their verdict and belong to the chain.
        self.first = unsafe { (*node).shared.with(|shared| shared.next) };
        self.length -= 1;
        Some(node)
    }

    /// Tells every node the verdict, and then wakes. Neither the primitive nor a node is touched after
    /// its verdict: either may be gone.
    ///
    /// Waking is foreign code. **All of the chain have their verdict before the first is woken**, so
    /// that code may drop or poll any other waiter of the chain, or wait for somebody who does. And if
    /// it panics the rest are woken all the same, before the panic goes on. (A second panic meanwhile
    /// aborts, as one does in a destructor.)
    ///
    /// # Safety
    /// QLOCK was released, with an ordering that makes the nodes' state before visible.
    #[inline]
    pub(crate) unsafe fn publish(self) {
        match self.length {
            0 => {}
            // SAFETY: the chain's nodes are alive until their verdict.
            1 => drop(unsafe { publish_one(self.first, self.verdict) }),
            // SAFETY: as above.
            _ => unsafe { self.publish_many() },
        }
    }

    /// # Safety
    /// As for [`publish`](Self::publish).
    #[cold]
    unsafe fn publish_many(mut self) {
        if self.length > Self::BATCH {
            // SAFETY: the chain's nodes are alive until their verdict.
            return unsafe { Crowd::publish(self.first, self.verdict) };
        }
        P::event(&Event::BatchWoken { count: self.length });
        let mut wakes = [const { Wake::NOBODY }; MOST];
        for wake in &mut wakes {
            let Some(node) = self.take_first() else { break };
            // SAFETY: as above; the link to the next was read before.
            *wake = unsafe { publish_one(node, self.verdict) };
        }
    }

    /// As [`publish`](Self::publish), for a chain of one node at most: who is woken when the result is
    /// dropped, after others have got their verdict, too.
    ///
    /// # Safety
    /// As for [`publish`](Self::publish).
    pub(crate) unsafe fn publish_only(mut self) -> Wake {
        debug_assert!(self.length <= 1);
        // SAFETY: the chain's nodes are alive until their verdict.
        self.take_first().map_or(Wake::NOBODY, |node| unsafe { publish_one(node, self.verdict) })
    }
}

/// Somebody who has its verdict, and is woken when this is dropped. So what wakes several is an array of
/// these: the destructors of all run, also if one panics.
#[must_use]
pub(crate) struct Wake(Option<Waker>);

impl Wake {
    pub(super) const NOBODY: Self = Self(None);

    pub(super) fn new(waker: Option<Waker>) -> Self {
        Self(waker)
    }
}

impl Drop for Wake {
    #[inline]
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

/// Grants `node`, which is in no list, what it waits for.
///
/// # Safety
/// The node is alive until its verdict, and nobody else gives it one.
pub(crate) unsafe fn grant_one<P: Platform>(node: *const Node<P>) {
    // SAFETY: the caller's promise.
    drop(unsafe { publish_one(node, GRANTED) });
}

/// # Safety
/// `node` was unlinked by the caller.
unsafe fn publish_one<P: Platform>(node: *const Node<P>, verdict: usize) -> Wake {
    // SAFETY: the node is alive, and the caller's, until the store.
    unsafe {
        let waker = (*node).shared.with_mut(|shared| shared.waker.take());
        // ORDERING: pairs with the acquiring load in `Node::verdict`. What the granter saw of the
        // primitive, and its last access to the node, happen before the owner goes on (and may
        // free both).
        (*node).state.store(verdict, Ordering::Release);
        Wake::new(waker)
    }
}
