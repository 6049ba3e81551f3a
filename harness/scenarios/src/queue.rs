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
            "queue/push_against_steal",
            "a thief that finds a task just pushed finds it whole",
            push_against_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/steal_into_slots_that_a_thief_frees",
            "a worker that steals writes no slot that its own thief still copies",
            steal_into_slots_that_a_thief_frees::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/push_and_overflow_against_steal",
            "the owner pushes until its ring overflows while a thief steals: each task is once in a \
             ring, the injector or a hand",
            overflow_against_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/two_thieves",
            "two thieves at one ring never take the same task, and leave none behind unseen",
            two_thieves::<P>,
        )
        .needs(Needs::ATOMICS.threads(2)),
        Scenario::new(
            "queue/full_ring_against_steal",
            "a ring that a thief copies from is never written in the slots it copies, and what \
             finds no room goes to the injector",
            full_ring_against_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/counts_are_conserved_over_a_steal",
            "while a batch is stolen and taken from again, each task is in one place",
            counts_are_conserved_over_a_steal::<P>,
        )
        .needs(Needs::ATOMICS.threads(2)),
        Scenario::new(
            "queue/injector_from_two_sides",
            "what one thread injects another takes, each task once",
            injector_from_two_sides::<P>,
        )
        .needs(Needs::ATOMICS.threads(1)),
        Scenario::new(
            "queue/inbox_push_against_drain",
            "two threads leave tasks in an inbox that its worker drains: each arrives once, and \
             whoever finds the inbox empty is told so",
            inbox_push_against_drain::<P>,
        )
        .needs(Needs::ATOMICS.threads(2)),
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
    let mut pushed: Vec<u64> = (0..2).map(|_| unsafe { queues.push(0) }).collect();
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
    // SAFETY: the thread has ended; this one plays both workers.
    let (last, stolen) = unsafe { (queues.push(0), queues.steal(0, 1)) };
    pushed.push(last);
    let Some((stolen, _)) = stolen else { panic!("a thief that has left keeps others away") };
    taken.push(stolen);
    all_once(&queues, 2, taken, pushed);
}

fn push_against_steal<P: Platform>() {
    let queues = RunQueues::<P>::new(2);
    let mut taken = Vec::new();
    let mut pushed = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: that thread plays worker 1, and this one worker 0.
        let thief = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above.
        pushed.extend((0..2).map(|_| unsafe { queues.push(0) }));
        taken.extend(thief.join().map(|(task, _)| task));
    });
    all_once(&queues, 2, taken, pushed);
}

/// A worker that is stolen from steals itself: into the slots that its thief has just copied.
fn steal_into_slots_that_a_thief_frees<P: Platform>() {
    let queues = RunQueues::<P>::new(3);
    let fill = |worker| {
        // SAFETY: this thread plays all workers until it starts others.
        (0..P::BOUNDS.run_queue_slots).map(|_| unsafe { queues.push(worker) }).collect::<Vec<_>>()
    };
    let pushed = [fill(0), fill(1)].concat();
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: that thread plays worker 2.
        let thief = threads.spawn(|| unsafe { queues.steal(1, 2) });
        // SAFETY: this one plays worker 1.
        taken.extend(unsafe { queues.steal(0, 1) }.map(|(task, _)| task));
        taken.extend(thief.join().map(|(task, _)| task));
    });
    all_once(&queues, 3, taken, pushed);
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

/// Fills the ring, so that every push meets the thief or overflows.
fn full_ring_against_steal<P: Platform>() {
    let queues = RunQueues::<P>::new(2);
    // What overflows finds the injector in use.
    let mut pushed = vec![queues.inject()];
    // SAFETY: this thread plays worker 0.
    pushed.extend((0..P::BOUNDS.run_queue_slots).map(|_| unsafe { queues.push(0) }));
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: that thread plays worker 1.
        let thief = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above.
        pushed.push(unsafe { queues.push(0) });
        taken.extend(thief.join().map(|(task, _)| task));
    });
    all_once(&queues, 2, taken, pushed);
}

fn counts_are_conserved_over_a_steal<P: Platform>() {
    let queues = RunQueues::<P>::new(3);
    // SAFETY: this thread plays worker 0.
    let mut pushed: Vec<u64> = (0..3).map(|_| unsafe { queues.push(0) }).collect();
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        // SAFETY: these threads play workers 1 and 2.
        let first = threads.spawn(|| unsafe { queues.steal(0, 1) });
        // SAFETY: as above.
        let second = threads.spawn(|| unsafe { queues.steal(1, 2) });
        // SAFETY: as above.
        pushed.push(unsafe { queues.push(0) });
        let first = first.join();
        if let Some((_, count)) = first {
            assert!(count >= 2, "half of three or four");
        }
        taken.extend(first.map(|(task, _)| task));
        taken.extend(second.join().map(|(task, _)| task));
    });
    all_once(&queues, 3, taken, pushed);
}

fn injector_from_two_sides<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    let mut pushed = vec![queues.inject()];
    let mut taken = Vec::new();
    scope::<P, _>(|threads| {
        let other = threads.spawn(|| (queues.inject(), queues.inject_pop()));
        taken.extend(queues.inject_pop());
        let (theirs, took) = other.join();
        pushed.push(theirs);
        taken.extend(took);
    });
    all_once(&queues, 1, taken, pushed);
}

fn inbox_push_against_drain<P: Platform>() {
    let queues = RunQueues::<P>::new(1);
    scope::<P, _>(|threads| {
        let first = threads.spawn(|| queues.inbox_push(0));
        let second = threads.spawn(|| queues.inbox_push(0));
        let mut taken = Vec::new();
        let mut rounds = 0;
        if !queues.inbox_is_empty(0) {
            taken.extend(queues.inbox_drain(0));
            rounds += 1;
        }
        let pushed = [first.join(), second.join()];
        taken.extend(queues.inbox_drain(0));
        rounds += 1;
        taken.sort_unstable();
        let mut ids = pushed.map(|(id, _)| id);
        ids.sort_unstable();
        assert_eq!(taken, ids, "each task arrives once");
        let told = pushed.iter().filter(|(_, was_empty)| *was_empty).count();
        assert!((1..=rounds).contains(&told), "the first of each round is told");
    });
}
