//! One waiter.

use core::marker::PhantomPinned;
use core::ptr;
use core::task::{RawWakerVTable, Waker};

use raddle_platform::{Atomic, Ordering, Platform, RaceCell};

use super::crowd::Crowd;
use crate::patience::Backoff;

/// In the list, or about to be.
pub(crate) const WAITING: usize = 0;
/// Out of the list; a verdict follows at once.
pub(crate) const LEAVING: usize = 1;
/// In the list of a mutex, which is not the one that it was first put in.
pub(crate) const MOVED: usize = 2;
/// Verdict: try again, you were chosen.
pub(crate) const WOKEN: usize = 3;
/// Verdict: you have it.
pub(crate) const GRANTED: usize = 4;
/// Added to a verdict and the address of a [`Crowd`]: the verdict stands, but the node is still linked
/// there.
pub(super) const TOLD: usize = 8;
/// The states that have no address, and the last bits of those that have.
pub(super) const STATES: usize = 15;

/// What stands in a queue for somebody who waits.
///
/// The alignment leaves four low bits of a node's address to the state word that holds it.
#[repr(align(16))]
pub(crate) struct Node<P: Platform> {
    /// Accessed under QLOCK while the node is linked; otherwise by who unlinked it until the
    /// verdict, and by the owner from then on.
    pub(super) shared: RaceCell<Shared<P>, P>,
    /// See the table in [`super`].
    pub(super) state: P::AtomicUsize,
    _pinned: PhantomPinned,
}

pub(super) struct Shared<P: Platform> {
    pub(super) next: *const Node<P>,
    pub(super) prev: *const Node<P>,
    pub(super) waker: Option<Waker>,
    /// What the waiter wants, in the words of its primitive: a mode, a number, a mutex.
    pub(super) want: usize,
}

// SAFETY: a node is made to be touched by other threads; its protocol (see `super`) says who may
// touch which part when, and what it holds (a `Waker`) may be used and dropped on any thread.
unsafe impl<P: Platform> Send for Node<P> {}
// SAFETY: as above.
unsafe impl<P: Platform> Sync for Node<P> {}

impl<P: Platform> Node<P> {
    #[inline]
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self {
            shared: RaceCell::new_in(Shared {
                next: ptr::null(),
                prev: ptr::null(),
                waker: None,
                want: 0,
            }),
            state: P::AtomicUsize::new(WAITING),
            _pinned: PhantomPinned,
        }
    }

    /// Makes the node ready to be linked.
    ///
    /// # Safety
    /// The caller owns the node, and it is not linked.
    pub(crate) unsafe fn prepare(&self, waker: Waker, want: usize) {
        // SAFETY: nobody but the caller knows the node.
        unsafe {
            self.shared.with_mut(|shared| {
                shared.waker = Some(waker);
                shared.want = want;
            });
        }
        self.state.store(WAITING, Ordering::Relaxed);
    }

    /// As [`prepare`](Self::prepare), with what was wanted before.
    ///
    /// # Safety
    /// The caller owns the node, and it is not linked.
    pub(crate) unsafe fn prepare_again(&self, waker: Waker) {
        // SAFETY: nobody but the caller knows the node.
        unsafe { self.shared.with_mut(|shared| shared.waker = Some(waker)) };
        self.state.store(WAITING, Ordering::Relaxed);
    }

    /// The state as the owner must see it: after a verdict, all that happened before it.
    pub(crate) fn verdict(&self) -> usize {
        // ORDERING: pairs with the releasing store in `Chain::publish`. Without it the owner could
        // use what it was granted before it sees what the one before did with it.
        let state = self.state.load(Ordering::Acquire);
        // SAFETY: the caller is the owner, and has acquired the state.
        if state < TOLD { state } else { unsafe { Crowd::leave(self, state) } }
    }

    /// The state as seen under the QLOCK that guards the node.
    pub(crate) fn place(&self) -> usize {
        self.state.load(Ordering::Relaxed)
    }

    /// The unlinked node goes into the queue of a mutex.
    ///
    /// # Safety
    /// The caller has unlinked the node, and holds the QLOCK of that mutex.
    pub(crate) unsafe fn mark_moved(&self) {
        self.state.store(MOVED, Ordering::Relaxed);
    }

    /// Waits for a verdict that is owed.
    pub(crate) fn await_verdict(&self) -> usize {
        let mut backoff = Backoff::new();
        // HAMMER-WAIT-LOOP: verdict
        loop {
            let state = self.verdict();
            if state >= WOKEN {
                return state;
            }
            backoff.pause::<P>();
        }
    }

    /// What the waiter wants.
    ///
    /// # Safety
    /// The node is linked and the caller holds the QLOCK that guards it, or owns the unlinked node.
    pub(crate) unsafe fn want(&self) -> usize {
        // SAFETY: as the caller promises.
        unsafe { self.shared.with(|shared| shared.want) }
    }

    /// Sets what the waiter wants.
    ///
    /// # Safety
    /// The node is linked and the caller holds the QLOCK that guards it, or has unlinked it.
    pub(crate) unsafe fn set_want(&self, want: usize) {
        // SAFETY: as the caller promises.
        unsafe { self.shared.with_mut(|shared| shared.want = want) }
    }

    /// Exchanges the waker. The caller drops what is in `waker` then, or was before if this is not
    /// called, after it has released QLOCK: dropping a waker is foreign code, too.
    ///
    /// # Safety
    /// The caller holds the QLOCK that guards the linked node, or owns the unlinked node.
    pub(crate) unsafe fn swap_waker(&self, waker: &mut Option<Waker>) {
        // SAFETY: as the caller promises.
        unsafe { self.shared.with_mut(|shared| core::mem::swap(&mut shared.waker, waker)) }
    }
}

/// Tells whether a future is polled with the waker that it is queued with, without a look at the
/// node, which somebody else may be about to wake.
///
/// The address of a waker's data can come back for another waker only after the queued clone was
/// dropped, thus after the verdict, which the owner reads first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WakerKey {
    data: *const (),
    vtable: *const RawWakerVTable,
}

// SAFETY: the addresses are only compared.
unsafe impl Send for WakerKey {}
// SAFETY: as above.
unsafe impl Sync for WakerKey {}

impl WakerKey {
    pub(crate) const NONE: Self = Self { data: ptr::null(), vtable: ptr::null() };

    pub(crate) fn of(waker: &Waker) -> Self {
        Self { data: waker.data(), vtable: waker.vtable() }
    }
}
