//! One scenario in a process of its own: a failed execution leaves a world in which destructors
//! may abort, so the process that ran it ends at once.

use std::io::Write;
use std::process::exit;
use std::time::Duration;

use raddle_loom::{Model, Report};
use raddle_scenarios::Scenario;

use crate::args::Args;

/// Runs `scenario` and prints the report, one line of JSON.
pub(crate) fn run(scenario: &Scenario, args: &Args) -> ! {
    let scenario = scenario.clone();
    let report = Model::new()
        .preemption_bound(args.bound(scenario.bound))
        .max_duration(Duration::from_secs(args.seconds))
        .on_failure(|report| finish(report))
        .check(move || scenario.run());
    finish(&report)
}

fn finish(report: &Report) -> ! {
    let line = match serde_json::to_string(report) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("a report that is no JSON: {error}");
            exit(2);
        }
    };
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    exit(if written.is_ok() { 0 } else { 2 })
}
