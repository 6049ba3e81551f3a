//! `cargo xtask coverage-loom`: which platform operations the scenarios reach under loom.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use raddle_coverage::{Evidence, Lines, Ratchet, Tally, is_required, join};
use serde::Deserialize;

use super::{Outputs, catalogue, hits_directory, make_directory, print, read_hits, write};
use crate::workspace::{self, Workspace};
use crate::{Error, Verdict};

const HARNESS: &str = "loom";

/// Where the sites of a run of some scenarios go.
const PART: &str = "loom-part";

/// Where it is kept what was covered, relative to the root of the workspace.
const RATCHET: &str = "harness/coverage/loom.ratchet";

const RATCHET_HEAD: &str = "\
# What the scenarios reach under loom, in the quick form: file, function, operation and its number
# there, outcome.
# `cargo xtask coverage-loom --write-ratchet` writes this file, and `--check` holds it: what was
# covered stays covered.
";

/// Report which platform operations the scenarios reach under loom.
///
/// Every scenario is run as `test-loom` runs it. An operation of the production crates that no
/// scenario reached is a gap, and so is a compare-exchange that never succeeded or never failed.
/// `// COVERAGE-EXCLUDE(loom): reason` above a statement excludes what is in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Loom {
    #[command(flatten)]
    outputs: Outputs,
    /// Fail if there is a gap among atomics, fences, cells, spins and retries, or if something that
    /// was covered no longer is.
    #[arg(long, conflicts_with = "scenario")]
    check: bool,
    /// Fail if something that was covered no longer is.
    #[arg(long, conflicts_with = "scenario")]
    check_ratchet: bool,
    /// Keep in the repository what is covered now, in the quick form.
    #[arg(long, conflicts_with_all = ["scenario", "check", "check_ratchet"])]
    write_ratchet: bool,
    /// Run only the scenarios whose names contain this.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Explore less of each scenario, as `test-loom --quick` does.
    #[arg(long, conflicts_with = "hits")]
    quick: bool,
    /// Run nothing: join the sites that an earlier run left there.
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    hits: Option<PathBuf>,
    /// The program of that run: it tells what was never instantiated.
    #[arg(long, value_name = "FILE", requires = "hits")]
    binary: Option<PathBuf>,
    /// Compare with this file instead of the repository's.
    #[arg(long, value_name = "FILE", hide = true)]
    ratchet: Option<PathBuf>,
}

impl Loom {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let workspace = Workspace::own()?;
        let catalogue = catalogue(&workspace)?;
        let ratchet_file = self.ratchet.clone().unwrap_or_else(|| workspace.root.join(RATCHET));
        let ratchet = if self.check || self.check_ratchet {
            Some(read_ratchet(&ratchet_file)?)
        } else {
            None
        };
        let (directory, binary, passed) = match &self.hits {
            Some(directory) => (directory.clone(), self.binary.clone(), true),
            None => {
                // What some scenarios reach does not take the place of what all reach.
                let all = self.scenario.is_none();
                let directory = hits_directory(&workspace, if all { HARNESS } else { PART });
                let binary = build()?;
                let passed = self.run_scenarios(&binary, &directory)?;
                (directory, Some(binary), passed)
            }
        };
        let Some(hits) = read_hits(&directory)? else {
            let message = format!("no scenario left its sites in {}", directory.display());
            return Err(Error::new(message));
        };
        let lines = match &binary {
            Some(binary) => Some(Lines::read(binary, &workspace.root).map_err(Error::new)?),
            None => None,
        };
        let mut others = BTreeMap::new();
        for harness in raddle_coverage::HARNESSES {
            if harness != HARNESS
                && let Some(hits) = read_hits(&hits_directory(&workspace, harness))?
            {
                others.insert(harness.to_owned(), hits);
            }
        }
        let evidence = Evidence {
            harness: Some(HARNESS),
            hits: &hits,
            others: &others,
            lines: lines.as_ref(),
        };
        let report = join(&catalogue, &evidence);
        print(&catalogue, &report);
        let by = BTreeMap::from([(HARNESS.to_owned(), hits.clone())]);
        self.outputs.write("Coverage under loom", &catalogue, &report, &by)?;

        let mut bad = !report.errors.is_empty();
        if let Some(ratchet) = ratchet {
            let lost = ratchet.lost(&report);
            for point in &lost {
                println!("error: covered before, and no longer: {point}");
            }
            let gone = ratchet.gone(&report);
            if gone > 0 {
                println!(
                    "{gone} of {} points in {RATCHET} are not in the source any more",
                    ratchet.len()
                );
            }
            bad |= !lost.is_empty() || !passed;
        }
        let required = report.points.iter().filter(|point| is_required(point.entry.category));
        let gaps = Tally::of(required).gaps();
        if self.check && gaps > 0 {
            println!("error: {gaps} gaps");
            bad = true;
        }
        if !passed {
            println!("a scenario did not pass: what it would have reached may be missing");
        }
        if self.write_ratchet {
            if bad || !passed {
                return Err(Error::new("the ratchet is not written: see above"));
            }
            let ratchet = Ratchet::of(&report);
            write(&ratchet_file, &ratchet.text(RATCHET_HEAD))?;
            println!("{}: {} points", ratchet_file.display(), ratchet.len());
        }
        Ok(if bad { Verdict::Bad } else { Verdict::Good })
    }

    /// Runs the scenarios; whether all passed.
    fn run_scenarios(&self, binary: &Path, directory: &Path) -> Result<bool, Error> {
        // Sites of scenarios that are no more would count for ever.
        if directory.exists() {
            fs::remove_dir_all(directory)
                .map_err(|error| Error::new(format!("{}: {error}", directory.display())))?;
        }
        make_directory(directory)?;
        let mut command = Command::new(binary);
        command.current_dir(workspace::root()).arg("--sites").arg(directory);
        if let Some(scenario) = &self.scenario {
            command.arg("--scenario").arg(scenario);
        }
        // Whatever the ratchet holds, the quick form must reach as well.
        if self.quick || self.write_ratchet {
            command.arg("--quick");
        }
        let status = command
            .status()
            .map_err(|error| Error::new(format!("cannot run {}: {error}", binary.display())))?;
        match status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(Error::new(format!("raddle-loom ended with {status}"))),
        }
    }
}

fn read_ratchet(file: &Path) -> Result<Ratchet, Error> {
    let text = fs::read_to_string(file).map_err(|error| {
        Error::new(format!(
            "cannot read {}: {error}: `cargo xtask coverage-loom --write-ratchet` makes it",
            file.display()
        ))
    })?;
    Ratchet::parse(&text).map_err(|error| Error::new(format!("{}: {error}", file.display())))
}

/// What cargo says about something that it built.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// Builds the harness in release; the executable.
fn build() -> Result<PathBuf, Error> {
    let output = workspace::cargo()
        .args(["build", "--release", "--package", "raddle-loom", "--bin", "raddle-loom"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Error::new(format!("cargo build ended with {}", output.status)));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Built>(line).ok()?.executable)
        .next_back()
        .ok_or_else(|| Error::new("cargo built no executable of raddle-loom"))
}
