//! `cargo xtask coverage-vopr`: which platform operations the scenarios reach in the simulator.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use raddle_coverage::{Catalogue, Report, Subject};
use serde::Deserialize;

use super::make_directory;
use super::one::{Harness, Options};
use crate::workspace::Workspace;
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
        let results = Workspace::own()?.target.join("coverage").join("vopr-results.json");
        let mut arguments =
            ["--seeds", &seeds, "--seed", root, "--json"].map(OsString::from).to_vec();
        arguments.push(results.clone().into());
        if let Some(directory) = results.parent() {
            make_directory(directory)?;
        }
        let ran = self.options.runs();
        let verdict = self.options.run(&HARNESS, &arguments)?;
        let struck = !ran || tell_faults(&results)?;
        Ok(if struck { verdict } else { Verdict::Bad })
    }
}

/// What `--json` of the sweep says of faults: how often each kind that is on struck.
#[derive(Deserialize)]
struct Results {
    faults: BTreeMap<String, u64>,
}

/// Prints how often each kind of fault struck; whether all did that are on.
fn tell_faults(file: &Path) -> Result<bool, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let results: Results = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    println!("faults, and how often each struck:");
    for (kind, count) in &results.faults {
        println!("  {kind:<24} {count:>9}");
    }
    let never: Vec<_> = results.faults.iter().filter(|(_, count)| **count == 0).collect();
    for (kind, _) in &never {
        println!("error: {kind} is on in some program, and struck in no run");
    }
    Ok(never.is_empty())
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
