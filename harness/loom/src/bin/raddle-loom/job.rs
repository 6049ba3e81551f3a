//! One scenario in a child process, seen from its parent.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use raddle_coverage::Hits;
use raddle_loom::{Counts, Failure, Report, Verdict};
use raddle_scenarios::Scenario;

use crate::args::Args;
use crate::effort;
use crate::watched::{self, Ended};

/// What the parent asks of the child, besides what its own command line says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// A report.
    Report,
    /// A checkpoint before the execution of this number.
    Checkpoint(&'a Path, u64),
}

/// How far a child is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) executions: u64,
    pub(crate) seconds: f64,
}

/// Runs `scenario` in a child process, and hands over its progress as it comes.
///
/// # Errors
/// The process could not be started.
pub(crate) fn run(
    scenario: &Scenario,
    args: &Args,
    ask: Ask<'_>,
    mut progress: impl FnMut(Progress),
) -> io::Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments(scenario, args, ask));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut report = None;
    let ended = watched::run(command, patience(args), |line| match read(line) {
        Some(Line::Progress(now)) => progress(now),
        Some(Line::Report(told)) => report = Some(*told),
        None => {}
    })?;
    Ok(report.unwrap_or_else(|| died(&ended)))
}

fn arguments(scenario: &Scenario, args: &Args, ask: Ask<'_>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--child".into(), scenario.name.into()];
    let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    option("--seconds", args.limit().as_secs_f64().to_string().into());
    if let Some(mutation) = &args.mutate {
        option("--mutate", mutation.to_string().into());
    }
    if let Some(file) = &args.replay {
        option("--replay", file.into());
    }
    match ask {
        Ask::Report => {
            if let Some(directory) = &args.sites {
                option("--sites", directory.into());
            }
        }
        Ask::Checkpoint(file, before) => {
            option("--checkpoint", file.into());
            option("--checkpoint-before", before.to_string().into());
        }
    }
    match effort::bound(scenario, args) {
        Some(bound) => option("--max-preemptions", bound.to_string().into()),
        None => arguments.push("--unbounded".into()),
    }
    arguments
}

/// A child looks at its processor time between executions. One that has not answered long after is
/// stuck inside an execution.
fn patience(args: &Args) -> Duration {
    args.limit().saturating_mul(20).saturating_add(Duration::from_secs(60))
}

/// What a child prints.
enum Line {
    Progress(Progress),
    Report(Box<Report>),
}

fn read(line: &str) -> Option<Line> {
    if let Some(numbers) = line.strip_prefix("progress ") {
        let (executions, seconds) = numbers.split_once(' ')?;
        let (executions, seconds) = (executions.parse().ok()?, seconds.parse().ok()?);
        return Some(Line::Progress(Progress { executions, seconds }));
    }
    serde_json::from_str(line).ok().map(Line::Report)
}

/// A child that ended without a report.
fn died(ended: &Ended) -> Report {
    let failure = Failure {
        messages: vec![format!(
            "the process ended without a report ({}): undefined behaviour, a stack overflow, or an \
             execution that never ends",
            ended.status
        )],
        history: format!("unknown; its standard error:\n{}", ended.stderr),
    };
    Report {
        verdict: Verdict::Failed(failure),
        executions: 0,
        elapsed: ended.elapsed,
        counts: Counts::default(),
        mutated: 0,
        wakes: BTreeMap::new(),
        hits: Hits::default(),
    }
}

/// Where the checkpoint of a failed scenario goes: beside the program, which is in the target
/// directory.
///
/// # Errors
/// The directory could not be created.
pub(crate) fn checkpoint_file(scenario: &Scenario) -> io::Result<PathBuf> {
    let directory = std::env::current_exe()?.with_file_name("raddle-loom-failures");
    std::fs::create_dir_all(&directory)?;
    Ok(directory.join(format!("{}.checkpoint", scenario.name.replace('/', "__"))))
}
