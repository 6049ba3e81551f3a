//! Waking a driver that sleeps in the kernel, and only one that does.
//!
//! A bell is shared by a driver and all who may wake it. Its word says whether a system call is
//! needed:
//!
//! ```text
//! AWAKE  --doze-->  ASLEEP    the driver is about to block in the kernel
//! AWAKE  --ring-->  RUNG      costs no system call: the next `doze` fails
//! ASLEEP --ring-->  RUNG      the ringer, and only the first one, also makes the kernel wake it
//! RUNG   --ring-->  RUNG
//! any    --rise-->  AWAKE     the driver's wait is over; tells whether it was RUNG
//! ```
//!
//! Only the driver writes AWAKE and ASLEEP, anybody writes RUNG, always by read-modify-write. All
//! of them on one word, so they have one order: either the ringer finds ASLEEP and goes on to the
//! kernel, or the driver's `doze` finds RUNG and does not sleep. No wake is lost, and no fence is
//! needed. What happened before `ring` is visible after the `doze` or `rise` that saw it.
//!
//! The way through the kernel is an eventfd, which is never read: both drivers watch it for edges
//! (a multishot poll on io_uring, EPOLLET on epoll), and each write is one. The kernel's message
//! may arrive late, when the driver woke for another reason. It carries no meaning then: the word
//! alone tells a driver that it was notified.
//!
//! A bell owns its descriptors, so a ringer that comes late never writes to a number that meanwhile
//! means something else. That holds for the ring's too, to which other rings send messages: it is
//! a duplicate, and keeps the (idle) ring in the kernel until the last notifier is gone.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::counted::Counted;
use super::sockets::check;
use crate::driver::Notify;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const RUNG: u32 = 2;

/// What a driver and its notifiers share.
#[derive(Debug)]
pub(super) struct Bell {
    word: AtomicU32,
    eventfd: OwnedFd,
    /// Another descriptor of the driver's io_uring, if that takes messages.
    ring: Option<OwnedFd>,
}

impl Bell {
    pub(super) fn new(eventfd: OwnedFd, ring: Option<OwnedFd>) -> Counted<Self> {
        Counted::new(Self { word: AtomicU32::new(AWAKE), eventfd, ring })
    }

    /// What the driver watches.
    pub(super) fn eventfd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Where a message to the driver's ring goes.
    pub(super) fn ring_fd(&self) -> Option<RawFd> {
        self.ring.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Notifies the driver. If the answer is true it sleeps, and the caller wakes it through the
    /// kernel.
    #[must_use]
    pub(super) fn ring(&self) -> bool {
        // ORDERING: pairs with the acquiring accesses of `doze` and `rise`.
        self.word.swap(RUNG, Ordering::Release) == ASLEEP
    }

    /// Wakes the driver through its eventfd.
    pub(super) fn write(&self) {
        signal_eventfd(self.eventfd.as_raw_fd());
    }

    /// The driver is about to block. If the answer is false it was notified, and must not.
    pub(super) fn doze(&self) -> bool {
        // ORDERING: on failure, pairs with the releasing swap in `ring`.
        let slept = self.word.compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Acquire);
        slept.is_ok()
    }

    /// The driver blocks no longer; whether it was notified since it last rose.
    pub(super) fn rise(&self) -> bool {
        // ORDERING: pairs with the releasing swap in `ring`.
        self.word.swap(AWAKE, Ordering::Acquire) == RUNG
    }

    /// Whether the sleeping driver was notified.
    pub(super) fn is_rung(&self) -> bool {
        self.word.load(Ordering::Relaxed) == RUNG
    }
}

/// Adds one to an eventfd. Async-signal-safe.
pub(super) fn signal_eventfd(fd: RawFd) {
    let one = 1_u64;
    // SAFETY: `one` is 8 readable bytes. The only failure of a write to a non-blocking eventfd is
    // EAGAIN after 2^64 - 2 writes that nobody read.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}

/// A non-blocking eventfd.
pub(super) fn new_eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
    // SAFETY: the kernel just made `fd`, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Wakes a [`NativeDriver`](super::NativeDriver). It may outlive the driver; then it does nothing.
#[derive(Clone, Debug)]
pub struct NativeNotifier(pub(super) Counted<Bell>);

impl Notify for NativeNotifier {
    fn notify(&self) {
        if self.0.ring() {
            self.0.write();
        }
    }
}
