//! What the black-box tests share: threads, a waker that counts, and a fiber that was cancelled.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use raddle_platform::suspend::{self, Installed, Suspend};
use raddle_platform::{Instant, Native, Parker, Platform, Threads};

/// Runs `body` on `count` threads at the same time, with their indices.
pub fn threads(count: usize, body: impl Fn(usize) + Sync) {
    let start = std::sync::Barrier::new(count);
    std::thread::scope(|scope| {
        for index in 0..count {
            let (start, body) = (&start, &body);
            scope.spawn(move || {
                start.wait();
                body(index);
            });
        }
    });
}

/// Waits until `property` holds.
pub fn eventually(property: impl Fn() -> bool) {
    while !property() {
        std::thread::yield_now();
    }
}

/// An executor of one future that is polled by hand: it counts how often it was woken.
#[derive(Default)]
pub struct Counting(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counting {
    pub fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(self.0.clone());
        future.poll(&mut Context::from_waker(&waker))
    }

    pub fn count(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }
}

/// The value of a poll that must be ready.
#[track_caller]
pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future is still pending"),
    }
}

/// Runs `body` as if it were on a fiber that was cancelled.
pub fn as_cancelled_fiber<R>(body: impl FnOnce() -> R) -> R {
    struct Cancelled;
    impl Suspend for Cancelled {
        fn active(&self) -> bool {
            true
        }
        fn waker(&self) -> Waker {
            <Native as Platform>::Parker::waker()
        }
        fn park(&self) {
            <Native as Platform>::Parker::park();
        }
        fn park_until(&self, deadline: Instant) {
            <Native as Platform>::Parker::park_until(deadline);
        }
        fn yield_now(&self) {
            <Native as Platform>::Threads::yield_now();
        }
        fn is_cancelled(&self) -> bool {
            true
        }
    }
    static CANCELLED: Cancelled = Cancelled;
    // SAFETY: a static outlives everything.
    let installed = unsafe { Installed::new(&raw const CANCELLED as *const dyn Suspend) };
    // SAFETY: `installed` stays in place until the slot is reset below.
    let before = unsafe { suspend::install::<Native>(&raw const installed) };
    let result = body();
    // SAFETY: what was there before is still valid.
    unsafe { suspend::install::<Native>(before) };
    result
}

/// One thread waits on `primitive` and frees it as soon as it returns; another one makes it
/// return, and may still be busy there. A sanitizer would see a late access; without one it is the
/// overwritten memory that gives it away.
pub fn freed_by_the_waiter<T: Sync>(primitive: T, wait: fn(&T), release: fn(&T)) {
    struct Shared<T>(*mut T);
    // SAFETY: both threads only share the value until one frees it, as is the test's point.
    unsafe impl<T: Sync> Send for Shared<T> {}
    let shared = Box::into_raw(Box::new(primitive));
    let (waiter, releaser) = (Shared(shared), Shared(shared));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let waiter = waiter;
            // SAFETY: this thread frees the box, below.
            wait(unsafe { &*waiter.0 });
            // SAFETY: it came from `into_raw`, and the other thread is done with it as the
            // primitive promises.
            let mut freed = unsafe { Box::from_raw(waiter.0.cast::<std::mem::MaybeUninit<T>>()) };
            let bytes: *mut u8 = freed.as_mut_ptr().cast();
            // SAFETY: the box is this thread's, and big enough.
            unsafe { bytes.write_bytes(0xff, size_of::<T>()) };
            assert!(
                // SAFETY: written just before.
                (0..size_of::<T>()).all(|at| unsafe { bytes.add(at).read_volatile() } == 0xff),
                "the other side wrote to a primitive that was gone"
            );
        });
        scope.spawn(move || {
            let releaser = releaser;
            // SAFETY: the waiter frees the box only after this call has let it return.
            release(unsafe { &*releaser.0 });
        });
    });
}
