//! The bugs that the simulator is for, each planted in a small program beside the same program
//! without it: the twin is found from almost any root seed, its trace leads to the same failure
//! again and again, the message says what a reader needs, and the program without the bug holds.
//!
//! The root seed is `RADDLE_SEED`, else `CI_SEED`, else a constant; it is printed.

#[path = "twins/disk.rs"]
mod disk;
#[path = "twins/network.rs"]
mod network;
#[path = "twins/tasks.rs"]
mod tasks;
#[path = "twins/threads.rs"]
mod threads;

use std::time::Instant;

use raddle_vopr::seeds::{Purpose, derive, root};
use raddle_vopr::{FailureKind, Report, Simulation};

/// A program that can be run with its bug and without.
struct Twin {
    name: &'static str,
    simulation: fn() -> Simulation,
    /// With the bug if that is true.
    program: fn(bool),
    kind: FailureKind,
    /// What the message says, among other things.
    says: &'static [&'static str],
}

const ROOTS: u64 = 20;
const ENOUGH: usize = 18;
/// How many executions each root may take.
const RUNS: u64 = 500;
const REPLAYS: usize = 10;
/// How many executions the program without the bug must stand.
const HOLDS: u64 = 200;

impl Twin {
    /// The first failure from `root`, and after how many executions.
    fn first_failure(&self, root: u64) -> Option<(u64, Report)> {
        let simulation = (self.simulation)();
        let mut runs = (0..RUNS).map(|run| {
            let seed = derive(root, Purpose::Run, run);
            (run + 1, simulation.clone().seed(seed).run(|| (self.program)(true)))
        });
        runs.find(|(_, report)| report.failure().is_some())
    }

    fn replays(&self, report: &Report) {
        let simulation = (self.simulation)().replay(report.trace.clone());
        for _ in 0..REPLAYS {
            let again = simulation.run(|| (self.program)(true));
            assert_eq!(again.failure(), report.failure(), "{}", self.name);
            assert_eq!((again.steps, again.certificate), (report.steps, report.certificate));
        }
    }

    fn is_found(&self) {
        let (base, _) = root(None).expect("a seed");
        let (started, mut runs, mut found) = (Instant::now(), 0, 0);
        for number in 0..ROOTS {
            let root = derive(base, Purpose::Workload, number);
            let Some((taken, report)) = self.first_failure(root) else { continue };
            let failure = report.failure().expect("it was looked for");
            assert_eq!(failure.kind, self.kind, "{}: {failure}", self.name);
            let message = failure.to_string();
            for part in self.says {
                assert!(message.contains(part), "{}: no {part:?} in {message}", self.name);
            }
            self.replays(&report);
            (runs, found) = (runs + taken, found + 1);
        }
        println!(
            "{}: found from {found} of {ROOTS} roots of {base:#x}, in {} executions each, {:?}",
            self.name,
            runs.checked_div(found as u64).unwrap_or_default(),
            started.elapsed() / ROOTS as u32,
        );
        assert!(found >= ENOUGH, "{}: {found} of {ROOTS}", self.name);
    }

    fn holds_without(&self) {
        let simulation = (self.simulation)();
        for seed in 0..HOLDS {
            simulation.clone().seed(seed).run(|| (self.program)(false)).unwrap();
        }
    }
}

/// A test for each, so that they run side by side.
macro_rules! twins {
    ($($name:ident = $module:ident::$twin:ident;)+) => {
        $(
            #[test]
            fn $name() {
                $module::$twin.is_found();
                $module::$twin.holds_without();
            }
        )+
    };
}

twins! {
    a_timeout_that_does_not_fire_under_load = threads::STARVED_TIMEOUT;
    a_wake_that_is_lost_between_check_and_park = threads::LOST_WAKE;
    a_lag_that_nobody_reports = threads::SILENT_LAG;
    a_timer_that_forgets_the_reply = threads::TIMER_AGAINST_REPLY;
    two_locks_in_opposite_orders = threads::OPPOSITE_ORDERS;
    a_data_race_on_a_cell = threads::RACE;
    a_permit_that_leaks_at_a_cancel = tasks::LEAK_AT_CANCEL;
    a_retry_that_livelocks_in_symmetry = tasks::SYMMETRIC_RETRY;
    a_reply_that_is_lost_at_a_reset = network::LOST_REPLY;
    an_acknowledged_write_that_is_lost_at_a_crash = disk::LOST_ACKNOWLEDGEMENT;
    a_torn_tail_that_is_accepted = disk::TORN_TAIL;
    a_bit_that_rots_and_is_served = disk::SERVED_ROT;
}
