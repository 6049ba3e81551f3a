//! The last words of a process that a signal ends.
//!
//! An execution that has gone wrong may run into undefined behaviour, overrun its stack, or abort
//! in a destructor; one that never ends is ended from outside. The operations that led there are
//! in the history, so a handler reports them before the process goes. A handler may not allocate,
//! strictly speaking: the interrupted code may hold the allocator's lock. Here everything is lost
//! already, and an alarm ends a handler that gets stuck.

use core::ffi::c_int;
use core::ptr;
use std::sync::OnceLock;

use crate::model::Report;
use crate::world;

/// What is reported to.
static REPORT: OnceLock<fn(&Report)> = OnceLock::new();

const SIGNALS: [(c_int, &str); 6] = [
    (libc::SIGSEGV, "SIGSEGV: undefined behaviour, or a stack overflow"),
    (libc::SIGBUS, "SIGBUS: undefined behaviour"),
    (libc::SIGILL, "SIGILL: undefined behaviour"),
    (libc::SIGFPE, "SIGFPE: undefined behaviour"),
    (libc::SIGABRT, "SIGABRT: a panic where nothing may unwind, or corrupted memory"),
    (libc::SIGTERM, "SIGTERM: an execution that never ends"),
];

const STACK_BYTES: usize = 512 * 1024;

/// How long a handler may take, in seconds.
const PATIENCE: u32 = 3;

/// Calls `f` with a report when a signal is about to end the process inside of a model; `f` ends
/// the process itself. The handlers stay for the rest of the process, and run on a stack of the
/// calling thread.
///
/// # Panics
/// When it is called twice.
pub fn report_signals(f: fn(&Report)) {
    assert!(REPORT.set(f).is_ok(), "signals are reported to one function");
    let stack = Box::leak(vec![0_u8; STACK_BYTES].into_boxed_slice());
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the stack is leaked, and nobody else uses it.
    let status = unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
    assert_eq!(status, 0, "the signal stack is large enough");
    for (signal, _) in SIGNALS {
        // SAFETY: all zeroes is a valid sigaction.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        let handler: extern "C" fn(c_int) = handle;
        action.sa_sigaction = handler as libc::sighandler_t;
        // Once: a second fault, inside of the handler, ends the process.
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
        // SAFETY: the action is complete, and its handler is a function of the right type.
        let status = unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
        assert_eq!(status, 0, "the signal exists");
    }
}

extern "C" fn handle(signal: c_int) {
    // SAFETY: a call without pointers.
    unsafe { libc::alarm(PATIENCE) };
    let name = SIGNALS.iter().find(|(number, _)| *number == signal);
    let name = name.map_or("a signal", |(_, name)| name);
    let report = world::try_with(|world| world.session.interrupted(world.current(), name));
    if let (Some(report), Some(f)) = (report.flatten(), REPORT.get()) {
        f(&report);
    }
    // SAFETY: a call without pointers. A fault comes again on return, and this time ends the
    // process; the others are raised again to the same end.
    unsafe { libc::raise(signal) };
}
