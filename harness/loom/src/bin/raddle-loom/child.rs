//! One scenario in a process of its own: a failed execution leaves a world in which destructors
//! may abort, so the process that ran it ends at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::OnceLock;
use std::time::Duration;

use raddle_loom::{Checkpoint, Model, Report, report_signals};
use raddle_scenarios::Scenario;

use crate::args::Args;
use crate::effort;

/// Where the hits go.
static SITES: OnceLock<PathBuf> = OnceLock::new();

/// Runs `scenario` and prints the report, one line of JSON.
pub(crate) fn run(scenario: &Scenario, args: &Args) -> ! {
    if let Some(directory) = &args.sites {
        // Nobody has set it before: a process runs one scenario.
        let _ = SITES.set(sites_file(directory, scenario.name));
    }
    let checkpoint = match (&args.replay, &args.checkpoint, args.checkpoint_before) {
        (Some(file), _, _) => Some(Checkpoint::Replay(file.clone())),
        (_, Some(file), Some(before)) => Some(Checkpoint::Write { file: file.clone(), before }),
        _ => None,
    };
    report_signals(|report| finish(report));
    let program = scenario.clone();
    let report = Model::new()
        .preemption_bound(effort::bound(scenario, args))
        .max_duration(args.limit())
        .mutate(args.mutate.clone())
        .checkpoint(checkpoint)
        .on_progress(progress)
        .on_failure(|report| finish(report))
        .check(move || program.run());
    finish(&report)
}

/// The file with the hits of a scenario.
fn sites_file(directory: &Path, scenario: &str) -> PathBuf {
    directory.join(format!("{}.json", scenario.replace('/', "__")))
}

fn progress(executions: u64, elapsed: Duration) {
    let mut stdout = io::stdout().lock();
    // Who does not listen to the progress may hear the report.
    let _ = writeln!(stdout, "progress {executions} {:.2}", elapsed.as_secs_f64());
    let _ = stdout.flush();
}

fn finish(report: &Report) -> ! {
    if let Err(error) = tell(report) {
        eprintln!("a report that could not be written: {error}");
        exit(2);
    }
    exit(0)
}

fn tell(report: &Report) -> io::Result<()> {
    if let Some(file) = SITES.get() {
        report.hits.write(file)?;
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(report)?)?;
    stdout.flush()
}
