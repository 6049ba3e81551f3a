//! `cargo xtask bench`: criterion's benches, and the ratios that they come down to.
//!
//! On a shared machine a time means little and a ratio of two medians of one run means a lot. So
//! what is printed, kept and compared are ratios; and nothing is kept of a run during which the
//! machine did other work, which the *probe* tells.
//!
//! The way of the data: `measure` builds and runs the benches and reads what criterion wrote into
//! a `record::Run`; `results` makes rows of it; `table`, `promise`, `compare` and `page` (with its
//! `chart`) are the four readers of that.

mod chart;
mod compare;
mod measure;
mod page;
mod probe;
mod progress;
mod promise;
mod record;
mod results;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::workspace::{Kind, Workspace};
use crate::{Error, Verdict};
use compare::Comparison;
use probe::{Limits, Probe, Reading};
use record::Run;
use results::Results;

/// Run the benches, print the ratios to the rivals, and write docs/bench.md.
///
/// A ratio is the median of a subject over the median of ours in the same run: 2.00 takes twice
/// as long as Raddle.
///
/// Before the first bench and after each group a probe measures how much longer a fixed piece of work
/// takes on two threads at once than on one. Where that is more than the limit, or the threads
/// had to wait for a core, the machine does other work: the ratios are printed, nothing is written
/// or compared, and the command ends with 2.
///
/// `--compare` relates our time of each case to the geometric mean of the rivals' in the same run,
/// for both runs, and ends with 1 if that got worse by more than the threshold anywhere. Other
/// load and another machine strike ours and the rivals alike; and one rival that had a bad run, or got
/// better, is one of several in a mean. A case without rivals has nothing to be related to, and is
/// only said to be left out.
///
/// A promise (a bound that the project sets itself) that is missed is printed as missed and fails
/// nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run this group of benches; may be given several times. All of them without it.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Take the figures of the last run instead of running the benches again.
    #[arg(long)]
    last: bool,
    /// Write the rows to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare with the rows that an earlier run wrote by --json.
    #[arg(long, value_name = "BASE.json")]
    compare: Option<PathBuf>,
    /// How much slower than before, relative to the rivals, is too slow.
    #[arg(long, value_name = "PERCENT", default_value_t = Percent(0.1), requires = "compare")]
    threshold: Percent,
    #[command(flatten)]
    limits: Limits,
}

/// A share, written as a percentage.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number {
            Some(number) if number.is_finite() && number >= 0.0 => Ok(Self(number / 100.0)),
            _ => Err("write it as a percentage, such as 10%".to_owned()),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", 100.0 * self.0)
    }
}

/// A group: a bench target of the package `raddle-benches`.
struct Group {
    name: &'static str,
    /// What it measures, for the page.
    about: &'static str,
}

const PACKAGE: &str = "raddle-benches";

/// In the order in which they run and stand on the page.
const GROUPS: &[Group] = &[
    Group { name: "tasks", about: "Yield, spawn and join, ping-pong." },
    Group { name: "locks", about: "A mutex: uncontended, contended by threads and by fibers." },
    Group {
        name: "channel",
        about: "Channels, with the shapes of crossbeam-channel's own suite on threads, and between \
                fibers.",
    },
    Group {
        name: "pubsub",
        about: "One stream of messages that every subscriber sees in full, with work for each.",
    },
    Group { name: "watch", about: "The newest value: one writer, and readers that look at it." },
    Group {
        name: "versioned",
        about: "Values that are read far more often than written, snapshots of many, and transactions.",
    },
    Group { name: "ownership", about: "Reference counts: building, sharing and dropping a graph." },
    Group {
        name: "backpressure",
        about: "A producer that is held back by a bounded queue, and workers with work to do.",
    },
    Group { name: "vopr", about: "The simulator: decisions, recording, whole schedules." },
];

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<Verdict, Error> {
    let workspace = Workspace::own()?;
    let groups = chosen(&workspace, &options.groups)?;
    // What was measured against is read first: a mistake in it is better known now than later.
    let base = options.compare.as_deref().map(Results::read).transpose()?;
    let run = if options.last {
        Run::load(&workspace.target)?.only(&options.groups)?
    } else {
        measure::run(&workspace, &groups, &options.limits)?
    };
    table::print(&run);
    promise::print(&promise::judge(&run));
    let results = Results::of(&run);
    if let Some(why) = run.probe.busy(&options.limits) {
        return Err(refusal(options, &why));
    }
    if let Some(file) = &options.json {
        results.write(file)?;
    }
    if !options.last {
        page::write(&workspace.root, &run, GROUPS)?;
    }
    match &base {
        Some(base) => compare(base, &results, options),
        None => Ok(Verdict::Good),
    }
}

/// The groups that are asked for, in their order.
fn chosen(workspace: &Workspace, names: &[String]) -> Result<Vec<&'static Group>, Error> {
    let package = workspace
        .package(PACKAGE)
        .ok_or_else(|| Error::new(format!("this workspace has no package {PACKAGE}")))?;
    let exists = |group: &&Group| package.has(Kind::Bench, group.name);
    let all: Vec<_> = GROUPS.iter().filter(exists).collect();
    if let Some(name) = names.iter().find(|name| !all.iter().any(|group| group.name == **name)) {
        let known: Vec<_> = all.iter().map(|group| group.name).collect();
        return Err(Error::new(format!(
            "there is no group `{name}`; the groups are {}",
            known.join(", ")
        )));
    }
    let wanted = |group: &&Group| names.is_empty() || names.iter().any(|name| name == group.name);
    Ok(all.into_iter().filter(wanted).collect())
}

/// Why nothing is written or compared, and what to do about it.
fn refusal(options: &Options, why: &str) -> Error {
    let mut withheld = vec!["docs/bench.md is not written".to_owned()];
    if let Some(file) = &options.json {
        withheld.push(format!("{} is not written", file.display()));
    }
    if options.compare.is_some() {
        withheld.push("nothing is compared".to_owned());
    }
    Error::new(format!(
        "the machine was busy, so the figures above are not to be kept: {}.\n\
         {why}.\n\
         Stop what else runs here (`top` shows it) and run the command again",
        withheld.join(", ")
    ))
}

fn compare(base: &Results, now: &Results, options: &Options) -> Result<Verdict, Error> {
    let file = options.compare.as_deref().unwrap_or(Path::new(""));
    let comparison = Comparison::of(base, now);
    if comparison.cases.is_empty() && comparison.gone.is_empty() {
        return Err(Error::new(format!(
            "{}: no case of it was measured now together with a rival, so there is nothing to \
             compare",
            file.display()
        )));
    }
    Ok(comparison.print(&file.display().to_string(), options.threshold))
}

/// Measures the machine, and says what was found. What lasts for a second only is no other work: a busy
/// machine is looked at again.
fn probe(when: &str, limits: &Limits) -> Reading {
    const LOOKS: usize = 3;
    let look = || {
        let reading = Reading::take();
        eprintln!("probe {when}: {reading}");
        reading
    };
    let mut reading = look();
    for _ in 1..LOOKS {
        if Probe::of(vec![reading]).busy(limits).is_none() {
            break;
        }
        reading = look();
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::{GROUPS, PACKAGE, Percent};
    use crate::workspace::{Kind, Workspace};

    /// Counts instead of measuring, and writes a page of its own.
    const NO_GROUP: &str = "contention";

    #[test]
    fn every_bench_is_a_group() {
        let workspace = Workspace::own().expect("cargo knows it");
        let package = workspace.package(PACKAGE).expect("it has benches");
        let benches = package.targets.iter().filter(|target| target.kind == Kind::Bench);
        for bench in benches.filter(|bench| bench.name != NO_GROUP) {
            assert!(GROUPS.iter().any(|group| group.name == bench.name), "{}", bench.name);
        }
    }

    #[test]
    fn a_share_is_written_as_a_percentage() {
        assert_eq!("10%".parse(), Ok(Percent(0.1)));
        assert_eq!(Percent(0.1).to_string(), "10%");
        for wrong in ["10", "0.1", "%", "-1%", "nan%"] {
            assert!(wrong.parse::<Percent>().is_err(), "{wrong}");
        }
    }
}
