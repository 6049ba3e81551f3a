//! The whole list: each scenario in a child process, several at a time.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use raddle_loom::{Judgement, Report, Verdict, judge};
use raddle_scenarios::{Expect, Scenario};

use crate::args::Args;
use crate::job::{self, Ask};
use crate::progress::Screen;
use crate::{effort, failure};

/// What came of one scenario.
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) bound: Option<usize>,
    pub(crate) passed: bool,
    pub(crate) reason: String,
    pub(crate) report: Report,
    /// The command that runs it again.
    pub(crate) reproduce: String,
    /// The command that runs the one execution that failed.
    pub(crate) replay: Option<String>,
}

/// Runs `scenarios`, and shows each outcome as it comes.
///
/// # Errors
/// A child process could not be started.
pub(crate) fn run(
    scenarios: &[Scenario],
    args: &Args,
    jobs: usize,
    screen: &Screen,
) -> io::Result<Vec<Outcome>> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || -> io::Result<()> {
            while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = run_one(scenario, args, screen)?;
                screen.ended(&outcome);
                outcomes.lock().unwrap_or_else(|poison| poison.into_inner()).push(outcome);
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

/// Runs one scenario. An execution that failed and should not have gets a checkpoint, which costs
/// the way to it once more.
///
/// # Errors
/// A child process could not be started.
pub(crate) fn run_one(scenario: &Scenario, args: &Args, screen: &Screen) -> io::Result<Outcome> {
    let running = screen.started(scenario);
    let report = job::run(scenario, args, Ask::Report, |progress| running.is_at(progress))?;
    let judgement: Judgement = judge(scenario, &report);
    let failed = matches!(report.verdict, Verdict::Failed(_)) && report.executions > 0;
    let wanted = failed && scenario.expect == Expect::Holds && args.mutate.is_none();
    let checkpoint = if wanted { checkpoint(scenario, args, report.executions)? } else { None };
    drop(running);
    Ok(Outcome {
        scenario: scenario.clone(),
        bound: effort::bound(scenario, args),
        passed: judgement.passed(),
        reason: judgement.reason().to_owned(),
        report,
        reproduce: failure::reproduce(scenario, args),
        replay: checkpoint.map(|file| failure::replay(scenario, args, &file)),
    })
}

/// The checkpoint before the execution of this number; none if the child did not come so far again.
fn checkpoint(scenario: &Scenario, args: &Args, before: u64) -> io::Result<Option<PathBuf>> {
    if let Some(file) = &args.replay {
        return Ok(Some(file.clone()));
    }
    let file = job::checkpoint_file(scenario)?;
    // One of an earlier run would lead to something else.
    if file.exists() {
        std::fs::remove_file(&file)?;
    }
    job::run(scenario, args, Ask::Checkpoint(&file, before), |_| {})?;
    Ok(file.exists().then_some(file))
}
