//! `cargo xtask test`: everything that must hold before a change is merged, in one run.
//!
//! A step that fails does not end the run: the summary names all that failed. What was not run is
//! named too, with the reason.

use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use crate::workspace::{self, Kind, Workspace};
use crate::{Error, Verdict};

/// One thing that must hold.
struct Step {
    name: &'static str,
    /// The commands that it takes, whose output is shown as it comes.
    tasks: fn() -> Result<Vec<Task>, Error>,
}

/// A command, in the root of the workspace.
struct Task {
    arguments: Vec<String>,
    /// Variables of the environment.
    variables: &'static [(&'static str, &'static str)],
}

/// Quick steps first.
const STEPS: &[Step] = &[
    Step { name: "fmt", tasks: || run("fmt --all --check") },
    Step { name: "tidy", tasks: || run("xtask tidy") },
    Step { name: "clippy", tasks: || run("clippy --workspace --all-targets -- -D warnings") },
    Step { name: "docs", tasks: docs },
    Step { name: "tests", tasks: tests },
    Step { name: "doctests", tasks: || run("test --workspace --doc") },
    Step { name: "release-tests", tasks: release_tests },
    Step { name: "vopr", tasks: || run("xtask vopr --quick") },
    Step { name: "vopr-coverage", tasks: || run("xtask coverage-vopr --check") },
    Step { name: "hammer", tasks: || run("xtask hammer --quick") },
    Step { name: "loom", tasks: || run("xtask test-loom --quick") },
];

/// Tests that only say something about optimised code: the package and the test.
const RELEASE_TESTS: &[(&str, &str)] =
    &[("raddle-runtime", "footprint"), ("raddle-benches", "native_is_free")];

/// Run all tests and checks.
///
/// The steps are fmt, tidy, clippy, docs, tests, doctests, release-tests, vopr, vopr-coverage,
/// hammer and loom. A step that fails does not end the run; the last line counts those that passed and those
/// that failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print the summary as JSON on standard output, and all else on standard error.
    #[arg(long)]
    json: bool,
    /// Leave a step out; can be given several times.
    #[arg(long, value_name = "STEP", value_parser = PossibleValuesParser::new(names()))]
    skip: Vec<String>,
}

fn names() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|step| step.name)
}

#[derive(Debug, Serialize)]
struct Summary {
    steps: Vec<Row>,
    passed: usize,
    failed: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    result: Outcome,
    seconds: f64,
    /// Why it was left out or failed.
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Passed,
    Failed,
    LeftOut,
}

/// Runs the verb.
pub(crate) fn run_steps(options: &Options) -> Result<Verdict, Error> {
    let screen = Screen { json: options.json };
    let start = Instant::now();
    let mut rows = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        let elapsed = duration(start.elapsed());
        screen.line(&format!(
            "== {} ({} of {}, {elapsed} so far)",
            step.name,
            index + 1,
            STEPS.len()
        ));
        let began = Instant::now();
        let (result, reason) = if options.skip.iter().any(|name| name == step.name) {
            (Outcome::LeftOut, Some("--skip".to_owned()))
        } else {
            step.run(&screen)
        };
        let row = Row { name: step.name, result, seconds: began.elapsed().as_secs_f64(), reason };
        screen.line(&format!("== {row}\n"));
        rows.push(row);
    }
    let count = |outcome| rows.iter().filter(|row| row.result == outcome).count();
    let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
    for row in &rows {
        screen.line(&row.to_string());
    }
    screen.line(&format!("{passed} passed, {failed} failed"));
    if options.json {
        let summary = Summary { steps: rows, passed, failed };
        let json = serde_json::to_string_pretty(&summary)
            .map_err(|error| Error::new(format!("cannot write JSON: {error}")))?;
        println!("{json}");
    }
    Ok(if failed == 0 { Verdict::Good } else { Verdict::Bad })
}

impl Step {
    fn run(&self, screen: &Screen) -> (Outcome, Option<String>) {
        let tasks = match (self.tasks)() {
            Ok(tasks) => tasks,
            Err(error) => return (Outcome::Failed, Some(error.to_string())),
        };
        for task in tasks {
            screen.line(&format!("$ {task}"));
            match task.command(screen).status() {
                Ok(status) if status.success() => {}
                Ok(status) => return (Outcome::Failed, Some(format!("`{task}`: {status}"))),
                Err(error) => return (Outcome::Failed, Some(format!("`{task}`: {error}"))),
            }
        }
        (Outcome::Passed, None)
    }
}

impl Task {
    /// A command of cargo, whose words contain no blanks.
    fn cargo(words: &str) -> Self {
        Self { arguments: words.split(' ').map(str::to_owned).collect(), variables: &[] }
    }

    fn command(&self, screen: &Screen) -> Command {
        let mut command = workspace::cargo();
        command.args(&self.arguments).envs(self.variables.iter().copied());
        if screen.json {
            command.stdout(Stdio::from(io::stderr()));
        }
        command
    }
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, value) in self.variables {
            write!(f, "{name}='{value}' ")?;
        }
        write!(f, "cargo {}", self.arguments.join(" "))
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let result = match self.result {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::LeftOut => "left out",
        };
        let took = duration(Duration::from_secs_f64(self.seconds));
        write!(f, "{:<13} {result:<8} {took:>8}", self.name)?;
        self.reason.iter().try_for_each(|reason| write!(f, "  {reason}"))
    }
}

/// Where the headlines go: what is on standard output is JSON and nothing else, if it is asked for.
struct Screen {
    json: bool,
}

impl Screen {
    fn line(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            println!("{text}");
            // The commands write to the same place, without this program's buffer.
            let _ = io::stdout().flush();
        }
    }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{}:{:02} min", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

fn run(words: &str) -> Result<Vec<Task>, Error> {
    Ok(vec![Task::cargo(words)])
}

fn docs() -> Result<Vec<Task>, Error> {
    let task = Task::cargo("doc --workspace --no-deps");
    Ok(vec![Task { variables: &[("RUSTDOCFLAGS", "-D warnings")], ..task }])
}

/// nextest runs each test in a process of its own and ends the ones that hang; without it cargo's
/// own runner must do.
fn tests() -> Result<Vec<Task>, Error> {
    let nextest = workspace::cargo()
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    run(if nextest {
        "nextest run --workspace --profile ci"
    } else {
        "test --workspace --all-targets"
    })
}

fn release_tests() -> Result<Vec<Task>, Error> {
    let workspace = Workspace::own()?;
    let task = |(package, test): &(&str, &str)| {
        let known = workspace.package(package).is_some_and(|found| found.has(Kind::Test, test));
        if known {
            let words = format!("test --release -p {package} --test {test} -- --nocapture");
            Ok(Task::cargo(&words))
        } else {
            Err(Error::new(format!("{package} has no test `{test}`: correct RELEASE_TESTS")))
        }
    };
    RELEASE_TESTS.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Outcome, Row, duration};

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(duration(Duration::from_secs(61)), "1:01 min");
    }

    #[test]
    fn a_row_says_why() {
        let reason = Some("--skip".to_owned());
        let row = Row { name: "loom", result: Outcome::LeftOut, seconds: 0.0, reason };
        assert_eq!(row.to_string(), "loom          left out    0.0 s  --skip");
    }
}
