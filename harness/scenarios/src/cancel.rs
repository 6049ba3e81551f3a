//! Cancellation: of a token against what enters it, waits for it, or leaves it.

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::{Platform, suspend};
use raddle_runtime::internals::crew;
use raddle_runtime::task::Builder;
use raddle_runtime::{CancellationToken, is_cancelled};

use crate::run_loop::{run, run_beside};
use crate::{Needs, Scenario, scope};

fn against_a_waiting_fiber<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let token = CancellationToken::<P>::new_in();
    let never = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let fiber = Builder::new_in().token(&token).spawn_on_runtime(&handle, move || {
        never.acquire_cancellable().is_err() && is_cancelled::<P>()
    });
    run_beside(seats, move || token.cancel());
    assert!(fiber.join().unwrap_or(true), "cancelled out of its wait, or before it started");
}

fn against_the_end_of_a_task<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let token = CancellationToken::<P>::new_in();
    let task = Builder::new_in().token(&token).spawn_async_on_runtime(&handle, async { 7 });
    let cancelled = CancellationToken::<P>::new_in();
    cancelled.cancel();
    let late = Builder::new_in().token(&cancelled).spawn_on_runtime(&handle, || 7);
    run_beside(seats, move || token.cancel());
    assert!(task.join().ok().is_none_or(|result| result == 7));
    assert!(late.join().is_err(), "it never started");
}

fn against_a_child<P: Platform>() {
    let token = CancellationToken::<P>::new_in();
    scope::<P, _>(|threads| {
        let canceller = threads.spawn(|| token.cancel());
        let child = token.child();
        let short_lived = token.child();
        drop(short_lived);
        canceller.join();
        assert!(child.is_cancelled(), "a child is cancelled with its parent, however young");
    });
}

fn child_against_parent<P: Platform>() {
    let token = CancellationToken::<P>::new_in();
    let child = token.child();
    scope::<P, _>(|threads| {
        let theirs = child.clone();
        let canceller = threads.spawn(move || theirs.cancel());
        drop(child);
        assert!(!token.is_cancelled(), "a child does not cancel its parent");
        token.cancel();
        canceller.join();
    });
    assert!(token.is_cancelled());
}

fn against_a_waiter<P: Platform>() {
    let token = CancellationToken::<P>::new_in();
    scope::<P, _>(|threads| {
        threads.spawn(|| token.cancel());
        suspend::block_on::<P, _>(token.cancelled());
        assert!(token.is_cancelled());
    });
}

fn against_a_waiter_that_leaves<P: Platform>() {
    let token = CancellationToken::<P>::new_in();
    scope::<P, _>(|threads| {
        let canceller = threads.spawn(|| token.cancel());
        let mut polls = 0;
        let mut waiting = core::pin::pin!(token.cancelled());
        suspend::block_on::<P, _>(core::future::poll_fn(|context| {
            // Polled twice, and dropped although it may be pending.
            polls += 1;
            let polled = waiting.as_mut().poll(context);
            if polls == 1 {
                context.waker().wake_by_ref();
                return polled;
            }
            core::task::Poll::Ready(())
        }));
        canceller.join();
    });
    assert!(token.is_cancelled());
}

/// A scope's fibers borrow, so it waits for them also when one of them panics.
fn a_scope_waits<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| {
        let mut numbers = [1, 2, 3];
        let (first, rest) = numbers.split_at_mut(1);
        raddle_runtime::scope::<P, _, _>(|scope| {
            scope.spawn(|| first[0] *= 10);
            let joined = scope.spawn_async(async {
                rest.iter_mut().for_each(|number| *number *= 10);
                rest.len()
            });
            assert_eq!(joined.join().ok(), Some(2));
        });
        numbers
    });
    let panicking = handle.spawn(|| {
        raddle_runtime::scope::<P, _, _>(|scope| {
            let waits = scope.spawn(|| raddle_runtime::sleep::<P>(core::time::Duration::MAX));
            scope.spawn(|| panic!("as planned"));
            assert!(!waits.is_finished());
        });
    });
    run(seats);
    assert_eq!(fiber.join().ok(), Some([10, 20, 30]));
    assert!(panicking.join().is_err(), "the panic goes on from the scope");
}

fn a_scope_against_its_fiber_on_another_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let fiber = Builder::new_in().worker(0).spawn_on_runtime(&handle, || {
        let number = core::cell::Cell::new(1);
        let number = raddle_platform::RaceCell::<_, P>::new_in(number);
        raddle_runtime::scope::<P, _, _>(|scope| {
            let number = &number;
            scope.spawn_async(async move {
                // SAFETY: the scope's fiber looks after the scope has ended.
                unsafe { number.with_mut(|number| number.set(2)) };
            });
        });
        number.into_inner().get()
    });
    run(seats);
    assert_eq!(fiber.join().ok(), Some(2));
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |threads| Needs::ATOMICS.threads(threads);
    vec![
        Scenario::new(
            "cancel/against_a_waiting_fiber",
            "a fiber that waits, or is about to, is cancelled out of its wait",
            against_a_waiting_fiber::<P>,
        )
        .needs(with(1).driver())
        .bound(2),
        Scenario::new(
            "cancel/against_the_end_of_a_task",
            "a token is cancelled while its task ends and leaves it",
            against_the_end_of_a_task::<P>,
        )
        .needs(with(1).driver())
        .bound(2),
        Scenario::new(
            "cancel/against_a_child",
            "a child that is made while its parent is cancelled is cancelled, too",
            against_a_child::<P>,
        )
        .needs(with(1)),
        Scenario::new(
            "cancel/child_against_parent",
            "child and parent are cancelled at once, while the child's last handle goes",
            child_against_parent::<P>,
        )
        .needs(with(1)),
        Scenario::new(
            "cancel/against_a_waiter",
            "who waits for a token's end is woken by it, whoever comes first",
            against_a_waiter::<P>,
        )
        .needs(with(1).parker()),
        Scenario::new(
            "cancel/against_a_waiter_that_leaves",
            "who no longer waits for a token leaves nothing behind in it",
            against_a_waiter_that_leaves::<P>,
        )
        .needs(with(1).parker()),
        Scenario::new(
            "scope/waits_for_its_tasks",
            "a scope ends after its fibers and futures, also when one of them panics",
            a_scope_waits::<P>,
        )
        .needs(with(0).driver()),
        Scenario::new(
            "scope/against_a_thief",
            "what a scope's future did on another worker is seen when the scope has ended",
            a_scope_against_its_fiber_on_another_worker::<P>,
        )
        .needs(with(1).driver())
        .bound(2),
    ]
}
