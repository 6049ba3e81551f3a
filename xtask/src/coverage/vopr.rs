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
        Ok(both(verdict, struck))
    }
}

fn both(verdict: Verdict, struck: bool) -> Verdict {
    if struck { verdict } else { Verdict::Bad }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use raddle_coverage::{Catalogue, Entry, Evidence, Hit, Hits, Operation, State, Subject, join};

    use super::super::catalogue;
    use super::{both, check, tell_faults};
    use crate::Verdict;
    use crate::workspace::Workspace;

    /// What `--check` says where all of these was reached.
    fn checked(catalogue: &Catalogue, reached: &[&Entry]) -> Vec<String> {
        let mut hits = Hits::default();
        for entry in reached {
            let name = entry.operation.name.clone();
            let operation = Operation { name, orderings: Vec::new() };
            let hit = Hit { operation, count: 1, succeeded: 1, failed: 1, threads: 1 };
            hits.note(entry.site.clone(), hit).expect("each site once");
        }
        let others = BTreeMap::new();
        let evidence =
            Evidence { harness: Some("vopr"), hits: &hits, others: &others, lines: None };
        check(&join(catalogue, &evidence))
    }

    #[test]
    fn each_subject_has_its_bound() {
        let catalogue = catalogue(&Workspace::own().expect("there")).expect("readable");
        let others = BTreeMap::new();
        let hits = Hits::default();
        let evidence =
            Evidence { harness: Some("vopr"), hits: &hits, others: &others, lines: None };
        let nothing = join(&catalogue, &evidence);
        let points = nothing.points.iter();
        let points = points.filter(|point| !matches!(point.state, State::Excluded(_)));
        let mut wanted: Vec<_> = points.map(|point| point.entry).collect();
        wanted.dedup_by_key(|entry| &entry.site);
        let none: Vec<String> = Vec::new();
        assert_eq!(checked(&catalogue, &wanted), none, "all is reached");
        for (name, percent) in [
            ("time", 90),
            ("random", 90),
            ("retry", 90),
            ("scheduler", 90),
            ("network", 100),
            ("file", 100),
            ("ring", 100),
        ] {
            let subject = Subject::ALL.into_iter().find(|subject| subject.name() == name);
            let subject = subject.expect("it is one");
            let of = |entry: &&&Entry| Subject::of(entry) == subject;
            let all = wanted.iter().filter(of).count();
            if all == 0 {
                assert!(["file", "random"].contains(&name), "{name} has operations of its own");
                continue;
            }
            // So few may be missing, and no one more.
            let may = all - (all * percent).div_ceil(100);
            let without = |count: usize| {
                let missing: Vec<_> =
                    wanted.iter().filter(of).take(count).map(|entry| &entry.site).collect();
                let rest = wanted.iter().filter(|entry| !missing.contains(&&entry.site));
                checked(&catalogue, &rest.copied().collect::<Vec<_>>())
            };
            assert_eq!(without(may), none, "{name}: {may} of {all} may be missing");
            let wrong = without(may + 1);
            assert!(wrong.len() == 1 && wrong[0].starts_with(name), "{name}: {wrong:?}");
            assert!(wrong[0].ends_with(&format!("is less than {percent}%")), "{wrong:?}");
        }
    }

    #[test]
    fn a_fault_that_never_struck_is_bad() {
        let file = std::env::temp_dir().join(format!("raddle-faults-{}", std::process::id()));
        let tell = |text: &str| {
            fs::write(&file, text).expect("room");
            tell_faults(&file)
        };
        assert!(matches!(tell(r#"{"faults":{"crash":3,"reset":1}}"#), Ok(true)));
        assert!(matches!(tell(r#"{"faults":{"crash":3,"reset":0}}"#), Ok(false)));
        assert!(matches!(tell(r#"{"faults":{}}"#), Ok(true)));
        assert!(tell("{}").is_err());
        fs::remove_file(&file).expect("it was there");
        assert!(matches!(both(Verdict::Good, true), Verdict::Good));
        assert!(matches!(both(Verdict::Good, false), Verdict::Bad));
        assert!(matches!(both(Verdict::Bad, true), Verdict::Bad));
    }
}
