//! The run loop itself, with nothing around it: threads of the scenario are the workers.

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::Platform;
use raddle_runtime::internals::{Seat, crew, wait_for_guests};
use raddle_runtime::task::Builder;
use raddle_runtime::{Handle, JoinHandle};

use crate::{Needs, Scenario, scope};

/// The calling thread is the only worker, and `outside` runs beside it on another.
pub(crate) fn run_beside<P: Platform>(seats: Vec<Seat<P>>, outside: impl FnOnce() + Send) {
    scope::<P, _>(|threads| {
        threads.spawn(outside);
        seats.into_iter().for_each(Seat::run);
    });
}

/// A fiber that ends when it has a permit: until then the workers have something to stay for.
pub(crate) fn busy<P: Platform>(handle: &Handle<P>) -> (Arc<Semaphore<P>, P>, JoinHandle<(), P>) {
    let stay = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let theirs = stay.clone();
    (stay, handle.spawn(move || theirs.acquire().forget()))
}

/// The calling thread is the first worker, and one more thread for each other.
pub(crate) fn run<P: Platform>(seats: Vec<Seat<P>>) {
    scope::<P, _>(|threads| {
        let mut seats = seats.into_iter();
        let own = seats.next();
        for seat in seats {
            threads.spawn(move || seat.run());
        }
        if let Some(own) = own {
            own.run();
        }
    });
}

/// Two fibers, each on its own worker, that block and wake each other.
fn two_fibers_on_two_workers<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let turns = Arc::<_, P>::new_in((Semaphore::<P>::new_in(0), Semaphore::<P>::new_in(0)));
    let theirs = turns.clone();
    let first = Builder::new_in().worker(0).spawn_on_runtime(&handle, move || {
        turns.0.add_permits(1);
        turns.1.acquire().forget();
        1
    });
    let second = Builder::new_in().worker(1).spawn_on_runtime(&handle, move || {
        theirs.0.acquire().forget();
        theirs.1.add_permits(1);
        2
    });
    run(seats);
    assert_eq!((first.join().ok(), second.join().ok()), (Some(1), Some(2)));
}

/// A thread that wakes the last task is still busy with the runtime when the task has ended.
fn a_guest_outlives_the_last_task<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let gate = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let theirs = gate.clone();
    let task = handle.spawn_async(async move { theirs.acquire_async().await.forget() });
    scope::<P, _>(|threads| {
        threads.spawn(move || gate.add_permits(1));
        seats.into_iter().for_each(Seat::run);
        wait_for_guests(&handle);
        // The last count: frees what the guest used.
        drop(handle);
    });
    assert!(task.join().is_ok());
}

/// Two workers without work go to sleep while another thread spawns.
fn a_spawn_from_outside_is_found<P: Platform>() {
    let (handle, seats) = crew::<P>(1);
    let stay = Arc::<_, P>::new_in(Semaphore::<P>::new_in(0));
    let theirs = stay.clone();
    let first = handle.spawn_async(async move { theirs.acquire_async().await.forget() });
    let outside = handle.clone();
    run_beside(seats, move || {
        let second = outside.spawn_async(async { 7 });
        stay.add_permits(1);
        assert_eq!(second.join().ok(), Some(7));
    });
    assert!(first.join().is_ok());
}

/// More tasks than workers, none of them pinned: who has nothing steals or sleeps.
fn workers_share_the_work<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let tasks = [1, 2].map(|n| handle.spawn_async(async move { n }));
    run(seats);
    assert_eq!(tasks.map(|task| task.join().ok()), [Some(1), Some(2)]);
}

/// Three fibers on two workers, each woken by the one before it.
fn three_fibers_in_a_ring<P: Platform>() {
    let (handle, seats) = crew::<P>(2);
    let turns: [_; 3] = core::array::from_fn(|_| Arc::<_, P>::new_in(Semaphore::<P>::new_in(0)));
    let fibers: [_; 3] = core::array::from_fn(|n| {
        let (own, next) = (turns[n].clone(), turns[(n + 1) % 3].clone());
        Builder::new_in().worker(n % 2).spawn_on_runtime(&handle, move || {
            if n == 0 {
                next.add_permits(1);
            }
            own.acquire().forget();
            if n != 0 {
                next.add_permits(1);
            }
            n
        })
    });
    run(seats);
    assert_eq!(fibers.map(|fiber| fiber.join().ok()), [Some(0), Some(1), Some(2)]);
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let workers = |count: usize| Needs::ATOMICS.threads(count - 1).driver();
    vec![
        Scenario::new(
            "run_loop/two_fibers_on_two_workers",
            "two fibers on two workers block and wake each other until no task is left",
            two_fibers_on_two_workers::<P>,
        )
        .needs(workers(2))
        .bound(2),
        Scenario::new(
            "run_loop/three_fibers_in_a_ring",
            "three fibers on two workers wake each other in turn until no task is left",
            three_fibers_in_a_ring::<P>,
        )
        .needs(workers(2))
        .bound(2),
        Scenario::new(
            "run_loop/workers_share_the_work",
            "two workers take tasks from one injector until none is left, each task once",
            workers_share_the_work::<P>,
        )
        .needs(workers(2))
        .bound(2),
        Scenario::new(
            "run_loop/a_spawn_from_outside_is_found",
            "a task that a thread spawns while the only worker goes to sleep is run",
            a_spawn_from_outside_is_found::<P>,
        )
        .needs(workers(2).parker())
        .bound(2),
        Scenario::new(
            "run_loop/a_guest_outlives_the_last_task",
            "a thread that wakes the last task is gone before the runtime is freed",
            a_guest_outlives_the_last_task::<P>,
        )
        .needs(workers(2))
        .bound(3),
    ]
}
