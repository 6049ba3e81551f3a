//! Garbage is freed by itself: by whom, and what keeps it. One test, for the counts are the
//! process's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use raddle_platform::Platform;
use raddle_versioned::epoch::{self, Stats};
use raddle_versioned::{Native, Versioned};

static DROPS: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Drop for Counted {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::Relaxed);
    }
}

fn stats() -> Stats {
    epoch::stats::<Native>()
}

/// Waits until it holds; much longer than it should take, and the test fails.
fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", stats());
        thread::yield_now();
    }
}

fn retire() {
    epoch::pin().retire(Box::new(Counted));
}

#[test]
fn garbage_is_freed_by_itself() {
    an_idle_thread();
    a_thread_that_ended();
    a_pin_keeps_it_and_is_seen();
    a_panic_unpins();
    a_destructor_that_panics();
    a_destructor_of_a_thread_local();
    the_bound();
    a_forgotten_guard();
}

/// Less than a batch, and nobody does anything any more.
fn an_idle_thread() {
    retire();
    until("the collector comes", || DROPS.load(Ordering::Relaxed) == 1);
    assert_eq!(stats().limbo_items, 0);
    DROPS.store(0, Ordering::Relaxed);
}

fn a_thread_that_ended() {
    thread::spawn(retire).join().expect("no panic");
    until("somebody frees what it left", || DROPS.load(Ordering::Relaxed) == 1);
    let threads = stats().threads;
    for _ in 0..4 {
        thread::spawn(retire).join().expect("no panic");
    }
    assert_eq!(stats().threads, threads, "the place of a thread that ended is taken over");
    until("all are freed", || DROPS.load(Ordering::Relaxed) == 5);
    DROPS.store(0, Ordering::Relaxed);
}

fn a_pin_keeps_it_and_is_seen() {
    let pinned = epoch::pin();
    thread::spawn(retire).join().expect("no panic");
    until("the collector notices the pin", || stats().oldest_pin > Duration::ZERO);
    assert_eq!(DROPS.load(Ordering::Relaxed), 0);
    assert_eq!((stats().limbo_items, stats().pinned), (1, 1));
    drop(pinned);
    until("it is freed", || DROPS.load(Ordering::Relaxed) == 1);
    assert_eq!(stats().oldest_pin, Duration::ZERO);
    DROPS.store(0, Ordering::Relaxed);
}

fn a_panic_unpins() {
    let panicked = std::panic::catch_unwind(|| {
        let _pinned = epoch::pin();
        std::panic::resume_unwind(Box::new("planned"));
    });
    assert!(panicked.is_err());
    assert_eq!(stats().pinned, 0);
}

/// The collector goes on.
fn a_destructor_that_panics() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("planned"));
        }
    }
    epoch::pin().retire(Box::new(Panics));
    until("the collector drops it", || stats().limbo_items == 0);
    retire();
    until("and what comes after", || DROPS.load(Ordering::Relaxed) == 1);
    DROPS.store(0, Ordering::Relaxed);
}

/// It runs when the thread has given up its place already.
fn a_destructor_of_a_thread_local() {
    struct Late(Versioned<u32>);
    impl Drop for Late {
        fn drop(&mut self) {
            assert_eq!(self.0.update(|value| value + 1), Ok(()));
            retire();
        }
    }
    thread_local! {
        static LATE: Late = Late(Versioned::new(1));
    }
    let body = || {
        // Registered before the place, and so destroyed after it.
        LATE.with(|late| assert_eq!(*late.0.read(), 1));
        retire();
    };
    thread::spawn(body).join().expect("no panic");
    until("both are freed", || DROPS.load(Ordering::Relaxed) == 2);
    assert_eq!(stats().pinned, 0);
    DROPS.store(0, Ordering::Relaxed);
}

/// Somebody stays pinned, and somebody else makes garbage until it must wait.
fn the_bound() {
    let limit = Native::CELL_BOUNDS.garbage_limit;
    let made = AtomicUsize::new(0);
    let pinned = epoch::pin();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for value in 0..limit + 1_000 {
                retire();
                if value % 1_000 == 0 {
                    // So slow that the collector has sealed everything at times.
                    epoch::collect::<Native>();
                }
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        until("the writer comes to the bound", || stats().limbo_items >= limit);
        for _ in 0..100 {
            thread::yield_now();
            assert!(stats().limbo_items <= limit + Native::CELL_BOUNDS.garbage_batch);
        }
        assert!(made.load(Ordering::Relaxed) <= limit + Native::CELL_BOUNDS.garbage_batch);
        drop(pinned);
        writer.join().expect("no panic");
    });
    until("all is freed", || DROPS.load(Ordering::Relaxed) == limit + 1_000);
    assert_eq!(stats().limbo_items, 0);
    DROPS.store(0, Ordering::Relaxed);
}

/// References under it may be anywhere, so what it keeps is kept. (The last test: it stays so.)
fn a_forgotten_guard() {
    thread::spawn(|| std::mem::forget(epoch::pin())).join().expect("no panic");
    assert_eq!(stats().pinned, 1);
    retire();
    epoch::collect::<Native>();
    assert_eq!((DROPS.load(Ordering::Relaxed), stats().limbo_items), (0, 1));
}
