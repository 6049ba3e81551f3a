//! The runs, and what they cost.

use raddle_hammer::bugs::{self, Bug};
use raddle_hammer::{Hammer, begin};
use raddle_platform::{Native, Platform, Rng};
use serde::Serialize;

use crate::args::Arguments;
use crate::fisher;

/// What is significant: by chance alone, so much of what is called a find would be none.
pub(crate) const LEVEL: f64 = 0.01;

/// The runs of one setting.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Series {
    /// None for delays that are off, or of a new seed each run.
    pub(crate) seed: Option<u64>,
    pub(crate) found: u32,
    pub(crate) runs: u32,
    /// Of all threads, in user and system mode.
    pub(crate) cpu_seconds: f64,
    pub(crate) found_per_cpu_second: f64,
}

impl Series {
    fn of_seed(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// Runs the program once more.
    fn run(&mut self, arguments: &Arguments, seed: Option<u64>, program: fn() -> bool) {
        arguments.settings(seed).install();
        begin();
        let before = cpu_seconds();
        let found = program();
        self.cpu_seconds += cpu_seconds() - before;
        self.found += u32::from(found);
        self.runs += 1;
        self.found_per_cpu_second = f64::from(self.found) / self.cpu_seconds.max(1e-9);
    }

    fn counts(&self) -> (u32, u32) {
        (self.found, self.runs)
    }
}

/// A bug, and how often it showed.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) off: Series,
    /// A new seed each run.
    pub(crate) random: Series,
    /// The seed with the most finds in training.
    pub(crate) best: Series,
    /// The one with the fewest.
    pub(crate) worst: Series,
    /// The program without the bug, a new seed each run.
    pub(crate) corrected: Series,
    /// Fisher's exact test of the best seed over off, one-sided.
    pub(crate) p: f64,
    /// Of random over off.
    pub(crate) p_random: f64,
}

/// What `--json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) max_us: u32,
    pub(crate) zero_bias: f64,
    pub(crate) seeds: u32,
    pub(crate) training: u32,
    /// What the seeds of the random runs are derived from.
    pub(crate) seed: u64,
    pub(crate) level: f64,
    pub(crate) bugs: Vec<Measured>,
}

/// Measures one bug after the other.
pub(crate) fn all(arguments: &Arguments) -> Results {
    let root = arguments.seed.unwrap_or_else(|| <Native as Platform>::Rng::u64() >> 32);
    let mut fresh = Fresh(root);
    let bugs = bugs::all::<Hammer>();
    let chosen = bugs.iter().filter(|bug| bug.name.contains(&arguments.bug));
    Results {
        max_us: arguments.max_us,
        zero_bias: arguments.zero_bias,
        seeds: arguments.seeds,
        training: arguments.training,
        seed: root,
        level: LEVEL,
        bugs: chosen.map(|bug| measure(bug, arguments, &mut fresh)).collect(),
    }
}

fn measure(bug: &Bug, arguments: &Arguments, fresh: &mut Fresh) -> Measured {
    eprintln!("{}: {}", bug.name, bug.property);
    let (best, worst) = train(bug, arguments, fresh);
    // Only here begins what is reported: the seeds were chosen without these runs.
    let (mut off, mut random, mut corrected) =
        (Series::default(), Series::default(), Series::default());
    let (mut best, mut worst) = (Series::of_seed(best), Series::of_seed(worst));
    for _ in 0..arguments.runs {
        // All take turns, so that what else the machine does strikes all; in a new order each time,
        // since what ran before is felt: it has warmed caches, or let the processor fall asleep.
        for setting in fresh.shuffled([0, 1, 2, 3, 4]) {
            match setting {
                0 => off.run(arguments, None, bug.planted),
                1 => random.run(arguments, Some(fresh.next()), bug.planted),
                2 => best.run(arguments, best.seed, bug.planted),
                3 => worst.run(arguments, worst.seed, bug.planted),
                _ => corrected.run(arguments, Some(fresh.next()), bug.corrected),
            }
        }
    }
    let over_off = |series: &Series| fisher::greater(series.counts(), off.counts());
    let (p, p_random) = (over_off(&best), over_off(&random));
    Measured { name: bug.name, off, random, best, worst, corrected, p, p_random }
}

/// The best and the worst seed.
fn train(bug: &Bug, arguments: &Arguments, fresh: &mut Fresh) -> (u64, u64) {
    let seeds = 1..=u64::from(arguments.seeds);
    let mut tried: Vec<Series> = seeds.map(Series::of_seed).collect();
    for _ in 0..arguments.training {
        for index in fresh.shuffled((0..tried.len()).collect::<Vec<_>>()) {
            let series = &mut tried[index];
            series.run(arguments, series.seed, bug.planted);
        }
    }
    tried.sort_by_key(|series| series.found);
    let seed = |series: Option<&Series>| series.and_then(|series| series.seed).unwrap_or(0);
    (seed(tried.last()), seed(tried.first()))
}

/// Seeds that were not used before.
struct Fresh(u64);

impl Fresh {
    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn shuffled<T: AsMut<[usize]>>(&mut self, mut numbers: T) -> T {
        let slice = numbers.as_mut();
        for end in (1..slice.len()).rev() {
            slice.swap(end, (self.next() % (end as u64 + 1)) as usize);
        }
        numbers
    }
}

/// What the process has used of its processors so far, also by threads that have ended.
fn cpu_seconds() -> f64 {
    // SAFETY: a struct of integers.
    let mut usage: libc::rusage = unsafe { core::mem::zeroed() };
    // SAFETY: the pointer is valid for the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
