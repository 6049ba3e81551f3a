//! Signals as handles, and what signals do to calls that they interrupt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use std::{io, ptr};

use crate::support::{Io, Rig, Socket, now, pair, patience, ready};
use crate::world::available;
use raddle_platform::Driver;
use raddle_platform::driver::{Interest, Kind, Notify, Signal};

/// A signal concerns all threads of the process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn raise(signal: libc::c_int) {
    // SAFETY: the tests have a handler for what they raise.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

fn handle(signal: Signal) -> Socket {
    Socket(Io::signal(signal).expect("a free slot"))
}

fn take(handle: &Socket) -> bool {
    Io::take_signal(handle.0).expect("an open handle")
}

#[test]
fn each_handle_of_a_signal_tells_of_it_once() {
    let _alone = alone();
    let handles = [handle(Signal::Interrupt), handle(Signal::Interrupt)];
    let other = handle(Signal::Terminate);
    assert!(!handles.iter().any(take), "nothing has come yet");
    raise(libc::SIGINT);
    raise(libc::SIGINT);
    for handle in &handles {
        ready(handle.0, Interest::Readable);
        assert!(take(handle));
        assert!(!take(handle), "two that came before one look are one");
    }
    assert!(!take(&other), "another signal's handle");
    raise(libc::SIGTERM);
    assert!(take(&other));
    assert!(!handles.iter().any(take));
}

#[test]
fn a_signal_completes_a_poll() {
    let _alone = alone();
    for kind in [Kind::Uring, Kind::Epoll].into_iter().filter(|kind| available(*kind)) {
        let mut rig = Rig::new(kind);
        let handle = handle(Signal::Terminate);
        rig.poll(&handle, Interest::Readable, 1);
        assert_eq!(rig.tick(), []);
        raise(libc::SIGTERM);
        assert_eq!(rig.result(), 0);
        assert!(take(&handle));
        rig.poll(&handle, Interest::Readable, 2);
        assert_eq!(rig.tick(), []);
        rig.cancel(2);
        rig.finish();
    }
}

#[test]
fn a_closed_handle_gives_its_slot_back() {
    let _alone = alone();
    let keep = handle(Signal::Interrupt);
    for _ in 0..200 {
        drop(handle(Signal::Interrupt));
    }
    raise(libc::SIGINT);
    assert!(take(&keep), "the others' end did not end this one");
    let mut all = Vec::new();
    let error = loop {
        match Io::signal(Signal::Interrupt) {
            Ok(handle) => all.push(Socket(handle)),
            Err(error) => break error,
        }
        assert!(all.len() <= 1_000, "the table has an end");
    };
    assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
    all.pop();
    all.push(handle(Signal::Terminate));
    // Without a handle the signal has no effect any more, not its default one.
    drop(all);
    drop(keep);
    raise(libc::SIGINT);
}

#[test]
fn a_closed_handles_number_is_written_to_by_no_handler() {
    let _alone = alone();
    let _keep = handle(Signal::Interrupt);
    let done = AtomicBool::new(false);
    let mut reused = 0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    raise(libc::SIGINT);
                }
            });
        }
        for _ in 0..20_000 {
            let handle = handle(Signal::Interrupt);
            let number = handle.0.0;
            drop(handle);
            // SAFETY: takes no pointers.
            let next = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) };
            // The kernel gives the lowest free number, unless another test was faster.
            reused += u32::from(next == number);
            let mut count = 0_u64;
            for _ in 0..10 {
                // SAFETY: `count` is 8 writable bytes, and the descriptor is this test's.
                let read = unsafe { libc::read(next, (&raw mut count).cast(), 8) };
                assert_eq!(read, -1, "a handler wrote to it");
            }
            // SAFETY: as above.
            unsafe { libc::close(next) };
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(reused > 0);
}

#[test]
fn calls_that_a_signal_interrupts_are_restarted() {
    let _alone = alone();
    let _handle = handle(Signal::Interrupt);
    // SAFETY: a sigaction of zeros is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks for the current action, into a valid place.
    let status = unsafe { libc::sigaction(libc::SIGINT, ptr::null(), &raw mut action) };
    assert_eq!(status, 0);
    assert_ne!(action.sa_flags & libc::SA_RESTART, 0);
}

/// Interrupts `thread` until `done`.
fn interrupt(thread: libc::pthread_t, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        // SAFETY: the thread waits for the caller's end before it ends.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
        thread::yield_now();
    }
}

/// A handler that does nothing, and after which the kernel restarts nothing.
fn install_idle_handler() {
    extern "C" fn idle(_signal: libc::c_int) {}
    // SAFETY: a sigaction of zeros is valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = idle;
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the handler is async-signal-safe.
    let status = unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, ptr::null_mut()) };
    assert_eq!(status, 0);
}

#[test]
fn interrupted_waits_go_on() {
    let _alone = alone();
    install_idle_handler();
    // SAFETY: the calling thread's own id.
    let this = unsafe { libc::pthread_self() };
    for kind in [Kind::Uring, Kind::Epoll].into_iter().filter(|kind| available(*kind)) {
        let (near, far) = pair();
        let mut rig = Rig::new(kind);
        let notifier = rig.driver.notifier();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| interrupt(this, &done));
            for _ in 0..10 {
                let deadline = now() + Duration::from_millis(2);
                assert_eq!(rig.wait(Some(deadline)), []);
                assert!(now() >= deadline, "a signal ended the wait");
                let deadline = now() + Duration::from_millis(2);
                let came = Io::block_until_ready(near.0, Interest::Readable, Some(deadline));
                assert!(!came.expect("EINTR is dealt with"));
                assert!(now() >= deadline, "a signal ended the wait");
                let mut buffer = [0];
                rig.recv(&near, &mut buffer, 1);
                assert_eq!(rig.tick(), []);
                assert_eq!(Io::send(far.0, b"x").expect("there is room"), 1);
                assert_eq!(rig.result(), 1, "an operation is not disturbed");
                notifier.notify();
                assert_eq!(rig.wait(Some(patience())), []);
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}
