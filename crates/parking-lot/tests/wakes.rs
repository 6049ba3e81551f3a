//! Wakers are foreign code. Whatever one does, the others that are told at the same time are told,
//! and woken.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use raddle_parking_lot::{EventCount, ParkingRwLock, Semaphore, WaitGroup};

/// More than are taken out of a queue at a time.
const MANY: usize = 40;

type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
type Slots<'a> = Arc<Mutex<Vec<Option<Waiting<'a>>>>>;

/// What a primitive has to offer here: futures that wait, and what makes all of them ready.
fn each_primitive(check: impl Fn(&dyn Fn() -> Waiting<'static>, &dyn Fn())) {
    let event: &'static EventCount = Box::leak(Box::default());
    let told: &'static AtomicBool = Box::leak(Box::default());
    let attempt = || told.load(Ordering::SeqCst).then_some(());
    check(&|| Box::pin(event.wait_async(attempt)), &|| {
        told.store(true, Ordering::SeqCst);
        event.notify_all();
    });
    let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    check(&|| Box::pin(async { semaphore.acquire_async().await.forget() }), &|| {
        semaphore.add_permits(MANY);
    });
    let group: &'static WaitGroup = Box::leak(Box::default());
    group.add(1);
    check(&|| Box::pin(group.wait_async()), &|| group.done());
    let lock: &'static ParkingRwLock<()> = Box::leak(Box::new(ParkingRwLock::new(())));
    let guard = Mutex::new(Some(lock.write()));
    check(&|| Box::pin(async { drop(lock.read_async().await) }), &|| {
        drop(guard.lock().unwrap().take());
    });
}

/// Polls each once, with the waker that `waker` gives it.
fn queue_all(slots: &Slots<'static>, waker: impl Fn(usize) -> Waker) {
    for index in 0..MANY {
        let mut future = slots.lock().unwrap()[index].take().unwrap();
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker(index))).is_pending());
        slots.lock().unwrap()[index] = Some(future);
    }
}

/// When it is woken, drops another future of the same crowd.
struct Drops {
    slots: Slots<'static>,
    other: usize,
    wakes: Arc<AtomicUsize>,
}

impl Wake for Drops {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        let other = self.slots.lock().unwrap()[self.other].take();
        drop(other);
    }
}

#[test]
fn a_waker_may_drop_any_other_that_is_told_at_the_same_time() {
    each_primitive(|wait, release| {
        let slots: Slots<'static> = Arc::new(Mutex::new((0..MANY).map(|_| Some(wait())).collect()));
        let wakes = Arc::new(AtomicUsize::new(0));
        queue_all(&slots, |index| {
            let (slots, wakes) = (slots.clone(), wakes.clone());
            Waker::from(Arc::new(Drops { slots, other: MANY - 1 - index, wakes }))
        });
        release();
        assert!(wakes.load(Ordering::SeqCst) >= 1, "somebody is woken");
        for index in 0..MANY {
            let future = slots.lock().unwrap()[index].take();
            // The first reader lets the others in, which runs their wakers.
            let Some(mut future) = future else { continue };
            let poll = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_ready(), "all have what they waited for");
        }
    });
}

/// Panics if it is the one that does.
struct Panics {
    panics: bool,
    wakes: Arc<AtomicUsize>,
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "a waker that panics");
    }
}

fn a_panic_of(bad: usize, count: usize) {
    let event = EventCount::new();
    let told = AtomicBool::new(false);
    let attempt = || told.load(Ordering::SeqCst).then_some(());
    let wakes = Arc::new(AtomicUsize::new(0));
    let mut waits: Vec<_> = (0..count).map(|_| Box::pin(event.wait_async(attempt))).collect();
    for (index, wait) in waits.iter_mut().enumerate() {
        let panics = Panics { panics: index == bad, wakes: wakes.clone() };
        let waker = Waker::from(Arc::new(panics));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    told.store(true, Ordering::SeqCst);
    let notified = catch_unwind(AssertUnwindSafe(|| event.notify_all()));
    assert!(notified.is_err(), "the panic reaches who notifies");
    assert_eq!(wakes.load(Ordering::SeqCst), count, "all are woken");
    for mut wait in waits {
        let poll = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_ready(), "all have their verdict");
    }
}

#[test]
fn a_waker_that_panics_keeps_no_other_from_being_woken() {
    for count in [1, 2, 16, 17, MANY] {
        a_panic_of(0, count);
        a_panic_of(count / 2, count);
        a_panic_of(count - 1, count);
    }
}

#[test]
fn an_attempt_that_panics_passes_its_notification_on() {
    let event = EventCount::new();
    let panics = AtomicBool::new(false);
    let bad = || {
        assert!(!panics.load(Ordering::SeqCst), "an attempt that panics");
        None::<()>
    };
    let wakes = Arc::new(AtomicUsize::new(0));
    let mut first = Box::pin(event.wait_async(bad));
    let mut second = Box::pin(event.wait_async(|| None::<()>));
    let waker = Waker::from(Arc::new(Panics { panics: false, wakes: wakes.clone() }));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    panics.store(true, Ordering::SeqCst);
    assert!(event.notify_one());
    let poll = catch_unwind(AssertUnwindSafe(|| {
        first.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(poll.is_err(), "the attempt panics");
    assert_eq!(wakes.load(Ordering::SeqCst), 1, "the other one is notified");
    drop(first);
    assert_eq!(wakes.load(Ordering::SeqCst), 1, "once");
}

#[test]
fn an_event_count_can_stand_in_a_static() {
    static EVENT: EventCount = EventCount::new();
    assert_eq!(EVENT.notify_all(), 0, "nobody waits");
}
