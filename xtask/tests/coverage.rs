//! `cargo xtask coverage-loom` and `cargo xtask coverage` say what is wrong with what they are given.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use raddle_coverage::{Catalogue, Category, Hit, Hits, Operation, Package};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is inside the workspace")
}

/// A directory of this test's own, empty.
fn directory(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("raddle-xtask-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("made");
    path
}

/// Joins the hits in `hits`, with the ratchet beside it.
fn coverage(hits: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("coverage-loom")
        .arg("--hits")
        .arg(hits)
        .arg("--ratchet")
        .arg(hits.join("ratchet"))
        .args(arguments)
        .output()
        .expect("xtask can be run")
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// The operations of one small crate.
fn ownership() -> Catalogue {
    let directory = PathBuf::from("crates/ownership");
    let package = Package {
        name: "raddle-ownership".to_owned(),
        roots: vec![directory.join("src/lib.rs")],
        directory,
    };
    Catalogue::read(root(), &[package]).expect("the crate can be read")
}

/// Hits of all atomic loads of that crate; `moved` of them where no operation is.
fn loads(moved: usize) -> Hits {
    let mut hits = Hits::default();
    let catalogue = ownership();
    let loads = catalogue
        .entries()
        .iter()
        .filter(|entry| entry.category == Category::Atomic && entry.operation.name == "load");
    for (index, entry) in loads.enumerate() {
        let mut site = entry.site.clone();
        site.column += u32::from(index < moved);
        let operation = Operation { name: "load".to_owned(), orderings: Vec::new() };
        let hit = Hit { operation, count: 1, succeeded: 0, failed: 0, threads: 1 };
        hits.note(site, hit).expect("each site once");
    }
    assert!(!hits.is_empty(), "the crate loads something");
    hits
}

#[test]
fn what_was_covered_must_stay_covered() {
    let directory = directory("ratchet");
    let file = directory.join("one.json");
    loads(0).write(&file).expect("written");
    let output = coverage(&directory, &["--write-ratchet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = coverage(&directory, &["--check-ratchet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    // There are gaps, of course.
    assert_eq!(coverage(&directory, &["--check"]).status.code(), Some(1));

    Hits::default().write(&file).expect("written");
    let output = coverage(&directory, &["--check-ratchet"]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    assert!(text.contains("covered before, and no longer: crates/ownership/src/"), "{text}");
    assert_eq!(coverage(&directory, &[]).status.code(), Some(0), "a report is no failure");
    fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn a_hit_that_the_source_does_not_have_is_an_error() {
    let directory = directory("unknown");
    loads(1).write(&directory.join("one.json")).expect("written");
    let output = coverage(&directory, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("the source has no operation there"), "{}", text(&output));
    let output = coverage(&directory, &["--write-ratchet"]);
    assert_eq!(output.status.code(), Some(2), "what is wrong is not kept");

    // A broken twin adds nothing, be it right or wrong.
    fs::rename(directory.join("one.json"), directory.join("broken__one.json")).expect("renamed");
    loads(0).write(&directory.join("two.json")).expect("written");
    let output = coverage(&directory, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn bad_input_is_named() {
    let directory = directory("bad");
    let output = coverage(&directory, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("no scenario left its sites in"), "{}", text(&output));
    fs::write(directory.join("one.json"), "no hits").expect("written");
    let output = coverage(&directory, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("one.json is no file of hits"), "{}", text(&output));

    Hits::default().write(&directory.join("one.json")).expect("written");
    let output = coverage(&directory, &["--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("--write-ratchet"), "{}", text(&output));
    fs::write(directory.join("ratchet"), "no point\n").expect("written");
    let output = coverage(&directory, &["--check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("line 1"), "{}", text(&output));

    let output = coverage(&directory, &["--json", "no/such/directory/file.json"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("no/such/directory/file.json"), "{}", text(&output));
    fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn documents_are_written_where_they_are_asked_for() {
    let directory = directory("documents");
    loads(0).write(&directory.join("one.json")).expect("written");
    let json = directory.join("report/report.txt");
    let lcov = directory.join("report/report.info");
    let html = directory.join("pages");
    fs::create_dir_all(directory.join("report")).expect("made");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let output = coverage(
        &directory,
        &["--json", &path(&json), "--lcov", &path(&lcov), "--html", &path(&html)],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let report = fs::read_to_string(&json).expect("written");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let sites = report["sites"].as_array().expect("rows");
    assert_eq!(report["total"].as_u64(), u64::try_from(sites.len()).ok());
    let covered = sites.iter().filter(|site| site["hits"].as_u64() > Some(0)).count();
    assert_eq!(report["covered"].as_u64(), u64::try_from(covered).ok());
    assert_eq!(covered, loads(0).len());
    let lcov = fs::read_to_string(&lcov).expect("written");
    assert!(lcov.contains("SF:crates/ownership/src/inner.rs"), "{lcov}");
    let index = fs::read_to_string(html.join("index.html")).expect("written");
    assert!(index.contains("raddle-ownership"));
    fs::remove_dir_all(directory).expect("removed");
}

#[test]
fn the_harnesses_are_joined_and_those_without_hits_are_named() {
    let target = directory("all");
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("coverage")
            .env("CARGO_TARGET_DIR", &target)
            .output()
            .expect("xtask can be run")
    };
    let output = run();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("no harness has left its sites"), "{}", text(&output));
    for harness in ["loom", "hammer"] {
        let hits = target.join("coverage").join(harness);
        fs::create_dir_all(&hits).expect("made");
        loads(0).write(&hits.join("one.json")).expect("written");
    }
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let text = text(&output);
    let count = loads(0).len();
    for line in
        [&format!("loom    {count} of "), &format!("hammer  {count} of "), "vopr    no sites"]
    {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}: {text}");
    }
    fs::remove_dir_all(target).expect("removed");
}

/// As [`coverage`], of the simulator.
fn coverage_vopr(hits: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("coverage-vopr")
        .arg("--hits")
        .arg(hits)
        .arg("--ratchet")
        .arg(hits.join("ratchet"))
        .args(arguments)
        .output()
        .expect("xtask can be run")
}

#[test]
fn the_simulator_has_goals_by_subject() {
    let directory = directory("subjects");
    loads(0).write(&directory.join("one.json")).expect("written");
    let json = directory.join("report");
    let output = coverage_vopr(&directory, &["--json", json.to_str().expect("a path")]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for subject in ["time", "network", "file", "ring", "retry", "scheduler"] {
        assert!(told.lines().any(|line| line.starts_with(subject)), "{subject}: {told}");
    }
    let report = fs::read_to_string(&json).expect("written");
    assert!(report.contains("\"subject\": \"ring\"") || report.contains("\"subject\":\"ring\""));
    assert!(report.contains("\"vopr\""), "who reached it");

    let output = coverage_vopr(&directory, &["--write-ratchet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = coverage_vopr(&directory, &["--check-ratchet"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = coverage_vopr(&directory, &["--check"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    assert!(told.contains("error: ring: 0.0% is less than 100%"), "{told}");
    assert!(!told.contains("error: file"), "of nothing, all is reached: {told}");
    fs::remove_dir_all(directory).expect("removed");
}
