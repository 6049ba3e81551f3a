//! What a report means for a scenario.

use raddle_scenarios::{Expect, Needs, Scenario};

use crate::model::{Failure, Report, Verdict};
use crate::threads::MAX_SPAWNED;
use crate::world::Counts;

/// What this harness can run.
pub const OFFERS: Needs = Needs {
    atomics: true,
    threads: MAX_SPAWNED,
    parker: true,
    clock: true,
    rng: true,
    driver: true,
    io: true,
    race_detection: true,
    weak_memory: true,
    long: false,
    task_order: true,
    rare: true,
};

/// Whether a scenario passed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It passed; in words.
    Pass(String),
    /// It did not; in words.
    Fail(String),
}

impl Judgement {
    /// Whether the scenario passed.
    pub fn passed(&self) -> bool {
        matches!(self, Self::Pass(_))
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        match self {
            Self::Pass(reason) | Self::Fail(reason) => reason,
        }
    }
}

/// Holds a report against what the scenario expects and declares.
pub fn judge(scenario: &Scenario, report: &Report) -> Judgement {
    match (&report.verdict, scenario.expect) {
        (Verdict::Failed(failure), expect) => judge_failure(failure, expect),
        (Verdict::TimedOut, Expect::Holds) if scenario.may_time_out => {
            Judgement::Pass("INCOMPLETE: time ran out, which this scenario allows".to_owned())
        }
        (Verdict::TimedOut, _) => {
            Judgement::Fail("time ran out before all executions were explored".to_owned())
        }
        (verdict, Expect::Holds) => match unused(scenario.needs, report.counts) {
            None => Judgement::Pass(explored(verdict)),
            Some(unused) => Judgement::Fail(format!(
                "it declares {unused}, and not one of its executions used that: it did not run in \
                 the Loom world, or says too much"
            )),
        },
        (verdict, _) => Judgement::Fail(format!(
            "the planted bug was not reported, although {}",
            explored(verdict)
        )),
    }
}

fn judge_failure(failure: &Failure, expect: Expect) -> Judgement {
    // In loom's words.
    let expected: &[&str] = match expect {
        Expect::Holds => return Judgement::Fail("an execution failed".to_owned()),
        Expect::Fails(part) => &[part],
        Expect::Races => &["Causality violation", "currently reading", "currently writing"],
        Expect::Deadlocks => &["deadlock"],
    };
    let found =
        failure.messages.iter().find(|message| expected.iter().any(|part| message.contains(part)));
    match found.and_then(|message| message.lines().next()) {
        Some(message) => Judgement::Pass(format!("reported, as it must be: {message}")),
        None => Judgement::Fail(format!("another failure than the planted one ({expected:?})")),
    }
}

fn explored(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Bounded(bound) => format!("all executions with at most {bound} preemptions"),
        _ => "exhausted within loom 0.7.2".to_owned(),
    }
}

/// A declared kind of operation that no execution used.
fn unused(needs: Needs, counts: Counts) -> Option<&'static str> {
    let kinds = [
        (needs.atomics, counts.atomics, "atomics"),
        (needs.parker, counts.parker, "a parker"),
        (needs.clock, counts.clock, "a clock"),
        (needs.rng, counts.rng, "randomness"),
        (needs.driver, counts.driver, "a driver"),
    ];
    let unused = kinds.into_iter().find(|&(needed, count, _)| needed && count == 0);
    let fewer = (counts.threads < needs.threads).then_some("more threads");
    unused.map(|(_, _, kind)| kind).or(fewer)
}
