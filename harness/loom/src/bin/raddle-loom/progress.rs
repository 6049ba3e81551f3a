//! What is shown while the scenarios run: bars on a terminal, lines elsewhere.
//!
//! How much of a scenario is left nobody knows: loom finds out what there is to explore as it
//! goes. The estimate is what the last run took, where there was one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use raddle_scenarios::Scenario;

use crate::failure;
use crate::job::Progress;
use crate::parent::Outcome;

/// How often a line tells of what runs, where there is no terminal.
const LINE_EACH: Duration = Duration::from_secs(10);

/// What a scenario is taken to need that has never run, in seconds.
const UNKNOWN: f64 = 2.0;

/// See the module.
pub(crate) struct Screen {
    bars: MultiProgress,
    overall: ProgressBar,
    started: Instant,
    jobs: usize,
    /// The seconds that each scenario took in the last run.
    known: BTreeMap<String, f64>,
    state: Mutex<State>,
}

struct State {
    /// What has not ended, with the seconds it is taken to need.
    left: BTreeMap<String, f64>,
    line: Instant,
}

/// A scenario that runs.
pub(crate) struct Running<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    name: &'static str,
}

impl Screen {
    /// Nothing has been run yet of `scenarios`.
    pub(crate) fn new(scenarios: &[Scenario], jobs: usize) -> Self {
        let known = times_file().and_then(std::fs::read).ok();
        let known: BTreeMap<String, f64> =
            known.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        let need = |scenario: &Scenario| known.get(scenario.name).copied().unwrap_or(UNKNOWN);
        let left = scenarios.iter().map(|scenario| (scenario.name.to_owned(), need(scenario)));
        let state = Mutex::new(State { left: left.collect(), line: Instant::now() });
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let overall = bars.add(ProgressBar::new(scenarios.len() as u64));
        overall.set_style(style("{wide_bar} {pos} of {len}, {msg}"));
        Self { bars, overall, started: Instant::now(), jobs, known, state }
    }

    /// Prints a line above the bars.
    pub(crate) fn line(&self, text: &str) {
        self.bars.suspend(|| println!("{text}"));
    }

    /// A scenario begins.
    pub(crate) fn started(&self, scenario: &Scenario) -> Running<'_> {
        let bar = self.bars.insert_from_back(1, ProgressBar::new_spinner());
        bar.set_style(style("{spinner} {msg}"));
        let running = Running { screen: self, bar, name: scenario.name };
        running.is_at(Progress::default());
        running
    }

    /// A scenario has ended.
    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.lock().left.remove(outcome.scenario.name);
        let word = if outcome.passed { "ok" } else { "FAILED" };
        let report = &outcome.report;
        let detail = if outcome.passed { String::new() } else { failure::describe(outcome) };
        self.line(&format!(
            "{word:<9} {:<44} {:>8} executions {:>6.2} s {:>7.0}/s  {}{detail}",
            outcome.scenario.name,
            report.executions,
            report.elapsed.as_secs_f64(),
            report.rate(),
            outcome.reason,
        ));
        self.overall.inc(1);
        self.overall.set_message(self.left());
    }

    /// All have ended. Keeps what each took, for the next run's estimate.
    pub(crate) fn finish(&self, outcomes: &[Outcome]) {
        self.overall.finish_and_clear();
        let mut known = self.known.clone();
        for Outcome { scenario, report, .. } in outcomes {
            known.insert(scenario.name.to_owned(), report.elapsed.as_secs_f64());
        }
        let json = serde_json::to_vec(&known).unwrap_or_default();
        // Without the file the next estimate is worse, and nothing else.
        let _ = times_file().and_then(|file| std::fs::write(file, json));
    }

    fn left(&self) -> String {
        let left: f64 = self.lock().left.values().sum();
        format!(
            "{:.0} s so far, about {:.0} s left",
            self.started.elapsed().as_secs_f64(),
            left / self.jobs as f64
        )
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Running<'_> {
    /// How far it is.
    pub(crate) fn is_at(&self, progress: Progress) {
        let Progress { executions, seconds } = progress;
        let rate = if seconds > 0.0 { executions as f64 / seconds } else { 0.0 };
        let known = self.screen.known.get(self.name);
        let estimate = known.map(|known| format!(" of about {known:.0} s")).unwrap_or_default();
        let text = format!(
            "{:<44} {executions:>8} executions {seconds:>6.1} s{estimate} {rate:>7.0}/s",
            self.name
        );
        self.bar.set_message(text.clone());
        self.bar.tick();
        let needed = known.copied().unwrap_or(UNKNOWN);
        let mut state = self.screen.lock();
        state.left.insert(self.name.to_owned(), (needed - seconds).max(0.0));
        let due = self.screen.overall.is_hidden() && state.line.elapsed() >= LINE_EACH;
        if due {
            state.line = Instant::now();
        }
        drop(state);
        self.screen.overall.set_message(self.screen.left());
        if due {
            println!("running   {text}; all: {}", self.screen.left());
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are literals of this file; a wrong one shows the default bar.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Beside the program, which is in the target directory.
fn times_file() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("raddle-loom-times.json"))
}
