//! Waiting for a task: by a thread, a fiber or a future, and not at all.

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::Platform;
use raddle_runtime::internals::{block_on, crew};
use raddle_runtime::task::Builder;
use raddle_runtime::{JoinError, spawn, spawn_async, yield_async, yield_now};

use crate::run_loop::{run, run_beside};
use crate::{Needs, Scenario};

fn by_a_thread<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| 7);
    run_beside(seats, || assert_eq!(fiber.join().ok(), Some(7)));
}

fn by_a_future_on_a_thread<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let task = handle.spawn_async(async { 7 });
    let outside = handle.clone();
    run_beside(seats, move || assert_eq!(block_on(&outside, task).ok(), Some(7)));
}

fn by_a_fiber_on_another_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let task = Builder::new_in().worker(1).spawn_on_runtime(&handle, || 7);
    let joining = Builder::new_in().worker(0).spawn_on_runtime(&handle, || task.join().ok());
    run(seats);
    assert_eq!(joining.join().ok(), Some(Some(7)));
}

fn by_a_future_on_another_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let task = Builder::new_in().worker(1).spawn_async_on_runtime(&handle, async { 7 });
    let joining = async move { task.await.ok() };
    let joining = Builder::new_in().worker(0).spawn_async_on_runtime(&handle, joining);
    run(seats);
    assert_eq!(joining.join().ok(), Some(Some(7)));
}

/// Each spawns on its own worker, and gives way; nobody else is there.
fn spawned_by_a_task<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| {
        let fibers = [1, 2, 3].map(|n| {
            spawn::<P, _, _>(move || {
                yield_now::<P>();
                n
            })
        });
        let future = spawn_async::<P, _>(async {
            yield_async().await;
            4
        });
        let sum: i32 = fibers.into_iter().filter_map(|fiber| fiber.join().ok()).sum();
        sum + future.join().unwrap_or(0)
    });
    run(seats);
    assert_eq!(fiber.join().ok(), Some(10));
}

fn stolen_by_another_worker<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let fiber = Builder::new_in().worker(0).spawn_on_runtime(&handle, || {
        // The second displaces the first from the LIFO slot, into the ring.
        let futures = [spawn_async::<P, _>(async { 1 }), spawn_async::<P, _>(async { 2 })];
        futures.map(|future| future.join().ok())
    });
    run(seats);
    assert_eq!(fiber.join().ok(), Some([Some(1), Some(2)]));
}

fn nobody_joins<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let dropped = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let fiber = {
        let dropped = dropped.clone();
        handle.spawn(move || Dropped(dropped))
    };
    run_beside(seats, || drop(fiber));
    assert_eq!(dropped.available_permits(), 1, "the result of a detached task is dropped once");
}

/// Adds a permit when it is dropped.
struct Dropped<P: Platform>(Arc<Semaphore<P>, P>);

impl<P: Platform> Drop for Dropped<P> {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// A future that nobody joins any more, and one whose fiber was cancelled.
fn cancelled_while_it_joins<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let gate = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let task = {
        let gate = gate.clone();
        handle.spawn_async(async move { gate.acquire_async().await.forget() })
    };
    let joining = handle.spawn(move || matches!(task.join(), Err(JoinError::Interrupted)));
    run_beside(seats, move || {
        joining.cancel();
        // Before it started, or out of the join.
        assert!(joining.join().unwrap_or(true), "the task cannot have ended");
        gate.add_permits(1);
    });
}

fn cancel_against_a_start<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let dropped = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let guard = Dropped(dropped.clone());
    let fiber = handle.spawn(move || drop(guard));
    run_beside(seats, || {
        fiber.cancel();
        match fiber.join() {
            Ok(()) | Err(JoinError::Cancelled) => {}
            Err(other) => panic!("{other}"),
        }
    });
    assert_eq!(dropped.available_permits(), 1, "what it owned is dropped, run or not");
}

fn cancel_of_a_waiting_future<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let gate = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let future = {
        let gate = gate.clone();
        handle.spawn_async(async move { gate.acquire_async().await.forget() })
    };
    run_beside(seats, || {
        gate.add_permits(1);
        future.cancel();
        let won = future.join().is_ok();
        assert_eq!(gate.available_permits(), usize::from(!won), "no permit is lost");
    });
}

fn a_panic_is_the_joiner_s<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = handle.spawn(|| panic!("as planned"));
    let future = handle.spawn_async(async { panic!("as planned") });
    run(seats);
    let ends: [Result<(), _>; 2] = [fiber.join(), future.join()];
    for end in ends {
        assert!(matches!(end, Err(JoinError::Panicked(_))));
    }
}

fn no_stack<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let fiber = Builder::new_in().stack_size(1 << 50).spawn_on_runtime(&handle, || 7);
    run(seats);
    assert!(matches!(fiber.join(), Err(JoinError::NoStack(_))));
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let with = |threads| Needs::ATOMICS.threads(threads).driver();
    vec![
        Scenario::new(
            "join/by_a_thread",
            "a thread that joins a fiber gets its result, whoever comes first",
            by_a_thread::<P>,
        )
        .needs(with(1).parker())
        .bound(3),
        Scenario::new(
            "join/by_a_future_on_a_thread",
            "a thread that drives a join handle gets the result, whoever comes first",
            by_a_future_on_a_thread::<P>,
        )
        .needs(with(1).parker())
        .bound(3),
        Scenario::new(
            "join/by_a_fiber_on_another_worker",
            "a fiber that joins one of another worker is woken with its result",
            by_a_fiber_on_another_worker::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "join/by_a_future_on_another_worker",
            "a future that awaits one of another worker is polled again with its result",
            by_a_future_on_another_worker::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "join/spawned_by_a_task",
            "one worker runs what its fiber spawns, fibers and futures, in turns",
            spawned_by_a_task::<P>,
        )
        .needs(with(0)),
        Scenario::new(
            "join/stolen_by_another_worker",
            "what one worker's fiber spawns is run once, by that worker or by a thief",
            stolen_by_another_worker::<P>,
        )
        .needs(with(1))
        .bound(2),
        Scenario::new(
            "join/nobody_joins",
            "the result of a task whose handle goes while it ends is dropped once",
            nobody_joins::<P>,
        )
        .needs(with(1))
        .bound(3),
        Scenario::new(
            "join/cancelled_while_it_joins",
            "a fiber that is cancelled while it joins comes back, and the task goes on",
            cancelled_while_it_joins::<P>,
        )
        .needs(with(1).parker())
        .bound(2),
        Scenario::new(
            "join/cancel_against_a_start",
            "a fiber that is cancelled as it starts runs or does not, and what it owned is dropped",
            cancel_against_a_start::<P>,
        )
        .needs(with(1).parker())
        .bound(3),
        Scenario::new(
            "join/cancel_of_a_waiting_future",
            "a future that is cancelled against the grant it waits for loses no permit",
            cancel_of_a_waiting_future::<P>,
        )
        .needs(with(1).parker())
        .bound(2),
        Scenario::new(
            "join/a_panic_is_the_joiner_s",
            "a task that panics ends, and who joins it gets the payload",
            a_panic_is_the_joiner_s::<P>,
        )
        .needs(with(0)),
        Scenario::new(
            "join/no_stack",
            "a fiber for whose stack there is no memory ends with the kernel's error",
            no_stack::<P>,
        )
        .needs(with(0)),
    ]
}
