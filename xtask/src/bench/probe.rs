//! Whether the machine does anything but what is measured.
//!
//! A fixed piece of work runs on one thread, and then on two at the same time. Two cores that are
//! free take as long as one; where another program has one of them, two threads share what is left
//! and take up to twice as long. The work is one chain of multiplications, each of which waits for
//! the one before, so that two hyperthreads of one core do not get into each other's way.
//!
//! So much other work that even one thread hardly gets a core slows one and two alike. The
//! scheduler's own account shows that: how long the thread was ready to run and did not.

use std::fmt;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Percent;

/// What a quiet machine may show.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Limits {
    /// How much longer two threads may take than one before the machine counts as busy.
    #[arg(long, value_name = "RATIO", default_value_t = 1.15)]
    probe_limit: f64,
    /// For how much of its time a thread may wait for a core before the machine counts as busy.
    #[arg(long, value_name = "PERCENT", default_value_t = Percent(0.05))]
    waiting_limit: Percent,
}

/// Pairs of measurements in a reading; the medians count.
const ROUNDS: usize = 9;
/// What the piece of work is cut to, in seconds.
const PIECE_S: f64 = 0.04;

/// One look at the machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Reading {
    pub(super) one_thread_ns: f64,
    pub(super) two_threads_ns: f64,
    /// Two threads over one.
    pub(super) ratio: f64,
    /// The share of the time that the threads waited for a core.
    pub(super) waiting: f64,
}

/// The looks before, between and after the groups of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Probe {
    /// The worst of the readings' ratios.
    pub(super) ratio: f64,
    /// The worst of their waiting shares.
    pub(super) waiting: f64,
    /// In the order in which they were taken.
    pub(super) readings: Vec<Reading>,
}

impl Probe {
    pub(super) fn of(readings: Vec<Reading>) -> Self {
        // In this order what is not a number is worse than all numbers.
        let worst = |of: fn(&Reading) -> f64| {
            readings.iter().map(of).max_by(f64::total_cmp).unwrap_or(f64::NAN)
        };
        let (ratio, waiting) = (worst(|it| it.ratio), worst(|it| it.waiting));
        Self { ratio, waiting, readings }
    }

    /// Why the machine counts as busy, if it does.
    pub(super) fn busy(&self, limits: &Limits) -> Option<String> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        if cores < 2 {
            return Some("It gives this program one core, and two threads need two".to_owned());
        }
        if self.readings.is_empty() {
            return Some("It was not probed".to_owned());
        }
        let quiet = |value: f64, limit: f64| value.is_finite() && value <= limit;
        let limit = limits.probe_limit;
        if !quiet(self.ratio, limit) {
            return Some(format!(
                "A fixed piece of work took {:.2} times as long on two threads at once as on one; \
                 up to {limit:.2} is quiet",
                self.ratio
            ));
        }
        if !quiet(self.waiting, limits.waiting_limit.0) {
            return Some(format!(
                "A thread with work to do waited for a core for {:.0} % of its time; up to {} is quiet",
                100.0 * self.waiting,
                limits.waiting_limit
            ));
        }
        None
    }
}

impl Reading {
    /// Takes about a second.
    pub(super) fn take() -> Self {
        let steps = calibrate();
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let mut spent = Spent::default();
        for _ in 0..ROUNDS {
            one.push(timed(1, steps, &mut spent));
            two.push(timed(2, steps, &mut spent));
        }
        let (one_thread_ns, two_threads_ns) = (median(one), median(two));
        Self {
            one_thread_ns,
            two_threads_ns,
            ratio: two_threads_ns / one_thread_ns,
            waiting: spent.waiting(),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "two threads take {:.2} times as long as one, which waited for a core for {:.0} % of its time",
            self.ratio,
            100.0 * self.waiting
        )
    }
}

/// The piece of work.
fn chain(steps: u64) -> u64 {
    let (mut value, mut step) = (black_box(1_u64), 0);
    while step < steps {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        step += 1;
    }
    black_box(value)
}

/// How many steps take about as long as a piece shall: more, if the machine is busy just now, and
/// both measurements get the same.
fn calibrate() -> u64 {
    const TRIAL: u64 = 1_000_000;
    let trial = |_| {
        let start = Instant::now();
        chain(TRIAL);
        start.elapsed().as_secs_f64()
    };
    let fastest = (0..5).map(trial).fold(f64::INFINITY, f64::min);
    (TRIAL as f64 * PIECE_S / fastest.max(1e-6)) as u64
}

/// What the scheduler says of the threads that worked.
#[derive(Default)]
struct Spent {
    running_ns: u64,
    waiting_ns: u64,
}

impl Spent {
    /// Of the calling thread since it began; zeros where the kernel does not tell.
    fn own() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
        let running_ns = numbers.next().unwrap_or(0);
        Self { running_ns, waiting_ns: numbers.next().unwrap_or(0) }
    }

    fn waiting(&self) -> f64 {
        let all = self.running_ns + self.waiting_ns;
        if all == 0 { 0.0 } else { self.waiting_ns as f64 / all as f64 }
    }
}

/// How long `threads` threads take for one piece each, in nanoseconds: from the start of the first to the
/// end of the last.
fn timed(threads: usize, steps: u64, spent: &mut Spent) -> f64 {
    let barrier = Barrier::new(threads);
    let run = || {
        barrier.wait();
        let before = Spent::own();
        let start = Instant::now();
        chain(steps);
        let end = Instant::now();
        let after = Spent::own();
        let running_ns = after.running_ns - before.running_ns;
        (start, end, Spent { running_ns, waiting_ns: after.waiting_ns - before.waiting_ns })
    };
    let outcomes: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let start = outcomes.iter().map(|(start, ..)| *start).min();
    let end = outcomes.iter().map(|(_, end, _)| *end).max();
    for (_, _, of_one) in outcomes {
        spent.running_ns += of_one.running_ns;
        spent.waiting_ns += of_one.waiting_ns;
    }
    start.zip(end).map_or(f64::NAN, |(start, end)| (end - start).as_secs_f64() * 1e9)
}

/// The middle of an odd number of values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::{Limits, Percent, Probe, Reading};

    const LIMITS: Limits = Limits { probe_limit: 1.15, waiting_limit: Percent(0.05) };

    fn reading(ratio: f64, waiting: f64) -> Reading {
        Reading { one_thread_ns: 1e6, two_threads_ns: ratio * 1e6, ratio, waiting }
    }

    #[test]
    fn a_quiet_machine_is_not_busy() {
        assert_eq!(Probe::of(vec![reading(1.02, 0.01); 3]).busy(&LIMITS), None);
    }

    #[test]
    fn the_worst_reading_decides() {
        let readings = vec![reading(1.0, 0.0), reading(1.6, 0.0), reading(1.0, 0.0)];
        let why = Probe::of(readings).busy(&LIMITS).expect("busy");
        assert!(why.contains("1.60 times"), "{why}");
    }

    #[test]
    fn load_that_slows_one_thread_and_two_alike_is_seen_by_the_waiting() {
        let why = Probe::of(vec![reading(1.0, 0.4)]).busy(&LIMITS).expect("busy");
        assert!(why.contains("40 %"), "{why}");
    }

    #[test]
    fn what_was_not_measured_is_not_quiet() {
        assert!(Probe::of(Vec::new()).busy(&LIMITS).is_some());
        let broken = Probe::of(vec![reading(1.0, 0.0), reading(f64::NAN, 0.0), reading(1.0, 0.0)]);
        assert!(broken.busy(&LIMITS).is_some());
    }

    #[test]
    fn a_reading_is_made_of_times() {
        let reading = Reading::take();
        assert!(reading.one_thread_ns > 0.0 && reading.two_threads_ns > 0.0, "{reading:?}");
        assert!((0.0..=1.0).contains(&reading.waiting), "{reading:?}");
    }
}
