//! The report for programs: JSON and LCOV.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::catalogue::Catalogue;
use crate::hits::Hits;
use crate::join::{Point, Report, State, Tally, count, is_required};
use crate::subject::Subject;
use crate::table::packages;

#[derive(Serialize)]
struct Document<'a> {
    total: usize,
    covered: usize,
    excluded: usize,
    sites: Vec<Row<'a>>,
}

/// One point: a compare-exchange has two, which `arm` tells apart.
#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    line: u32,
    column: u32,
    category: &'static str,
    /// What it is about, as the simulator's report divides it.
    subject: &'static str,
    op: &'a str,
    orderings: &'a [String],
    /// How often this point was reached: of an arm, how often it went this way.
    hits: u64,
    excluded: bool,
    arm: Option<&'static str>,
    succeeded: u64,
    failed: u64,
    /// How many threads came here.
    threads: u32,
    function: &'a str,
    /// The harnesses that reached this point.
    reached_by: Vec<&'a str>,
    /// Whether the category is one of those that harnesses must reach.
    required: bool,
    /// Why it is a gap, or excluded.
    reason: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn new(point: &'a Point<'_>, by: &'a BTreeMap<String, Hits>) -> Self {
        let entry = point.entry;
        let reached =
            |hits: &Hits| hits.get(&entry.site).is_some_and(|hit| count(hit, point.arm) > 0);
        let reason = match &point.state {
            State::Covered(_) => None,
            State::Excluded(reason) => Some(reason.as_str()),
            State::Gap(why) => Some(why.text()),
        };
        Self {
            file: &entry.site.file,
            line: entry.site.line,
            column: entry.site.column,
            category: entry.category.name(),
            subject: Subject::of(entry).name(),
            op: &entry.operation.name,
            orderings: &entry.operation.orderings,
            hits: point.count(),
            excluded: matches!(point.state, State::Excluded(_)),
            arm: point.arm.map(crate::join::Arm::name),
            succeeded: point.hit.map_or(0, |hit| hit.succeeded),
            failed: point.hit.map_or(0, |hit| hit.failed),
            threads: point.hit.map_or(0, |hit| hit.threads.count_ones()),
            function: &entry.function,
            reached_by: by
                .iter()
                .filter(|(_, hits)| reached(hits))
                .map(|(harness, _)| harness.as_str())
                .collect(),
            required: is_required(entry.category),
            reason,
        }
    }
}

/// The report as JSON: one element of `sites` for each point, of all categories, and their numbers.
/// `by` has the hits of each harness.
///
/// # Errors
/// None that is expected: the document has no maps with keys that JSON cannot write.
pub fn json(report: &Report<'_>, by: &BTreeMap<String, Hits>) -> serde_json::Result<String> {
    let Tally { total, covered, excluded } = Tally::of(&report.points);
    let sites = report.points.iter().map(|point| Row::new(point, by)).collect();
    serde_json::to_string_pretty(&Document { total, covered, excluded, sites })
}

/// The report as an LCOV tracefile: lines with their hits, and the outcomes of compare-exchanges as
/// branches. What is excluded is left out.
pub fn lcov(catalogue: &Catalogue, report: &Report<'_>) -> String {
    let mut text = String::new();
    for (file, points) in packages(catalogue, report).into_values().flatten() {
        let _ = writeln!(text, "TN:\nSF:{file}");
        let needed: Vec<_> =
            points.into_iter().filter(|point| !matches!(point.state, State::Excluded(_))).collect();
        let mut branches = (0, 0);
        let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
        let mut functions: BTreeMap<(u32, &str), u64> = BTreeMap::new();
        for point in &needed {
            let (entry, hits) = (point.entry, point.hit.map_or(0, |hit| hit.count));
            let line = lines.entry(entry.site.line).or_insert(hits);
            *line = (*line).min(hits);
            let function = functions.entry((entry.function_lines.0, &entry.function)).or_default();
            *function = (*function).max(hits);
            if let Some(arm) = point.arm {
                let (line, column) = (entry.site.line, entry.site.column);
                let count = point.count();
                let _ = writeln!(text, "BRDA:{line},{column},{},{count}", arm as usize);
                branches = (branches.0 + 1, branches.1 + usize::from(count > 0));
            }
        }
        for (line, name) in functions.keys() {
            let _ = writeln!(text, "FN:{line},{name}");
        }
        for ((_, name), hits) in &functions {
            let _ = writeln!(text, "FNDA:{hits},{name}");
        }
        let reached = functions.values().filter(|hits| **hits > 0).count();
        let _ = writeln!(text, "FNF:{}\nFNH:{reached}", functions.len());
        let _ = writeln!(text, "BRF:{}\nBRH:{}", branches.0, branches.1);
        for (line, hits) in &lines {
            let _ = writeln!(text, "DA:{line},{hits}");
        }
        let reached = lines.values().filter(|hits| **hits > 0).count();
        let _ = writeln!(text, "LF:{}\nLH:{reached}\nend_of_record", lines.len());
    }
    text
}
