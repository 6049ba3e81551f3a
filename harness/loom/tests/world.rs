//! What each execution and each thread has of its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use corosensei::{Coroutine, CoroutineResult};
use raddle_loom::{Loom, Model, Verdict};
use raddle_platform::driver::{Config, Driver, Handle, Notify};
use raddle_platform::global::Key;
use raddle_platform::{Atomic, AtomicInt, Ordering, Parker, Platform, SlotKey, Threads, suspend};
use raddle_scenarios::{scope, spawn};

type AtomicUsize = <Loom as Platform>::AtomicUsize;
type LoomThreads = <Loom as Platform>::Threads;
type LoomParker = <Loom as Platform>::Parker;

/// What the kernel says of a bad descriptor.
const EBADF: i32 = 9;

fn holds(program: impl Fn() + 'static) {
    let report = Model::new().check(program);
    if let Verdict::Failed(failure) = &report.verdict {
        panic!("{failure}");
    }
    assert_eq!(report.verdict, Verdict::Exhausted);
}

#[test]
fn a_global_is_made_once_per_execution_and_dropped_in_it() {
    struct Counter(AtomicUsize);
    impl Drop for Counter {
        fn drop(&mut self) {
            // An operation: the world is still there.
            assert_eq!(self.0.load(Ordering::Relaxed), 2);
        }
    }
    static KEY: Key = Key::new("counter");
    holds(|| {
        let count = || {
            let counter = Loom::global(&KEY, || Counter(AtomicUsize::new(0)));
            counter.0.fetch_add(1, Ordering::Relaxed);
        };
        scope::<Loom, _>(|threads| {
            threads.spawn(count);
            count();
        });
    });
}

#[test]
fn slots_belong_to_threads_also_on_the_stack_of_a_fiber() {
    holds(|| {
        let turn = Arc::new(AtomicUsize::new(0));
        let body = |mark: usize| {
            let mark = std::ptr::without_provenance_mut(mark);
            let turns = Arc::clone(&turn);
            let mut fiber = Coroutine::<(), (), ()>::new(move |yielder, ()| {
                assert!(LoomThreads::set_slot(SlotKey::Worker, mark).is_null());
                // Others run here, on their threads and their fibers.
                turns.fetch_add(1, Ordering::Relaxed);
                assert_eq!(LoomThreads::slot(SlotKey::Worker), mark);
                yielder.suspend(());
                assert_eq!(LoomThreads::slot(SlotKey::Worker), mark);
            });
            assert!(matches!(fiber.resume(()), CoroutineResult::Yield(())));
            turn.fetch_add(1, Ordering::Relaxed);
            assert!(matches!(fiber.resume(()), CoroutineResult::Return(())));
            assert_eq!(LoomThreads::set_slot(SlotKey::Worker, std::ptr::null_mut()), mark);
        };
        scope::<Loom, _>(|threads| {
            threads.spawn(|| body(8));
            body(16);
        });
    });
}

#[test]
fn exits_run_in_reverse_before_the_join_returns() {
    thread_local! {
        static ORDER: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
    }
    holds(|| {
        ORDER.take();
        spawn::<Loom, _>(|| {
            for number in 0..3 {
                LoomThreads::on_exit(Box::new(move || {
                    ORDER.with_borrow_mut(|order| order.push(number));
                }));
            }
        })
        .join();
        assert_eq!(ORDER.take(), [2, 1, 0]);
    });
}

#[test]
fn a_fifth_thread_is_refused_with_an_error() {
    holds(|| {
        let threads: Vec<_> = (0..4).map(|_| spawn::<Loom, _>(|| ())).collect();
        let fifth = LoomThreads::spawn("fifth".to_owned(), Box::new(|| ()));
        assert!(fifth.is_err_and(|error| error.to_string().contains("5 threads")));
        threads.into_iter().for_each(|thread| thread.join());
    });
}

#[test]
fn threads_that_nobody_joins_run_to_their_end() {
    let ends = Rc::new(Cell::new(0));
    let runs = Rc::new(Cell::new(0));
    let (their_ends, their_runs) = (Rc::clone(&ends), Rc::clone(&runs));
    holds(move || {
        struct OneThread(Rc<Cell<u32>>);
        // SAFETY: the threads of a model share one operating-system thread.
        unsafe impl Send for OneThread {}
        impl OneThread {
            fn count(&self) {
                self.0.set(self.0.get() + 1);
            }
        }
        their_runs.set(their_runs.get() + 1);
        let ends = OneThread(Rc::clone(&their_ends));
        let body = Box::new(move || ends.count());
        assert!(LoomThreads::spawn("detached".to_owned(), body).is_ok());
    });
    assert_eq!(ends.get(), runs.get());
}

#[test]
fn the_driver_and_the_thread_have_tokens_of_their_own() {
    holds(|| {
        let Ok(mut driver) = <Loom as Platform>::Driver::new(&Config::default()) else {
            panic!("a driver")
        };
        LoomParker::waker().wake();
        driver.notifier().notify();
        driver.wait(None, &mut Vec::new());
        LoomParker::park();
    });
}

#[test]
fn a_handle_that_was_never_given_is_refused() {
    holds(|| {
        let mut buffer = [0; 1];
        let refused = <Loom as Platform>::Driver::recv(Handle(0), &mut buffer);
        let refused = refused.expect_err("no socket");
        assert_eq!(refused.raw_os_error(), Some(EBADF));
    });
}

#[test]
fn futures_run_on_model_threads() {
    holds(|| {
        let answer = suspend::block_on::<Loom, _>(async { 42 });
        assert_eq!(answer, 42);
    });
}
