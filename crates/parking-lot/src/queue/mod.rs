//! The wait queue that all primitives of this crate share.
//!
//! A waiter is a [`Node`]: on the stack of the thread or fiber that waits, or inside the pinned
//! future that does. Nothing is allocated. The nodes of one primitive form a [`List`], an
//! intrusive ring, and one bit of the primitive's own state word, QLOCK, is the spin lock that
//! guards it. Because the bit stands in the same word as what the waiters wait *for*, one
//! read-modify-write can give the lock up and take the list, or leave the list and look at the
//! lock once more; there is no moment between the two in which a wake-up could get lost, and
//! nobody who unlocks ever waits for the list.
//!
//! # The protocol
//!
//! 1. *A waiter* sets QLOCK, links its node, and clears QLOCK again by *settling* (3), which looks
//!    at the primitive's state once more. Then it suspends until its node's state is WOKEN or
//!    GRANTED.
//! 2. *Who changes the state* so that a waiter could go on takes QLOCK in the same step, or, if
//!    another has it, leaves the work to that one.
//! 3. *Settling*: whoever clears QLOCK evaluates, in the loop around the very compare-exchange
//!    that clears it, whether somebody in the list can go on now; if so, it unlinks that node
//!    first. So it does not matter who has the list when the state changes.
//! 4. *Publish last*: an unlinked node is in the state LEAVING. Only after QLOCK was cleared (the
//!    last access to the primitive) is the waker taken out of the node, the verdict WOKEN or
//!    GRANTED written (the last access to the node), and the waker woken. The waiter may return
//!    and free the node and the primitive at the moment of the verdict. Of several, all have their
//!    verdict before anybody is woken (`crowd`).
//! 5. *A waiter that gives up* (its time is over, its fiber was cancelled, its future is dropped)
//!    takes QLOCK. If its node is still in the list it unlinks it. If not, a verdict is owed, and
//!    comes within a few instructions of the other side: it waits for that, and keeps or passes
//!    on what it was given. Nothing is lost, and nobody writes to a node that is gone.
//!
//! # The state of a node
//!
//! | state   | written by          | under             | whose the node is, and where              |
//! |---------|---------------------|-------------------|-------------------------------------------|
//! | WAITING | its owner           | nothing           | in the list, or about to be               |
//! | LEAVING | who unlinks it      | QLOCK             | who unlinked it                           |
//! | MOVED   | who links it anew   | a mutex's QLOCK   | in the list of that mutex                 |
//! | WOKEN   | who unlinked it     | nothing           | its owner's, who tries again              |
//! | GRANTED | who unlinked it     | nothing           | its owner's, as is what it waited for     |
//! | TOLD …  | who unlinked it     | nothing           | one of both above, but still in a `crowd` |
//! | GOING   | its owner           | nothing           | its owner's, who leaves that crowd        |
//!
//! MOVED exists for condition variables only. There is one protocol for threads, fibers and
//! futures: all three are a [`Waker`](core::task::Waker) here.

mod bit;
mod crowd;
mod list;
mod node;
mod waiter;

pub(crate) use bit::{lock_bit, try_lock_bit};
pub(crate) use list::{Chain, List, grant_one};
pub(crate) use node::{GRANTED, MOVED, Node, WAITING, WOKEN, WakerKey};
pub(crate) use waiter::{Granter, Waiter};
