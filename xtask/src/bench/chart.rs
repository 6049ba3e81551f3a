//! A group as a picture: a bar for each subject of each case, as SVG.
//!
//! ```text
//!   spsc/bounded_1                                  the case; each has its own scale
//!            raddle ███████▏─┤ 61.2 ns              the median, with the quartiles as whiskers
//!             flume ███████████████▏──┤ 130 ns  2.12×
//! ```
//!
//! Cases differ by factors of thousands, so there is no scale that would do for all; what the eye
//! compares is the subjects of one case, and a ruler of equal parts would add nothing to the figures
//! beside the bars.

use std::fmt::Write;

use raddle_coverage::escape;

use super::record::{Case, Measured, Subject, is_floor};
use super::table::time;

const WIDTH: f64 = 820.0;
/// Where the names of the subjects end.
const NAMES_END: f64 = 168.0;
const BARS_START: f64 = 178.0;
/// Where the longest whisker ends; the figures come behind it.
const BARS_END: f64 = 650.0;
const BAR: f64 = 14.0;
const ROW: f64 = 21.0;
const CASE_GAP: f64 = 16.0;
const CASE_TITLE: f64 = 24.0;
const HEAD: f64 = 58.0;

const STYLE: &str = "\
    text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#24292f}\
    .head{font-size:17px;font-weight:600}.case{font-size:13px;font-weight:600}\
    .dim{fill:#6e7781}.ours{fill:#2f7a78}.variant{fill:#8cbfbd}.rival{fill:#c3c9d0}.floor{fill:#eceff2}\
    .bold{font-weight:600}.whisker{stroke:#24292f;stroke-opacity:.65;stroke-width:1.2;fill:none}";

/// The picture of a group.
pub(super) fn svg(group: &Measured) -> String {
    let height = HEAD + group.cases.iter().map(height).sum::<f64>();
    let mut body = String::new();
    let mut y = HEAD;
    for case in &group.cases {
        draw_case(&mut body, case, y);
        y += height_of(case.subjects.len());
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{name}\">\n\
         <style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"6\" fill=\"#fff\"/>\n\
         <text class=\"head\" x=\"20\" y=\"29\">{name}</text>\n\
         <text class=\"dim\" x=\"20\" y=\"48\">Time of one iteration: shorter is faster. Median, with \
         the quartiles as whiskers; each case has its own scale.</text>\n\
         {body}</svg>\n",
        name = escape(&group.group),
    )
}

fn height(case: &Case) -> f64 {
    height_of(case.subjects.len())
}

fn height_of(subjects: usize) -> f64 {
    CASE_TITLE + ROW * subjects as f64 + CASE_GAP
}

fn draw_case(body: &mut String, case: &Case, top: f64) {
    let longest = case.subjects.iter().map(|it| it.q3_ns).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (BARS_END - BARS_START) / longest;
    let baseline = top + CASE_TITLE - 8.0;
    let _ = writeln!(
        body,
        "<text class=\"case\" x=\"20\" y=\"{baseline:.1}\">{}</text>",
        escape(&case.case)
    );
    for (index, subject) in case.subjects.iter().enumerate() {
        let y = top + CASE_TITLE + ROW * index as f64;
        draw_subject(body, case, subject, scale, y);
    }
}

fn draw_subject(body: &mut String, case: &Case, subject: &Subject, scale: f64, top: f64) {
    let reference = case.reference().is_some_and(|it| it.subject == subject.subject);
    let class = match (reference, subject.is_ours()) {
        (true, _) => "ours",
        (false, true) => "variant",
        (false, false) if is_floor(&subject.subject) => "floor",
        (false, false) => "rival",
    };
    let x = |ns: f64| BARS_START + ns * scale;
    let (middle, baseline) = (top + BAR / 2.0, top + BAR - 3.0);
    let bold = if reference { " class=\"bold\"" } else { "" };
    let ratio = case.ratio(subject).filter(|_| !reference);
    let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}×"));
    let _ = writeln!(
        body,
        "<text{bold} x=\"{NAMES_END}\" y=\"{baseline:.1}\" text-anchor=\"end\">{name}</text>\
         <rect class=\"{class}\" x=\"{BARS_START}\" y=\"{top:.1}\" width=\"{width:.1}\" \
         height=\"{BAR}\" rx=\"2\"/>\
         <path class=\"whisker\" d=\"M{q1:.1} {middle:.1}H{q3:.1}M{q1:.1} {low:.1}v6M{q3:.1} \
         {low:.1}v6\"/>\
         <text{bold} x=\"{after:.1}\" y=\"{baseline:.1}\">{median} <tspan class=\"dim\" dx=\"4\">\
         {ratio}</tspan></text>",
        name = escape(&subject.subject),
        width = (subject.median_ns * scale).max(1.5),
        q1 = x(subject.q1_ns),
        q3 = x(subject.q3_ns),
        low = middle - 3.0,
        after = x(subject.q3_ns.max(subject.median_ns)) + 9.0,
        median = time(subject.median_ns),
    );
}

#[cfg(test)]
mod tests {
    use super::super::record::Measured;
    use super::super::record::tests::case;
    use super::{BARS_END, BARS_START, svg};

    fn chart(cases: &[(&str, &[(&str, f64)])]) -> String {
        let cases = cases.iter().map(|(name, medians)| case(name, medians)).collect();
        svg(&Measured { group: "locks".to_owned(), cases, notes: Vec::new() })
    }

    /// The numbers that stand behind `name="` in bars of a class.
    fn attribute(svg: &str, class: &str, name: &str) -> Vec<f64> {
        let bars = svg.split("<rect ").filter(|bar| bar.starts_with(&format!("class=\"{class}\"")));
        bars.filter_map(|bar| {
            let (_, rest) = bar.split_once(&format!("{name}=\""))?;
            rest.split_once('"')?.0.parse().ok()
        })
        .collect()
    }

    #[test]
    fn bars_are_as_long_as_the_medians_and_whiskers_stay_inside() {
        let svg = chart(&[("one", &[("raddle", 10.0), ("raddle-std", 20.0), ("std", 40.0)])]);
        let length = |class| attribute(&svg, class, "width")[0];
        assert!((length("rival") / length("ours") - 4.0).abs() < 0.05, "{svg}");
        assert!((length("variant") / length("ours") - 2.0).abs() < 0.05, "{svg}");
        // The whisker of the longest bar, a quarter beyond its median, ends where bars end.
        assert!((1.25 * length("rival") - (BARS_END - BARS_START)).abs() < 0.1, "{svg}");
        assert!(svg.contains(&format!("H{BARS_END:.1}")), "{svg}");
    }

    #[test]
    fn each_case_has_its_scale() {
        let svg = chart(&[("a", &[("raddle", 1.0)]), ("b", &[("raddle", 1e9)])]);
        let lengths = attribute(&svg, "ours", "width");
        assert_eq!(lengths.len(), 2);
        assert!((lengths[0] - lengths[1]).abs() < 1e-9);
    }

    #[test]
    fn rows_do_not_overlap_and_fit_in_the_picture() {
        let medians: Vec<_> = ["raddle", "a", "b", "c"].into_iter().map(|it| (it, 1.0)).collect();
        let svg = chart(&[("a", &medians), ("b", &medians[..2])]);
        let mut tops = attribute(&svg, "rival", "y");
        tops.extend(attribute(&svg, "ours", "y"));
        tops.sort_by(f64::total_cmp);
        assert_eq!(tops.len(), 6);
        assert!(tops.windows(2).all(|pair| pair[1] - pair[0] >= super::BAR), "{tops:?}");
        let (_, height) = svg.split_once("height=\"").expect("a height");
        let height: f64 = height.split_once('"').expect("a number").0.parse().expect("a number");
        assert!(tops.iter().all(|top| top + super::BAR < height), "{tops:?} {height}");
    }

    #[test]
    fn names_are_escaped() {
        let svg = chart(&[("a<b & \"c\"", &[("raddle", 1.0)])]);
        assert!(svg.contains("a&lt;b &amp; &quot;c&quot;") && !svg.contains("a<b"), "{svg}");
    }
}
