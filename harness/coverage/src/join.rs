//! The join: what there is to reach, and what was reached.

use std::collections::{BTreeMap, BTreeSet};

use raddle_source::operations::{self, Category};

use crate::catalogue::{Catalogue, Entry};
use crate::hits::{Hit, Hits};
use crate::lines::Lines;

/// One thing to cover: a site, or one of the two outcomes of a compare-exchange.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The site.
    pub entry: &'a Entry,
    /// Which outcome, if the site has two.
    pub arm: Option<Arm>,
    /// What was noted at the site.
    pub hit: Option<&'a Hit>,
    /// How it stands.
    pub state: State,
}

/// An outcome of a compare-exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// It took effect.
    Succeeded,
    /// It found another value.
    Failed,
}

/// How a point stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was reached so often.
    Covered(u64),
    /// It was not reached, and need not be.
    Excluded(String),
    /// It was not reached.
    Gap(Why),
}

/// Why a point was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The harness's binary has no code for the function.
    NeverInstantiated,
    /// No operation of the function was reached.
    FunctionNeverEntered,
    /// The function was entered, and did not come here.
    SiteNotReached,
    /// The compare-exchange has always found another value.
    NeverSucceeded,
    /// The compare-exchange has always taken effect.
    NeverFailed,
}

impl Arm {
    /// In lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl Why {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NeverInstantiated => "never instantiated",
            Self::FunctionNeverEntered => "function never entered",
            Self::SiteNotReached => "site not reached",
            Self::NeverSucceeded => "never succeeded",
            Self::NeverFailed => "never failed",
        }
    }
}

impl Point<'_> {
    /// A name that stays when lines move.
    pub fn key(&self) -> String {
        match self.arm {
            Some(arm) => format!("{} {}", self.entry.key(), arm.name()),
            None => self.entry.key(),
        }
    }

    /// How often it was reached.
    pub fn count(&self) -> u64 {
        match self.state {
            State::Covered(count) => count,
            State::Excluded(_) | State::Gap(_) => 0,
        }
    }

    /// Why it was not reached, if it should have been.
    pub fn gap(&self) -> Option<Why> {
        match self.state {
            State::Gap(why) => Some(why),
            State::Covered(_) | State::Excluded(_) => None,
        }
    }
}

/// What is to be joined with a catalogue.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Whose hits these are; none if they are those of several harnesses, and then no exclusion
    /// counts.
    pub harness: Option<&'a str>,
    /// What was reached.
    pub hits: &'a Hits,
    /// What other harnesses reached, by their names: for reasons that claim it.
    pub others: &'a BTreeMap<String, Hits>,
    /// The lines that the harness's binary has code for, if they are known.
    pub lines: Option<&'a Lines>,
}

/// What the join finds.
#[derive(Clone, Debug, Default)]
pub struct Report<'a> {
    /// Everything that there is to reach, in the order of the files and of the text.
    pub points: Vec<Point<'a>>,
    /// What makes the result wrong: hits that are not in the catalogue, exclusions that are stale
    /// or not understood.
    pub errors: Vec<String>,
    /// Claims of exclusions that could not be checked.
    pub unchecked: Vec<String>,
}

/// Numbers of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub total: usize,
    /// Those that were reached.
    pub covered: usize,
    /// Those that were not reached and need not be.
    pub excluded: usize,
}

impl Tally {
    /// Of some points.
    pub fn of<'a>(points: impl IntoIterator<Item = &'a Point<'a>>) -> Self {
        let mut tally = Self::default();
        for point in points {
            tally.total += 1;
            match point.state {
                State::Covered(_) => tally.covered += 1,
                State::Excluded(_) => tally.excluded += 1,
                State::Gap(_) => {}
            }
        }
        tally
    }

    /// Those that are neither.
    pub fn gaps(self) -> usize {
        self.total - self.covered - self.excluded
    }

    /// The share of those that need to be reached which was, in percent.
    pub fn percent(self) -> f64 {
        let needed = self.total - self.excluded;
        if needed == 0 { 100.0 } else { 100.0 * self.covered as f64 / needed as f64 }
    }
}

/// Whether harnesses must reach every operation of this category: those whose outcome depends on
/// what other threads do. The others are listed and counted besides.
pub fn is_required(category: Category) -> bool {
    use Category::{Atomic, Cell, Fence, Retry, Spin};
    matches!(category, Atomic | Fence | Cell | Retry | Spin)
}

/// Joins what there is to reach with what was reached.
pub fn join<'a>(catalogue: &'a Catalogue, evidence: &Evidence<'a>) -> Report<'a> {
    let mut report = Report { errors: catalogue.errors.clone(), ..Report::default() };
    unknown_hits(catalogue, evidence, &mut report.errors);
    let hits = evidence.hits;
    let entered: BTreeSet<_> = catalogue
        .entries
        .iter()
        .filter(|entry| hits.get(&entry.site).is_some())
        .map(|entry| (&entry.site.file, entry.function_lines))
        .collect();
    for entry in &catalogue.entries {
        let hit = hits.get(&entry.site);
        let exclusion = entry
            .exclusions
            .iter()
            .map(|&index| &catalogue.exclusions[index])
            .find(|exclusion| Some(exclusion.harness.as_str()) == evidence.harness);
        let arms: &[_] = if operations::is_compare_exchange(&entry.operation.name) {
            &[Some(Arm::Succeeded), Some(Arm::Failed)]
        } else {
            &[None]
        };
        for &arm in arms {
            let count = hit.map_or(0, |hit| count(hit, arm));
            let state = if count > 0 {
                State::Covered(count)
            } else if let Some(exclusion) = exclusion {
                State::Excluded(exclusion.reason.clone())
            } else {
                let entered = entered.contains(&(&entry.site.file, entry.function_lines));
                State::Gap(why(entry, arm.filter(|_| hit.is_some()), entered, evidence.lines))
            };
            report.points.push(Point { entry, arm, hit, state });
        }
    }
    if let Some(harness) = evidence.harness {
        let stale = stale_exclusions(catalogue, harness, &report.points);
        report.errors.extend(stale);
        claims(catalogue, harness, evidence.others, &mut report);
    }
    report
}

/// How often a point was reached.
pub(crate) fn count(hit: &Hit, arm: Option<Arm>) -> u64 {
    match arm {
        None => hit.count,
        Some(Arm::Succeeded) => hit.succeeded,
        Some(Arm::Failed) => hit.failed,
    }
}

fn why(entry: &Entry, arm: Option<Arm>, entered: bool, lines: Option<&Lines>) -> Why {
    let file = &entry.site.file;
    match arm {
        Some(Arm::Succeeded) => return Why::NeverSucceeded,
        Some(Arm::Failed) => return Why::NeverFailed,
        None => {}
    }
    // Of the function, because a line whose code was merged with another's has none.
    let (first, last) = entry.function_lines;
    if lines.is_some_and(|lines| !lines.has_code(file, first, last)) {
        Why::NeverInstantiated
    } else if entered {
        Why::SiteNotReached
    } else {
        Why::FunctionNeverEntered
    }
}

/// A hit in a file that was read, where no operation was found: then the catalogue is wrong, or the
/// hits are of another version of the source.
fn unknown_hits(catalogue: &Catalogue, evidence: &Evidence<'_>, errors: &mut Vec<String>) {
    let known: BTreeMap<_, _> = catalogue.entries.iter().map(|e| (&e.site, e)).collect();
    for (site, hit) in evidence.hits.iter() {
        if !catalogue.sources.contains_key(&site.file) {
            continue;
        }
        let name = &hit.operation.name;
        let Some(entry) = known.get(site) else {
            errors.push(format!(
                "{site}: `{name}` was reached there, and the source has no operation there: it is \
                 of another version, or it is called where no scan finds it (`cargo xtask tidy`)"
            ));
            continue;
        };
        if operations::is_atomic(name) && entry.category != Category::Atomic {
            let written = &entry.operation.name;
            errors.push(format!(
                "{site}: `{name}` was reached there, and the source says `{written}`: the hits are \
                 of another version"
            ));
        }
    }
}

/// Exclusions that exclude nothing: no operation is there, or all were reached.
fn stale_exclusions(catalogue: &Catalogue, harness: &str, points: &[Point<'_>]) -> Vec<String> {
    let mut errors = Vec::new();
    for (index, exclusion) in catalogue.exclusions.iter().enumerate() {
        if exclusion.harness != harness {
            continue;
        }
        let at = format!("{}:{}", exclusion.file, exclusion.line);
        let inside: Vec<_> =
            points.iter().filter(|point| point.entry.exclusions.contains(&index)).collect();
        if inside.is_empty() {
            errors.push(format!("{at}: a stale exclusion: no platform operation is here"));
            continue;
        }
        let covered = |point: &&Point<'_>| matches!(point.state, State::Covered(_));
        // In a block every site must need it; a line may hold one that does and one that does not.
        let mut sites: BTreeMap<_, bool> = BTreeMap::new();
        for point in &inside {
            *sites.entry(&point.entry.site).or_insert(true) &= covered(point);
        }
        let reached: Vec<_> =
            sites.iter().filter(|(_, covered)| **covered).map(|(site, _)| *site).collect();
        let all = reached.len() == sites.len();
        if all || (exclusion.block.is_some() && !reached.is_empty()) {
            let sites: Vec<_> = reached.iter().map(|site| site.to_string()).collect();
            errors.push(format!(
                "{at}: a stale exclusion: {harness} reaches {}: {}",
                sites.join(", "),
                if all { "delete the comment" } else { "take it out of the block" }
            ));
        }
    }
    errors
}

/// Checks the exclusions that say which other harness reaches their sites.
fn claims(
    catalogue: &Catalogue,
    harness: &str,
    others: &BTreeMap<String, Hits>,
    report: &mut Report<'_>,
) {
    for (index, exclusion) in catalogue.exclusions.iter().enumerate() {
        let Some(other) = exclusion.covered_by().filter(|_| exclusion.harness == harness) else {
            continue;
        };
        let at = format!("{}:{}", exclusion.file, exclusion.line);
        let Some(hits) = others.get(other) else {
            report
                .unchecked
                .push(format!("{at}: says \"covered by {other}\", of which there are no hits"));
            continue;
        };
        for point in report.points.iter().filter(|point| point.entry.exclusions.contains(&index)) {
            let reached = hits.get(&point.entry.site).is_some_and(|hit| count(hit, point.arm) > 0);
            if matches!(point.state, State::Excluded(_)) && !reached {
                let (site, arm) = (&point.entry.site, point.arm.map_or("", Arm::name));
                let arm = if arm.is_empty() { String::new() } else { format!(" ({arm})") };
                report.errors.push(format!(
                    "{at}: says \"covered by {other}\", which does not reach {site}{arm}"
                ));
            }
        }
    }
}
