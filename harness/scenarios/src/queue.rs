//! Run queues: each task is taken exactly once, whoever takes it.

use raddle_platform::Platform;
use raddle_runtime::internals::RunQueues;

use crate::{Needs, Scenario, scope};

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "queue/pop_against_steal",
            "the owner pops while a thief steals: each task is taken once, none is lost",
            pop_against_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/push_and_overflow_against_steal",
            "the owner pushes until its ring overflows while a thief steals: each task is once in a \
             ring, the injector or a hand",
            overflow_against_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(1))
        .bound(3),
        Scenario::new(
            "queue/two_thieves",
            "two thieves at one ring never take the same task, and leave none behind unseen",
            two_thieves::<P>,
        )
        .needs(Needs::ATOMICS.threads(2))
        .bound(3),
    ]
}

/// Asserts that `taken` and what is left in the queues are the tasks `pushed`, each once.
fn all_once<P: Platform>(
    queues: &RunQueues<P>,
    workers: usize,
    mut taken: Vec<u64>,
    mut pushed: Vec<u64>,
) {
    for worker in 0..workers {
        // SAFETY: the threads that played the workers have ended.
        taken.extend(core::iter::from_fn(|| unsafe { queues.pop(worker) }));
    }
    taken.extend(core::iter::from_fn(|| queues.inject_pop()));
    taken.sort_unstable();
    pushed.sort_unstable();
    assert_eq!(taken, pushed, "each task is taken exactly once");
}

fn pop_against_steal<P: Platform>() {
    let queues = RunQueues::<P>::new(2);
    // SAFETY: this thread plays worker 0.
    let pushed: Vec<u64> = (0..2).map(|_| unsafe { queues.push(0) }).collect();
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: that thread plays worker 1.
        let thief = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above.
        taken.extend(unsafe { queues.pop(0) });
        // SAFETY: as above.
        taken.extend(unsafe { queues.pop(0) });
        taken.extend(thief.join().map(|(task, _)| task));
    });
    all_once(&queues, 2, taken, pushed);
}

fn overflow_against_steal<P: Platform>() {
    let queues = RunQueues::<P>::new(2);
    let slots = P::BOUNDS.run_queue_slots;
    // SAFETY: this thread plays worker 0.
    let mut pushed: Vec<u64> = (0..slots - 1).map(|_| unsafe { queues.push(0) }).collect();
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: that thread plays worker 1.
        let thief = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above. The second push finds the ring full, unless the thief was there.
        pushed.extend((0..2).map(|_| unsafe { queues.push(0) }));
        taken.extend(thief.join().map(|(task, _)| task));
    });
    all_once(&queues, 2, taken, pushed);
}

fn two_thieves<P: Platform>() {
    let queues = RunQueues::<P>::new(3);
    // SAFETY: this thread plays worker 0.
    let pushed: Vec<u64> = (0..3).map(|_| unsafe { queues.push(0) }).collect();
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: these threads play workers 1 and 2.
        let first = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above.
        let second = threads.spawn(|| unsafe { queues.steal(0, 2) });
        taken.extend(first.join().map(|(task, _)| task));
        taken.extend(second.join().map(|(task, _)| task));
    });
    all_once(&queues, 3, taken, pushed);
}
