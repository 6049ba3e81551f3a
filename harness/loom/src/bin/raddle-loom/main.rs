//! Runs the list of scenarios under loom.

mod args;
mod child;
mod parent;
mod watched;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use raddle_loom::{Loom, OFFERS, Verdict};
use raddle_scenarios::{Expect, Scenario, all};
use serde::Serialize;

use crate::args::Args;
use crate::parent::Outcome;

/// What `--json` writes.
#[derive(Serialize)]
struct Results<'a> {
    loom: &'static str,
    passed: bool,
    outcomes: &'a [Outcome],
    left_out: Vec<LeftOut>,
}

/// A scenario that this harness cannot run.
#[derive(Serialize)]
struct LeftOut {
    name: &'static str,
    needs: Vec<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let list = all::<Loom>();
    if let Some(name) = &args.child {
        return match list.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => child::run(scenario, &args),
            None => refuse(&format!("there is no scenario {name}")),
        };
    }
    let selected: Vec<_> =
        list.into_iter().filter(|scenario| scenario.name.contains(&args.scenario)).collect();
    if selected.is_empty() {
        return refuse(&format!("no scenario's name contains {:?}; see --list", args.scenario));
    }
    if args.list {
        selected.iter().for_each(print_entry);
        return ExitCode::SUCCESS;
    }
    run(selected, &args)
}

/// The harness could not run.
fn refuse(why: &str) -> ExitCode {
    eprintln!("raddle-loom: {why}");
    ExitCode::from(2)
}

fn print_entry(scenario: &Scenario) {
    let bound = scenario.bound.map(|bound| format!(", preemption bound {bound}"));
    let expect = match scenario.expect {
        Expect::Holds => String::new(),
        expect => format!(", must be reported: {expect:?}"),
    };
    println!("{}{}{expect}", scenario.name, bound.unwrap_or_default());
    println!("    {}", scenario.property);
}

fn run(selected: Vec<Scenario>, args: &Args) -> ExitCode {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let started = Instant::now();
    let mut left_out = Vec::new();
    let (can, cannot): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|scenario| scenario.needs.unmet(&OFFERS).is_empty());
    println!(
        "{} scenarios under loom 0.7.2, {jobs} at a time, at most {} s of processor time each",
        can.len(),
        args.seconds
    );
    for scenario in cannot {
        let needs = scenario.needs.unmet(&OFFERS);
        println!("left out  {:<44} needs {}", scenario.name, needs.join(", "));
        left_out.push(LeftOut { name: scenario.name, needs });
    }
    if let Some(directory) = &args.sites
        && let Err(error) = fs::create_dir_all(directory)
    {
        return refuse(&format!("{} could not be created: {error}", directory.display()));
    }
    let outcomes = match parent::run(&can, args, jobs, print_outcome) {
        Ok(outcomes) => outcomes,
        Err(error) => return refuse(&format!("a scenario's process could not run: {error}")),
    };
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    println!(
        "{} passed, {} failed, {} left out, {:.1} s",
        outcomes.len() - failed.len(),
        failed.len(),
        left_out.len(),
        started.elapsed().as_secs_f64()
    );
    for outcome in &failed {
        println!("FAILED    {}: {}", outcome.name, outcome.reason);
    }
    let passed = failed.is_empty();
    let results = Results { loom: "0.7.2", passed, outcomes: &outcomes, left_out };
    if let Some(path) = &args.json
        && let Err(error) = write(path, &results)
    {
        return refuse(&format!("{} could not be written: {error}", path.display()));
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(path: &Path, results: &Results<'_>) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(results)?;
    json.push(b'\n');
    fs::write(path, json)
}

fn print_outcome(outcome: &Outcome) {
    let Outcome { name, passed, reason, report, executions_per_second: rate, .. } = outcome;
    let word = if *passed { "ok" } else { "FAILED" };
    println!(
        "{word:<9} {name:<44} {:>8} executions {:>6.2} s {rate:>7.0}/s  {reason}",
        report.executions,
        report.elapsed.as_secs_f64()
    );
    if *passed {
        return;
    }
    println!("    property: {}", outcome.property);
    match outcome.preemption_bound {
        Some(bound) => println!("    preemption bound: {bound}"),
        None => println!("    preemption bound: none"),
    }
    if let Verdict::Failed(failure) = &report.verdict {
        for line in failure.to_string().lines() {
            println!("    {line}");
        }
    }
    println!("    reproduce: {}", outcome.reproduce);
}
