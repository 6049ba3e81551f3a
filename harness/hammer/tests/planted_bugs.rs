//! The planted bugs can show, and do not where they were corrected.

use std::time::Duration;

use raddle_hammer::bugs::{self, Bug};
use raddle_hammer::{Hammer, Settings, begin};
use raddle_platform::Native;

/// The next run, with a new seed.
fn run(program: fn() -> bool, seed: u64) -> bool {
    let settings =
        Settings { max: Duration::from_micros(100), zero_bias: 0.6, ..Settings::seeded(seed) };
    settings.install();
    begin();
    program()
}

fn runs_until_it_shows(bug: &Bug) -> Option<u64> {
    // Found in one run of twenty, the rarest is missed so often once in 10^200.
    (1..10_000).find(|seed| run(bug.planted, *seed))
}

/// One test, since the settings are the process's.
#[test]
fn planted_bugs_show_and_corrected_ones_do_not() {
    for bug in bugs::all::<Hammer>() {
        let runs = runs_until_it_shows(&bug);
        println!("{}: after {runs:?} runs", bug.name);
        assert!(runs.is_some(), "{} never shows", bug.name);
        for seed in 1..=200 {
            assert!(!run(bug.corrected, seed), "{}, seed {seed}: not {}", bug.name, bug.property);
        }
    }
    for bug in bugs::all::<Native>() {
        assert!((0..200).all(|_| !(bug.corrected)()), "{}: not {}", bug.name, bug.property);
    }
}
