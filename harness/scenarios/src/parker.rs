//! Sleeping and waking: the parker's token, deadlines, and the handshake that all sleepers use.

use core::future::{Future, poll_fn};
use core::pin::pin;

use raddle_parking_lot::{EventCount, Semaphore};
use raddle_platform::driver::{Config, Driver, Notify};
use raddle_platform::{Atomic, Clock, Instant, Ordering, Parker, Platform, RaceCell, suspend};

use crate::waiters::{Blocking, each_blocking};
use crate::{Needs, Scenario, scope};

/// The only deadline: it comes whenever the harness likes.
const SOON: Instant = Instant::from_nanos(10);

fn wake_against_park<P: Platform>() {
    let data = RaceCell::<_, P>::new_in(0);
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let data = &data;
        threads.spawn(move || {
            // SAFETY: the main thread reads after the wake.
            unsafe { data.with_mut(|data| *data = 1) };
            waker.wake();
        });
        P::Parker::park();
        // SAFETY: the other thread wrote before the wake.
        assert_eq!(unsafe { data.with(|data| *data) }, 1);
    });
}

fn two_wakes_and_two_parks<P: Platform>() {
    let rounds = P::AtomicU32::new(0);
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let rounds = &rounds;
        threads.spawn(move || {
            for round in 1..=2 {
                // ORDERING: pairs with the load below; only the wake's own edge is not enough for
                // a park that the wake before it ended.
                rounds.swap(round, Ordering::Release);
                waker.wake_by_ref();
            }
        });
        // ORDERING: pairs with the swap above.
        while rounds.load(Ordering::Acquire) < 2 {
            P::Parker::park();
        }
    });
}

/// The handshake of everything that sleeps: say that you will, fence, look once more. The other
/// side: give the reason, fence, look whether somebody said so.
fn handshake<P: Platform>() {
    let sleeping = P::AtomicBool::new(false);
    let reason = P::AtomicBool::new(false);
    let handshake = P::Handshake::default();
    scope::<P, _>(|threads| {
        let waker = P::Parker::waker();
        let (sleeping, reason, handshake) = (&sleeping, &reason, &handshake);
        threads.spawn(move || {
            reason.store(true, Ordering::Relaxed);
            // ORDERING: pairs with the fence below: of the two looks, one sees the other's store.
            P::fence(Ordering::SeqCst, &[handshake]);
            if sleeping.load(Ordering::Relaxed) {
                waker.wake();
            }
        });
        sleeping.store(true, Ordering::Relaxed);
        // ORDERING: pairs with the fence above.
        P::fence(Ordering::SeqCst, &[handshake]);
        while !reason.load(Ordering::Relaxed) {
            P::Parker::park();
        }
    });
}

fn wake_against_deadline<P: Platform>() {
    let data = RaceCell::<_, P>::new_in(0);
    let given = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        let deadline = P::Clock::now() + core::time::Duration::from_nanos(SOON.as_nanos());
        let waker = P::Parker::waker();
        let (data, given) = (&data, &given);
        threads.spawn(move || {
            // SAFETY: the main thread reads only what `given` says is there.
            unsafe { data.with_mut(|data| *data = 1) };
            // ORDERING: pairs with the load below.
            given.swap(true, Ordering::Release);
            waker.wake();
        });
        P::Parker::park_until(deadline);
        // ORDERING: pairs with the swap above.
        if given.load(Ordering::Acquire) {
            // SAFETY: given.
            assert_eq!(unsafe { data.with(|data| *data) }, 1);
        } else {
            assert!(P::Clock::now() >= deadline, "neither woken nor due");
        }
    });
}

fn time_never_goes_back<P: Platform>() {
    scope::<P, _>(|threads| {
        let start = P::Clock::now();
        let later = start + core::time::Duration::from_nanos(20);
        threads.spawn(move || {
            P::Parker::park_until(later);
            assert!(P::Clock::now() >= later, "returned early, and nobody woke it");
        });
        let soon = start + core::time::Duration::from_nanos(10);
        P::Parker::park_until(soon);
        let first = P::Clock::now();
        assert!(first >= soon, "returned early, and nobody woke it");
        assert!(P::Clock::now() >= first);
    });
}

fn notify_against_wait<P: Platform>() {
    let data = RaceCell::<_, P>::new_in(0);
    let given = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        let Ok(mut driver) = P::Driver::new(&Config::default()) else { panic!("no driver") };
        let notifier = driver.notifier();
        let (data, given) = (&data, &given);
        threads.spawn(move || {
            // SAFETY: the main thread reads what `given` says is there.
            unsafe { data.with_mut(|data| *data = 1) };
            // ORDERING: pairs with the load below.
            given.swap(true, Ordering::Release);
            notifier.notify();
        });
        let mut completions = Vec::new();
        // ORDERING: pairs with the swap above.
        while !given.load(Ordering::Acquire) {
            driver.wait(None, &mut completions);
        }
        // SAFETY: given.
        assert_eq!(unsafe { data.with(|data| *data) }, 1);
        assert!(completions.is_empty());
    });
}

/// A future that blocks in its poll, after what it awaits has registered the waker: both wait for the
/// same token.
fn nested_wait_leaves_the_wake<P: Platform, W: Blocking<P>>() {
    let given = P::AtomicBool::new(false);
    let (event, permits) = (EventCount::<P>::new_in(), Semaphore::<P>::new_in(0));
    scope::<P, _>(|threads| {
        threads.spawn(|| {
            given.store(true, Ordering::Relaxed);
            event.notify_one();
            permits.add_permits(1);
        });
        W::run(|| {
            let look = || given.load(Ordering::Relaxed).then_some(());
            let mut wait = pin!(event.wait_async(look));
            let mut first = true;
            suspend::block_on::<P, _>(poll_fn(|context| {
                let poll = wait.as_mut().poll(context);
                if core::mem::take(&mut first) {
                    permits.acquire().forget();
                }
                poll
            }));
        });
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let parks = Needs::NONE.threads(1).parker();
    let shakes = Needs::ATOMICS.threads(1).parker();
    let nested = each_blocking!(
        "suspend/nested_wait_leaves_the_wake",
        "a wait within the poll of another one on the same thread or fiber does not take its wake",
        nested_wait_leaves_the_wake,
        P
    )
    .map(|each| each.needs(shakes).bound(2));
    let mut list = vec![
        Scenario::new(
            "parker/wake_against_park",
            "a wake is never lost, and what was written before it is seen after the park",
            wake_against_park::<P>,
        )
        .needs(parks),
        Scenario::new(
            "parker/two_wakes_and_two_parks",
            "wakes that count as one lose no news",
            two_wakes_and_two_parks::<P>,
        )
        .needs(shakes),
        Scenario::new(
            "parker/sleep_against_notify",
            "a sleeper that looks again after a fence never sleeps through a notification",
            handshake::<P>,
        )
        .needs(shakes),
        Scenario::new(
            "parker/wake_against_deadline",
            "a park with a deadline ends by the wake or by the clock",
            wake_against_deadline::<P>,
        )
        .needs(shakes.clock()),
        Scenario::new(
            "parker/time_never_goes_back",
            "the clock shows a deadline once a wait for it has ended, and only moves on",
            time_never_goes_back::<P>,
        )
        .needs(parks.clock()),
        Scenario::new(
            "driver/notify_against_wait",
            "a notification is never lost, whether it comes before the wait or during it",
            notify_against_wait::<P>,
        )
        .needs(Needs::ATOMICS.threads(1).driver()),
    ];
    list.extend(nested);
    list
}
