//! Bugs that are there on purpose: a sanitizer that does not report them is not active, and its
//! silence means nothing.

use core::cell::UnsafeCell;
use core::hint::black_box;
use core::time::Duration;
use std::sync::atomic::{AtomicU32, Ordering};

use raddle_hammer::{Hammer, Sanitizer};
use raddle_platform::Platform;
use raddle_platform::native::Handshake;
use raddle_runtime::runtime::Builder;
use raddle_runtime::{Runtime, spawn};
use raddle_scenarios::scope;

/// A bug, and what a report of it says.
pub(crate) struct Planted {
    pub(crate) name: &'static str,
    pub(crate) sanitizer: Sanitizer,
    pub(crate) report: &'static str,
    pub(crate) run: fn(),
}

const RACE: &str = "ThreadSanitizer: data race";

pub(crate) const ALL: [Planted; 5] = [
    Planted {
        name: "planted/race_of_two_fibers",
        sanitizer: Sanitizer::Thread,
        report: RACE,
        run: race_of_two_fibers,
    },
    Planted {
        name: "planted/race_of_two_threads",
        sanitizer: Sanitizer::Thread,
        report: RACE,
        run: race_of_two_threads,
    },
    Planted {
        name: "planted/race_beside_unrelated_fences",
        sanitizer: Sanitizer::Thread,
        report: RACE,
        run: race_beside_unrelated_fences,
    },
    Planted {
        name: "planted/overflow_of_a_fibers_buffer",
        sanitizer: Sanitizer::Address,
        report: "AddressSanitizer: stack-buffer-overflow",
        run: overflow_of_a_fibers_buffer,
    },
    Planted {
        name: "planted/leak",
        sanitizer: Sanitizer::Address,
        report: "LeakSanitizer: detected memory leaks",
        run: leak,
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Planted> {
    ALL.iter().find(|planted| planted.name == name)
}

/// What two write at the same time.
struct Shared(UnsafeCell<u64>);
// SAFETY: none. That is the bug.
unsafe impl Sync for Shared {}

impl Shared {
    fn add(&self) {
        // SAFETY: none: another thread does the same, and nothing orders them.
        unsafe { *black_box(self.0.get()) += 1 };
    }
}

/// Two fibers that nothing orders, spread over two workers by the choice where a new task goes.
fn race_of_two_fibers() {
    static SHARED: Shared = Shared(UnsafeCell::new(0));
    let runtime: Runtime<Hammer> = Builder::new_in().workers(2).build().expect("a runtime");
    let done = runtime.run(|| {
        for _ in 0..200 {
            let fibers: [_; 4] = std::array::from_fn(|_| {
                spawn::<Hammer, _, _>(|| {
                    for _ in 0..20 {
                        SHARED.add();
                        raddle_runtime::yield_now::<Hammer>();
                    }
                })
            });
            fibers.into_iter().for_each(|fiber| fiber.join().expect("no panic"));
        }
    });
    done.expect("no panic");
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

fn race_of_two_threads() {
    let shared = Shared(UnsafeCell::new(0));
    scope::<Hammer, _>(|threads| {
        let shared = &shared;
        threads.spawn(move || shared.add());
        shared.add();
    });
}

/// Each passes a fence of a handshake of its own. Were all fences one word, they would be ordered.
fn race_beside_unrelated_fences() {
    let shared = Shared(UnsafeCell::new(0));
    let (one, other) = (Handshake::default(), Handshake::default());
    let turn = AtomicU32::new(0);
    scope::<Hammer, _>(|threads| {
        let (shared, other, turn) = (&shared, &other, &turn);
        threads.spawn(move || {
            // Second in time, and yet not ordered: relaxed accesses order nothing.
            while turn.load(Ordering::Relaxed) == 0 {
                core::hint::spin_loop();
            }
            // ORDERING: pairs with nothing: that is the point.
            Hammer::fence(Ordering::SeqCst, &[other]);
            shared.add();
        });
        shared.add();
        // ORDERING: pairs with nothing: that is the point.
        Hammer::fence(Ordering::SeqCst, &[&one]);
        turn.store(1, Ordering::Relaxed);
    });
}

fn overflow_of_a_fibers_buffer() {
    let runtime: Runtime<Hammer> = Builder::new_in().workers(1).build().expect("a runtime");
    let read = runtime.run(|| {
        let fiber = spawn::<Hammer, _, _>(|| {
            let buffer = black_box([7_u8; 16]);
            raddle_runtime::yield_now::<Hammer>();
            // SAFETY: none: the byte after the end. That is the bug.
            unsafe { *black_box(buffer.as_ptr()).add(black_box(16)) }
        });
        fiber.join().expect("no panic")
    });
    black_box(read.expect("no panic"));
    runtime.shutdown(Duration::from_secs(60)).expect("it ends");
}

fn leak() {
    let lost: &mut [u8; 100] = Box::leak(Box::new([1; 100]));
    black_box(lost);
}
