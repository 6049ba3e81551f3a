//! Runs the scenario of a trace, as often as it takes.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use raddle_scenarios::Scenario;
use raddle_vopr::trace::{self, Ending, Observer, Record, Recording};
use raddle_vopr::{Report, Simulation};
use serde::Serialize;

use crate::breaks::Break;
use crate::console::{Console, Input, Then};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
}

/// A trace and its scenario.
pub(crate) struct Session {
    recording: Recording,
    scenario: Scenario,
    simulation: Simulation,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Outcome<'a> {
    scenario: &'a str,
    seed: u64,
    same: bool,
    recorded: Option<&'a Ending>,
    replayed: &'a Ending,
    divergence: Option<String>,
}

impl Session {
    pub(crate) fn new(recording: Recording, scenario: Scenario) -> Result<Self, String> {
        let simulation = recording.simulation().map_err(|error| error.to_string())?;
        Ok(Self { recording, scenario, simulation })
    }

    fn replay(&self, simulation: &Simulation) -> Report {
        let mut report = simulation.run(|| self.scenario.run());
        if let Some(divergence) = &mut report.divergence {
            // What the trace observed next, if it observed anything.
            let next = self.recording.events.iter();
            let next = next.filter(|event| event.decision > divergence.index).take(5);
            divergence.next_events = next.map(|event| event.to_string()).collect();
        }
        report
    }

    /// Whether a replay came to the recorded end, and what is to be said of it.
    fn judge(&self, report: &Report) -> (bool, String) {
        if let Err(error) = report.replayed() {
            return (false, error.to_string());
        }
        let ending = Ending::new(report);
        let verdict = match &ending.failure {
            Some(it) => format!("{} at step {}: {}", it.kind, it.step, it.message),
            None => "it passed".to_owned(),
        };
        let text = format!(
            "{} decisions, {} steps, certificate {}; {verdict}",
            ending.decisions, ending.steps, ending.certificate
        );
        match &self.recording.ending {
            Some(recorded) if recorded.same(&ending) => (true, format!("the recorded end: {text}")),
            Some(recorded) => {
                let was = match &recorded.failure {
                    Some(it) => format!("{} at step {}: {}", it.kind, it.step, it.message),
                    None => "passed".to_owned(),
                };
                (false, format!("another end: {text}\nrecorded was: {was}"))
            }
            None => (true, format!("the trace has no end to compare with: {text}")),
        }
    }

    /// Runs to the end.
    pub(crate) fn run(&self, json: bool) -> Result<Verdict, String> {
        let report = self.replay(&self.simulation);
        let (same, text) = self.judge(&report);
        if json {
            let replayed = Ending::new(&report);
            let result = Outcome {
                scenario: self.scenario.name,
                seed: self.recording.header.seed,
                same,
                recorded: self.recording.ending.as_ref(),
                replayed: &replayed,
                divergence: report.divergence.as_ref().map(|it| it.to_string()),
            };
            let text = serde_json::to_string_pretty(&result).map_err(|error| error.to_string())?;
            println!("{text}");
        } else {
            println!("{}, seed {:#x}", self.scenario.name, self.recording.header.seed);
            println!("{text}");
        }
        Ok(if same { Verdict::Good } else { Verdict::Bad })
    }

    /// Runs to the end, and writes what was observed.
    pub(crate) fn record(&self, record: Record, out: &Path) -> Result<Verdict, String> {
        let report = self.replay(&self.simulation.clone().record(record));
        let (same, text) = self.judge(&report);
        let mut recording = self.simulation.recording(self.scenario.name, &report);
        recording.header.strategy.clone_from(&self.recording.header.strategy);
        trace::save(out, &recording).map_err(|error| error.to_string())?;
        println!("{text}");
        let (events, dropped) = (recording.events.count(), recording.events.dropped());
        println!("{events} events in {}, {dropped} dropped", out.display());
        Ok(if same { Verdict::Good } else { Verdict::Bad })
    }

    /// Runs and stops, as commands say.
    pub(crate) fn debug(
        &self,
        to: Option<u64>,
        breaks: Vec<Break>,
        input: Input,
    ) -> Result<Verdict, String> {
        let console = Console::new(self.recording.clone(), to, breaks, input);
        let console = Rc::new(RefCell::new(console));
        let shared = Rc::clone(&console);
        let observer = Observer::new(move |moment| shared.borrow_mut().look(moment));
        // A person who thinks is no livelock.
        let simulation = self.simulation.clone().unwatched().observe(observer);
        println!("{}, seed {:#x}", self.scenario.name, self.recording.header.seed);
        loop {
            let report = self.replay(&simulation);
            let mut console = console.borrow_mut();
            let then = match console.takes_over() {
                Some(then) => then,
                None => {
                    let (same, text) = self.judge(&report);
                    console.ended(same, &text)
                }
            };
            match then {
                Then::Again => {}
                Then::Quit { good: true } => return Ok(Verdict::Good),
                Then::Quit { good: false } => return Ok(Verdict::Bad),
            }
        }
    }
}
