//! A value that changes, and those who want to know its latest state.
//!
//! ```
//! use raddle_streams::watch;
//! let (sender, mut receiver) = watch::channel("starting");
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         sender.send("serving").unwrap();
//!     });
//!     receiver.changed().unwrap();
//!     assert_eq!(*receiver.borrow(), "serving");
//! });
//! ```
//!
//! A receiver sees the latest value, not each: what was replaced before it looked is gone. For small
//! values that many poll and none waits for, see [`Observable`](crate::observable::Observable), whose
//! readers take no lock.
//!
//! # The protocol
//!
//! ```text
//!  63                               1   0
//! +----------------------------------+--------+
//! |  version                         | CLOSED |
//! +----------------------------------+--------+
//! ```
//!
//! The value is behind a read-write lock. A sender replaces it and adds one to the version before it
//! unlocks; then it notifies. A receiver keeps the version that it has seen: another one is news, and
//! the same one with CLOSED is the end. So a change that comes before the end is seen before it
//! (`watch/change_before_the_end`).
//!
//! # Orderings
//!
//! The version is released and acquired, so that whoever has seen it finds its value or a later one
//! behind the lock. Sleeping is the event count's part.

use core::fmt;
use core::pin::pin;

use raddle_ownership::Arc;
use raddle_parking_lot::{EventCount, ParkingRwLock, RwLockReadGuard};
use raddle_platform::suspend::{Interrupted, Limits};
use raddle_platform::{Atomic, AtomicInt, Instant, Native, Ordering, Platform};

pub use crate::channel::{RecvError, RecvTimeoutError};

const CLOSED: usize = 1;
/// One version.
const ONE: usize = 2;

struct Shared<T, P: Platform> {
    value: ParkingRwLock<T, P>,
    version: P::AtomicUsize,
    changed: EventCount<P>,
    senders: P::AtomicUsize,
    receivers: P::AtomicUsize,
}

impl<T, P: Platform> Shared<T, P> {
    fn version(&self) -> usize {
        // ORDERING: pairs with the releasing fetch_add in `modify`, and fetch_or in the last sender.
        self.version.load(Ordering::Acquire)
    }

    fn modify<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.value.write();
        let result = change(&mut value);
        // ORDERING: pairs with the acquiring load in `version`.
        self.version.fetch_add(ONE, Ordering::Release);
        drop(value);
        self.changed.notify_all();
        result
    }

    fn attempt(&self, seen: usize) -> Option<Result<usize, RecvError>> {
        let now = self.version();
        if now & !CLOSED != seen {
            Some(Ok(now & !CLOSED))
        } else if now & CLOSED != 0 {
            Some(Err(RecvError::Disconnected))
        } else {
            None
        }
    }
}

/// A watched value for production.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    channel_in(value)
}

/// [`channel`] in the world `P`.
pub fn channel_in<T, P: Platform>(value: T) -> (Sender<T, P>, Receiver<T, P>) {
    let shared = Arc::new_in(Shared {
        value: ParkingRwLock::new_in(value),
        version: P::AtomicUsize::new(0),
        changed: EventCount::new_in(),
        senders: P::AtomicUsize::new(1),
        receivers: P::AtomicUsize::new(1),
    });
    (Sender { shared: shared.clone() }, Receiver { shared, seen: 0 })
}

/// Nobody watches any more. The value is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody watches the value any more")
    }
}

impl<T> core::error::Error for SendError<T> {}

/// The value as it is now. It does not change while somebody holds this, and senders wait: hold it
/// briefly.
pub type Ref<'a, T, P = Native> = RwLockReadGuard<'a, T, P>;

/// Changes the value; see [`channel`]. Cloned, it is one more sender of the same value.
pub struct Sender<T, P: Platform = Native> {
    shared: Arc<Shared<T, P>, P>,
}

impl<T, P: Platform> Sender<T, P> {
    /// Replaces the value, and tells all receivers.
    ///
    /// # Errors
    /// The value, if there is no receiver.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let _inside = P::called();
        if self.is_closed() {
            return Err(SendError(value));
        }
        let before = self.shared.modify(|slot| core::mem::replace(slot, value));
        // Its destructor is foreign code: not under the lock, and after everybody is told.
        drop(before);
        Ok(())
    }

    /// Replaces the value, whether or not somebody watches, and returns the one before.
    #[track_caller]
    pub fn send_replace(&self, value: T) -> T {
        let _inside = P::called();
        self.shared.modify(|slot| core::mem::replace(slot, value))
    }

    /// Changes the value in place, whether or not somebody watches, and tells all receivers.
    #[track_caller]
    pub fn send_modify<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _inside = P::called();
        self.shared.modify(change)
    }

    /// One more receiver, which has seen the value as it is now.
    pub fn subscribe(&self) -> Receiver<T, P> {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { seen: self.shared.version() & !CLOSED, shared: self.shared.clone() }
    }

    /// The value. See [`Ref`].
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T, P> {
        let _inside = P::called();
        self.shared.value.read()
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.receivers.load(Ordering::Relaxed)
    }
}

impl<T, P: Platform> Clone for Sender<T, P> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone() }
    }
}

impl<T, P: Platform> Drop for Sender<T, P> {
    fn drop(&mut self) {
        // ORDERING: pairs with itself: what each sender did comes before the end.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // ORDERING: pairs with the acquiring load in `version`.
            self.shared.version.fetch_or(CLOSED, Ordering::Release);
            self.shared.changed.notify_all();
        }
    }
}

/// Watches the value; see [`channel`]. Cloned, it is one more receiver, which has seen what this one has.
pub struct Receiver<T, P: Platform = Native> {
    shared: Arc<Shared<T, P>, P>,
    seen: usize,
}

impl<T, P: Platform> Receiver<T, P> {
    /// The value. See [`Ref`].
    #[track_caller]
    pub fn borrow(&self) -> Ref<'_, T, P> {
        let _inside = P::called();
        self.shared.value.read()
    }

    /// The value, which is no news to this receiver from now on.
    #[track_caller]
    pub fn borrow_and_update(&mut self) -> Ref<'_, T, P> {
        let _inside = P::called();
        let value = self.shared.value.read();
        // Nobody changes it while the guard is there.
        self.seen = self.shared.version() & !CLOSED;
        value
    }

    /// Whether the value has changed since this receiver was told of a change.
    ///
    /// # Errors
    /// If it has not, and there is no sender any more.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        match self.shared.attempt(self.seen) {
            Some(changed) => changed.map(|_| true),
            None => Ok(false),
        }
    }

    /// Suspends the calling fiber or thread until the value changes, if it has not since this receiver
    /// was told. A cancellation point.
    ///
    /// # Errors
    /// If it will not change, because there is no sender any more, or the fiber was cancelled.
    #[track_caller]
    pub fn changed(&mut self) -> Result<(), RecvError> {
        let _inside = P::called();
        self.changed_within(Limits::CANCELLABLE).map_err(without_deadline)
    }

    /// As [`changed`](Self::changed), until `deadline` at most.
    ///
    /// # Errors
    /// As [`changed`](Self::changed), or if the time is over.
    #[track_caller]
    pub fn changed_deadline(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        let _inside = P::called();
        self.changed_within(Limits { deadline: Some(deadline), cancellable: true })
    }

    fn changed_within(&mut self, limits: Limits) -> Result<(), RecvTimeoutError> {
        match self.shared.changed.wait(limits, || self.shared.attempt(self.seen)) {
            Ok(Ok(seen)) => {
                self.seen = seen;
                Ok(())
            }
            Ok(Err(_)) => Err(RecvTimeoutError::Disconnected),
            Err(Interrupted::TimedOut) => Err(RecvTimeoutError::Timeout),
            Err(Interrupted::Cancelled) => Err(RecvTimeoutError::Cancelled),
        }
    }

    /// Suspends the calling task until the value changes. A dropped future has seen nothing.
    ///
    /// # Errors
    /// If there is no sender any more.
    pub async fn changed_async(&mut self) -> Result<(), RecvError> {
        let (shared, seen) = (&*self.shared, self.seen);
        let wait = pin!(shared.changed.wait_async(|| shared.attempt(seen)));
        self.seen = wait.await?;
        Ok(())
    }

    /// Suspends the calling fiber or thread until the value has the property; it may have it already. A
    /// cancellation point.
    ///
    /// # Errors
    /// If it has not, and there is no sender any more, or the fiber was cancelled.
    #[track_caller]
    pub fn wait_for(
        &mut self,
        mut property: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T, P>, RecvError> {
        let _inside = P::called();
        let shared = &self.shared;
        loop {
            let value = shared.value.read();
            // Nobody changes it while the guard is there.
            let seen = shared.version() & !CLOSED;
            self.seen = seen;
            if property(&value) {
                return Ok(value);
            }
            drop(value);
            match shared.changed.wait(Limits::CANCELLABLE, || shared.attempt(seen)) {
                Ok(changed) => changed?,
                Err(_) => return Err(RecvError::Cancelled),
            };
        }
    }

    /// Suspends the calling task until the value has the property; it may have it already. The guard is
    /// not held while the task is suspended.
    ///
    /// # Errors
    /// If it has not, and there is no sender any more.
    pub async fn wait_for_async(
        &mut self,
        mut property: impl FnMut(&T) -> bool,
    ) -> Result<Ref<'_, T, P>, RecvError> {
        let shared = &self.shared;
        loop {
            let seen = {
                // Not the blocking form: the writer may be a fiber of this very worker.
                let value = shared.value.read_async().await;
                let seen = shared.version() & !CLOSED;
                self.seen = seen;
                if property(&value) {
                    return Ok(value);
                }
                seen
            };
            let wait = pin!(shared.changed.wait_async(|| shared.attempt(seen)));
            wait.await?;
        }
    }
}

impl<T, P: Platform> Clone for Receiver<T, P> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T, P: Platform> Drop for Receiver<T, P> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: fmt::Debug, P: Platform> fmt::Debug for Sender<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("value", &*self.borrow()).finish()
    }
}

impl<T: fmt::Debug, P: Platform> fmt::Debug for Receiver<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("value", &*self.borrow()).finish()
    }
}

fn without_deadline(error: RecvTimeoutError) -> RecvError {
    match error {
        RecvTimeoutError::Disconnected => RecvError::Disconnected,
        RecvTimeoutError::Cancelled => RecvError::Cancelled,
        RecvTimeoutError::Timeout => unreachable!("there is no deadline"),
    }
}
