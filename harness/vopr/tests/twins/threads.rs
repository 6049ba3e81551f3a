//! Bugs of plain threads.

use core::time::Duration;
use std::collections::VecDeque;

use raddle_parking_lot::{Condvar, ParkingMutex};
use raddle_platform::{Atomic, AtomicInt, Clock, Instant, Ordering, Parker, Platform, RaceCell};
use raddle_scenarios::scope;
use raddle_vopr::{FailureKind, Sim, Simulation};

use super::Twin;

type Mutex<T> = ParkingMutex<T, Sim>;
type Flag = <Sim as Platform>::AtomicBool;
type Word = <Sim as Platform>::AtomicU32;

fn now() -> Instant {
    <Sim as Platform>::Clock::now()
}

fn sleep_until(deadline: Instant) {
    while now() < deadline {
        <Sim as Platform>::Parker::park_until(deadline);
    }
}

/// A loop that has jobs and one timer; each job takes a millisecond.
fn serve(broken: bool) {
    const JOB: Duration = Duration::from_millis(1);
    let jobs = Mutex::new_in((0..50).collect::<VecDeque<u32>>());
    let due = now() + 10 * JOB;
    let fired = scope::<Sim, _>(|threads| {
        threads.spawn(|| (50..60).for_each(|job| jobs.lock().push_back(job)));
        let mut fired = None;
        loop {
            let job = jobs.lock().pop_front();
            // The twin looks at the clock when it has nothing better to do.
            if fired.is_none() && now() >= due && !(broken && job.is_some()) {
                fired = Some(now());
            }
            match (job, fired) {
                (Some(_), _) => sleep_until(now() + JOB),
                (None, Some(fired)) => return fired,
                (None, None) => sleep_until(due),
            }
        }
    });
    let late = fired.saturating_duration_since(due);
    assert!(late <= 2 * JOB, "the timer fired {late:?} too late");
}

pub(super) const STARVED_TIMEOUT: Twin = Twin {
    name: "timeout under load",
    simulation: Simulation::new,
    program: serve,
    kind: FailureKind::Panic,
    says: &["the timer fired", "too late"],
};

/// Sleeps until it is ready, and says so before it sleeps.
fn sleep_and_wake(broken: bool) {
    let (ready, asleep) = (Flag::new(false), Flag::new(false));
    let waker = <Sim as Platform>::Parker::waker();
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            // ORDERING: SeqCst: both sides store one flag and load the other.
            ready.store(true, Ordering::SeqCst);
            if asleep.load(Ordering::SeqCst) {
                waker.wake_by_ref();
            }
        });
        if !ready.load(Ordering::SeqCst) {
            asleep.store(true, Ordering::SeqCst);
            // The twin does not look again after it has said so.
            while broken || !ready.load(Ordering::SeqCst) {
                <Sim as Platform>::Parker::park();
                if broken && ready.load(Ordering::SeqCst) {
                    break;
                }
            }
        }
    });
}

pub(super) const LOST_WAKE: Twin = Twin {
    name: "lost wake",
    simulation: Simulation::new,
    program: sleep_and_wake,
    kind: FailureKind::Deadlock,
    says: &["deadlock: nobody can go on", "thread 0 (main)", "is in park at", "threads.rs"],
};

/// The last messages, and how many there were.
struct Broadcast {
    kept: Mutex<(VecDeque<u64>, u64, bool)>,
    news: Condvar<Sim>,
}

impl Broadcast {
    const CAPACITY: usize = 4;

    fn send(&self, message: u64) {
        let mut kept = self.kept.lock();
        if kept.0.len() == Self::CAPACITY {
            kept.0.pop_front();
        }
        kept.0.push_back(message);
        kept.1 += 1;
        self.news.notify_all();
    }

    /// The next message for a receiver that has had `seen`, and how many it has missed.
    fn receive(&self, seen: &mut u64, broken: bool) -> Option<(u64, u64)> {
        let mut kept = self.kept.lock();
        while *seen == kept.1 && !kept.2 {
            self.news.wait(&mut kept);
        }
        if *seen == kept.1 {
            return None;
        }
        let oldest = kept.1 - kept.0.len() as u64;
        // The twin jumps to the oldest one there is, and says nothing.
        let missed = if broken { 0 } else { oldest.saturating_sub(*seen) };
        let next = oldest.max(*seen);
        *seen = next + 1;
        Some((kept.0[(next - oldest) as usize], missed))
    }
}

fn broadcast(broken: bool) {
    const MESSAGES: u64 = 10;
    let channel =
        Broadcast { kept: Mutex::new_in((VecDeque::new(), 0, false)), news: Condvar::new_in() };
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            (0..MESSAGES).for_each(|message| channel.send(message));
            channel.kept.lock().2 = true;
            channel.news.notify_all();
        });
        let (mut seen, mut expected) = (0, 0);
        while let Some((message, missed)) = channel.receive(&mut seen, broken) {
            expected += missed;
            assert_eq!(message, expected, "messages are missing, and nobody reported a lag");
            expected += 1;
        }
        assert_eq!(expected, MESSAGES);
    });
}

pub(super) const SILENT_LAG: Twin = Twin {
    name: "silent lag",
    simulation: Simulation::new,
    program: broadcast,
    kind: FailureKind::Panic,
    says: &["messages are missing, and nobody reported a lag"],
};

const WAITING: u32 = 0;
const REPLIED: u32 = 1;
const GAVE_UP: u32 = 2;

/// A server hands out its only permit as a reply, and a client gives up after a while. Whoever
/// decides the request first has the permit.
fn request(broken: bool) {
    let (state, permits) = (Word::new(WAITING), Word::new(1));
    let waker = <Sim as Platform>::Parker::waker();
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            sleep_until(now() + Duration::from_millis(10));
            permits.fetch_sub(1, Ordering::Relaxed);
            // ORDERING: AcqRel: pairs with the client's, whoever of both comes second.
            let reply =
                state.compare_exchange(WAITING, REPLIED, Ordering::AcqRel, Ordering::Acquire);
            match reply {
                Ok(_) => waker.wake_by_ref(),
                Err(_) => drop(permits.fetch_add(1, Ordering::Relaxed)),
            }
        });
        let patience = now() + Duration::from_millis(10);
        let mut timed_out = false;
        while !timed_out && state.load(Ordering::Acquire) == WAITING {
            <Sim as Platform>::Parker::park_until(patience);
            timed_out = now() >= patience;
        }
        let has_it = if timed_out && broken {
            // The twin's timer decides without a look at what the server has decided.
            state.store(GAVE_UP, Ordering::Release);
            false
        } else {
            // ORDERING: AcqRel: pairs with the server's.
            let give_up =
                state.compare_exchange(WAITING, GAVE_UP, Ordering::AcqRel, Ordering::Acquire);
            give_up.is_err()
        };
        if has_it {
            permits.fetch_add(1, Ordering::Relaxed);
        }
    });
    let left = permits.load(Ordering::Relaxed);
    assert_eq!(left, 1, "the reply came with the timeout, and its permit is nobody's");
}

pub(super) const TIMER_AGAINST_REPLY: Twin = Twin {
    name: "timer against reply",
    simulation: Simulation::new,
    program: request,
    kind: FailureKind::Panic,
    says: &["the reply came with the timeout"],
};

fn lock_both(broken: bool) {
    let (first, second) = (Mutex::new_in(1), Mutex::new_in(2));
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            if broken {
                let _second = second.lock();
                let _first = first.lock();
            } else {
                let _first = first.lock();
                let _second = second.lock();
            }
        });
        let _first = first.lock();
        let _second = second.lock();
    });
}

pub(super) const OPPOSITE_ORDERS: Twin = Twin {
    name: "locks in opposite orders",
    simulation: Simulation::new,
    program: lock_both,
    kind: FailureKind::Deadlock,
    says: &["deadlock: nobody can go on", "waits for mutex", "which thread", "circle"],
};

struct Shared(RaceCell<u32, Sim>, Flag);

/// A flag publishes a cell.
fn publish(broken: bool) {
    let shared = Shared(RaceCell::new_in(0), Flag::new(false));
    scope::<Sim, _>(|threads| {
        threads.spawn(|| {
            // SAFETY: the property under test.
            unsafe { shared.0.with_mut(|value| *value = 7) };
            // ORDERING: Release: pairs with the Acquire below.
            shared.1.store(true, if broken { Ordering::Relaxed } else { Ordering::Release });
        });
        if shared.1.load(Ordering::Acquire) {
            // SAFETY: the property under test.
            assert_eq!(unsafe { shared.0.with(|value| *value) }, 7);
        }
    });
}

pub(super) const RACE: Twin = Twin {
    name: "race on a cell",
    simulation: Simulation::new,
    program: publish,
    kind: FailureKind::DataRace,
    says: &["data race: thread", "which no happens-before edge orders", "threads.rs"],
};
