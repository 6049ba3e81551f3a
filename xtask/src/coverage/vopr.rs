//! `cargo xtask coverage-vopr`: which platform operations the scenarios reach in the simulator.

use std::ffi::OsString;

use raddle_coverage::{Catalogue, Report, Subject};

use super::one::{Harness, Options};
use crate::{Error, Verdict};

const HARNESS: Harness = Harness {
    name: "vopr",
    package: "raddle-vopr",
    ratchet: "harness/coverage/vopr.ratchet",
    ratchet_head: "\
# What the scenarios reach in the simulator, with 1000 seeds each: file, function, operation and its
# number there, outcome.
# `cargo xtask coverage-vopr --write-ratchet` writes this file, and `--check` holds it: what was
# covered stays covered.
",
    tell,
    check,
};

/// Of each scenario, where nobody says another number.
const SEEDS: u64 = 1000;

/// The root of the seeds, where nobody gives another: the same each time, or the ratchet would hold
/// what one run happened to reach.
const ROOT: &str = "0x52414444";

/// Report which platform operations the scenarios reach in the simulator.
///
/// Every scenario is run with as many seeds as are asked for. `// COVERAGE-EXCLUDE(vopr): reason`
/// above a statement excludes what is in it. `--check` fails unless nine in ten operations about
/// time, randomness, retries and the scheduler are reached, and all of the network, files and rings.
#[derive(Debug, clap::Args)]
pub(crate) struct Vopr {
    #[command(flatten)]
    options: Options,
    /// How many seeds each scenario runs with [default: 1000].
    #[arg(long, value_name = "N", conflicts_with = "hits")]
    seeds: Option<u64>,
    /// The root seed, from which all others are derived [default: a constant].
    #[arg(long, value_name = "X", conflicts_with = "hits")]
    seed: Option<String>,
}

impl Vopr {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let seeds = self.seeds.unwrap_or(SEEDS).to_string();
        let root = self.seed.as_deref().unwrap_or(ROOT);
        let arguments = ["--seeds", &seeds, "--seed", root].map(OsString::from);
        self.options.run(&HARNESS, &arguments)
    }
}

fn tell(catalogue: &Catalogue, report: &Report<'_>) {
    println!("{}", raddle_coverage::subjects(catalogue, report));
}

fn check(report: &Report<'_>) -> Vec<String> {
    let below = |subject: Subject| {
        let (goal, reached) = (subject.goal()?, subject.tally(&report.points).percent());
        let name = subject.name();
        (reached < goal).then(|| format!("{name}: {reached:.1}% is less than {goal:.0}%"))
    };
    Subject::ALL.into_iter().filter_map(below).collect()
}
