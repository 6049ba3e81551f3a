//! Signals as descriptors that become readable.
//!
//! A handle is an eventfd in a slot of a fixed table. The signal handler adds one to every eventfd
//! whose slot is for its signal: loads of atomics and write(2), which POSIX lists as
//! async-signal-safe. It is installed with the first handle and stays for good, so that a signal
//! that comes between two handles does not kill the process.
//!
//! **Closing.** A handler on another thread may have read the number of a descriptor that is being
//! closed, and would write to whatever gets that number next. So a closer first empties the slot,
//! then waits until no handler is in it, then closes:
//!
//! ```text
//! handler                                 closer
//! 0. skip the slot if it is empty
//! 1. slot.inside += 1                     a. slot.fd := EMPTY
//! 2. read slot.fd again, write to it      b. wait for slot.inside = 0
//! 3. slot.inside -= 1                     c. close
//! ```
//! 1, 2, a and b are sequentially consistent: if the handler's 2 missed a, then its 1 came before
//! b, which waits for 3. Step 0 keeps a storm of signals from starving the closer. A handler that
//! interrupts the closer itself ends before the closer goes on.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

use super::super::lock::Lock;
use super::super::waits::Loop;
use super::notifier::{new_eventfd, signal_eventfd};
use super::sockets::check;
use crate::driver::{Handle, Signal};

/// Handles that can be open at the same time.
const SLOTS: usize = 64;
const EMPTY: RawFd = -1;

/// `signal` is written before `fd` and read after it.
struct Slot {
    fd: AtomicI32,
    signal: AtomicI32,
    /// Handlers that may use `fd` now.
    inside: AtomicU32,
}

impl Slot {
    const fn new() -> Self {
        Self { fd: AtomicI32::new(EMPTY), signal: AtomicI32::new(0), inside: AtomicU32::new(0) }
    }
}

static TABLE: [Slot; SLOTS] = [const { Slot::new() }; SLOTS];
/// Slots in use, so that closing a socket need not look at the table.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// Held while a slot is filled or emptied. Guards the signals that have the handler.
static INSTALLED: Lock<Vec<libc::c_int>> = Lock::new(Vec::new());

fn number(signal: Signal) -> libc::c_int {
    match signal {
        Signal::Interrupt => libc::SIGINT,
        Signal::Terminate => libc::SIGTERM,
    }
}

extern "C" fn on_signal(signal: libc::c_int) {
    // SAFETY: the calling thread's errno, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    for slot in &TABLE {
        if slot.fd.load(Ordering::Relaxed) == EMPTY {
            continue;
        }
        // ORDERING: pairs with the load in `forget_slot`: see the module.
        slot.inside.fetch_add(1, Ordering::SeqCst);
        // ORDERING: pairs with the swap in `forget_slot` (see the module), and with the store in
        // `open`.
        let fd = slot.fd.load(Ordering::SeqCst);
        if fd != EMPTY && slot.signal.load(Ordering::Relaxed) == signal {
            signal_eventfd(fd);
        }
        // ORDERING: pairs with the load in `forget_slot`: the write above is over.
        slot.inside.fetch_sub(1, Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Makes `signal` come to [`on_signal`].
fn install(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: a sigaction of zeros is valid: no handler, no flags, and (on Linux) an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_signal;
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe, and lives as long as the process.
    check(unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) }).map(drop)
}

pub(super) fn open(signal: Signal) -> io::Result<Handle> {
    let signal = number(signal);
    let eventfd: OwnedFd = new_eventfd()?;
    let mut installed = INSTALLED.lock();
    let Some(slot) = TABLE.iter().find(|slot| slot.fd.load(Ordering::Relaxed) == EMPTY) else {
        let message = format!("{SLOTS} signal handles are open, which is the most: close some");
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, message));
    };
    if !installed.contains(&signal) {
        install(signal)?;
        installed.push(signal);
    }
    slot.signal.store(signal, Ordering::Relaxed);
    // ORDERING: pairs with the load in the handler, which reads `signal` after it.
    slot.fd.store(eventfd.as_raw_fd(), Ordering::Release);
    OPEN.fetch_add(1, Ordering::Relaxed);
    Ok(Handle(eventfd.into_raw_fd()))
}

/// Takes `handle` out of the table if it is there. Afterwards it can be closed.
#[inline]
pub(super) fn forget(handle: Handle) {
    // Whoever closes a handle got it from `open`, which counted it before.
    if OPEN.load(Ordering::Relaxed) != 0 {
        forget_slot(handle);
    }
}

#[cold]
fn forget_slot(handle: Handle) {
    let _filling = INSTALLED.lock();
    let Some(slot) = TABLE.iter().find(|slot| slot.fd.load(Ordering::Relaxed) == handle.0) else {
        return;
    };
    // ORDERING: pairs with the load in the handler: see the module.
    slot.fd.swap(EMPTY, Ordering::SeqCst);
    OPEN.fetch_sub(1, Ordering::Relaxed);
    // ORDERING: pairs with both read-modify-writes of the handler: see the module.
    // HAMMER-WAIT-LOOP: signal-handlers
    while slot.inside.load(Ordering::SeqCst) != 0 {
        Loop::Signal.waits();
        std::thread::yield_now();
    }
}

pub(super) fn take(handle: Handle) -> io::Result<bool> {
    let mut count = 0_u64;
    // SAFETY: `count` is 8 writable bytes.
    let read = unsafe { libc::read(handle.0, (&raw mut count).cast(), 8) };
    if read == 8 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn closing_waits_for_a_handler_inside() {
        let handle = open(Signal::Terminate).expect("a free slot");
        let slot = TABLE.iter().find(|slot| slot.fd.load(Ordering::Relaxed) == handle.0);
        let slot = slot.expect("it is in the table");
        // This test is the handler, and has just read the number.
        slot.inside.fetch_add(1, Ordering::SeqCst);
        let closed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                forget(handle);
                closed.store(true, Ordering::SeqCst);
            });
            while slot.fd.load(Ordering::SeqCst) != EMPTY {
                std::thread::yield_now();
            }
            for _ in 0..1_000 {
                assert!(!closed.load(Ordering::SeqCst), "the number may be written to yet");
                std::thread::yield_now();
            }
            slot.inside.fetch_sub(1, Ordering::SeqCst);
        });
        assert!(closed.load(Ordering::SeqCst));
        super::super::sockets::close(handle);
    }
}
