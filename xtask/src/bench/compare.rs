//! Whether ours got slower since an earlier run.
//!
//! What is compared is our time over the geometric mean of the rivals', each of one run: what slows the
//! whole machine cancels out, and the noise of one rival is divided among all. Only the rivals that both
//! runs have count, so that a new one changes nothing. Where a case has no rivals, variants of ours are
//! related to the reference (`raddle`) in its place.

use super::Percent;
use super::record::{is_ours, is_rival};
use super::results::{Results, Row};
use crate::Verdict;

/// What became of the cases of a base.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) cases: Vec<Change>,
    /// Subjects of ours that the base has, and this run, which measured their group, does not.
    pub(super) gone: Vec<String>,
    /// Subjects of ours that have nothing to be related to, or that the base does not know.
    pub(super) left_out: Vec<String>,
}

/// One of our subjects in one case, then and now.
#[derive(Debug)]
pub(super) struct Change {
    name: String,
    /// Our time over the geometric mean of the others'.
    then: f64,
    now: f64,
    /// The others, with the time of each over ours.
    others: Vec<(String, f64, f64)>,
}

impl Change {
    /// By which share it got worse; less than zero if it got better.
    fn worse_by(&self) -> f64 {
        self.now / self.then - 1.0
    }
}

impl Comparison {
    pub(super) fn of(base: &Results, now: &Results) -> Self {
        let mut comparison = Self { cases: Vec::new(), gone: Vec::new(), left_out: Vec::new() };
        for row in ours(now) {
            match find(base, row).and_then(|before| change(base, now, before, row)) {
                Some(change) => comparison.cases.push(change),
                None => comparison.left_out.push(name(row)),
            }
        }
        let measured = |row: &&Row| now.rows.iter().any(|other| other.group == row.group);
        let gone = ours(base).filter(measured).filter(|row| find(now, row).is_none());
        comparison.gone.extend(gone.map(name));
        comparison
    }

    /// Those that got worse by more than the threshold, worst first.
    fn worse(&self, threshold: Percent) -> Vec<&Change> {
        let mut worse: Vec<_> =
            self.cases.iter().filter(|change| change.worse_by() > threshold.0).collect();
        worse.sort_by(|a, b| b.worse_by().total_cmp(&a.worse_by()));
        worse
    }

    pub(super) fn print(&self, base: &str, threshold: Percent) -> Verdict {
        let worse = self.worse(threshold);
        let percent = 100.0 * threshold.0;
        println!("\ncompared with {base}: our time over the geometric mean of the rivals'");
        for change in &worse {
            println!(
                "  worse by {:.0} %: {}, {:.3} then, {:.3} now",
                100.0 * change.worse_by(),
                change.name,
                change.then,
                change.now
            );
            for (other, then, now) in &change.others {
                println!("      ratio of {other}: {then:.2} then, {now:.2} now");
            }
        }
        for name in &self.gone {
            println!("  gone: {name} is in the base, and was not measured now");
        }
        if !self.left_out.is_empty() {
            println!("  left out, without a rival or a base: {}", self.left_out.join(", "));
        }
        println!(
            "{} of {} worse by more than {percent} %, {} gone",
            worse.len(),
            self.cases.len(),
            self.gone.len()
        );
        let good = worse.is_empty() && self.gone.is_empty();
        if good { Verdict::Good } else { Verdict::Bad }
    }
}

fn ours(results: &Results) -> impl Iterator<Item = &Row> {
    results.rows.iter().filter(|row| is_ours(&row.subject))
}

fn name(row: &Row) -> String {
    format!("{} {} {}", row.group, row.case, row.subject)
}

/// The row of the same subject in the same case.
fn find<'a>(results: &'a Results, row: &Row) -> Option<&'a Row> {
    in_case(results, row).find(|other| other.subject == row.subject)
}

fn in_case<'a>(results: &'a Results, row: &Row) -> impl Iterator<Item = &'a Row> {
    results.rows.iter().filter(move |other| other.group == row.group && other.case == row.case)
}

/// How a subject stands to the others of its case, before and now; none if there are no others.
fn change(base: &Results, now: &Results, before: &Row, row: &Row) -> Option<Change> {
    let over_ours =
        |theirs: &Row, ours: &Row| Some(theirs.ratio_to_raddle? / ours.ratio_to_raddle?);
    let both = |other: &Row| {
        let then = over_ours(find(base, other)?, before)?;
        Some((other.subject.clone(), then, over_ours(other, row)?))
    };
    let rivals = in_case(now, row).filter(|other| is_rival(&other.subject));
    let mut others: Vec<_> = rivals.filter_map(both).collect();
    if others.is_empty() {
        let reference = in_case(now, row).filter(|other| other.ratio_to_raddle == Some(1.0));
        let reference = reference.filter(|other| other.subject != row.subject);
        others = reference.filter_map(both).collect();
    }
    let then = geometric_mean(others.iter().map(|(_, then, _)| *then))?;
    let after = geometric_mean(others.iter().map(|(_, _, now)| *now))?;
    Some(Change { name: name(row), then: 1.0 / then, now: 1.0 / after, others })
}

fn geometric_mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| (values.map(f64::ln).sum::<f64>() / count as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::super::record::Case;
    use super::super::record::tests::{case, run};
    use super::super::results::Results;
    use super::{Comparison, Percent};
    use crate::Verdict;

    fn results(cases: Vec<Case>) -> Results {
        Results::of(&run("locks", cases))
    }

    fn worse(then: &[(&str, f64)], now: &[(&str, f64)]) -> Vec<i64> {
        let (then, now) = (results(vec![case("a", then)]), results(vec![case("a", now)]));
        let comparison = Comparison::of(&then, &now);
        let worse = comparison.worse(Percent(0.1));
        worse.iter().map(|change| (100.0 * change.worse_by()).round() as i64).collect()
    }

    const THEN: [(&str, f64); 3] = [("raddle", 10.0), ("std", 20.0), ("tokio", 40.0)];

    #[test]
    fn a_machine_that_is_slower_in_all_is_no_change() {
        assert!(worse(&THEN, &THEN.map(|(name, ns)| (name, 3.0 * ns))).is_empty());
    }

    #[test]
    fn ours_alone_being_slower_is_found_beyond_the_threshold() {
        assert!(worse(&THEN, &[("raddle", 10.9), ("std", 20.0), ("tokio", 40.0)]).is_empty());
        assert_eq!(worse(&THEN, &[("raddle", 11.5), ("std", 20.0), ("tokio", 40.0)]), [15]);
    }

    #[test]
    fn a_rival_that_varies_counts_as_one_of_several() {
        assert!(worse(&THEN, &[("raddle", 10.0), ("std", 17.0), ("tokio", 40.0)]).is_empty());
        assert_eq!(worse(&THEN[..2], &[("raddle", 10.0), ("std", 17.0)]), [18]);
    }

    #[test]
    fn a_rival_that_only_one_run_has_does_not_count() {
        let now = [("raddle", 10.0), ("std", 20.0), ("tokio", 40.0), ("new", 0.1)];
        assert!(worse(&THEN, &now).is_empty());
        assert!(worse(&now, &THEN).is_empty());
    }

    #[test]
    fn without_rivals_a_variant_is_related_to_the_reference() {
        let then = [("raddle", 10.0), ("raddle_recorded", 11.0)];
        assert_eq!(worse(&then, &[("raddle", 10.0), ("raddle_recorded", 22.0)]), [100]);
    }

    #[test]
    fn what_is_gone_is_not_passed_over_in_silence() {
        let then = results(vec![case("a", &THEN), case("b", &THEN)]);
        let comparison = Comparison::of(&then, &results(vec![case("a", &THEN)]));
        assert_eq!(comparison.gone, ["locks b raddle"]);
        assert_eq!(comparison.print("then.json", Percent(0.1)), Verdict::Bad);
        let other = Results::of(&run("tasks", vec![case("a", &THEN)]));
        let comparison = Comparison::of(&then, &other);
        assert!(comparison.gone.is_empty(), "the group was not asked for");
        assert_eq!(comparison.left_out, ["tasks a raddle"]);
    }
}
