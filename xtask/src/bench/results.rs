//! The rows of a run, as `--json` writes and `--compare` reads them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::record::{self, Run};
use crate::Error;

/// What `--json` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    /// Not read back: it was quiet, or there would be no file.
    pub(super) probe: serde_json::Value,
    pub(super) rows: Vec<Row>,
}

/// One subject in one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) group: String,
    pub(super) case: String,
    pub(super) subject: String,
    /// Of one iteration.
    pub(super) median_ns: f64,
    /// How many times as long as ours in the same run; none where ours is not among the subjects.
    pub(super) ratio_to_raddle: Option<f64>,
}

impl Results {
    pub(super) fn of(run: &Run) -> Self {
        let mut rows = Vec::new();
        for measured in &run.groups {
            for case in &measured.cases {
                rows.extend(case.subjects.iter().map(|it| Row {
                    group: measured.group.clone(),
                    case: case.case.clone(),
                    subject: it.subject.clone(),
                    median_ns: it.median_ns,
                    ratio_to_raddle: case.ratio(it),
                }));
            }
        }
        Self { probe: serde_json::json!(run.probe), rows }
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), Error> {
        record::write_json(file, self)
    }

    /// Reads what an earlier run wrote.
    pub(super) fn read(file: &Path) -> Result<Self, Error> {
        let wrong = |what: String| {
            let file = file.display();
            Error::new(format!(
                "{file}: {what}; a file to compare with is written by `cargo xtask bench --json {file}`"
            ))
        };
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let results: Self = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("it has not the form of such a file: {error}")))?;
        results.check().map_err(wrong)?;
        Ok(results)
    }

    fn check(&self) -> Result<(), String> {
        if self.rows.is_empty() {
            return Err("it has no rows".to_owned());
        }
        for (index, row) in self.rows.iter().enumerate() {
            let name = format!("{} {} {}", row.group, row.case, row.subject);
            let positive = |value: f64| value.is_finite() && value > 0.0;
            if !positive(row.median_ns) || !row.ratio_to_raddle.is_none_or(positive) {
                return Err(format!("the figures of {name} are not positive numbers"));
            }
            let same = |other: &Row| {
                (&other.group, &other.case, &other.subject) == (&row.group, &row.case, &row.subject)
            };
            if self.rows[..index].iter().any(same) {
                return Err(format!("it has two rows for {name}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{case, run};
    use super::Results;

    fn read(text: &str) -> Result<Results, String> {
        let name = format!("xtask-rows-{:?}.json", std::thread::current().id());
        let file = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        std::fs::write(&file, text).expect("written");
        let results = Results::read(&file).map_err(|error| error.to_string());
        std::fs::remove_file(&file).expect("removed");
        results
    }

    #[test]
    fn the_file_has_a_probe_and_rows_of_five_fields() {
        let results =
            Results::of(&run("locks", vec![case("one", &[("raddle", 4.0), ("std", 6.0)])]));
        let json = serde_json::to_value(&results).expect("JSON");
        assert_eq!(json["probe"]["ratio"], 1.0);
        assert_eq!(
            json["rows"],
            serde_json::json!([
                {"group": "locks", "case": "one", "subject": "raddle", "median_ns": 4.0,
                 "ratio_to_raddle": 1.0},
                {"group": "locks", "case": "one", "subject": "std", "median_ns": 6.0,
                 "ratio_to_raddle": 1.5},
            ])
        );
        assert_eq!(json.as_object().expect("an object").len(), 2);
        assert_eq!(read(&json.to_string()), Ok(results));
    }

    #[test]
    fn a_file_of_another_form_is_refused_by_name() {
        let row = r#"{"group":"g","case":"c","subject":"s","median_ns":1,"ratio_to_raddle":1}"#;
        for (text, said) in [
            (String::new(), "not the form"),
            ("{\"rows\":[]}".to_owned(), "missing field `probe`"),
            ("{\"probe\":{},\"rows\":[]}".to_owned(), "no rows"),
            (format!("{{\"probe\":{{}},\"rows\":[{row},{row}]}}"), "two rows for g c s"),
            (
                format!("{{\"probe\":{{}},\"rows\":[{}]}}", row.replace(":1,", ":-1,")),
                "not positive",
            ),
        ] {
            let error = read(&text).expect_err("refused");
            assert!(error.contains(said) && error.contains("--json"), "{text}: {error}");
        }
        let error = Results::read("nowhere.json".as_ref()).expect_err("there is none");
        assert!(error.to_string().starts_with("nowhere.json: "), "{error}");
    }
}
