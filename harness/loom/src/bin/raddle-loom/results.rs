//! What `--json` writes.

use std::fs;
use std::io;
use std::path::Path;

use raddle_loom::{Counts, Failure, OFFERS, Report, Verdict};
use raddle_scenarios::Scenario;
use serde::Serialize;

use crate::parent::Outcome;

/// A run.
#[derive(Serialize)]
pub(crate) struct Results<'a> {
    loom: &'static str,
    passed: bool,
    scenarios: Vec<Row<'a>>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'static str,
    property: &'static str,
    expect: String,
    bound: Option<usize>,
    /// The bound that the scenario suggests.
    suggested: Option<usize>,
    passed: bool,
    reason: &'a str,
    verdict: String,
    executions: u64,
    /// Of all kinds together.
    operations: u64,
    counts: Counts,
    seconds: f64,
    /// How often a mutation did something other than the code says.
    mutated: u64,
    /// After which sites a thread's waker was called.
    wakes: Vec<&'a str>,
    failure: Option<&'a Failure>,
    reproduce: &'a str,
    replay: Option<&'a str>,
}

/// A scenario that this harness cannot run.
#[derive(Serialize)]
struct LeftOut {
    name: &'static str,
    needs: Vec<String>,
}

impl<'a> Results<'a> {
    /// Of these outcomes.
    pub(crate) fn new(outcomes: &'a [Outcome], left_out: &[Scenario]) -> Self {
        let left_out = left_out
            .iter()
            .map(|scenario| LeftOut { name: scenario.name, needs: scenario.needs.unmet(&OFFERS) });
        Self {
            loom: "0.7.2",
            passed: outcomes.iter().all(|outcome| outcome.passed),
            scenarios: outcomes.iter().map(Row::new).collect(),
            left_out: left_out.collect(),
        }
    }
}

impl<'a> Row<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let Outcome { scenario, report, .. } = outcome;
        let Report { verdict, executions, elapsed, counts, mutated, wakes, .. } = report;
        let failure = match verdict {
            Verdict::Failed(failure) => Some(failure),
            _ => None,
        };
        Self {
            name: scenario.name,
            property: scenario.property,
            expect: format!("{:?}", scenario.expect),
            bound: outcome.bound,
            suggested: scenario.bound,
            passed: outcome.passed,
            reason: &outcome.reason,
            verdict: verdict.to_string(),
            executions: *executions,
            operations: counts.operations(),
            counts: *counts,
            seconds: elapsed.as_secs_f64(),
            mutated: *mutated,
            wakes: wakes.keys().map(String::as_str).collect(),
            failure,
            reproduce: &outcome.reproduce,
            replay: outcome.replay.as_deref(),
        }
    }
}

/// One line of the list.
#[derive(Serialize)]
pub(crate) struct Listed {
    name: &'static str,
    property: &'static str,
    expect: String,
    bound: Option<usize>,
}

impl From<&Scenario> for Listed {
    fn from(scenario: &Scenario) -> Self {
        let &Scenario { name, property, bound, expect, .. } = scenario;
        Self { name, property, bound, expect: format!("{expect:?}") }
    }
}

/// Writes `value` to `file`.
pub(crate) fn write(file: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    fs::write(file, json)
}
