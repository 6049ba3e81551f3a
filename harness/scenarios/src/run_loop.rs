//! The run loop itself, with nothing around it: threads of the scenario are the workers.

use raddle_ownership::Arc;
use raddle_parking_lot::Semaphore;
use raddle_platform::Platform;
use raddle_runtime::internals::{Seat, crew};
use raddle_runtime::task::Builder;

use crate::{Needs, Scenario, scope};

/// The calling thread is the only worker, and `outside` runs beside it on another.
pub(crate) fn run_beside<P: Platform>(seats: Vec<Seat<P>>, outside: impl FnOnce() + Send) {
    scope::<P, _>(|threads| {
        threads.spawn(outside);
        seats.into_iter().for_each(Seat::run);
    });
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
    ]
}
