//! How a failure is shown, and how to see it again.

use std::path::Path;

use raddle_loom::Verdict;
use raddle_scenarios::Scenario;

use crate::args::Args;
use crate::effort;
use crate::parent::Outcome;

/// The exploration has no randomness: the same command finds the same execution.
pub(crate) fn reproduce(scenario: &Scenario, args: &Args) -> String {
    let seconds = args.limit().as_secs_f64();
    format!("{} --seconds {seconds}", command(scenario, args))
}

/// The command that runs the one execution that the checkpoint leads to.
pub(crate) fn replay(scenario: &Scenario, args: &Args, checkpoint: &Path) -> String {
    format!("{} --replay {}", command(scenario, args), checkpoint.display())
}

fn command(scenario: &Scenario, args: &Args) -> String {
    let bound = match effort::bound(scenario, args) {
        Some(bound) => format!("--max-preemptions {bound}"),
        None => "--unbounded".to_owned(),
    };
    let mutation = args.mutate.as_ref();
    let mutation = mutation.map(|mutation| format!(" --mutate '{mutation}'")).unwrap_or_default();
    format!("cargo run --release -p raddle-loom -- --scenario {} {bound}{mutation}", scenario.name)
}

/// All that is known of a scenario that did not pass.
pub(crate) fn describe(outcome: &Outcome) -> String {
    let mut lines = vec![format!("property: {}", outcome.scenario.property)];
    lines.push(match outcome.bound {
        Some(bound) => format!("bound: at most {bound} preemptions"),
        None => "bound: none".to_owned(),
    });
    if let Verdict::Failed(failure) = &outcome.report.verdict {
        lines.push(format!("execution: {}", outcome.report.executions));
        lines.extend(failure.to_string().lines().map(str::to_owned));
    }
    if let Some(replay) = &outcome.replay {
        lines.push(format!("replay this execution: {replay}"));
    }
    lines.push(format!("reproduce: {}", outcome.reproduce));
    lines.iter().map(|line| format!("\n    {line}")).collect()
}
