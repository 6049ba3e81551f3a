//! One scenario under many seeds.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_scenarios::{Expect, Scenario};
use raddle_vopr::{
    Certificate, Counts, Failure, Limits, Report, Simulation, Sites, Strategy, is_expected, unused,
    wakes_spuriously,
};
use serde::Serialize;

use crate::args::{Args, FULL};

/// What `--json` has for each scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) runs: u64,
    pub(crate) decisions: u64,
    /// Of all runs together.
    pub(crate) certificate: String,
    pub(crate) virtual_seconds: f64,
    pub(crate) seconds: f64,
}

/// What `--json` has for each failure.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    pub(crate) scenario: &'static str,
    pub(crate) seed: u64,
    pub(crate) oracle: String,
    /// Where it is, or why it is not.
    pub(crate) trace: String,
    pub(crate) command: String,
    /// For the reader: the messages and the last operations.
    pub(crate) report: String,
}

/// What came of one scenario.
pub(crate) struct Outcome {
    pub(crate) row: Row,
    /// In words.
    pub(crate) result: Result<String, String>,
    /// The failure, if it was not expected.
    pub(crate) found: Option<Found>,
}

/// How far the whole sweep is.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) runs: AtomicU64,
    pub(crate) scenarios: AtomicU64,
    pub(crate) failures: AtomicU64,
}

/// Runs `scenario` with each seed, until one fails as it must, or although none should; for as long
/// as `budget` says, if it does.
pub(crate) fn sweep(
    scenario: &Scenario,
    args: &Args,
    root: u64,
    budget: Option<Duration>,
    progress: &Progress,
) -> Outcome {
    let started = Instant::now();
    let (root, count) = args.plan(scenario, root);
    let limits = Limits { steps: args.steps, ..Limits::default() };
    let simulation = Simulation::new()
        .strategy(args.strategy.strategy.clone())
        .granularity(args.granularity.0)
        .limits(limits)
        .spurious_wakes(wakes_spuriously(scenario));
    let sites = args.sites.is_some().then(Rc::<Sites>::default);
    let simulation = match &sites {
        Some(sites) => simulation.sites(Rc::clone(sites)),
        None => simulation,
    };
    let mut row = Row {
        name: scenario.name,
        runs: 0,
        decisions: 0,
        certificate: String::new(),
        virtual_seconds: 0.0,
        seconds: 0.0,
    };
    let mut certificate = Certificate::default();
    let mut counts = Counts::default();
    let mut failed = None;
    for index in 0.. {
        let over = match budget {
            Some(budget) => started.elapsed() >= budget && index > 0,
            None => index >= count,
        };
        if over {
            break;
        }
        let seed = args.seed_of(root, index);
        let report = simulation.clone().seed(seed).run(|| scenario.run());
        row.runs += 1;
        row.decisions += report.decisions;
        row.virtual_seconds += report.virtual_time.as_secs_f64();
        certificate = certificate.then(report.certificate);
        counts = counts.max(report.counts);
        progress.runs.fetch_add(1, Ordering::Relaxed);
        if let Some(failure) = report.failure() {
            let expected = is_expected(failure, scenario.expect);
            if expected || failed.is_none() {
                failed = Some(report);
            }
            // A twin may fail in other ways, too, but must in the one that it says.
            if expected || scenario.expect == Expect::Holds {
                break;
            }
        }
    }
    let written = match (&args.sites, &sites) {
        (Some(directory), Some(sites)) => write_sites(directory, scenario.name, sites),
        _ => Ok(()),
    };
    row.certificate = certificate.to_string();
    row.seconds = started.elapsed().as_secs_f64();
    progress.scenarios.fetch_add(1, Ordering::Relaxed);
    let (result, found) = match failed {
        Some(report) => judge_failure(scenario, args, &simulation, &report),
        None => (judge_silence(scenario, args, row.runs, counts), None),
    };
    let result = result.and_then(|words| written.map(|()| words));
    progress.failures.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    Outcome { row, result, found }
}

/// Leaves what a scenario reached in a file of its own.
fn write_sites(directory: &Path, scenario: &str, sites: &Sites) -> Result<(), String> {
    let file = directory.join(format!("{}.json", scenario.replace('/', "__")));
    let cannot = |error| format!("its sites could not be written to {}: {error}", file.display());
    std::fs::create_dir_all(directory).map_err(cannot)?;
    sites.hits()?.write(&file).map_err(cannot)
}

fn judge_silence(
    scenario: &Scenario,
    args: &Args,
    runs: u64,
    counts: Counts,
) -> Result<String, String> {
    let single = args.seed.is_some() && args.seeds.is_none();
    if scenario.expect != Expect::Holds && !single {
        return Err(format!("the planted bug was not reported in {runs} runs"));
    }
    if runs < FULL {
        // So few need not use all that the scenario says that it uses.
        return Ok(format!("sampled({runs})"));
    }
    match unused(scenario, counts) {
        Some(kind) => Err(format!(
            "it declares {kind}, and not one of its runs used that: it did not run in the \
             simulated world, or says too much"
        )),
        None => Ok(format!("sampled({runs})")),
    }
}

type Judged = (Result<String, String>, Option<Found>);

fn judge_failure(
    scenario: &Scenario,
    args: &Args,
    simulation: &Simulation,
    report: &Report,
) -> Judged {
    let Some(failure) = report.failure() else { return (Ok(String::new()), None) };
    let found = |report_text: String| {
        Some(Found {
            scenario: scenario.name,
            seed: report.seed,
            oracle: failure.kind.to_string(),
            trace: match keep_trace(scenario, simulation, report) {
                Ok(path) => path.display().to_string(),
                Err(why) => format!("not kept: {why}"),
            },
            command: args.reproduce(scenario.name, report.seed),
            report: report_text,
        })
    };
    if let Some(other) = differs(scenario, simulation, report, failure) {
        let text = format!("{failure}\nthe replay of its trace gives:\n{other}");
        let why = "a failure whose replay is another one: the simulator is not deterministic";
        return (Err(why.to_owned()), found(text));
    }
    let first = failure.message().lines().next().unwrap_or_default().to_owned();
    if is_expected(failure, scenario.expect) {
        return (Ok(format!("reported, as it must be: {first}")), None);
    }
    let why = match scenario.expect {
        Expect::Holds => format!("{}: {first}", failure.kind),
        expect => format!("another failure than the planted one ({expect:?}): {first}"),
    };
    (Err(why), found(failure.to_string()))
}

/// Keeps the trace of a failure, for the debugger: in the directory `RADDLE_ARTIFACTS_DIR`, or with
/// what is built.
fn keep_trace(
    scenario: &Scenario,
    simulation: &Simulation,
    report: &Report,
) -> Result<PathBuf, String> {
    let root = std::env::var_os("RADDLE_ARTIFACTS_DIR").map(PathBuf::from);
    let name = scenario.name.replace('/', "__");
    let directory = root.unwrap_or_else(|| PathBuf::from("target/vopr")).join(name);
    let directory = directory.join(format!("{:#018x}", report.seed));
    let cannot = |error: &dyn std::fmt::Display| format!("{}: {error}", directory.display());
    std::fs::create_dir_all(&directory).map_err(|error| cannot(&error))?;
    let path = directory.join("trace");
    simulation.save_trace(&path, scenario.name, report).map_err(|error| cannot(&error))?;
    Ok(path)
}

/// Replays a failure: what came instead of it, if anything did.
fn differs(
    scenario: &Scenario,
    simulation: &Simulation,
    report: &Report,
    failure: &Failure,
) -> Option<String> {
    let replay = simulation.clone().strategy(Strategy::Random).replay(report.trace.clone());
    let again = replay.run(|| scenario.run());
    let same = again.failure() == Some(failure) && again.certificate == report.certificate;
    (!same).then(|| match again.failure() {
        Some(other) => other.to_string(),
        None => "no failure".to_owned(),
    })
}
