//! Asking tasks to end.
//!
//! Cancelling never unwinds and never interrupts running code. It marks a task and wakes it: a
//! fiber's blocking call (sleep, join, I/O, the `*_cancellable` forms of locks) then returns
//! [`Cancelled`], and so does each later one, until the fiber ends by its own code. A future is
//! dropped where it waits.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeMap;
use std::io;

use raddle_ownership::{Arc, Weak};
use raddle_parking_lot::spin::Spinlock;
use raddle_platform::{Atomic, Native, Ordering, Platform};

use crate::scheduler::Worker;
use crate::task::TaskRef;

pub use raddle_parking_lot::Cancelled;

/// [`Cancelled`] as an I/O error. Its kind is `Other`: `Interrupted` would be retried by std.
pub(crate) fn cancelled_io() -> io::Error {
    io::Error::other(Cancelled)
}

/// Whether an I/O call failed because the calling fiber was cancelled.
pub fn is_cancelled_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

/// Whether the calling fiber was cancelled. For code that computes for long between its blocking
/// calls. `false` outside fibers.
pub fn is_cancelled<P: Platform>() -> bool {
    Worker::<P>::current()
        .and_then(Worker::current_fiber)
        .is_some_and(|fiber| fiber.state.is_cancelled())
}

/// Cancels a group of tasks at once, and everything that waits for it.
///
/// Tokens form a tree: cancelling one cancels its [children](CancellationToken::child), not its
/// parent. Clones are the same token.
///
/// ```
/// use raddle_runtime::{CancellationToken, Native, Runtime, sleep, task};
/// use std::time::Duration;
///
/// let runtime: Runtime = Runtime::new()?;
/// let token = CancellationToken::new();
/// let body = || sleep::<Native>(Duration::from_secs(3600)).is_err();
/// let fiber = task::Builder::new().token(&token).spawn_on_runtime(&runtime.handle(), body);
/// token.cancel();
/// // Cancelled before it started, or out of its sleep.
/// assert!(fiber.join().unwrap_or(true));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct CancellationToken<P: Platform = Native>(Arc<Inner<P>, P>);

struct Inner<P: Platform> {
    /// Set once, by swap, under the lock of `members`.
    cancelled: P::AtomicBool,
    members: Spinlock<Members<P>, P>,
    /// A child's place in its parent, which it leaves when it is dropped.
    parent: Spinlock<Option<Membership<P>>, P>,
}

struct Members<P: Platform> {
    next_key: u64,
    members: BTreeMap<u64, Member<P>>,
}

enum Member<P: Platform> {
    Task(TaskRef<P>),
    Child(Weak<Inner<P>, P>),
    Waiter(Waker),
}

impl CancellationToken<Native> {
    /// A token.
    #[expect(clippy::new_without_default, reason = "std's and tokio's tokens are made by `new`")]
    pub fn new() -> Self {
        Self::new_in()
    }
}

impl<P: Platform> CancellationToken<P> {
    /// A token in the world `P`.
    pub fn new_in() -> Self {
        Self(Arc::new_in(Inner {
            cancelled: P::AtomicBool::new(false),
            members: Spinlock::new(Members { next_key: 0, members: BTreeMap::new() }),
            parent: Spinlock::new(None),
        }))
    }

    /// A token that is cancelled with this one, and can be cancelled alone.
    pub fn child(&self) -> Self {
        let child = Self::new_in();
        match self.enter(Member::Child(Arc::downgrade(&child.0))) {
            Some(key) => {
                *child.0.parent.lock() = Some(Membership { token: self.clone(), key });
            }
            None => child.cancel(),
        }
        child
    }

    /// Cancels: all tasks that were spawned with this token, all children, all waiters. Only the
    /// first call does something. O(members).
    pub fn cancel(&self) {
        let mut guard = self.0.members.lock();
        if self.0.cancelled.swap(true, Ordering::Relaxed) {
            return;
        }
        let members = core::mem::take(&mut guard.members);
        drop(guard);
        for member in members.into_values() {
            match member {
                Member::Task(task) => task.cancel(),
                Member::Child(child) => {
                    if let Some(child) = child.upgrade() {
                        Self(child).cancel();
                    }
                }
                Member::Waiter(waker) => waker.wake(),
            }
        }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// A future that is ready when the token is cancelled.
    pub fn cancelled(&self) -> WaitForCancel<P> {
        WaitForCancel { token: self.clone(), key: None }
    }

    /// Adds a member; `None` if the token is cancelled already.
    fn enter(&self, member: Member<P>) -> Option<u64> {
        let mut members = self.0.members.lock();
        if self.is_cancelled() {
            return None;
        }
        let key = members.next_key;
        members.next_key += 1;
        members.members.insert(key, member);
        Some(key)
    }

    fn leave(&self, key: u64) {
        let member = self.0.members.lock().members.remove(&key);
        drop(member);
    }

    /// A place for a task that is yet to be made: the membership, which the task keeps until it
    /// ends, and the key to enter it with.
    pub(crate) fn reserve(&self) -> (Membership<P>, u64) {
        let mut members = self.0.members.lock();
        let key = members.next_key;
        members.next_key += 1;
        (Membership { token: self.clone(), key }, key)
    }

    /// Cancels `task` with this token, at once if that is cancelled already.
    pub(crate) fn enter_task(&self, key: u64, task: TaskRef<P>) {
        let mut members = self.0.members.lock();
        if self.is_cancelled() {
            drop(members);
            task.cancel();
        } else {
            members.members.insert(key, Member::Task(task));
        }
    }
}

impl<P: Platform> Clone for CancellationToken<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Platform> fmt::Debug for CancellationToken<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Keeps a task or a child in a token; leaves when dropped.
pub(crate) struct Membership<P: Platform> {
    token: CancellationToken<P>,
    key: u64,
}

impl<P: Platform> Drop for Membership<P> {
    fn drop(&mut self) {
        self.token.leave(self.key);
    }
}

/// Ready when its token is cancelled; see [`CancellationToken::cancelled`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct WaitForCancel<P: Platform = Native> {
    token: CancellationToken<P>,
    key: Option<u64>,
}

impl<P: Platform> Future for WaitForCancel<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(key) = self.key.take() {
            self.token.leave(key);
        }
        self.key = self.token.enter(Member::Waiter(context.waker().clone()));
        if self.key.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl<P: Platform> Drop for WaitForCancel<P> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.token.leave(key);
        }
    }
}
