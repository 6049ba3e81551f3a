//! What is kept of a run that failed: everything that somebody needs who was not there.
//!
//! ```text
//!   RADDLE_ARTIFACTS_DIR/
//!     net__echo/                     the test, with `__` for `/`
//!       0x00000000000000ff/          the root seed
//!         repro_manifest.json        what it was, how to run it again, digests of the files below
//!         trace                      the decisions, and what was observed
//!         event_log.txt              what was observed, for a reader
//!         failed_assertions.json     what failed
//!         inputs.bin                 what the test was given besides the seed, if anything
//!     net__echo_summary.json         what came of the latest run
//! ```
//!
//! The directory is `target/vopr` where the variable is not set. With `RADDLE_ARTIFACTS=always` all
//! of it is kept of runs that passed, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::manifest::{
    ASSERTIONS, INPUTS, LOG, Manifest, SCHEMA_VERSION, TRACE, configuration_digest, digest_of,
};
use crate::report::{FailureKind, Report};
use crate::seeds::{self, Purpose};
use crate::simulation::Simulation;
use crate::trace::{self, Build, Header, Level, Record};

/// What the events of a kept run may take.
const EVENTS_BYTES: usize = 8 << 20;
/// The last lines of `event_log.txt`.
const LOG_EVENTS: usize = 20_000;

/// A test, as its artifacts name it.
///
/// ```
/// use raddle_vopr::{Simulation, TestCase};
///
/// // In a `#[test]`: runs it, prints the seeds, and fails with all that reproduces it.
/// let report = TestCase::new("bank/transfer")
///     .invariant("no money is made")
///     .check(&Simulation::new(), || assert_eq!(3 + 4, 7));
/// assert!(report.failure().is_none());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TestCase {
    test: String,
    subsystem: String,
    invariant: String,
    inputs: Option<Vec<u8>>,
    command: Option<String>,
    root: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The directory of the seed.
    pub directory: PathBuf,
    /// The manifest in it: `cargo xtask replay` takes it.
    pub manifest: PathBuf,
    /// The trace in it.
    pub trace: PathBuf,
}

/// One entry of `failed_assertions.json`.
#[derive(Serialize)]
struct Assertion<'a> {
    oracle: String,
    /// Whether the oracle says so itself; else it is what a thread panicked with on the way.
    verdict: bool,
    step: u64,
    message: &'a str,
}

/// `<test>_summary.json`.
#[derive(Serialize)]
struct Summary<'a> {
    schema_version: u32,
    test_id: &'a str,
    passed: bool,
    seed: u64,
    certificate: String,
    decisions: u64,
    steps: u64,
    virtual_ns: u64,
    faults: BTreeMap<&'static str, u64>,
    failure_reason: Option<&'a str>,
    artifacts: Option<String>,
}

impl TestCase {
    /// A test of that name: `subject/property`, or a path of modules.
    pub fn new(test: &str) -> Self {
        let (subsystem, invariant) = test.split_once('/').unwrap_or((test, test));
        Self {
            test: test.to_owned(),
            subsystem: subsystem.to_owned(),
            invariant: invariant.to_owned(),
            inputs: None,
            command: None,
            root: None,
        }
    }

    /// Says what is tested; else it is the part of the name before the first `/`.
    pub fn subsystem(mut self, name: &str) -> Self {
        name.clone_into(&mut self.subsystem);
        self
    }

    /// Says what must hold; else it is the rest of the name.
    pub fn invariant(mut self, text: &str) -> Self {
        text.clone_into(&mut self.invariant);
        self
    }

    /// What the program was given besides the seed. A replay needs the same.
    pub fn inputs(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.inputs = Some(bytes.into());
        self
    }

    /// The command that runs the same seed again; else it is `cargo test` with `RADDLE_SEED`.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Where to keep it, instead of where the environment says.
    pub fn under(mut self, directory: impl Into<PathBuf>) -> Self {
        self.root = Some(directory.into());
        self
    }

    /// Runs `program` once and keeps what there is to keep. Prints the root seed and what is derived
    /// from it, at the start and on failure.
    ///
    /// # Panics
    /// When it fails, with everything that is needed to reproduce it; as [`Simulation::run`]; and
    /// when the artifacts cannot be written.
    #[track_caller]
    pub fn check(&self, simulation: &Simulation, program: impl Fn()) -> Report {
        println!("{}: {}", self.test, seeds_line(simulation.root_seed()));
        let report = simulation.run(&program);
        let kept = match self.conclude(simulation, &report, &program) {
            Ok(kept) => kept,
            Err(error) => panic!("{}: the artifacts cannot be written: {error}", self.test),
        };
        if let Some(failure) = report.failure() {
            let Kept { manifest, trace, .. } = kept.unwrap_or_else(|| self.places(report.seed));
            panic!(
                "{}: {failure}\n{}\nreproduce: {}\nmanifest: {}\ntrace: {}",
                self.test,
                seeds_line(report.seed),
                self.rerun(report.seed),
                manifest.display(),
                trace.display()
            );
        }
        report
    }

    /// Keeps everything, if `report` is of a failure or all is wanted; the summary always, where
    /// `RADDLE_ARTIFACTS_DIR` is set or anything is kept.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn conclude(
        &self,
        simulation: &Simulation,
        report: &Report,
        program: &dyn Fn(),
    ) -> io::Result<Option<Kept>> {
        let always = std::env::var_os("RADDLE_ARTIFACTS").is_some_and(|value| value == "always");
        let wanted = always || report.failure().is_some();
        let kept = match wanted {
            true => Some(self.keep(simulation, report, program)?),
            false => None,
        };
        if kept.is_some() || self.root.is_some() || variable().is_some() {
            self.summarise(report, kept.as_ref())?;
        }
        Ok(kept)
    }

    /// Keeps everything. `program` is replayed, to observe what happens.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn keep(
        &self,
        simulation: &Simulation,
        report: &Report,
        program: &dyn Fn(),
    ) -> io::Result<Kept> {
        let kept = self.places(report.seed);
        fs::create_dir_all(&kept.directory)?;
        let observed = self.observe(simulation, report, program);
        let recording = simulation.recording(&self.test, observed.as_ref().unwrap_or(report));
        trace::save(&kept.trace, &recording).map_err(io::Error::other)?;
        fs::write(kept.directory.join(LOG), self.log(report, observed.as_ref()))?;
        json(&kept.directory.join(ASSERTIONS), &assertions(report))?;
        if let Some(inputs) = &self.inputs {
            fs::write(kept.directory.join(INPUTS), inputs)?;
        }
        json(&kept.manifest, &self.manifest(&recording.header, report, &kept)?)?;
        Ok(kept)
    }

    /// The same execution with events; nothing, if it is another one.
    fn observe(
        &self,
        simulation: &Simulation,
        report: &Report,
        program: &dyn Fn(),
    ) -> Option<Report> {
        let record = Record { cap_bytes: EVENTS_BYTES, ..Record::level(Level::Blocking) };
        let replay = simulation.clone().replay(report.trace.clone()).record(record);
        let again = replay.run(program);
        let same = again.certificate == report.certificate && again.failure() == report.failure();
        same.then_some(again)
    }

    fn places(&self, seed: u64) -> Kept {
        let directory = self.root().join(file_name(&self.test)).join(format!("{seed:#018x}"));
        let (manifest, trace) = (directory.join("repro_manifest.json"), directory.join(TRACE));
        Kept { directory, manifest, trace }
    }

    fn root(&self) -> PathBuf {
        let given = self.root.clone().or_else(variable);
        given.unwrap_or_else(|| PathBuf::from("target/vopr"))
    }

    fn rerun(&self, seed: u64) -> String {
        self.command.clone().unwrap_or_else(|| {
            let name = self.test.rsplit(['/', ':']).next().unwrap_or(&self.test);
            format!("RADDLE_SEED={seed:#x} cargo test {name} -- --nocapture")
        })
    }

    fn log(&self, report: &Report, observed: Option<&Report>) -> String {
        let mut text = format!("{}\n{}\n", self.test, seeds_line(report.seed));
        match observed.and_then(|it| it.events.as_ref()) {
            Some(events) => {
                let all: Vec<_> = events.iter().collect();
                let left_out = all.len().saturating_sub(LOG_EVENTS) as u64 + events.dropped();
                if left_out > 0 {
                    let _ = writeln!(text, "… {left_out} earlier events");
                }
                for event in &all[all.len().saturating_sub(LOG_EVENTS)..] {
                    let _ = writeln!(text, "{event}");
                }
            }
            None => {
                text += "a replay gave another execution: the program depends on more than its \
                             seed. What was seen the first time:\n"
            }
        }
        for (name, value) in &report.state {
            let _ = writeln!(text, "{name} = {value}");
        }
        if let Some(failure) = report.failure() {
            let _ = writeln!(text, "{failure}");
        }
        text
    }

    fn manifest(&self, header: &Header, report: &Report, kept: &Kept) -> io::Result<Manifest> {
        let derived = |purpose| seeds::derive(report.seed, purpose, 0);
        let failure = report.failure();
        let input_file = self.inputs.is_some().then_some(INPUTS);
        let mut files = BTreeMap::new();
        for name in [TRACE, LOG, ASSERTIONS].into_iter().chain(input_file) {
            files.insert(name.to_owned(), digest_of(&kept.directory.join(name))?);
        }
        Ok(Manifest {
            schema_version: SCHEMA_VERSION,
            trace_schema: trace::VERSION,
            test_id: self.test.clone(),
            scenario_id: header.scenario.clone(),
            seed: report.seed,
            schedule_seed: derived(Purpose::Schedule),
            entropy_seed: derived(Purpose::Entropy),
            fault_seed: derived(Purpose::Fault),
            fuzz_seed: derived(Purpose::Workload),
            derived_seeds: Purpose::ALL.map(|it| (it.tag().to_owned(), derived(it))).into(),
            config_hash: configuration_digest(&header.settings),
            configuration: header
                .settings
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            trace_fingerprint: files[TRACE].clone(),
            input_digest: input_file.map(|name| files[name].clone()),
            files,
            certificate: report.certificate.to_string(),
            oracle_violations: failure.iter().map(|it| it.kind.to_string()).collect(),
            passed: failure.is_none(),
            subsystem: self.subsystem.clone(),
            invariant: self.invariant.clone(),
            trace_file: TRACE.to_owned(),
            input_file: input_file.map(str::to_owned),
            env_snapshot: environment(),
            phases_executed: phases(report).into_iter().map(str::to_owned).collect(),
            failure_reason: failure.map(|it| it.message().to_owned()),
            step: failure.map_or(report.steps, |it| it.step),
            decisions: report.decisions,
            virtual_ns: u64::try_from(report.virtual_time.as_nanos()).unwrap_or(u64::MAX),
            state: report.state.iter().cloned().collect(),
            build: Build::current(),
            replay_command: format!("cargo xtask replay {}", kept.manifest.display()),
            rerun_command: self.rerun(report.seed),
        })
    }

    fn summarise(&self, report: &Report, kept: Option<&Kept>) -> io::Result<()> {
        let root = self.root();
        fs::create_dir_all(&root)?;
        let failure = report.failure();
        let summary = Summary {
            schema_version: SCHEMA_VERSION,
            test_id: &self.test,
            passed: failure.is_none(),
            seed: report.seed,
            certificate: report.certificate.to_string(),
            decisions: report.decisions,
            steps: report.steps,
            virtual_ns: u64::try_from(report.virtual_time.as_nanos()).unwrap_or(u64::MAX),
            faults: report.faults.struck(),
            failure_reason: failure.map(|it| it.message()),
            artifacts: kept.map(|kept| kept.directory.display().to_string()),
        };
        json(&root.join(format!("{}_summary.json", file_name(&self.test))), &summary)
    }
}

fn variable() -> Option<PathBuf> {
    std::env::var_os("RADDLE_ARTIFACTS_DIR").map(PathBuf::from)
}

/// A test's name as a directory: what is not a letter or a digit is `_`, and `/` two of them.
fn file_name(test: &str) -> String {
    let word = |part: &str| {
        part.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect::<String>()
    };
    test.split('/').map(word).collect::<Vec<_>>().join("__")
}

/// The root seed and those derived from it, on one line.
fn seeds_line(root: u64) -> String {
    let mut line = format!("root seed {root:#x}");
    for purpose in Purpose::ALL {
        let _ = write!(line, ", {} {:#x}", purpose.tag(), seeds::derive(root, purpose, 0));
    }
    line
}

fn assertions(report: &Report) -> Vec<Assertion<'_>> {
    let Some(failure) = report.failure() else { return Vec::new() };
    let last = failure.messages.len().saturating_sub(1);
    let all = failure.messages.iter().enumerate();
    all.map(|(index, message)| Assertion {
        oracle: failure.kind.to_string(),
        verdict: index == last,
        step: failure.step,
        message,
    })
    .collect()
}

/// How far the run came.
fn phases(report: &Report) -> Vec<&'static str> {
    let mut phases = vec!["setup", "run"];
    let ended = match report.failure() {
        None => true,
        Some(failure) => failure.kind == FailureKind::Leak,
    };
    phases.extend(ended.then_some("end"));
    phases.push("oracles");
    phases
}

/// What of the environment matters here.
fn environment() -> Vec<(String, String)> {
    let matters = |name: &str| name.starts_with("RADDLE_") || name == "CI_SEED" || name == "CI";
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut all: Vec<_> = all.filter(|(name, _)| matters(name)).collect();
    all.sort();
    all
}

fn json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)?;
    fs::rename(partial, path)
}
