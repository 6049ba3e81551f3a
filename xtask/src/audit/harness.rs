//! `raddle-loom`, as the audit uses it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use raddle_coverage::Hits;
use serde::Deserialize;

use super::{cannot, in_root, patient};
use crate::{Error, workspace};

/// How long a scenario may take when it shows which sites it reaches, in seconds: it need not end.
const REACH_SECONDS: &str = "10";

/// The program.
pub(crate) struct Harness {
    binary: PathBuf,
    /// Of the binary: results are those of one.
    pub(crate) hash: u64,
    directory: PathBuf,
}

/// A scenario that holds, and what it reaches.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) scenario: String,
    /// The preemption bound that it suggests.
    pub(crate) bound: Option<usize>,
    pub(crate) seconds: f64,
    pub(crate) hits: Hits,
    /// After which sites a thread's waker was called.
    pub(crate) wakes: Vec<String>,
}

/// What came of one scenario with one mutation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It failed; in the words of the first message.
    Failed(String),
    /// It held, in every execution within the bound.
    Held,
    /// It held until its time was up.
    TimedOut,
    /// No execution came to the site.
    NotReached,
}

/// What cargo says about something that it built.
#[derive(Deserialize)]
struct Built {
    executable: Option<PathBuf>,
}

/// What `--json` of the program says.
#[derive(Deserialize)]
struct Results {
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Scenario {
    name: String,
    expect: String,
    suggested: Option<usize>,
    passed: bool,
    verdict: String,
    seconds: f64,
    wakes: Vec<String>,
}

/// The report that a child prints.
#[derive(Deserialize)]
struct Report {
    verdict: serde_json::Value,
    elapsed: Duration,
    mutated: u64,
}

impl Harness {
    /// Builds the program. What it writes goes to `directory`.
    pub(crate) fn build(directory: &Path) -> Result<Self, Error> {
        let output = workspace::cargo()
            .args(["build", "--release", "--package", "raddle-loom", "--bin", "raddle-loom"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
        if !output.status.success() {
            return Err(Error::new(format!("cargo build ended with {}", output.status)));
        }
        let built = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Built>(line).ok()?.executable)
            .next_back()
            .ok_or_else(|| Error::new("cargo built no executable of raddle-loom"))?;
        // A copy, so that a build meanwhile does not change what is audited.
        let binary = directory.join("raddle-loom");
        let bytes = fs::read(&built).map_err(|error| cannot(&built, &error))?;
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        fs::copy(&built, &binary).map_err(|error| cannot(&binary, &error))?;
        Ok(Self { binary, hash: hasher.finish(), directory: directory.to_path_buf() })
    }

    /// What each scenario reaches that holds: as this program told before, or by running all now.
    pub(crate) fn reach(&self) -> Result<Vec<Reach>, Error> {
        let directory = self.directory.join("reach");
        let results = directory.join("results").with_extension("list");
        let of_binary = directory.join("binary");
        let hash = format!("{:016x}", self.hash);
        if fs::read_to_string(&of_binary).is_ok_and(|found| found == hash) {
            return read_reach(&directory, &results);
        }
        println!("running all scenarios once, to see what they reach");
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(|error| cannot(&directory, &error))?;
        }
        fs::create_dir_all(&directory).map_err(|error| cannot(&directory, &error))?;
        let status = in_root(&self.binary)
            .args(["--quick", "--seconds", REACH_SECONDS])
            .arg("--sites")
            .arg(&directory)
            .arg("--json")
            .arg(&results)
            .stdout(Stdio::null())
            .status()
            .map_err(|error| cannot(&self.binary, &error))?;
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(Error::new(format!("raddle-loom ended with {status}")));
        }
        let reach = read_reach(&directory, &results)?;
        fs::write(&of_binary, hash).map_err(|error| cannot(&of_binary, &error))?;
        Ok(reach)
    }

    /// Runs `scenario` with `mutation`, and says how much processor time it took.
    pub(crate) fn run(
        &self,
        scenario: &str,
        mutation: &str,
        bound: Option<usize>,
        seconds: f64,
    ) -> Result<(Run, f64), Error> {
        let mut command = in_root(&self.binary);
        command.args(["--child", scenario, "--mutate", mutation]);
        command.args(["--seconds", &seconds.to_string()]);
        match bound {
            Some(bound) => command.args(["--max-preemptions", &bound.to_string()]),
            None => command.arg("--unbounded"),
        };
        let output = patient::output(command, Duration::from_secs_f64(seconds * 4.0 + 10.0))
            .map_err(|error| cannot(&self.binary, &error))?;
        if output.code == Some(2) {
            return Err(Error::new(format!("raddle-loom refuses {mutation}: {}", output.text)));
        }
        let report = output.text.lines().next_back();
        let Some(Ok(report)) = report.map(serde_json::from_str::<Report>) else {
            // Undefined behaviour, or an execution without end.
            return Ok((Run::Failed("the process died".to_owned()), output.seconds));
        };
        let Report { verdict, elapsed, mutated } = report;
        let run = if let Some(failure) = verdict.get("Failed") {
            let message = failure["messages"][0].as_str().unwrap_or_default();
            Run::Failed(message.lines().next().unwrap_or_default().to_owned())
        } else if mutated == 0 {
            Run::NotReached
        } else if verdict == "TimedOut" {
            Run::TimedOut
        } else {
            Run::Held
        };
        Ok((run, elapsed.as_secs_f64()))
    }
}

/// Reads what `raddle-loom --sites --json` wrote. Broken twins fail in any case, and say nothing.
fn read_reach(directory: &Path, results: &Path) -> Result<Vec<Reach>, Error> {
    let json = fs::read(results).map_err(|error| cannot(results, &error))?;
    let results: Results =
        serde_json::from_slice(&json).map_err(|error| cannot(results, &error))?;
    let mut reach = Vec::new();
    for scenario in results.scenarios {
        let Scenario { name, expect, suggested: bound, passed, verdict, seconds, wakes } = scenario;
        if expect != "Holds" {
            continue;
        }
        if !passed && verdict != "TimedOut" {
            println!("left out: {name} fails without any mutation");
            continue;
        }
        let file = directory.join(format!("{}.json", name.replace('/', "__")));
        let hits = Hits::read(&file).map_err(|error| Error::new(error.to_string()))?;
        reach.push(Reach { scenario: name, bound, seconds, hits, wakes });
    }
    // The quick ones first.
    reach.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Ok(reach)
}
