//! One scenario under many seeds.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use raddle_scenarios::{Expect, Scenario};
use raddle_vopr::{
    Certificate, Counts, Failure, Faults, Kept, Program, Report, Simulation, Sites, Strategy,
    TestCase, is_expected, unused,
};
use serde::{Deserialize, Serialize};

use crate::args::{Args, FULL};

/// What `--json` has for each scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) runs: u64,
    pub(crate) decisions: u64,
    /// Of all runs together.
    pub(crate) certificate: String,
    pub(crate) virtual_seconds: f64,
    pub(crate) seconds: f64,
    /// How often each kind of fault struck that is on.
    pub(crate) faults: BTreeMap<String, u64>,
}

/// What `--json` has for each failure.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) scenario: String,
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

impl Progress {
    pub(crate) fn began(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, failed: bool) {
        self.scenarios.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(failed), Ordering::Relaxed);
    }
}

/// How far the sweep of a scenario is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The number of the next run.
    pub(crate) next: u64,
    decisions: u64,
    certificate: Certificate,
    counts: Counts,
    virtual_seconds: f64,
    seconds: f64,
    /// By kind; those that are on and never struck, too.
    faults: BTreeMap<String, u64>,
    /// The seed of a failure that was not the expected one, where one is expected.
    failed: Option<u64>,
}

impl State {
    pub(crate) fn row(&self, scenario: &str) -> Row {
        Row {
            name: scenario.to_owned(),
            runs: self.next,
            decisions: self.decisions,
            certificate: self.certificate.to_string(),
            virtual_seconds: self.virtual_seconds,
            seconds: self.seconds,
            faults: self.faults.clone(),
        }
    }

    fn add(&mut self, report: &Report, faults: &Faults) {
        for kind in faults.kinds() {
            *self.faults.entry(kind.name().to_owned()).or_default() += report.faults.of(kind);
        }
        self.next += 1;
        self.decisions += report.decisions;
        self.virtual_seconds += report.virtual_time.as_secs_f64();
        self.certificate = self.certificate.then(report.certificate);
        self.counts = self.counts.max(report.counts);
    }
}

/// What a sweep comes to.
pub(crate) enum Step {
    /// The process has abandoned much: another is to go on.
    Replace(State),
    Done(Outcome),
}

/// What a process has abandoned: what executions say, or how much it has grown.
struct Waste {
    heap_bytes: u64,
    resident_before: u64,
    limit: u64,
}

impl Waste {
    fn new(args: &Args) -> Self {
        // Sites are written by the one process that has seen all runs.
        let limit =
            if args.sites.is_some() || args.in_process { u64::MAX } else { args.abandon << 20 };
        Self { heap_bytes: 0, resident_before: resident_bytes(), limit }
    }

    /// Whether it is too much, after that run.
    fn add(&mut self, report: &Report, runs: u64) -> bool {
        self.heap_bytes += report.abandoned.heap_bytes.unwrap_or(0);
        // Stacks of fibers are no part of the heap.
        let looks = runs.is_multiple_of(64) || report.abandoned.crashes > 0;
        let grown = || resident_bytes().saturating_sub(self.resident_before);
        self.heap_bytes >= self.limit || looks && self.limit < u64::MAX && grown() >= self.limit
    }
}

/// How much memory the process has.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Runs `program` with each seed, from where `state` says, until one fails as it must, or although
/// none should; for as long as `budget` says, if it does. `begins` is called before each run.
pub(crate) fn sweep(
    program: &Program,
    args: &Args,
    root: u64,
    budget: Option<Duration>,
    mut state: State,
    begins: &mut dyn FnMut(u64),
) -> Step {
    let (started, before) = (Instant::now(), state.seconds);
    let scenario = &program.scenario;
    let (root, count) = args.plan(scenario, root);
    let simulation = args.simulation(program);
    let sites = args.sites.is_some().then(Rc::<Sites>::default);
    let simulation = match &sites {
        Some(sites) => simulation.sites(Rc::clone(sites)),
        None => simulation,
    };
    let mut waste = Waste::new(args);
    let mut failed = None;
    loop {
        let over = match budget {
            Some(budget) => state.seconds >= budget.as_secs_f64() && state.next > 0,
            None => state.next >= count,
        };
        if over {
            break;
        }
        begins(state.next);
        let seed = args.seed_of(root, state.next);
        let report = simulation.clone().seed(seed).run(|| scenario.run());
        state.add(&report, simulation.faults_on());
        state.seconds = before + started.elapsed().as_secs_f64();
        let wasted = waste.add(&report, state.next);
        if let Some(failure) = report.failure() {
            let expected = is_expected(failure, scenario.expect);
            if expected || state.failed.is_none() {
                state.failed = Some(seed);
                failed = Some(report);
            }
            // A twin may fail in other ways, too, but must in the one that it says.
            if expected || scenario.expect == Expect::Holds {
                break;
            }
        }
        if wasted {
            return Step::Replace(state);
        }
    }
    let written = match (&args.sites, &sites) {
        (Some(directory), Some(sites)) => write_sites(directory, scenario.name, sites),
        _ => Ok(()),
    };
    let row = state.row(scenario.name);
    if failed.is_none() {
        // The process that has seen it was replaced.
        let again = |seed| simulation.clone().seed(seed).run(|| scenario.run());
        failed = state.failed.map(again);
    }
    let (result, found) = match failed {
        Some(report) => judge_failure(scenario, args, &simulation, &report),
        None => {
            let silence = judge_silence(scenario, args, row.runs, state.counts);
            (silence.and_then(|words| judge_faults(words, row.runs, &row.faults)), None)
        }
    };
    let result = result.and_then(|words| written.map(|()| words));
    Step::Done(Outcome { row, result, found })
}

/// Sweeps a scenario in this process.
pub(crate) fn sweep_here(
    program: &Program,
    args: &Args,
    root: u64,
    budget: Option<Duration>,
    progress: &Progress,
) -> Outcome {
    let mut state = State::default();
    loop {
        match sweep(program, args, root, budget, state, &mut |_| progress.began()) {
            Step::Replace(next) => state = next,
            Step::Done(outcome) => {
                progress.ended(outcome.result.is_err());
                return outcome;
            }
        }
    }
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

/// A kind that is on and never struck: the sweep says nothing about it.
fn judge_faults(
    words: String,
    runs: u64,
    faults: &BTreeMap<String, u64>,
) -> Result<String, String> {
    let never: Vec<_> = faults.iter().filter(|(_, count)| **count == 0).collect();
    if runs >= FULL && !never.is_empty() {
        let names: Vec<_> = never.into_iter().map(|(kind, _)| kind.as_str()).collect();
        return Err(format!("these faults are on and struck in no run: {}", names.join(", ")));
    }
    let struck = faults.iter().filter(|(_, count)| **count > 0);
    let struck: Vec<_> = struck.map(|(kind, count)| format!("{kind} {count}")).collect();
    match struck.is_empty() {
        true => Ok(words),
        false => Ok(format!("{words}, faults: {}", struck.join(", "))),
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
            scenario: scenario.name.to_owned(),
            seed: report.seed,
            oracle: failure.kind.to_string(),
            trace: match keep(scenario, args, simulation, report) {
                Ok(kept) => kept.trace.display().to_string(),
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

/// Keeps all that somebody needs to look into a failure.
fn keep(
    scenario: &Scenario,
    args: &Args,
    simulation: &Simulation,
    report: &Report,
) -> std::io::Result<Kept> {
    let case = TestCase::new(scenario.name)
        .invariant(scenario.property)
        .command(args.reproduce(scenario.name, report.seed));
    let kept = case.conclude(simulation, report, &|| scenario.run())?;
    kept.ok_or_else(|| std::io::Error::other("it did not fail"))
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
