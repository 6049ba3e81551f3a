//! Timers against wakes, against each other's deadlines, and against their own end.

use core::future::Future;
use core::pin::pin;
use core::task::Context;
use core::time::Duration;

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::{Clock, Parker, Platform};
use raddle_runtime::internals::{RunQueues, block_on, crew};
use raddle_runtime::{sleep, sleep_async, timeout};

use crate::run_loop::{busy, run, run_beside};
use crate::{Needs, Scenario};

const SOON: Duration = Duration::from_nanos(10);
const LATER: Duration = Duration::from_millis(1);

fn fibers_sleep<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let start = P::Clock::now();
    let fibers = [LATER, SOON].map(|duration| {
        handle.spawn(move || {
            let slept = sleep::<P>(duration);
            slept.map(|()| P::Clock::now() >= start + duration)
        })
    });
    run(seats);
    for fiber in fibers {
        assert_eq!(fiber.join().ok(), Some(Ok(true)), "never early");
    }
}

fn a_timer_against_a_wake<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let permits = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let fiber = {
        let permits = permits.clone();
        handle.spawn(move || match permits.try_acquire_for(SOON) {
            Some(permit) => {
                permit.forget();
                true
            }
            None => false,
        })
    };
    let giver = permits.clone();
    run_beside(seats, move || giver.add_permits(1));
    let taken = fiber.join().unwrap_or(false);
    assert_eq!(permits.available_permits(), usize::from(!taken), "no permit is lost");
}

fn a_timeout_against_its_future<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let permits = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let task = {
        let permits = permits.clone();
        handle.spawn_async(async move {
            let taken = timeout::<_, P>(SOON, async { permits.acquire_async().await.forget() });
            taken.await.is_ok()
        })
    };
    let giver = permits.clone();
    run_beside(seats, move || giver.add_permits(1));
    let taken = task.join().unwrap_or(false);
    assert_eq!(permits.available_permits(), usize::from(!taken), "no permit is lost");
}

/// A thread without timers sets one with a worker that may be asleep.
fn set_from_outside<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let (stay, fiber) = busy(&handle);
    run_beside(seats, move || {
        let due = P::Clock::now() + SOON;
        block_on(&handle, sleep_async::<P>(SOON));
        assert!(P::Clock::now() >= due, "never early");
        stay.add_permits(1);
    });
    assert!(fiber.join().is_ok());
}

/// A sleep is dropped while its worker fires it; the wheel keeps nothing of it.
fn dropped_against_its_firing<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    let handle = queues.handle();
    let due = P::Clock::now() + SOON;
    crate::scope::<P, _>(|threads| {
        let firing = threads.spawn(|| {
            P::Parker::park_until(due);
            queues.fire(0);
        });
        let waker = P::Parker::waker();
        let done = block_on(&handle, async {
            let mut sleep = pin!(sleep_async::<P>(SOON));
            sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        });
        assert!(!done || P::Clock::now() >= due, "never early");
        firing.join();
    });
    queues.fire(0);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |threads| Needs::ATOMICS.threads(threads).clock();
    vec![
        Scenario::new(
            "timer/fibers_sleep",
            "fibers that sleep on one worker wake at their deadlines, never early",
            fibers_sleep::<P>,
        )
        .needs(with(0).driver()),
        Scenario::new(
            "timer/against_a_wake",
            "a wait that a timer and a grant end at once loses no permit",
            a_timer_against_a_wake::<P>,
        )
        .needs(with(1).driver())
        .bound(2),
        Scenario::new(
            "timer/timeout_against_its_future",
            "a future that is ready as its time runs out is dropped or wins, and loses no permit",
            a_timeout_against_its_future::<P>,
        )
        .needs(with(1).driver())
        .bound(2),
        Scenario::new(
            "timer/set_from_outside",
            "a timer that a thread sets with a sleeping worker wakes that worker to fire it",
            set_from_outside::<P>,
        )
        .needs(with(1).driver().parker())
        .bound(2),
        Scenario::new(
            "timer/dropped_against_its_firing",
            "a sleep that is dropped while it fires is touched by nobody afterwards",
            dropped_against_its_firing::<P>,
        )
        .needs(with(1).parker()),
    ]
}
