//! The life cycle of a task: who queues it, who drops its output, who frees it.

use raddle_platform::{Atomic, AtomicInt, Ordering, Platform, RaceCell};
use raddle_runtime::internals::LifeCycle;

use crate::{Needs, Scenario, scope};

/// A task between a worker and others: the word, what the task writes, and its queue entries.
struct Task<P: Platform> {
    state: LifeCycle<P>,
    /// What only who runs the task touches.
    own: RaceCell<u32, P>,
    /// Entries in queues that nobody has taken.
    entries: P::AtomicUsize,
}

impl<P: Platform> Task<P> {
    /// Queued once, by its creator.
    fn new() -> Self {
        Self { state: LifeCycle::new(), own: RaceCell::new_in(0), entries: P::AtomicUsize::new(1) }
    }

    /// The caller owns the entry, and queues it.
    fn queue(&self) {
        assert_eq!(self.entries.fetch_add(1, Ordering::Relaxed), 0, "it stands in one queue");
    }

    /// The caller takes the entry from its queue, and runs the task until it suspends itself.
    /// Returns whether it is cancelled.
    fn run(&self) -> bool {
        assert_eq!(self.entries.fetch_sub(1, Ordering::Relaxed), 1, "it stood in one queue");
        let cancelled = self.state.start();
        self.touch();
        cancelled
    }

    fn touch(&self) {
        // SAFETY: the protocol under test lets one worker at a time run the task.
        unsafe { self.own.with_mut(|own| *own += 1) };
    }

    fn park(&self) {
        if self.state.park() {
            self.queue();
        }
    }

    fn wake(&self) {
        if self.state.wake() {
            self.queue();
        }
    }

    fn is_queued(&self) -> bool {
        self.entries.load(Ordering::Relaxed) == 1
    }
}

fn wake_against_park<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        let waker = threads.spawn(|| task.wake());
        task.park();
        waker.join();
        assert!(task.is_queued(), "no wake is lost");
        task.run();
    });
}

fn two_wakers_enqueue_once<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        let first = threads.spawn(|| task.wake());
        let second = threads.spawn(|| task.wake());
        task.park();
        first.join();
        second.join();
        assert!(task.is_queued(), "no wake is lost, and one entry is enough");
    });
}

/// The waker queues the task, and another worker runs it while the first may still be parking it.
fn wake_hands_the_task_to_another_worker<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        let other = threads.spawn(|| {
            if task.state.wake() {
                task.queue();
                task.run();
                return true;
            }
            false
        });
        let came_first = task.state.park();
        if came_first {
            task.queue();
            task.run();
        }
        assert_ne!(came_first, other.join(), "the entry has one owner");
    });
}

/// Each waker plays the worker too. No queue orders what they do: the word must.
fn who_queues_comes_after_the_last_run<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        task.park();
        let task = &task;
        let wake_and_run = move || {
            let mut mine = task.state.wake();
            while mine {
                // Whoever queues the task reads its home and writes its link.
                task.touch();
                task.queue();
                task.run();
                mine = task.state.park();
            }
        };
        let other = threads.spawn(wake_and_run);
        wake_and_run();
        other.join();
        assert!(!task.is_queued(), "both have run what they queued");
    });
}

fn a_wake_that_finds_the_task_queued<P: Platform>() {
    let task = Task::<P>::new();
    let news = P::AtomicBool::new(false);
    scope::<P, _>(|threads| {
        task.run();
        task.park();
        let (task, news) = (&task, &news);
        let other = threads.spawn(move || {
            news.store(true, Ordering::Relaxed);
            task.wake();
        });
        let mine = task.state.wake();
        let mut seen = false;
        if mine {
            task.queue();
            task.run();
            seen = news.load(Ordering::Relaxed);
            task.park();
        }
        other.join();
        assert!(seen || task.is_queued(), "a wake that leaves no entry is before the run");
    });
}

fn a_cancel_of_a_queued_task<P: Platform>() {
    let task = Task::<P>::new();
    let reason = RaceCell::<_, P>::new_in(0);
    scope::<P, _>(|threads| {
        let (task, reason) = (&task, &reason);
        let canceller = threads.spawn(move || {
            // SAFETY: who runs the task reads it after the cancel.
            unsafe { reason.with_mut(|reason| *reason = 1) };
            assert!(task.state.cancel().0, "for the first time");
        });
        if task.run() {
            // SAFETY: written before the cancel.
            assert_eq!(unsafe { reason.with(|reason| *reason) }, 1);
        }
        canceller.join();
    });
}

fn wake_against_run<P: Platform>() {
    let task = Task::<P>::new();
    let news = RaceCell::<_, P>::new_in(0);
    scope::<P, _>(|threads| {
        task.run();
        let (task, news) = (&task, &news);
        let waker = threads.spawn(move || {
            // SAFETY: the task reads after it has taken the wake.
            unsafe { news.with_mut(|news| *news = 1) };
            task.wake();
        });
        if task.state.take_wake() {
            // SAFETY: written before the wake.
            assert_eq!(unsafe { news.with(|news| *news) }, 1);
            assert!(!task.state.take_wake(), "taken once");
            task.park();
            waker.join();
            assert!(!task.is_queued(), "the wake was taken");
            return;
        }
        task.park();
        waker.join();
        assert!(task.is_queued());
        task.run();
        // SAFETY: as above.
        assert_eq!(unsafe { news.with(|news| *news) }, 1);
    });
}

fn cancel_against_park<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        let canceller = threads.spawn(|| {
            let (first, must_queue) = task.state.cancel();
            assert!(first);
            if must_queue {
                task.queue();
            }
        });
        task.park();
        canceller.join();
        assert!(task.is_queued() && task.state.is_cancelled(), "a cancel wakes");
        assert_eq!(task.state.cancel(), (false, false), "cancelled once, queued once");
        assert!(task.state.start(), "it starts as cancelled");
    });
}

fn cancel_against_completion<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        task.run();
        let canceller = threads.spawn(|| task.state.cancel());
        let (wanted, waited_for) = task.state.finish();
        assert!(wanted && !waited_for);
        let (first, must_queue) = canceller.join();
        assert!(!must_queue, "a task that runs or is done is not queued");
        assert!(task.state.is_done() && task.state.is_cancelled());
        assert_eq!(task.state.cancel(), (false, false), "nothing is left to cancel: {first}");
    });
}

/// The waker's place belongs to the handle until JOIN_WAKER is set, then to the worker.
fn join_registration_against_completion<P: Platform>() {
    let task = Task::<P>::new();
    let place = RaceCell::<_, P>::new_in(0);
    scope::<P, _>(|threads| {
        let (task, place) = (&task, &place);
        task.run();
        let worker = threads.spawn(move || {
            task.touch();
            let (_, waited_for) = task.state.finish();
            if waited_for {
                // SAFETY: JOIN_WAKER was set, so the place is the worker's.
                assert_ne!(unsafe { place.with_mut(core::mem::take) }, 0);
            }
            waited_for
        });
        let mut registered = false;
        // A handle may be polled again, with another waker.
        for waker in 1..=2 {
            registered = !task.state.is_done() && task.state.unregister_join() && {
                // SAFETY: JOIN_WAKER is clear and the task not done.
                unsafe { place.with_mut(|place| *place = waker) };
                task.state.register_join()
            };
            if !registered {
                // SAFETY: the task is done, and its output the handle's.
                unsafe { task.own.with(|own| assert_eq!(*own, 2)) };
                break;
            }
        }
        let waited_for = worker.join();
        assert!(waited_for || !registered, "who waits is told");
    });
}

fn join_drop_against_completion<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        let task = &task;
        task.run();
        let worker = threads.spawn(move || {
            task.touch();
            let (wanted, _) = task.state.finish();
            if !wanted {
                task.touch();
            }
            !wanted
        });
        let dropped_here = task.state.drop_join();
        if dropped_here {
            task.touch();
        }
        assert_ne!(dropped_here, worker.join(), "one of the two drops the output");
    });
}

/// The handle has the waker's place in hand, and goes: as if the clone of a waker had panicked.
fn a_join_that_gives_up_against_completion<P: Platform>() {
    let task = Task::<P>::new();
    let place = RaceCell::<_, P>::new_in(1);
    scope::<P, _>(|threads| {
        let (task, place) = (&task, &place);
        task.run();
        let worker = threads.spawn(move || {
            task.touch();
            let (wanted, waited_for) = task.state.finish();
            assert!(!waited_for);
            if !wanted {
                // SAFETY: the handle is gone, so the place is the worker's.
                unsafe { place.with_mut(|place| *place = 0) };
                task.touch();
            }
        });
        if task.state.unregister_join() {
            // SAFETY: JOIN_WAKER is clear and the task not done.
            unsafe { place.with_mut(|place| *place = 0) };
        }
        if task.state.drop_join() {
            task.touch();
        }
        worker.join();
    });
}

fn the_last_reference_frees<P: Platform>() {
    let task = Task::<P>::new();
    scope::<P, _>(|threads| {
        let task = &task;
        let release = move || {
            // SAFETY: two readers.
            assert!(unsafe { task.own.with(|own| *own) } < 2);
            let last = task.state.release_reference();
            if last {
                // As the allocation is freed: nobody may read any more.
                task.touch();
            }
            last
        };
        task.state.acquire_reference();
        let other = threads.spawn(release);
        let third = threads.spawn(release);
        let own = release();
        let frees = usize::from(own) + usize::from(other.join()) + usize::from(third.join());
        assert_eq!(frees, 1);
    });
}

pub(crate) fn list<P: Platform>() -> Vec<Scenario> {
    let one = Needs::ATOMICS.threads(1);
    let two = Needs::ATOMICS.threads(2);
    vec![
        Scenario::new(
            "task/wake_against_park",
            "a wake that meets the park leaves the task in exactly one queue",
            wake_against_park::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/two_wakers_enqueue_once",
            "two wakers of a task that parks leave it in exactly one queue",
            two_wakers_enqueue_once::<P>,
        )
        .needs(two),
        Scenario::new(
            "task/wake_hands_the_task_to_another_worker",
            "who runs the task after a wake sees what it did before it parked",
            wake_hands_the_task_to_another_worker::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/who_queues_comes_after_the_last_run",
            "who wakes a parked task, and so queues it, comes after its last run",
            who_queues_comes_after_the_last_run::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/a_wake_that_finds_the_task_queued",
            "what was written before a wake that leaves no entry is seen by the run to come",
            a_wake_that_finds_the_task_queued::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/a_cancel_of_a_queued_task",
            "a task that starts as cancelled sees what was written before the cancel",
            a_cancel_of_a_queued_task::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/wake_against_run",
            "a wake of a running task is taken once, with what was written before it",
            wake_against_run::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/cancel_against_park",
            "a cancel that meets the park marks the task and leaves it in exactly one queue",
            cancel_against_park::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/cancel_against_completion",
            "a task that ends while it is cancelled is queued no more",
            cancel_against_completion::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/join_registration_against_completion",
            "either the worker finds the waker of the join, or the join finds the output",
            join_registration_against_completion::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/join_drop_against_completion",
            "either the worker or the join handle drops the output, after the other's last access",
            join_drop_against_completion::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/a_join_that_gives_up_against_completion",
            "a join handle that goes without a waker leaves the waker's place to the worker",
            a_join_that_gives_up_against_completion::<P>,
        )
        .needs(one),
        Scenario::new(
            "task/the_last_reference_frees",
            "the last of three references, and only the last, frees the task",
            the_last_reference_frees::<P>,
        )
        .needs(two),
    ]
}
