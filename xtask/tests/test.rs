//! `cargo xtask test` names what it leaves out, and ends with the count.

use std::process::{Command, Output};

const STEPS: [&str; 11] = [
    "fmt",
    "tidy",
    "clippy",
    "docs",
    "tests",
    "doctests",
    "release-tests",
    "vopr",
    "vopr-coverage",
    "hammer",
    "loom",
];

fn without_any_step(arguments: &[&str]) -> Output {
    let skips = STEPS.iter().flat_map(|step| ["--skip", step]);
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("test")
        .args(skips)
        .args(arguments)
        .output()
        .expect("xtask can be run")
}

#[test]
fn what_is_left_out_is_named_and_not_counted() {
    let output = without_any_step(&[]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for step in STEPS {
        let row = text.lines().rev().find(|line| line.starts_with(step)).expect("a row per step");
        assert!(row.contains("left out") && row.ends_with("--skip"), "{row}");
    }
    assert_eq!(text.lines().last(), Some("0 passed, 0 failed"));
}

#[test]
fn with_json_standard_output_is_nothing_else() {
    let output = without_any_step(&["--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON alone");
    let names: Vec<_> = summary["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|step| step["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, STEPS);
    assert_eq!((&summary["passed"], &summary["failed"]), (&0.into(), &0.into()));
}

#[test]
fn a_step_that_does_not_exist_cannot_be_left_out() {
    assert_eq!(without_any_step(&["--skip", "no-such-step"]).status.code(), Some(2));
}
