//! Where two traces part.

use core::fmt;

use serde::Serialize;

use super::event::Event;
use super::reader::Recording;
use crate::decisions::{Certificate, INTERVAL, Trace};

/// How two traces differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What the headers say differently: the field, and both values.
    pub header: Vec<(String, String, String)>,
    /// The first decision after which they are not the same.
    pub first: Option<First>,
    /// The first event that is not the same, if both have events: its number, and both.
    pub event: Option<(u64, String, String)>,
    /// What came of them differently: the field, and both values.
    pub ending: Vec<(String, String, String)>,
}

/// The first decision at which two traces differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct First {
    /// The decision, counted from 0.
    pub index: u64,
    /// The decisions are the same, but not the certificates after them: the executions did
    /// something else between two decisions, or had other choices.
    pub certificate_only: bool,
    /// The left one's decision; nothing after its end.
    pub left: Option<String>,
    /// The right one's.
    pub right: Option<String>,
    /// How many decisions lead to a full certificate that both have, and it.
    pub agreed: Option<(u64, Certificate)>,
    /// How many full certificates and single decisions were compared.
    pub comparisons: u64,
}

impl Difference {
    /// Whether the executions are the same. Who recorded them, and what was observed, may differ.
    pub fn is_none(&self) -> bool {
        self.first.is_none() && self.ending.is_empty()
    }
}

/// Compares two traces: by binary search over the certificates of prefixes, where both have them.
pub fn diff(left: &Recording, right: &Recording) -> Difference {
    Difference {
        header: headers(left, right),
        first: first(&left.trace, &right.trace),
        event: first_event(left, right),
        ending: endings(left, right),
    }
}

fn first(left: &Trace, right: &Trace) -> Option<First> {
    let marked = |trace: &Trace| trace.prefixes.len() == trace.decisions.len();
    let both = marked(left) && marked(right);
    let shorter = left.decisions.len().min(right.decisions.len());
    let mut comparisons = 0;
    let mut start = 0;
    if both {
        // A certificate is chained over all decisions before: once they differ, they differ.
        let (mut low, mut high) = (0, shorter / INTERVAL);
        while low < high {
            let middle = (low + high).div_ceil(2);
            comparisons += 1;
            let count = middle * INTERVAL;
            match left.certificate_after(count) == right.certificate_after(count) {
                true => low = middle,
                false => high = middle - 1,
            }
        }
        start = low * INTERVAL;
    }
    let differs = |index: usize| {
        let marks = (left.prefixes.mark(index), right.prefixes.mark(index));
        left.decisions[index] != right.decisions[index] || (both && marks.0 != marks.1)
    };
    let found = (start..shorter).find(|&index| {
        comparisons += 1;
        differs(index)
    });
    let longer = left.decisions.len() != right.decisions.len();
    let ends = both && !longer && left.certificate() != right.certificate();
    let index = match found {
        Some(index) => index,
        None if longer => shorter,
        None if ends => shorter.saturating_sub(1),
        None => return None,
    };
    let of = |trace: &Trace| trace.decisions.get(index).map(|decision| format!("{decision:?}"));
    let agreed = if both { left.certificate_after(start) } else { None };
    Some(First {
        index: index as u64,
        certificate_only: left.decisions.get(index) == right.decisions.get(index),
        left: of(left),
        right: of(right),
        agreed: agreed.map(|certificate| (start as u64, certificate)),
        comparisons,
    })
}

fn first_event(left: &Recording, right: &Recording) -> Option<(u64, String, String)> {
    if left.events.count() == 0 || right.events.count() == 0 {
        return None;
    }
    let (mut of_left, mut of_right) = (left.events.iter(), right.events.iter());
    let text = |event: Option<Event>| event.map_or("nothing".to_owned(), |it| it.to_string());
    let mut number = 0;
    loop {
        match (of_left.next(), of_right.next()) {
            (None, None) => return None,
            (one, other) if one == other => number += 1,
            (one, other) => return Some((number, text(one), text(other))),
        }
    }
}

/// Rows of a field and two values.
struct Rows(Vec<(String, String, String)>);

impl Rows {
    fn add<T: PartialEq + ToString>(&mut self, name: &str, left: T, right: T) {
        if left != right {
            self.0.push((name.to_owned(), left.to_string(), right.to_string()));
        }
    }
}

fn headers(left: &Recording, right: &Recording) -> Vec<(String, String, String)> {
    let (left, right) = (&left.header, &right.header);
    let mut rows = Rows(Vec::new());
    rows.add("scenario", &left.scenario, &right.scenario);
    rows.add("build", left.build.to_string(), right.build.to_string());
    rows.add("seed", format!("{:#x}", left.seed), format!("{:#x}", right.seed));
    rows.add("strategy", &left.strategy, &right.strategy);
    rows.0.extend(left.settings.differences(&right.settings));
    rows.0
}

fn endings(left: &Recording, right: &Recording) -> Vec<(String, String, String)> {
    let mut rows = Rows(Vec::new());
    let (Some(left), Some(right)) = (&left.ending, &right.ending) else {
        let word = |recording: &Recording| {
            if recording.ending.is_some() { "there" } else { "missing" }
        };
        rows.add("ending", word(left), word(right));
        return rows.0;
    };
    rows.add("decisions", left.decisions, right.decisions);
    rows.add("steps", left.steps, right.steps);
    rows.add("certificate", left.certificate, right.certificate);
    rows.add("virtual_ns", left.virtual_ns, right.virtual_ns);
    let failure = |ending: &super::header::Ending| match &ending.failure {
        Some(failure) => {
            let line = failure.message.lines().next().unwrap_or_default();
            format!("{} at step {}: {line}", failure.kind, failure.step)
        }
        None => "passed".to_owned(),
    };
    rows.add("verdict", failure(left), failure(right));
    rows.0
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, left, right) in &self.header {
            writeln!(f, "header: {name}: {left} / {right}")?;
        }
        match &self.first {
            None => writeln!(f, "decisions: the same")?,
            Some(first) => {
                let none = "the end".to_owned();
                let left = first.left.as_ref().unwrap_or(&none);
                let right = first.right.as_ref().unwrap_or(&none);
                write!(f, "decisions: the first difference is at decision {}: ", first.index)?;
                match first.certificate_only {
                    true => writeln!(f, "both {left}, but the certificates after it differ")?,
                    false => writeln!(f, "{left} / {right}")?,
                }
                if let Some((count, certificate)) = first.agreed {
                    writeln!(
                        f,
                        "  both have the certificate {certificate} after {count} decisions"
                    )?;
                }
                writeln!(f, "  found by {} comparisons", first.comparisons)?;
            }
        }
        if let Some((number, left, right)) = &self.event {
            writeln!(f, "events: the first difference is at event {number}:")?;
            writeln!(f, "  {left}\n  {right}")?;
        }
        for (name, left, right) in &self.ending {
            writeln!(f, "ending: {name}: {left} / {right}")?;
        }
        Ok(())
    }
}
