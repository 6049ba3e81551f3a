//! What one harness reaches: its scenarios are run, and the sites that they left are joined with the
//! catalogue.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use raddle_coverage::{Catalogue, Evidence, Hits, Lines, Ratchet, Report, join};
use serde::Deserialize;

use super::{Outputs, catalogue, hits_directory, make_directory, print, read_hits, write};
use crate::workspace::{self, Workspace};
use crate::{Error, Verdict};

/// A harness, as this verb needs to know it.
pub(super) struct Harness {
    /// As exclusions and directories name it.
    pub(super) name: &'static str,
    /// Of the package and of its program.
    pub(super) package: &'static str,
    /// Where it is kept what was covered, relative to the root of the workspace.
    pub(super) ratchet: &'static str,
    /// The first lines of that file.
    pub(super) ratchet_head: &'static str,
    /// Prints what else it says about a report.
    pub(super) tell: fn(&Catalogue, &Report<'_>),
    /// What `--check` finds wrong.
    pub(super) check: fn(&Report<'_>) -> Vec<String>,
}

/// What all harnesses take.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    outputs: Outputs,
    /// Fail if the scenarios do not reach what they must, or if something that was covered no longer
    /// is.
    #[arg(long, conflicts_with = "scenario")]
    check: bool,
    /// Fail if something that was covered no longer is.
    #[arg(long, conflicts_with = "scenario")]
    check_ratchet: bool,
    /// Keep in the repository what is covered now.
    #[arg(long, conflicts_with_all = ["scenario", "check", "check_ratchet"])]
    pub(super) write_ratchet: bool,
    /// Run only the scenarios whose names contain this.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
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

/// What a run left.
struct Ran {
    directory: PathBuf,
    binary: Option<PathBuf>,
    passed: bool,
}

impl Options {
    /// Whether scenarios are run, not only what an earlier run left is read.
    pub(super) fn runs(&self) -> bool {
        self.hits.is_none()
    }

    /// Runs the verb; `arguments` go to the harness's program.
    pub(super) fn run(&self, harness: &Harness, arguments: &[OsString]) -> Result<Verdict, Error> {
        let workspace = Workspace::own()?;
        let catalogue = catalogue(&workspace)?;
        let ratchet_file =
            self.ratchet.clone().unwrap_or_else(|| workspace.root.join(harness.ratchet));
        let ratchet = match self.check || self.check_ratchet {
            true => Some(read_ratchet(&ratchet_file, harness)?),
            false => None,
        };
        let ran = self.obtain(harness, arguments, &workspace)?;
        let Some(hits) = read_hits(&ran.directory)? else {
            let message = format!("no scenario left its sites in {}", ran.directory.display());
            return Err(Error::new(message));
        };
        let lines = match &ran.binary {
            Some(binary) => Some(Lines::read(binary, &workspace.root).map_err(Error::new)?),
            None => None,
        };
        let others = others(harness, &workspace)?;
        let evidence = Evidence {
            harness: Some(harness.name),
            hits: &hits,
            others: &others,
            lines: lines.as_ref(),
        };
        let report = join(&catalogue, &evidence);
        print(&catalogue, &report);
        (harness.tell)(&catalogue, &report);
        let by = BTreeMap::from([(harness.name.to_owned(), hits.clone())]);
        let title = format!("Coverage under {}", harness.name);
        self.outputs.write(&title, &catalogue, &report, &by)?;
        let bad = self.judge(harness, &report, ratchet.as_ref(), ran.passed);
        if self.write_ratchet {
            if bad || !ran.passed {
                return Err(Error::new("the ratchet is not written: see above"));
            }
            let ratchet = Ratchet::of(&report);
            write(&ratchet_file, &ratchet.text(harness.ratchet_head))?;
            println!("{}: {} points", ratchet_file.display(), ratchet.len());
        }
        Ok(if bad { Verdict::Bad } else { Verdict::Good })
    }

    /// The sites of an earlier run, or of one now.
    fn obtain(
        &self,
        harness: &Harness,
        arguments: &[OsString],
        workspace: &Workspace,
    ) -> Result<Ran, Error> {
        if let Some(directory) = &self.hits {
            let (directory, binary) = (directory.clone(), self.binary.clone());
            return Ok(Ran { directory, binary, passed: true });
        }
        // What some scenarios reach does not take the place of what all reach.
        let directory = match &self.scenario {
            None => hits_directory(workspace, harness.name),
            Some(_) => hits_directory(workspace, &format!("{}-part", harness.name)),
        };
        let binary = build(harness.package)?;
        let passed = self.run_scenarios(&binary, &directory, harness, arguments)?;
        Ok(Ran { directory, binary: Some(binary), passed })
    }

    /// Says what is wrong; whether anything is.
    fn judge(
        &self,
        harness: &Harness,
        report: &Report<'_>,
        ratchet: Option<&Ratchet>,
        passed: bool,
    ) -> bool {
        let mut bad = !report.errors.is_empty();
        if let Some(ratchet) = ratchet {
            let lost = ratchet.lost(report);
            for point in &lost {
                println!("error: covered before, and no longer: {point}");
            }
            let (gone, all, file) = (ratchet.gone(report), ratchet.len(), harness.ratchet);
            if gone > 0 {
                println!("{gone} of {all} points in {file} are not in the source any more");
            }
            bad |= !lost.is_empty() || !passed;
        }
        if self.check {
            let wrong = (harness.check)(report);
            wrong.iter().for_each(|wrong| println!("error: {wrong}"));
            bad |= !wrong.is_empty();
        }
        if !passed {
            println!("a scenario did not pass: what it would have reached may be missing");
        }
        bad
    }

    /// Runs the scenarios; whether all passed.
    fn run_scenarios(
        &self,
        binary: &Path,
        directory: &Path,
        harness: &Harness,
        arguments: &[OsString],
    ) -> Result<bool, Error> {
        // Sites of scenarios that are no more would count for ever.
        if directory.exists() {
            fs::remove_dir_all(directory)
                .map_err(|error| Error::new(format!("{}: {error}", directory.display())))?;
        }
        make_directory(directory)?;
        let mut command = Command::new(binary);
        command.current_dir(workspace::root()).arg("--sites").arg(directory).args(arguments);
        if let Some(scenario) = &self.scenario {
            command.arg("--scenario").arg(scenario);
        }
        let status = command
            .status()
            .map_err(|error| Error::new(format!("cannot run {}: {error}", binary.display())))?;
        let ended = || Error::new(format!("{} ended with {status}", harness.package));
        passed(status.code()).ok_or_else(ended)
    }
}

/// Whether all scenarios passed, by the exit code of who ran them; nothing if it did not.
fn passed(code: Option<i32>) -> Option<bool> {
    match code {
        Some(0) => Some(true),
        Some(1) => Some(false),
        _ => None,
    }
}

/// What the other harnesses left.
fn others(harness: &Harness, workspace: &Workspace) -> Result<BTreeMap<String, Hits>, Error> {
    let mut others = BTreeMap::new();
    for name in raddle_coverage::HARNESSES {
        if name != harness.name
            && let Some(hits) = read_hits(&hits_directory(workspace, name))?
        {
            others.insert(name.to_owned(), hits);
        }
    }
    Ok(others)
}

fn read_ratchet(file: &Path, harness: &Harness) -> Result<Ratchet, Error> {
    let text = fs::read_to_string(file).map_err(|error| {
        let (file, name) = (file.display(), harness.name);
        Error::new(format!(
            "cannot read {file}: {error}: `cargo xtask coverage-{name} --write-ratchet` makes it"
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
fn build(package: &str) -> Result<PathBuf, Error> {
    let output = workspace::cargo()
        .args(["build", "--release", "--package", package, "--bin", package])
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
        .ok_or_else(|| Error::new(format!("cargo built no executable of {package}")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use raddle_coverage::{Catalogue, Ratchet, Report};

    use super::{Harness, Options, passed};

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    fn nothing(_: &Catalogue, _: &Report<'_>) {}

    const fn harness(check: fn(&Report<'_>) -> Vec<String>) -> Harness {
        Harness { name: "x", package: "x", ratchet: "x", ratchet_head: "", tell: nothing, check }
    }

    /// Whether something is wrong.
    fn judge(argument: &str, harness: &Harness, report: &Report<'_>, passed: bool) -> bool {
        let Command { options } = Command::parse_from(["test", argument]);
        let ratchet = Ratchet::parse("a b c#1\n").expect("a point");
        options.judge(harness, report, Some(&ratchet), passed)
    }

    #[test]
    fn each_thing_that_is_wrong_makes_the_check_fail() {
        let (good, bad) = (harness(|_| Vec::new()), harness(|_| vec!["wrong".to_owned()]));
        let report = Report::default();
        let errors = Report { errors: vec!["stale".to_owned()], ..Report::default() };
        for argument in ["--check", "--check-ratchet"] {
            assert!(!judge(argument, &good, &report, true));
            assert!(judge(argument, &good, &errors, true), "an error");
            assert!(judge(argument, &good, &report, false), "a scenario that did not pass");
        }
        assert!(judge("--check", &bad, &report, true), "what the harness asks for");
        assert!(!judge("--check-ratchet", &bad, &report, true), "nobody asked for it");
    }

    #[test]
    fn only_two_codes_say_that_scenarios_were_run() {
        assert_eq!([0, 1].map(|code| passed(Some(code))), [Some(true), Some(false)]);
        assert_eq!([Some(2), Some(101), None].map(passed), [None; 3]);
    }
}
