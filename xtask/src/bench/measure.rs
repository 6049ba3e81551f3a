//! Builds the benches, runs them one after the other, and reads what criterion measured.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use walkdir::WalkDir;

use super::probe::{Limits, Probe};
use super::progress::Progress;
use super::record::{Case, Measured, Run, Subject};
use super::{Group, PACKAGE};
use crate::workspace::{self, Workspace};
use crate::{Error, bench};

/// A group that is built: what to run, and the names of its measurements.
struct Built {
    group: &'static str,
    program: PathBuf,
    /// As criterion names them, in the order in which they run.
    ids: Vec<String>,
}

/// How many lines of a bench that failed are shown.
const SHOWN_LINES: usize = 40;

/// Runs the groups. A machine that is busy before the first one is not waited for.
pub(super) fn run(
    workspace: &Workspace,
    groups: &[&'static Group],
    limits: &Limits,
) -> Result<Run, Error> {
    let built = build(groups)?;
    let first = bench::probe("before", limits);
    if let Some(why) = Probe::of(vec![first]).busy(limits) {
        eprintln!("the machine is busy: {why}.\nThe ratios will be shown, and nothing recorded");
    }
    let mut readings = vec![first];
    let mut progress = Progress::new(built.iter().map(|it| it.ids.len()).sum());
    let mut measured = Vec::new();
    for bench in &built {
        measured.push(bench.run(workspace, &mut progress)?);
        readings.push(bench::probe(&format!("after {}", bench.group), limits));
        // After each group, so that a run that is stopped has something to show.
        let run = Run {
            probe: Probe::of(readings.clone()),
            machine: machine(),
            groups: measured.clone(),
        };
        run.store(&workspace.target)?;
    }
    Run::load(&workspace.target)
}

/// Processor, cores, kernel, compiler.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or("").trim();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let rustc = rustc.unwrap_or_default();
    let rustc = rustc.split(" (").next().unwrap_or("").trim();
    format!("{model}, {cores} cores, Linux {kernel}, {rustc}")
}

fn build(groups: &[&'static Group]) -> Result<Vec<Built>, Error> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--no-run", "--message-format=json-render-diagnostics"]);
    cargo.args(["--package", PACKAGE]);
    for group in groups {
        cargo.args(["--bench", group.name]);
    }
    let output = cargo
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Error::new(format!("cargo does not start: {error}")))?;
    if !output.status.success() {
        return Err(Error::new("the benches do not build: see above"));
    }
    let programs = programs(&String::from_utf8_lossy(&output.stdout));
    let built = groups.iter().map(|group| {
        let program = programs.get(group.name).cloned().ok_or_else(|| {
            Error::new(format!("cargo built the bench {} and did not say where", group.name))
        })?;
        let ids = list(&program)?;
        Ok(Built { group: group.name, program, ids })
    });
    built.collect()
}

/// Where cargo put each bench, by its messages.
fn programs(messages: &str) -> HashMap<String, PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let program = |message: serde_json::Value| {
        let path = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
    };
    messages.filter_map(program).collect()
}

/// The measurements that a bench has.
fn list(program: &Path) -> Result<Vec<String>, Error> {
    let failed = |what: String| Error::new(format!("{} --list {what}", program.display()));
    let output = Command::new(program)
        .args(["--bench", "--list"])
        .output()
        .map_err(|error| failed(format!("does not start: {error}")))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("ended with {}: {}", output.status, message.trim())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let ids: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_suffix(": benchmark"))
        .map(str::to_owned)
        .collect();
    if ids.is_empty() {
        return Err(failed("names no measurement".to_owned()));
    }
    Ok(ids)
}

impl Built {
    fn run(&self, workspace: &Workspace, progress: &mut Progress) -> Result<Measured, Error> {
        let criterion = workspace.target.join("criterion");
        // Files are stamped by a clock that is a few milliseconds behind.
        let start = SystemTime::now() - Duration::from_millis(500);
        let mut child = Command::new(&self.program)
            .args(["--bench", "--noplot"])
            // Where cargo would run it.
            .current_dir(workspace.root.join("benches"))
            .env("CRITERION_HOME", &criterion)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::new(format!("{}: {error}", self.program.display())))?;
        let mut lines = Vec::new();
        for line in output_lines(&mut child) {
            if let Some((id, phase)) = phase(&line) {
                let what = if id.starts_with(self.group) {
                    id.to_owned()
                } else {
                    format!("{}: {id}", self.group)
                };
                match phase {
                    Phase::Begun => progress.begun(&what),
                    Phase::Ended => progress.ended(&what),
                }
            } else {
                lines.push(line);
            }
        }
        progress.clear();
        let status =
            child.wait().map_err(|error| Error::new(format!("{}: {error}", self.group)))?;
        if !status.success() {
            let shown = lines.len().saturating_sub(SHOWN_LINES);
            for line in &lines[shown..] {
                eprintln!("{line}");
            }
            return Err(Error::new(format!(
                "the bench {} ended with {status}: see above",
                self.group
            )));
        }
        let notes = lines.iter().filter_map(|line| line.strip_prefix("note: "));
        Ok(Measured {
            group: self.group.to_owned(),
            cases: cases(self.group, &self.ids, &read_all(&criterion, start)?)?,
            notes: notes.map(str::to_owned).collect(),
        })
    }
}

/// What a process writes to either of its outputs, line by line, until both end.
fn output_lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|output| Box::new(output) as _),
        child.stderr.take().map(|output| Box::new(output) as _),
    ];
    for output in outputs.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
    }
    lines
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Begun,
    Ended,
}

/// What a line of criterion says of a measurement.
fn phase(line: &str) -> Option<(&str, Phase)> {
    let rest = line.strip_prefix("Benchmarking ")?;
    match rest.rsplit_once(": ") {
        Some((id, "Analyzing")) => Some((id, Phase::Ended)),
        Some((id, _)) => Some((id, Phase::Begun)),
        None => Some((rest, Phase::Begun)),
    }
}

/// What criterion calls a measurement.
#[derive(Debug, Deserialize)]
struct Id {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    full_id: String,
}

impl Id {
    /// Case and subject. The group of criterion is the case, with or without our group in front; a parameter
    /// beside a function belongs to the case, and alone it is the subject.
    fn split(&self, group: &str) -> (String, String) {
        let case = match self.group_id.strip_prefix(group) {
            Some("") => "",
            Some(rest) => rest.strip_prefix(['/', '_']).unwrap_or(&self.group_id),
            None => &self.group_id,
        };
        let case = case.to_owned();
        match (&self.function_id, &self.value_str) {
            (Some(function), None) => (case, function.clone()),
            (None, Some(value)) => (case, value.clone()),
            (Some(function), Some(value)) if case.is_empty() => (value.clone(), function.clone()),
            (Some(function), Some(value)) => (format!("{case}/{value}"), function.clone()),
            (None, None) => (case, self.full_id.clone()),
        }
    }
}

#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

impl Sample {
    /// First quartile, median, third quartile of the time of an iteration.
    fn quartiles(&self) -> Option<[f64; 3]> {
        let mut each: Vec<_> = self.times.iter().zip(&self.iters).map(|(t, n)| t / n).collect();
        each.sort_by(f64::total_cmp);
        let last = each.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (each[place.floor() as usize], each[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        // A picosecond is more than is known.
        let quartiles = [0.25, 0.5, 0.75].map(|share| (1e3 * at(share)).round() / 1e3);
        quartiles.iter().all(|it| it.is_finite() && *it > 0.0).then_some(quartiles)
    }
}

/// What criterion wrote since `start`, by full id.
fn read_all(criterion: &Path, start: SystemTime) -> Result<HashMap<String, (Id, Sample)>, Error> {
    let mut all = HashMap::new();
    let entries = WalkDir::new(criterion).into_iter().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.path().ends_with("new/benchmark.json")) {
        let modified = entry.metadata().ok().and_then(|data| data.modified().ok());
        if modified.is_none_or(|modified| modified < start) {
            continue;
        }
        let id: Id = read(entry.path())?;
        let sample = read(&entry.path().with_file_name("sample.json"))?;
        all.insert(id.full_id.clone(), (id, sample));
    }
    Ok(all)
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<T, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::new(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// The cases of a group, in the order of `ids`.
fn cases(
    group: &str,
    ids: &[String],
    measured: &HashMap<String, (Id, Sample)>,
) -> Result<Vec<Case>, Error> {
    let mut cases: Vec<Case> = Vec::new();
    for full_id in ids {
        let wrong = |what: &str| Error::new(format!("{group}: {full_id} {what}"));
        let (id, sample) = measured.get(full_id).ok_or_else(|| wrong("was not measured"))?;
        let [q1_ns, median_ns, q3_ns] =
            sample.quartiles().ok_or_else(|| wrong("was measured with no time"))?;
        let (name, subject) = id.split(group);
        let subject = Subject { subject, q1_ns, median_ns, q3_ns };
        match cases.iter_mut().find(|case| case.case == name) {
            Some(case) if case.subject(&subject.subject).is_some() => {
                return Err(wrong("has the case and subject of another one"));
            }
            Some(case) => case.subjects.push(subject),
            None => cases.push(Case { case: name, subjects: vec![subject] }),
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Id, Phase, Sample, cases, phase, programs};

    fn id(group: &str, function: Option<&str>, value: Option<&str>) -> Id {
        let parts = [Some(group), function, value].into_iter().flatten().collect::<Vec<_>>();
        Id {
            group_id: group.to_owned(),
            function_id: function.map(str::to_owned),
            value_str: value.map(str::to_owned),
            full_id: parts.join("/"),
        }
    }

    #[test]
    fn case_and_subject_are_found_in_either_way_to_name_them() {
        for (id, expected) in [
            (id("mutex_2_threads/1_ns", Some("std"), None), ("mutex_2_threads/1_ns", "std")),
            (id("pubsub/1x64/work=0", Some("raddle"), None), ("1x64/work=0", "raddle")),
            (id("pubsub", Some("raddle"), Some("1x64/work=0")), ("1x64/work=0", "raddle")),
            (id("pubsubs/1", Some("raddle"), None), ("pubsubs/1", "raddle")),
            (id("pubsub/1x64", Some("raddle"), Some("work=0")), ("1x64/work=0", "raddle")),
            (id("mutex_8_fibers", None, Some("tokio")), ("mutex_8_fibers", "tokio")),
        ] {
            let (case, subject) = id.split("pubsub");
            assert_eq!((case.as_str(), subject.as_str()), expected);
        }
    }

    #[test]
    fn quartiles_are_of_the_time_of_an_iteration() {
        let sample =
            |times: &[f64]| Sample { iters: vec![2.0; times.len()], times: times.to_vec() };
        let quartiles = sample(&[10.0, 2.0, 8.0, 4.0, 6.0]).quartiles();
        assert_eq!(quartiles, Some([2.0, 3.0, 4.0]));
        assert_eq!(sample(&[2.0, 4.0]).quartiles(), Some([1.25, 1.5, 1.75]));
        assert_eq!(sample(&[]).quartiles(), None);
        assert_eq!(sample(&[0.0]).quartiles(), None);
    }

    #[test]
    fn a_measurement_that_is_missing_or_there_twice_is_an_error() {
        let measured = |ids: Vec<Id>| -> HashMap<_, _> {
            let sample = || Sample { iters: vec![1.0], times: vec![3.0] };
            ids.into_iter().map(|id| (id.full_id.clone(), (id, sample()))).collect()
        };
        let ids = ["g/c/raddle".to_owned(), "g/raddle/c".to_owned()];
        let twice =
            measured(vec![id("g/c", Some("raddle"), None), id("g", Some("raddle"), Some("c"))]);
        let found = cases("g", &ids[..1], &twice).expect("measured");
        assert_eq!((found[0].case.as_str(), found[0].subjects[0].median_ns), ("c", 3.0));
        let error = cases("g", &ids, &twice).expect_err("twice").to_string();
        assert!(error.contains("of another one"), "{error}");
        let error = cases("g", &ids, &measured(Vec::new())).expect_err("missing").to_string();
        assert!(error.contains("g/c/raddle was not measured"), "{error}");
    }

    #[test]
    fn the_lines_of_criterion_tell_how_far_it_is() {
        let line = "Benchmarking a/b: c/d: Collecting 20 samples in estimated 2.0 s (1 iterations)";
        assert_eq!(phase(line), Some(("a/b: c/d", Phase::Begun)));
        assert_eq!(phase("Benchmarking a/b: Analyzing"), Some(("a/b", Phase::Ended)));
        assert_eq!(phase("Benchmarking a/b"), Some(("a/b", Phase::Begun)));
        assert_eq!(phase("a/b    time: [1 ns 2 ns 3 ns]"), None);
    }

    #[test]
    fn programs_are_found_in_the_messages_of_cargo() {
        let messages = "not JSON\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"locks\"},\"executable\":\"/a/b\"}\n\
            {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"lib\"},\"executable\":null}\n";
        let programs = programs(messages);
        assert_eq!(programs.len(), 1);
        assert_eq!(programs["locks"].to_str(), Some("/a/b"));
    }
}
