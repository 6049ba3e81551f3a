//! Each rule of `cargo xtask tidy` finds what its fixtures mark, and nothing else.
//!
//! A comment `~ rule` marks a finding on its own line, `~^ rule` one on the line before
//! (`~^^` two before). All rules
//! are run on each fixture, so a fixture also shows what the other rules leave alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;

#[derive(Deserialize)]
struct Summary {
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    file: PathBuf,
    line: usize,
    rule: String,
    message: String,
}

/// What is expected or found: file, line, rule.
type Marks = BTreeSet<(PathBuf, usize, String)>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is inside the workspace")
}

fn tidy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("tidy")
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("xtask can be run")
}

fn rules() -> BTreeSet<String> {
    let output = tidy(&["--rules"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The marks in a file, or in all files of a directory.
fn marked(path: &Path, marks: &mut Marks) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the fixtures can be read") {
            marked(&entry.expect("an entry").path(), marks);
        }
        return;
    }
    let relative = path.strip_prefix(root()).expect("fixtures are in the workspace").to_path_buf();
    let text = fs::read_to_string(path).expect("fixtures are UTF-8");
    for (index, line) in text.lines().enumerate() {
        for mark in line.split('~').skip(1) {
            let rule = mark.trim_start_matches('^');
            let above = mark.len() - rule.len();
            let rule = rule.trim().trim_end_matches("-->").trim();
            marks.insert((relative.clone(), index + 1 - above, rule.to_owned()));
        }
    }
}

#[test]
fn each_fixture_has_exactly_the_findings_that_it_marks() {
    let mut expected = Marks::new();
    marked(&root().join("xtask/fixtures"), &mut expected);
    let output = tidy(&["--json", "xtask/fixtures"]);
    assert_eq!(output.status.code(), Some(1), "findings end with 1: {output:?}");
    let summary: Summary = serde_json::from_slice(&output.stdout).expect("the JSON of tidy");
    let messages: BTreeMap<_, _> = summary
        .findings
        .into_iter()
        .map(|finding| ((finding.file, finding.line, finding.rule), finding.message))
        .collect();
    let found: Marks = messages.keys().cloned().collect();
    let missed: Vec<_> = expected.difference(&found).collect();
    let invented: Vec<_> = messages.iter().filter(|(key, _)| !expected.contains(key)).collect();
    assert!(missed.is_empty() && invented.is_empty(), "missed {missed:#?}\nfound {invented:#?}");
}

#[test]
fn each_rule_has_a_fixture_that_fails_and_one_that_passes() {
    for rule in rules() {
        let directory = root().join("xtask/fixtures").join(&rule);
        let mut marks = Marks::new();
        marked(&directory, &mut marks);
        assert!(marks.iter().any(|(_, _, marked)| *marked == rule), "{rule} finds nothing");
        let passing = ["good.rs", "good"].iter().any(|name| directory.join(name).exists());
        assert!(passing, "{rule} has no good.rs");
    }
}

#[test]
fn a_fixture_on_its_own_fails_with_file_line_and_rule() {
    let output = tidy(&["xtask/fixtures/words/bad.rs"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.starts_with("xtask/fixtures/words/bad.rs:3:1: [words] "), "{text}");
    assert_eq!(tidy(&["xtask/fixtures/words/good.rs"]).status.code(), Some(0));
}

#[test]
fn a_path_that_does_not_exist_cannot_be_checked() {
    let output = tidy(&["xtask/no-such-file.rs"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(text.contains("xtask/no-such-file.rs"), "{text}");
}

#[test]
fn the_workspace_is_tidy() {
    let output = tidy(&[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
}
