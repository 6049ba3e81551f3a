//! The table that is printed.

use super::record::{Case, Run};

/// All cases of all groups, and what the benches noted.
pub(super) fn print(run: &Run) {
    println!(
        "\n{:<46} {:<18} {:>12} {:>24} {:>9}",
        "case", "subject", "median", "quartiles", "ratio"
    );
    for group in &run.groups {
        for case in &group.cases {
            for line in lines(&group.group, case) {
                println!("{line}");
            }
        }
        for note in &group.notes {
            println!("{} note: {note}", group.group);
        }
    }
}

fn lines(group: &str, case: &Case) -> Vec<String> {
    let mut name = format!("{group} {}", case.case);
    let mut lines = Vec::new();
    for it in &case.subjects {
        let quartiles = format!("{} … {}", time(it.q1_ns), time(it.q3_ns));
        let ratio = case.ratio(it).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let (subject, median) = (&it.subject, time(it.median_ns));
        lines.push(format!("{name:<46} {subject:<18} {median:>12} {quartiles:>24} {ratio:>9}"));
        name.clear();
    }
    lines
}

/// A time with three digits that count and its unit.
pub(super) fn time(ns: f64) -> String {
    let units = [("s", 1e9), ("ms", 1e6), ("µs", 1e3)];
    let (unit, size) =
        units.into_iter().find(|(_, size)| ns >= 0.9995 * size).unwrap_or(("ns", 1.0));
    let value = ns / size;
    let digits = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::case;
    use super::{lines, time};

    #[test]
    fn times_have_three_digits() {
        let shown = [0.321, 1.5, 12.34, 999.6, 1_234.0, 56_789_000.0, 2e9].map(time);
        assert_eq!(
            shown,
            ["0.32 ns", "1.50 ns", "12.3 ns", "1.00 µs", "1.23 µs", "56.8 ms", "2.00 s"]
        );
    }

    #[test]
    fn a_case_is_named_once_and_each_subject_has_its_ratio() {
        let lines = lines("locks", &case("one", &[("raddle", 4.0), ("std", 6.0)]));
        let words = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(
            words.collect::<Vec<_>>(),
            [
                "locks one raddle 4.00 ns 3.00 ns … 5.00 ns 1.00",
                "std 6.00 ns 4.50 ns … 7.50 ns 1.50"
            ]
        );
    }
}
