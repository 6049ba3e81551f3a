//! The whole list: each scenario in a child process, several at a time.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use raddle_coverage::Hits;
use raddle_loom::{Counts, Failure, Judgement, Report, Verdict, judge};
use raddle_scenarios::Scenario;
use serde::Serialize;

use crate::args::Args;
use crate::watched;

/// What came of one scenario.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) property: &'static str,
    pub(crate) expect: String,
    pub(crate) preemption_bound: Option<usize>,
    pub(crate) passed: bool,
    pub(crate) reason: String,
    #[serde(flatten)]
    pub(crate) report: Report,
    pub(crate) executions_per_second: f64,
    pub(crate) reproduce: String,
}

/// Runs `scenarios`, and hands over each outcome as it comes.
///
/// # Errors
/// A child process could not be started.
pub(crate) fn run(
    scenarios: &[Scenario],
    args: &Args,
    jobs: usize,
    done: impl Fn(&Outcome) + Sync,
) -> io::Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = outcome(scenario, args, report(scenario, args)?);
                let mut outcomes = outcomes.lock().unwrap_or_else(|poison| poison.into_inner());
                done(&outcome);
                outcomes.push(outcome);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(end) => end,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(outcomes.into_inner().unwrap_or_else(|poison| poison.into_inner()))
}

fn outcome(scenario: &Scenario, args: &Args, report: Report) -> Outcome {
    let judgement: Judgement = judge(scenario, &report);
    Outcome {
        name: scenario.name,
        property: scenario.property,
        expect: format!("{:?}", scenario.expect),
        preemption_bound: args.bound(scenario.bound),
        passed: judgement.passed(),
        reason: judgement.reason().to_owned(),
        executions_per_second: report.rate(),
        reproduce: reproduce(scenario, args),
        report,
    }
}

/// The exploration has no randomness: the same command finds the same execution.
fn reproduce(scenario: &Scenario, args: &Args) -> String {
    let bound = match args.bound(scenario.bound) {
        Some(bound) => format!("--preemption-bound {bound}"),
        None => "--unbounded".to_owned(),
    };
    let Args { seconds, .. } = args;
    let name = scenario.name;
    format!("cargo run --release -p raddle-loom -- --scenario {name} {bound} --seconds {seconds}")
}

/// Runs the scenario in a child process.
fn report(scenario: &Scenario, args: &Args) -> io::Result<Report> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--child", scenario.name, "--seconds", &args.seconds.to_string()]);
    match args.bound(scenario.bound) {
        Some(bound) => command.args(["--preemption-bound", &bound.to_string()]),
        None => command.arg("--unbounded"),
    };
    if let Some(directory) = &args.sites {
        command.arg("--sites").arg(directory);
    }
    if let Some(mutation) = &args.mutate {
        command.args(["--mutate", &mutation.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A child looks at its processor time between executions. One that has not answered long after
    // is stuck inside an execution.
    let patience = Duration::from_secs(args.seconds * 20 + 60);
    let (output, elapsed) = watched::output(command, patience)?;
    let last = output.stdout.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
    if let Some(Ok(report)) = last.map(serde_json::from_slice) {
        return Ok(report);
    }
    Ok(Report {
        verdict: Verdict::Failed(died(&output)),
        executions: 0,
        elapsed,
        counts: Counts::default(),
        mutated: 0,
        wakes: BTreeMap::new(),
        hits: Hits::default(),
    })
}

/// A child that ended without a report.
fn died(output: &Output) -> Failure {
    let stderr = String::from_utf8_lossy(&output.stderr);
    Failure {
        messages: vec![format!(
            "the process ended without a report ({}): undefined behaviour, a stack overflow, or an \
             execution that never ends",
            output.status
        )],
        history: format!("unknown; its standard error:\n{stderr}"),
    }
}
