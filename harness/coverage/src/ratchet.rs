//! What was covered stays covered: a file in the repository names each covered point.
//!
//! Points are named by file, function, operation and its number there, so that the file changes
//! when code does and not when lines move.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::join::{Report, State};

/// The points that were covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ratchet {
    keys: BTreeSet<String>,
}

impl Ratchet {
    /// The points that `report` covers.
    pub fn of(report: &Report<'_>) -> Self {
        let covered = |state: &State| matches!(state, State::Covered(_));
        let keys = report.points.iter().filter(|point| covered(&point.state));
        Self { keys: keys.map(super::join::Point::key).collect() }
    }

    /// Reads what [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// A line that is no point, by its number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<_> = line.split(' ').collect();
            let understood = match words.as_slice() {
                [_, _, operation] => operation.contains('#'),
                [_, _, operation, arm] => {
                    operation.contains('#') && matches!(*arm, "succeeded" | "failed")
                }
                _ => false,
            };
            if !understood {
                let line_number = index + 1;
                return Err(format!(
                    "line {line_number}: {line:?} is no point: write `file function operation#n`"
                ));
            }
            keys.insert(line.to_owned());
        }
        Ok(Self { keys })
    }

    /// As a file, with `head` as its first lines, each of which begins with `#`.
    pub fn text(&self, head: &str) -> String {
        let mut text = String::from(head);
        for key in &self.keys {
            let _ = writeln!(text, "{key}");
        }
        text
    }

    /// How many points were covered.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The points that were covered, are still there, and are covered no more.
    pub fn lost(&self, report: &Report<'_>) -> Vec<String> {
        let lost = report.points.iter().filter_map(|point| {
            let why = point.gap()?;
            let key = point.key();
            self.keys.contains(&key).then(|| format!("{}: {key}: {}", point.entry.site, why.text()))
        });
        lost.collect()
    }

    /// The points that were covered and are there no more: the code has changed.
    pub fn gone(&self, report: &Report<'_>) -> usize {
        let there: BTreeSet<_> = report.points.iter().map(super::join::Point::key).collect();
        self.keys.difference(&there).count()
    }
}
