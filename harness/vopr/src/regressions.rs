//! Bugs that were found in the code that ships, and must stay away: `harness/vopr/regressions`.

use core::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifacts::TestCase;
use crate::programs::{Program, programs};
use crate::report::{Failure, FailureKind, Report};
use crate::seeds::{self, Purpose};
use crate::simulation::Simulation;
use crate::strategy::Strategy;
use crate::trace::{self, Recording};

/// Where they are kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// What `regression.json` says.
#[derive(Clone, Debug, Deserialize)]
struct Told {
    scenario: String,
    bug: String,
    oracle: String,
    message: String,
}

/// A bug that was found.
#[derive(Debug)]
pub struct Regression {
    /// The name of its folder.
    pub name: String,
    /// The bug, in a sentence.
    pub bug: String,
    /// What takes the fix out.
    pub patch: PathBuf,
    told: Told,
    program: Program,
    recording: Recording,
}

/// How far the kept trace still goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Trail {
    /// To the end, which is another one.
    ToTheEnd,
    /// Up to this decision, of so many: from there the program does something else now.
    UpTo(u64, u64),
    /// Nowhere: its settings cannot be had in this build.
    Nowhere(String),
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToTheEnd => f.write_str("its trace is followed to the end, which is a good one"),
            Self::UpTo(decision, all) => write!(
                f,
                "the source has changed since its trace was recorded: followed up to decision \
                 {decision} of {all}"
            ),
            Self::Nowhere(why) => {
                write!(f, "its trace can be replayed no more, fresh seeds only: {why}")
            }
        }
    }
}

/// What a search for a bug came to.
#[derive(Debug)]
pub struct Searched {
    /// How far the kept trace went.
    pub trail: Trail,
    /// How many executions there were.
    pub runs: u64,
    /// The first that failed.
    pub found: Option<Box<Found>>,
}

/// An execution that failed.
#[derive(Debug)]
pub struct Found {
    /// How it was set up.
    pub simulation: Simulation,
    /// What came of it.
    pub report: Report,
    /// By the kept trace itself, at the same step as then.
    pub by_trace: bool,
}

impl Found {
    /// How it failed.
    pub fn failure(&self) -> Option<&Failure> {
        self.report.failure()
    }
}

/// Random tails for each point from which the way to the bug is searched again.
const TAILS: u64 = 50;

/// All regressions in a folder, by name.
///
/// # Errors
/// A file is missing, or says what it should not.
pub fn regressions(folder: &Path) -> Result<Vec<Regression>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(wrong)?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    paths.iter().map(|path| Regression::read(path)).collect()
}

impl Regression {
    fn read(path: &Path) -> Result<Self, String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = path.join("regression.json");
        let wrong = |what: &dyn fmt::Display| format!("{}: {what}", file.display());
        let text = fs::read_to_string(&file).map_err(|error| wrong(&error))?;
        let told: Told = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        let known = programs().into_iter().find(|it| it.scenario.name == told.scenario);
        let program = known.ok_or_else(|| wrong(&format!("no scenario {:?}", told.scenario)))?;
        let recording = trace::load(&path.join("trace")).map_err(|error| error.to_string())?;
        if recording.header.scenario != told.scenario {
            return Err(wrong(&format!("the trace is of {:?}", recording.header.scenario)));
        }
        let failure = recording.ending.as_ref().and_then(|ending| ending.failure.as_ref());
        if failure.is_none_or(|it| it.kind != told.oracle) {
            return Err(wrong(&"the trace does not end with this failure"));
        }
        let patch = path.join("twin.patch");
        if !patch.is_file() {
            return Err(format!("{}: the broken twin is missing", patch.display()));
        }
        Ok(Self { name, bug: told.bug.clone(), patch, told, program, recording })
    }

    /// Whether a failure is the one that was found then.
    pub fn is_it(&self, failure: &Failure) -> bool {
        failure.kind.to_string() == self.told.oracle
            && failure.messages.iter().any(|message| message.contains(&self.told.message))
    }

    /// What artifacts name it by.
    pub fn case(&self) -> TestCase {
        TestCase::new(self.program.scenario.name).invariant(&self.bug)
    }

    /// Which scenario shows it.
    pub fn scenario(&self) -> &'static str {
        self.program.scenario.name
    }

    /// The program.
    pub fn run(&self) {
        self.program.scenario.run();
    }

    /// Looks for the bug: along its trace, by other ways from points of it, and with `fresh` seeds.
    pub fn search(&self, fresh: u64) -> Searched {
        let mut searched = Searched { trail: Trail::ToTheEnd, runs: 0, found: None };
        match self.recording.simulation() {
            Err(error) => searched.trail = Trail::Nowhere(error.to_string()),
            Ok(simulation) => {
                if self.along(&simulation, &mut searched) {
                    return searched;
                }
            }
        }
        let simulation = self
            .recording
            .simulation()
            .unwrap_or_default()
            .faults(self.program.faults.clone())
            .granularity(self.program.granularity)
            .strategy(Strategy::Portfolio);
        for run in 0..fresh {
            let seed = seeds::derive(seeds::DEFAULT_ROOT, Purpose::Run, run);
            if self.try_once(simulation.clone().seed(seed), &mut searched) {
                break;
            }
        }
        searched
    }

    /// Along the trace; whether that was enough.
    fn along(&self, simulation: &Simulation, searched: &mut Searched) -> bool {
        let report = simulation.run(|| self.run());
        searched.runs += 1;
        let all = self.recording.trace.decisions.len();
        let parted = report.divergence.as_ref().map(|it| it.index);
        if let Some(index) = parted {
            searched.trail = Trail::UpTo(index, all as u64);
        }
        let failed = report.failure().is_some_and(|it| it.kind != FailureKind::Divergence);
        if failed {
            let recorded = self.recording.ending.as_ref().and_then(|it| it.failure.as_ref());
            let step = report.failure().map(|it| it.step);
            let by_trace = parted.is_none() && recorded.map(|it| it.step) == step;
            let found = Found { simulation: simulation.clone(), report, by_trace };
            searched.found = Some(Box::new(found));
            return true;
        }
        let end = parted.map_or(all, |index| (index as usize).min(all));
        for quarter in (1..=4).rev() {
            for tail in 0..TAILS {
                let trace = self.recording.trace.clone();
                let tail = seeds::derive(trace.seed, Purpose::Run, tail);
                let prefix = Strategy::Prefix { trace, decisions: end * quarter / 4, tail };
                if self.try_once(simulation.clone().strategy(prefix), searched) {
                    return true;
                }
            }
        }
        false
    }

    fn try_once(&self, simulation: Simulation, searched: &mut Searched) -> bool {
        let report = simulation.run(|| self.run());
        searched.runs += 1;
        // A prefix that does not fit has said all that it can.
        let failed = report.failure().is_some_and(|it| it.kind != FailureKind::Divergence);
        if failed {
            searched.found = Some(Box::new(Found { simulation, report, by_trace: false }));
        }
        failed
    }
}
