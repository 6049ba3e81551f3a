//! The join says what is covered, what is not and why, and what is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;

use raddle_coverage::{
    Catalogue, Evidence, Hit, Hits, Operation, Ratchet, Report, Site, Tally, Why, join,
};

const FILE: &str = "crates/a/src/lib.rs";

const SOURCE: &str = "\
impl Word {
    fn set(&self) {
        let old = self.word.load(Ordering::Relaxed);
        let _ = self.word.compare_exchange(old, 1, Ordering::AcqRel, Ordering::Acquire);
        P::retry(\"set\");
    }
    fn get(&self) -> u32 {
        self.word.load(Ordering::Acquire)
    }
    fn now() -> Instant {
        P::Clock::now()
    }
}
";

fn catalogue(source: &str) -> Catalogue {
    let mut catalogue = Catalogue::default();
    let file = PathBuf::from(FILE);
    catalogue.add("a", vec![(file.clone(), source.to_owned())], &[file]).expect("it parses");
    catalogue
}

fn hit(name: &str, succeeded: u64, failed: u64) -> Hit {
    let operation = Operation { name: name.to_owned(), orderings: Vec::new() };
    let count = (succeeded + failed).max(1);
    Hit { operation, count, succeeded, failed, threads: 0b11 }
}

fn hits(found: &[(&str, Hit)]) -> Hits {
    let mut hits = Hits::default();
    for (site, hit) in found {
        let site: Site = format!("{FILE}:{site}").parse().expect("a site");
        hits.note(site, hit.clone()).expect("one operation at a site");
    }
    hits
}

fn check(catalogue: &Catalogue, hits: &Hits, look: impl FnOnce(Report<'_>)) {
    let others = BTreeMap::new();
    look(join(catalogue, &Evidence { harness: Some("loom"), hits, others: &others, lines: None }));
}

fn gaps(report: &Report<'_>) -> Vec<(u32, Why)> {
    let line = |point: &raddle_coverage::Point<'_>| point.entry.site.line;
    report.points.iter().filter_map(|point| Some((line(point), point.gap()?))).collect()
}

#[test]
fn each_gap_says_why() {
    let catalogue = catalogue(SOURCE);
    let found = hits(&[("3:29", hit("load", 0, 0)), ("4:27", hit("compare_exchange", 5, 0))]);
    check(&catalogue, &found, |report| {
        let expected = [
            (4, Why::NeverFailed),
            (5, Why::SiteNotReached),
            (8, Why::FunctionNeverEntered),
            (11, Why::FunctionNeverEntered),
        ];
        assert_eq!(gaps(&report), expected);
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        let tally = Tally::of(&report.points);
        assert_eq!((tally.total, tally.covered, tally.excluded), (6, 2, 0));
    });
}

#[test]
fn a_compare_exchange_that_only_failed_is_half_covered() {
    let catalogue = catalogue(SOURCE);
    let found = hits(&[("4:27", hit("compare_exchange", 0, 3))]);
    check(&catalogue, &found, |report| {
        assert!(gaps(&report).contains(&(4, Why::NeverSucceeded)));
        assert!(!gaps(&report).contains(&(4, Why::NeverFailed)));
    });
}

#[test]
fn a_hit_where_no_operation_is_makes_the_catalogue_wrong() {
    let catalogue = catalogue(SOURCE);
    let found = hits(&[("3:30", hit("load", 0, 0))]);
    check(&catalogue, &found, |report| {
        assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
        assert!(report.errors[0].starts_with("crates/a/src/lib.rs:3:30: `load`"));
    });
}

#[test]
fn a_hit_for_another_operation_is_of_another_version() {
    let catalogue = catalogue(SOURCE);
    check(&catalogue, &hits(&[("5:9", hit("load", 0, 0))]), |report| {
        assert!(report.errors[0].contains("the source says `retry`"), "{:?}", report.errors);
    });
}

#[test]
fn hits_outside_of_the_catalogue_s_files_are_not_looked_at() {
    let mut hits = Hits::default();
    let site = "harness/scenarios/src/broken.rs:1:1".parse().expect("a site");
    hits.note(site, hit("load", 0, 0)).expect("the first");
    check(&catalogue(SOURCE), &hits, |report| assert!(report.errors.is_empty()));
}

/// The source with `comment` in a line of its own above line `line`.
fn with_comment(line: usize, comment: &str) -> String {
    let mut lines: Vec<_> = SOURCE.lines().collect();
    lines.insert(line - 1, comment);
    lines.join("\n")
}

#[test]
fn an_exclusion_takes_the_gaps_of_its_line_out() {
    let source = with_comment(8, "// COVERAGE-EXCLUDE(loom): read\n// by nobody yet");
    check(&catalogue(&source), &Hits::default(), |report| {
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        assert_eq!(Tally::of(&report.points).excluded, 1);
        assert!(raddle_coverage::excluded(&report).contains("read by nobody yet"));
    });
}

#[test]
fn an_exclusion_of_another_harness_is_not_this_one_s() {
    let source = with_comment(8, "// COVERAGE-EXCLUDE(vopr): read by nobody yet");
    check(&catalogue(&source), &Hits::default(), |report| {
        assert_eq!(Tally::of(&report.points).excluded, 0);
    });
}

#[test]
fn an_exclusion_of_what_is_covered_is_stale() {
    let source = with_comment(8, "// COVERAGE-EXCLUDE(loom): read by nobody yet");
    check(&catalogue(&source), &hits(&[("9:19", hit("load", 0, 0))]), |report| {
        assert!(report.errors[0].contains("stale"), "{:?}", report.errors);
    });
}

#[test]
fn an_exclusion_of_nothing_is_stale() {
    let source = with_comment(7, "// COVERAGE-EXCLUDE(loom): a function, and no operation");
    check(&catalogue(&source), &Hits::default(), |report| {
        assert!(report.errors[0].contains("no platform operation is here"), "{:?}", report.errors);
    });
}

#[test]
fn one_arm_can_be_excluded_while_the_other_is_covered() {
    let source = with_comment(4, "// COVERAGE-EXCLUDE(loom): nobody else sets it");
    let found = hits(&[("5:27", hit("compare_exchange", 2, 0))]);
    check(&catalogue(&source), &found, |report| {
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        assert_eq!(Tally::of(&report.points).excluded, 1);
    });
}

fn with_block() -> String {
    let begun = with_comment(3, "// COVERAGE-EXCLUDE-BEGIN(loom): one thread sets it");
    let mut lines: Vec<_> = begun.lines().collect();
    lines.insert(6, "// COVERAGE-EXCLUDE-END(loom)");
    lines.join("\n")
}

#[test]
fn a_block_excludes_what_is_in_it() {
    check(&catalogue(&with_block()), &Hits::default(), |report| {
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        assert_eq!(Tally::of(&report.points).excluded, 4);
    });
}

#[test]
fn a_block_with_a_site_that_is_covered_is_stale() {
    check(&catalogue(&with_block()), &hits(&[("6:9", hit("retry", 0, 0))]), |report| {
        assert!(report.errors[0].contains("take it out of the block"), "{:?}", report.errors);
    });
}

#[test]
fn exclusions_that_are_not_understood_are_errors() {
    let cases = [
        ("// COVERAGE-EXCLUDE(loom)", "not understood"),
        ("// COVERAGE-EXCLUDE(loom):", "no reason"),
        ("// COVERAGE-EXCLUDE(lom): a reason", "there is no harness"),
        ("// COVERAGE-EXCLUDE-BEGIN(loom): a reason", "BEGIN without an END"),
        ("// COVERAGE-EXCLUDE-END(loom)", "END without a BEGIN"),
    ];
    for (comment, message) in cases {
        check(&catalogue(&with_comment(8, comment)), &Hits::default(), |report| {
            assert!(report.errors.iter().any(|error| error.contains(message)), "{comment}");
        });
    }
}

#[test]
fn a_claim_that_another_harness_reaches_a_site_is_checked() {
    let source = with_comment(8, "// COVERAGE-EXCLUDE(loom): covered by hammer");
    let catalogue = catalogue(&source);
    let none = Hits::default();
    check(&catalogue, &none, |report| {
        assert!(report.errors.is_empty());
        assert_eq!(report.unchecked.len(), 1, "no hits of hammer: said, not passed over");
    });
    for (site, errors) in [("9:19", 0), ("3:29", 1)] {
        let others = BTreeMap::from([("hammer".to_owned(), hits(&[(site, hit("load", 0, 0))]))]);
        let evidence =
            Evidence { harness: Some("loom"), hits: &none, others: &others, lines: None };
        let report = join(&catalogue, &evidence);
        assert_eq!((report.errors.len(), report.unchecked.len()), (errors, 0));
    }
}

#[test]
fn the_ratchet_finds_what_is_covered_no_longer() {
    let before = catalogue(SOURCE);
    let found = hits(&[("3:29", hit("load", 0, 0)), ("4:27", hit("compare_exchange", 5, 1))]);
    let mut text = String::new();
    check(&before, &found, |report| text = Ratchet::of(&report).text("# what was covered\n"));
    let ratchet = Ratchet::parse(&text).expect("as it was written");
    assert_eq!(ratchet.len(), 3);

    // Lines move, and the failing arm is not reached any more.
    let after = catalogue(&format!("\n\n{SOURCE}"));
    let found = hits(&[("5:29", hit("load", 0, 0)), ("6:27", hit("compare_exchange", 5, 0))]);
    check(&after, &found, |report| {
        let lost = ratchet.lost(&report);
        assert_eq!(lost.len(), 1, "{lost:?}");
        assert!(lost[0].contains("Word::set compare_exchange#1 failed: never failed"), "{lost:?}");
        assert_eq!(ratchet.gone(&report), 0);
    });
    check(&catalogue("fn other() {}"), &Hits::default(), |report| {
        assert_eq!((ratchet.lost(&report).len(), ratchet.gone(&report)), (0, 3));
    });
    assert!(Ratchet::parse("no point").is_err());
    assert!(Ratchet::parse("file function operation#1 failed").is_ok());
    for wrong in ["file function operation#1 perhaps", "file function operation failed"] {
        assert!(Ratchet::parse(wrong).expect_err("no point").contains("line 1"), "{wrong}");
    }
}

#[test]
fn documents_have_what_the_join_found() {
    let source = with_comment(8, "// COVERAGE-EXCLUDE(loom): read by \"nobody\" & <none>");
    let catalogue = catalogue(&source);
    let found = hits(&[("3:29", hit("load", 0, 0)), ("4:27", hit("compare_exchange", 5, 0))]);
    check(&catalogue, &found, |report| {
        let by = BTreeMap::from([("loom".to_owned(), found.clone())]);
        let json = raddle_coverage::json(&report, &by).expect("JSON");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((&json["total"], &json["covered"]), (&6.into(), &2.into()));
        let sites = json["sites"].as_array().expect("rows");
        assert_eq!(sites.len(), 6, "a row for each point");
        let failed = &sites[2];
        assert_eq!((&failed["line"], &failed["column"]), (&4.into(), &27.into()));
        assert_eq!((&failed["arm"], &failed["hits"]), (&"failed".into(), &0.into()));
        assert_eq!(failed["orderings"], serde_json::json!(["AcqRel", "Acquire"]));
        assert_eq!(sites[4]["excluded"], true);

        let lcov = raddle_coverage::lcov(&catalogue, &report);
        for line in ["SF:crates/a/src/lib.rs", "DA:3,1", "DA:5,0", "BRDA:4,27,1,0", "BRH:1"] {
            assert!(lcov.lines().any(|found| found == line), "{line} in {lcov}");
        }
        assert!(!lcov.contains("DA:9"), "what is excluded is left out");

        let table = raddle_coverage::table(&catalogue, &report);
        let row = table.lines().find(|line| line.starts_with("all")).expect("a row");
        let numbers: Vec<_> = row.split_whitespace().collect();
        assert_eq!(numbers, ["all", "5", "2", "1", "2", "50.0%", "0/1"]);

        let pages = raddle_coverage::pages("Coverage", &catalogue, &report);
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["index.html", "crates-a-src-lib.rs.html"]);
        let page = &pages[1].1;
        assert!(page.contains("never failed") && page.contains("site not reached"));
        assert!(page.contains("excluded: read by &quot;nobody&quot; &amp; &lt;none&gt;"));
        for (_, page) in &pages {
            assert!(!page.contains("<script") && !page.contains("http"), "self-contained");
        }
    });
}
