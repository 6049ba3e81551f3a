//! Who parks when code blocks: the fiber, or the thread.
//!
//! A lock does not know whether it is called from a fiber, from a future's `poll` or from a plain
//! thread. It asks for the *current suspender*: a runtime [installs](install) one on each of its
//! workers; where none is [active](Suspend::active), the thread itself is the suspender, by
//! [`Parker`]. Everything that waits is thus written once, against [`core::task::Waker`]: a fiber,
//! a thread and a future's executor all give one.
//!
//! ```
//! use raddle_platform::{Native, suspend};
//! // On a plain thread the thread parks; inside a fiber the same call parks the fiber.
//! assert_eq!(suspend::block_on::<Native, _>(async { 42 }), 42);
//! ```

use core::cell::Cell;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use crate::Platform;
use crate::parker::Parker;
use crate::threads::{SlotKey, Threads};
use crate::time::{Clock, Instant};

/// Something that can be suspended and woken: a fiber or a thread.
///
/// The rules are those of [`Parker`]: one token, kept if the wake comes first, shared by all that
/// blocks here, so every caller re-checks its own condition in a loop.
pub trait Suspend {
    /// Whether a fiber of this suspender is running now. If not, the thread parks.
    fn active(&self) -> bool;
    /// Wakes what runs now, from anywhere and for ever.
    fn waker(&self) -> Waker;
    /// Calls `f` with such a waker, without counting a reference if that can be avoided: what runs
    /// now is alive until `f` returns.
    fn with_waker(&self, f: &mut dyn FnMut(&Waker)) {
        f(&self.waker());
    }
    /// Suspends until the token is there, and takes it.
    #[track_caller]
    fn park(&self);
    /// Suspends until the token is there or the clock shows `deadline`.
    #[track_caller]
    fn park_until(&self, deadline: Instant);
    /// Lets others run.
    #[track_caller]
    fn yield_now(&self);
    /// Whether what runs now was cancelled. Cancelling wakes it.
    fn is_cancelled(&self) -> bool;
}

/// A suspender in the form that a thread's slot can point to.
#[derive(Debug)]
pub struct Installed(*const dyn Suspend);

impl Installed {
    /// Wraps `suspender`.
    ///
    /// # Safety
    /// `suspender` outlives the result.
    pub unsafe fn new(suspender: *const dyn Suspend) -> Self {
        Self(suspender)
    }
}

/// Makes `suspender` the calling thread's; null takes it away. Returns the one before.
///
/// # Safety
/// `suspender` stays valid until it is replaced, and is replaced before the thread ends.
pub unsafe fn install<P: Platform>(suspender: *const Installed) -> *const Installed {
    P::Threads::set_slot(SlotKey::Suspender, suspender.cast_mut().cast()).cast_const().cast()
}

/// The thread as a suspender.
struct Thread<P>(PhantomData<P>);

impl<P: Platform> Suspend for Thread<P> {
    fn active(&self) -> bool {
        true
    }
    fn waker(&self) -> Waker {
        P::Parker::waker()
    }
    fn park(&self) {
        P::Parker::park();
    }
    fn park_until(&self, deadline: Instant) {
        P::Parker::park_until(deadline);
    }
    fn yield_now(&self) {
        P::Threads::yield_now();
    }
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Whether the caller runs on a fiber.
#[inline]
pub fn in_fiber<P: Platform>() -> bool {
    let installed: *const Installed = P::Threads::slot(SlotKey::Suspender).cast_const().cast();
    // SAFETY: `install` promises that a non-null slot is valid, and so is what it wraps.
    !installed.is_null() && unsafe { (*(*installed).0).active() }
}

/// Calls `f` with the current suspender.
#[inline]
pub fn with_current<P: Platform, R>(f: impl FnOnce(&dyn Suspend) -> R) -> R {
    let installed: *const Installed = P::Threads::slot(SlotKey::Suspender).cast_const().cast();
    if !installed.is_null() {
        // SAFETY: `install` promises that a non-null slot is valid, and so is what it wraps.
        let suspender = unsafe { &*(*installed).0 };
        if suspender.active() {
            return f(suspender);
        }
    }
    f(&Thread::<P>(PhantomData))
}

/// How many pins the calling thread holds: what [`SlotKey::Epoch`] points to begins with this.
///
/// Nothing is freed that somebody who is pinned may still read, so a pin that lives across a
/// suspension keeps everybody's garbage for as long as that takes. It is a mistake, and debug
/// builds say so: each call that may block [asserts](assert_unpinned) that there is none.
#[derive(Debug, Default)]
pub struct Pins(Cell<usize>);

impl Pins {
    /// How many.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.0.get()
    }

    /// There are `count` now.
    #[inline(always)]
    pub fn set(&self, count: usize) {
        self.0.set(count);
    }
}

/// Counts a park on the calling thread, of the thread or of one of its fibers: for who takes a
/// [suspender's](Suspend) token without [`wait`]. A wait in whose `poll` that happens must not park next,
/// for the token may have been meant for it.
#[inline]
pub fn note_park<P: Platform>() {
    let count = ptr::without_provenance_mut(parks::<P>().wrapping_add(1));
    P::Threads::set_slot(SlotKey::Parks, count);
}

/// How often the calling thread, or one of its fibers, has parked.
#[inline]
fn parks<P: Platform>() -> usize {
    P::Threads::slot(SlotKey::Parks).addr()
}

/// Asserts in debug builds that the calling thread is not pinned: for each call that may block,
/// whether it does or not, so that a test need not meet the rare case.
///
/// # Panics
/// In debug builds, if it is.
#[inline(always)]
#[track_caller]
pub fn assert_unpinned<P: Platform>() {
    if cfg!(debug_assertions) {
        let pins: *const Pins = P::Threads::slot(SlotKey::Epoch).cast_const().cast();
        // SAFETY: the slot is null, or points to what begins with the thread's own `Pins`.
        let count = if pins.is_null() { 0 } else { unsafe { (*pins).count() } };
        assert!(
            count == 0 || P::Threads::panicking(),
            "a call that may block while {count} pin(s) are held: drop the guards of versioned cells \
             before, or take a `Snapshot`, which may live across a suspension"
        );
    }
}

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The deadline came.
    TimedOut,
    /// The waiting fiber was cancelled.
    Cancelled,
}

impl core::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "timed out",
            Self::Cancelled => "cancelled",
        })
    }
}

impl core::error::Error for Interrupted {}

/// What may end a wait early.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The latest end; none means for ever, and so does [`Instant::FAR_FUTURE`].
    pub deadline: Option<Instant>,
    /// Whether a cancelled fiber stops waiting.
    pub cancellable: bool,
}

impl Limits {
    /// Waits however long it takes.
    pub const NONE: Self = Self { deadline: None, cancellable: false };
    /// Ends when the fiber is cancelled.
    pub const CANCELLABLE: Self = Self { deadline: None, cancellable: true };
    /// Ends at `deadline`.
    pub const fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), cancellable: false }
    }
}

/// Suspends the caller until `poll` is ready. `poll` is called with a waker of the caller: it
/// registers that waker wherever the news will come from, then checks once more, as a future does.
///
/// The limits are looked at only after `poll` said pending, so a result that is there is returned
/// even if the deadline has passed. After an error the registration is still there, and may have
/// been granted meanwhile: the caller undoes it.
///
/// `poll` may wait itself. That takes tokens away which were meant for what `poll` has registered
/// before, so after such a poll the caller is not suspended, and `poll` is called once more.
///
/// # Errors
/// The limit that ended the wait.
///
/// # Panics
/// In debug builds, if the calling thread is [pinned](Pins).
#[track_caller]
pub fn wait<P: Platform, T>(
    limits: Limits,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Interrupted> {
    assert_unpinned::<P>();
    with_current::<P, _>(|current| {
        let mut result = None;
        current.with_waker(&mut |waker| {
            result = Some(wait_with::<P, T>(current, waker, limits, &mut poll));
        });
        match result {
            Some(result) => result,
            None => unreachable!("`with_waker` calls its argument"),
        }
    })
}

fn wait_with<P: Platform, T>(
    current: &dyn Suspend,
    waker: &Waker,
    limits: Limits,
    poll: &mut impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, Interrupted> {
    let mut context = Context::from_waker(waker);
    // HAMMER-WAIT-LOOP: suspend
    loop {
        let parks_before = parks::<P>();
        if let Poll::Ready(value) = poll(&mut context) {
            return Ok(value);
        }
        if limits.cancellable && current.is_cancelled() {
            return Err(Interrupted::Cancelled);
        }
        let deadline = limits.deadline.filter(|deadline| *deadline != Instant::FAR_FUTURE);
        if deadline.is_some_and(|deadline| P::Clock::now() >= deadline) {
            return Err(Interrupted::TimedOut);
        }
        if parks::<P>() != parks_before {
            // A wait within the poll has taken a token, which may have been this one's.
            continue;
        }
        note_park::<P>();
        match deadline {
            None => current.park(),
            Some(deadline) => current.park_until(deadline),
        }
    }
}

/// Runs `future` to its end, suspending the calling fiber or thread while it is pending.
#[track_caller]
pub fn block_on<P: Platform, F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match wait::<P, _>(Limits::NONE, |context| future.as_mut().poll(context)) {
        Ok(output) => output,
        Err(_) => unreachable!("a wait without limits ends only with its result"),
    }
}
