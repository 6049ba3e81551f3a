//! The report as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::catalogue::Catalogue;
use crate::join::{Arm, Point, Report, State, Tally, Why, is_required};
use crate::subject::Subject;

/// The points of a package, by file.
pub(crate) type Files<'p, 'a> = BTreeMap<&'p str, Vec<&'p Point<'a>>>;

/// The points of `report` by package and file.
pub(crate) fn packages<'p, 'a>(
    catalogue: &'p Catalogue,
    report: &'p Report<'a>,
) -> BTreeMap<&'p str, Files<'p, 'a>> {
    let mut packages: BTreeMap<_, Files<'p, 'a>> = BTreeMap::new();
    for point in &report.points {
        let file = point.entry.site.file.as_str();
        let package = catalogue.sources.get(file).map_or("", |source| source.package.as_str());
        packages.entry(package).or_default().entry(file).or_default().push(point);
    }
    packages
}

/// What the columns say.
const LEGEND: &str = "\
points:   sites of atomics, fences, cells, spins and retries; a compare-exchange counts twice, for
          its success and for its failure
reached:  of those that are not excluded
others:   sites of parkers, clocks, randomness, threads, drivers, choices and events
";

/// The table per package and file, and the gaps.
pub fn table(catalogue: &Catalogue, report: &Report<'_>) -> String {
    let packages = packages(catalogue, report);
    let width = packages.values().flat_map(|files| files.keys()).map(|file| file.len()).max();
    let width = width.unwrap_or(0).max(20) + 2;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:<width$} {:>6} {:>8} {:>8} {:>5} {:>8}  {:>8}",
        "", "points", "covered", "excluded", "gaps", "reached", "others"
    );
    let row = |text: &mut String, name: &str, points: &[&Point<'_>]| {
        let (required, others): (Vec<&Point<'_>>, Vec<_>) =
            points.iter().copied().partition(|point| is_required(point.entry.category));
        let tally = Tally::of(required);
        let others = Tally::of(others);
        let others = match others.total {
            0 => String::new(),
            total => format!("{}/{total}", others.covered),
        };
        let _ = writeln!(
            text,
            "{name:<width$} {:>6} {:>8} {:>8} {:>5} {:>7.1}%  {others:>8}",
            tally.total,
            tally.covered,
            tally.excluded,
            tally.gaps(),
            tally.percent()
        );
    };
    let mut all = Vec::new();
    for (package, files) in &packages {
        let points: Vec<_> = files.values().flatten().copied().collect();
        row(&mut text, package, &points);
        for (file, points) in files {
            row(&mut text, &format!("  {file}"), points);
        }
        all.extend(points);
    }
    row(&mut text, "all", &all);
    let _ = write!(text, "\n{LEGEND}");
    text
}

/// A table of the subjects, by package: how much of each was reached.
pub fn subjects(catalogue: &Catalogue, report: &Report<'_>) -> String {
    let packages = packages(catalogue, report);
    let width = packages.keys().map(|package| package.len()).max().unwrap_or(0).max(10) + 2;
    let mut text = String::new();
    let _ = write!(text, "{:<10} {:>5} {:>15}", "", "goal", "all");
    for package in packages.keys() {
        let _ = write!(text, " {package:>width$}");
    }
    text.push('\n');
    let all: Vec<_> = report.points.iter().collect();
    for subject in Subject::ALL {
        let goal = subject.goal().map_or(String::new(), |goal| format!("{goal:.0}%"));
        let _ = write!(text, "{:<10} {goal:>5} {:>15}", subject.name(), share(subject, &all));
        for files in packages.values() {
            let points: Vec<_> = files.values().flatten().copied().collect();
            let _ = write!(text, " {:>width$}", share(subject, &points));
        }
        text.push('\n');
    }
    text
}

fn share(subject: Subject, points: &[&Point<'_>]) -> String {
    let about = |point: &&Point<'_>| Subject::of(point.entry) == subject;
    let tally = Tally::of(points.iter().copied().filter(about));
    match tally.total - tally.excluded {
        0 => "-".to_owned(),
        needed => format!("{}/{needed} {:>5.1}%", tally.covered, tally.percent()),
    }
}

/// One line for each gap, those of categories that are required first.
pub fn gaps(catalogue: &Catalogue, report: &Report<'_>) -> String {
    let mut text = String::new();
    for required in [true, false] {
        let heading = if required { "gaps" } else { "others that were not reached" };
        for (package, files) in packages(catalogue, report) {
            let gaps: Vec<_> = files
                .values()
                .flatten()
                .filter(|point| is_required(point.entry.category) == required)
                .filter_map(|point| point.gap().map(|why| (point, why)))
                .collect();
            if gaps.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{package}: {heading}: {}", gaps.len());
            for (point, why) in gaps {
                let entry = point.entry;
                let (site, function, operation) = (&entry.site, &entry.function, signature(point));
                let arm = match why {
                    Why::NeverFailed | Why::NeverSucceeded => "",
                    _ => point.arm.map_or("", Arm::name),
                };
                let arm = if arm.is_empty() { String::new() } else { format!(" {arm}") };
                let why = why.text();
                let _ = writeln!(text, "  {site}  {function}  {operation}{arm}: {why}");
            }
        }
    }
    text
}

/// The operation as it reads in the source: `load(Acquire)`.
pub(crate) fn signature(point: &Point<'_>) -> String {
    let operation = &point.entry.operation;
    if operation.orderings.is_empty() {
        operation.name.clone()
    } else {
        format!("{}({})", operation.name, operation.orderings.join(", "))
    }
}

/// One line for each exclusion that took effect.
pub fn excluded(report: &Report<'_>) -> String {
    let mut text = String::new();
    for point in &report.points {
        if let State::Excluded(reason) = &point.state {
            let arm = point.arm.map_or(String::new(), |arm| format!(" {}", arm.name()));
            let site = &point.entry.site;
            let _ = writeln!(text, "  {site}  {}{arm}: {reason}", signature(point));
        }
    }
    text
}
