//! What a run measured, as it is kept: `target/bench/last.json`, and one file for each group
//! beside the charts in the docs.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::probe::Probe;
use crate::Error;

/// One run of the command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) probe: Probe,
    /// Processor, cores, kernel and compiler.
    pub(super) machine: String,
    pub(super) groups: Vec<Measured>,
}

/// A group, measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) group: String,
    pub(super) cases: Vec<Case>,
    /// Lines of the bench that began with `note: `.
    pub(super) notes: Vec<String>,
}

/// The same task for several subjects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) case: String,
    pub(super) subjects: Vec<Subject>,
}

/// One of them, and how long it took for one iteration, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Subject {
    pub(super) subject: String,
    pub(super) q1_ns: f64,
    pub(super) median_ns: f64,
    pub(super) q3_ns: f64,
}

impl Subject {
    /// Whether it is Raddle, or a variant of it, and not a rival.
    pub(super) fn is_ours(&self) -> bool {
        is_ours(&self.subject)
    }
}

/// Whether a subject is Raddle, or a variant of it: `raddle-std`, `raddle_atomics`.
pub(super) fn is_ours(subject: &str) -> bool {
    subject.starts_with("raddle")
}

/// Whether a subject is what all others of its case have to do besides, measured alone: no rival, as nobody
/// can be faster.
pub(super) fn is_floor(subject: &str) -> bool {
    subject == "work-alone"
}

/// Whether a subject is somebody else's.
pub(super) fn is_rival(subject: &str) -> bool {
    !is_ours(subject) && !is_floor(subject)
}

impl Case {
    pub(super) fn subject(&self, name: &str) -> Option<&Subject> {
        self.subjects.iter().find(|it| it.subject == name)
    }

    /// The one that the ratios are relative to: `raddle`, or the first variant of it.
    pub(super) fn reference(&self) -> Option<&Subject> {
        self.subject("raddle").or_else(|| self.subjects.iter().find(|it| it.is_ours()))
    }

    /// How many times as long as the reference a subject takes.
    pub(super) fn ratio(&self, subject: &Subject) -> Option<f64> {
        self.reference().map(|ours| subject.median_ns / ours.median_ns)
    }
}

impl Measured {
    pub(super) fn case(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|it| it.case == name)
    }
}

impl Run {
    pub(super) fn group(&self, name: &str) -> Option<&Measured> {
        self.groups.iter().find(|it| it.group == name)
    }

    /// The last run.
    pub(super) fn load(target: &Path) -> Result<Self, Error> {
        let file = target.join("bench/last.json");
        let text = std::fs::read_to_string(&file).map_err(|error| {
            Error::new(format!(
                "no benches have run yet ({}: {error}): leave --last out",
                file.display()
            ))
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Error::new(format!("{}: {error}: run the benches without --last", file.display()))
        })
    }

    /// Keeps it as the last one.
    pub(super) fn store(&self, target: &Path) -> Result<(), Error> {
        write_json(&target.join("bench/last.json"), self)
    }

    /// The part of it that is about `names`; all of it if there are none.
    pub(super) fn only(mut self, names: &[String]) -> Result<Self, Error> {
        if let Some(name) = names.iter().find(|name| self.group(name).is_none()) {
            let there: Vec<_> = self.groups.iter().map(|it| it.group.as_str()).collect();
            return Err(Error::new(format!(
                "the last run did not measure `{name}`, but {}: leave --last out",
                if there.is_empty() { "nothing".to_owned() } else { there.join(", ") }
            )));
        }
        self.groups.retain(|it| names.is_empty() || names.contains(&it.group));
        Ok(self)
    }
}

/// Writes a file, and the folders that it is in.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Error> {
    let failed = |error| Error::new(format!("cannot write {}: {error}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(file, text).map_err(failed)
}

pub(super) fn write_json(file: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", file.display())))?;
    write(file, &(text + "\n"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::probe::{Probe, Reading};
    use super::{Case, Measured, Run, Subject};

    /// A case with these medians; the quartiles are a quarter away.
    pub(in super::super) fn case(name: &str, medians: &[(&str, f64)]) -> Case {
        let subject = |(name, median_ns): &(&str, f64)| Subject {
            subject: (*name).to_owned(),
            q1_ns: 0.75 * median_ns,
            median_ns: *median_ns,
            q3_ns: 1.25 * median_ns,
        };
        Case { case: name.to_owned(), subjects: medians.iter().map(subject).collect() }
    }

    /// A run on a quiet machine with one group.
    pub(in super::super) fn run(group: &str, cases: Vec<Case>) -> Run {
        let (one_thread_ns, two_threads_ns) = (1e6, 1e6);
        let reading = Reading { one_thread_ns, two_threads_ns, ratio: 1.0, waiting: 0.0 };
        Run {
            probe: Probe::of(vec![reading]),
            machine: "two cores".to_owned(),
            groups: vec![Measured { group: group.to_owned(), cases, notes: Vec::new() }],
        }
    }

    #[test]
    fn ratios_are_relative_to_raddle_or_else_to_its_first_variant() {
        let ratios = |case: Case| {
            let ratio = |it| case.ratio(it);
            case.subjects.iter().map(ratio).collect::<Vec<_>>()
        };
        let medians = [("raddle_slow", 8.0), ("raddle", 4.0), ("std", 2.0)];
        assert_eq!(ratios(case("it", &medians)), [Some(2.0), Some(1.0), Some(0.5)]);
        assert_eq!(ratios(case("it", &medians[2..])), [None]);
        assert_eq!(ratios(case("it", &[medians[2], medians[0]])), [Some(0.25), Some(1.0)]);
    }

    #[test]
    fn a_kept_run_is_read_back_the_same() {
        let target = std::env::temp_dir().join(format!("xtask-run-{}", std::process::id()));
        let error = Run::load(&target).expect_err("nothing is kept");
        assert!(error.to_string().contains("leave --last out"), "{error}");
        let kept = run("locks", vec![case("one", &[("raddle", 1.5)])]);
        kept.store(&target).expect("written");
        let read = Run::load(&target).expect("read");
        assert_eq!(read, kept);
        assert_eq!(read.clone().only(&["locks".to_owned()]).expect("there"), kept);
        let error = read.only(&["tasks".to_owned()]).expect_err("not there");
        assert!(error.to_string().contains("did not measure `tasks`, but locks"), "{error}");
        std::fs::write(target.join("bench/last.json"), "{").expect("written");
        let error = Run::load(&target).expect_err("half a file");
        assert!(error.to_string().contains("without --last"), "{error}");
        std::fs::remove_dir_all(&target).expect("removed");
    }
}
