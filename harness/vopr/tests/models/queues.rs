//! The queues of the runtime: injector, inbox, and a ring with a thief.

use std::collections::VecDeque;

use raddle_parking_lot::ParkingMutex;
use raddle_runtime::internals::RunQueues;
use raddle_vopr::Sim;
use raddle_vopr::linear::{Call, Model};

use crate::{Client, holds, is_found, run};

/// A queue that gives each task its number, as the runtime does.
struct Tasks;

#[derive(Clone, Copy, Debug)]
enum Ask {
    Push,
    Pop,
    Drain,
    /// Half of the ring to another one.
    Steal,
    /// From that other one.
    PopStolen,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Pushed(u64),
    /// And whether there was nothing before.
    PushedFirst(u64, bool),
    Took(Option<u64>),
    Drained(Vec<u64>),
    /// The last of so many.
    Stole(Option<(u64, usize)>),
}

impl Model for Tasks {
    /// What is queued, and what is in the thief's ring.
    type State = (VecDeque<u64>, VecDeque<u64>);
    type Operation = Ask;
    type Outcome = Answer;

    fn initial(&self) -> Self::State {
        Self::State::default()
    }

    fn step(&self, state: &Self::State, call: &Call<Ask, Answer>) -> Option<Self::State> {
        let (mut queued, mut stolen) = state.clone();
        let fits = match (call.operation, call.outcome()?) {
            (Ask::Push, Answer::Pushed(task)) => {
                queued.push_back(*task);
                true
            }
            (Ask::Push, Answer::PushedFirst(task, first)) => {
                queued.push_back(*task);
                *first == state.0.is_empty()
            }
            (Ask::Pop, Answer::Took(task)) => queued.pop_front() == *task,
            (Ask::PopStolen, Answer::Took(task)) => stolen.pop_front() == *task,
            (Ask::Drain, Answer::Drained(tasks)) => queued.drain(..).eq(tasks.iter().copied()),
            // The thief may find too little to count.
            (Ask::Steal, Answer::Stole(None)) => true,
            (Ask::Steal, Answer::Stole(Some((task, count)))) => {
                let enough = (1..=queued.len()).contains(count);
                stolen.extend(queued.drain(..(*count).min(queued.len())));
                enough && stolen.pop_back() == Some(*task)
            }
            _ => false,
        };
        fits.then_some((queued, stolen))
    }

    fn refusal(&self, (queued, stolen): &Self::State, _: &Call<Ask, Answer>) -> String {
        format!("has {queued:?} queued, and {stolen:?} stolen")
    }
}

fn rounds(mut client: Client<'_, Tasks>, push: impl Fn() -> Answer, take: impl Fn() -> Answer) {
    for _ in 0..5 {
        if client.random.below(2) == 0 {
            client.call(Ask::Push, &push);
        } else {
            client.call(Ask::Pop, &take);
        }
        client.dawdle();
    }
}

#[test]
fn the_injector_is_a_queue() {
    holds(|seed| {
        let queues = RunQueues::<Sim>::new(1);
        run(&Tasks, seed, |client| {
            let take = || Answer::Took(queues.inject_pop());
            rounds(client, || Answer::Pushed(queues.inject()), take);
        });
        while queues.inject_pop().is_some() {}
    });
}

#[test]
fn an_inbox_is_a_queue_that_tells_who_is_first() {
    holds(|seed| {
        let queues = RunQueues::<Sim>::new(1);
        run(&Tasks, seed, |mut client| {
            for _ in 0..4 {
                if client.process == 0 {
                    client.call(Ask::Drain, || Answer::Drained(queues.inbox_drain(0)));
                } else {
                    client.call(Ask::Push, || {
                        let (task, first) = queues.inbox_push(0);
                        Answer::PushedFirst(task, first)
                    });
                }
                client.dawdle();
            }
        });
        drop(queues.inbox_drain(0));
    });
}

/// Clients 0 and 1 play the workers 0 and 1; the others have nothing to do with rings.
#[test]
fn a_ring_is_a_queue_for_its_owner_and_a_thief() {
    holds(|seed| {
        let queues = RunQueues::<Sim>::new(2);
        run(&Tasks, seed, |mut client| {
            // As many as there are slots: what overflows goes elsewhere.
            let mut pushes = 4;
            for _ in 0..8 {
                match (client.process, client.random.below(3)) {
                    (0, 0 | 1) if pushes > 0 => {
                        pushes -= 1;
                        // SAFETY: this client alone plays worker 0.
                        client.call(Ask::Push, || Answer::Pushed(unsafe { queues.push(0) }));
                    }
                    (0, _) => {
                        // SAFETY: as above.
                        client.call(Ask::Pop, || Answer::Took(unsafe { queues.pop(0) }));
                    }
                    (1, 0) => {
                        // SAFETY: this client alone plays worker 1.
                        client.call(Ask::PopStolen, || Answer::Took(unsafe { queues.pop(1) }));
                    }
                    (1, _) => {
                        // SAFETY: as above.
                        client.call(Ask::Steal, || Answer::Stole(unsafe { queues.steal(0, 1) }));
                    }
                    _ => {}
                }
                client.dawdle();
            }
        });
        // SAFETY: the clients have ended.
        while unsafe { queues.pop(0).or_else(|| queues.pop(1)) }.is_some() {}
    });
}

/// Looks at the first task, and then takes one away.
#[test]
fn a_queue_that_looks_before_it_takes_is_found() {
    is_found(|seed| {
        let queue = ParkingMutex::<(u64, VecDeque<u64>), Sim>::new_in((0, VecDeque::new()));
        let push = || {
            let (next, tasks) = &mut *queue.lock();
            *next += 1;
            tasks.push_back(*next);
            Answer::Pushed(*next)
        };
        let take = || {
            let first = queue.lock().1.front().copied();
            if first.is_some() {
                queue.lock().1.pop_front();
            }
            Answer::Took(first)
        };
        run(&Tasks, seed, |client| rounds(client, push, take));
    });
}
