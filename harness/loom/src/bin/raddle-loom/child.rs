//! One scenario in a process of its own: a failed execution leaves a world in which destructors
//! may abort, so the process that ran it ends at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::OnceLock;
use std::time::Duration;

use raddle_loom::{Model, Report};
use raddle_scenarios::Scenario;

use crate::args::Args;

/// Where the hits go.
static SITES: OnceLock<PathBuf> = OnceLock::new();

/// Runs `scenario` and prints the report, one line of JSON.
pub(crate) fn run(scenario: &Scenario, args: &Args) -> ! {
    if let Some(directory) = &args.sites {
        // Nobody has set it before: a process runs one scenario.
        let _ = SITES.set(sites_file(directory, scenario.name));
    }
    let scenario = scenario.clone();
    let report = Model::new()
        .preemption_bound(args.bound(scenario.bound))
        .max_duration(Duration::from_secs(args.seconds))
        .mutate(args.mutate.clone())
        .on_failure(|report| finish(report))
        .check(move || scenario.run());
    finish(&report)
}

/// The file with the hits of a scenario.
pub(crate) fn sites_file(directory: &Path, scenario: &str) -> PathBuf {
    directory.join(format!("{}.json", scenario.replace('/', "__")))
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
