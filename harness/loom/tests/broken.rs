//! Every broken twin is reported, for the bug that was planted in it; and none of the copies
//! without a bug is.

use std::process::Command;

use raddle_loom::scenarios;
use raddle_scenarios::{Expect, Scenario};

/// The bugs that a twin must be there for, by a part of its name.
const PLANTED: [&str; 14] = [
    "gate_release_in_two_steps",
    "group_with_one_place",
    "gate_without_a_second_look",
    "owner_is_never_cleared",
    "queue_under_two_locks",
    "gate_loses_a_grant",
    "ring_publishes_relaxed",
    "gate_with_a_relaxed_verdict",
    "sleep_against_notify_without_fence",
    "unpark_is_lost",
    "ring_pops_in_two_steps",
    "gate_takes_the_waker_last",
    "gate_tells_before_it_unlocks",
    "arc_upgrade_ignores_zero",
];

/// Runs the scenarios whose names contain `part`, and returns the rows of the results.
fn run(part: &str) -> Vec<serde_json::Value> {
    let file = std::env::temp_dir().join(format!("raddle-twins-{}-{part}", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_raddle-loom"))
        .args(["--scenario", &format!("{part}/"), "--json"])
        .arg(&file)
        .output()
        .expect("the runner starts");
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    let json = std::fs::read(&file).expect("the file is there");
    std::fs::remove_file(&file).expect("it can be removed");
    let mut json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    match json["scenarios"].take() {
        serde_json::Value::Array(rows) => rows,
        other => panic!("no list: {other}"),
    }
}

fn named(part: &str) -> Vec<Scenario> {
    let mut list = scenarios();
    list.retain(|scenario| scenario.name.starts_with(&format!("{part}/")));
    list
}

#[test]
fn every_broken_twin_is_reported_for_its_bug() {
    let twins = named("broken");
    for bug in PLANTED {
        assert!(twins.iter().any(|twin| twin.name.ends_with(bug)), "no twin has {bug}");
    }
    let rows = run("broken");
    assert_eq!(rows.len(), twins.len());
    for twin in twins {
        let row = rows.iter().find(|row| row["name"] == twin.name).expect("it ran");
        let messages = row["failure"]["messages"].to_string();
        // In loom's words.
        let kind = match twin.expect {
            Expect::Holds => panic!("{} is to hold", twin.name),
            Expect::Fails(part) => messages.contains(part),
            Expect::Races => messages.contains("Causality violation"),
            Expect::Deadlocks => messages.contains("deadlock"),
        };
        assert!(kind, "{}: {:?}, but {messages}", twin.name, twin.expect);
    }
}

#[test]
fn the_twins_without_their_bugs_hold() {
    let twins = named("twin");
    assert!(twins.iter().all(|twin| twin.expect == Expect::Holds));
    let rows = run("twin");
    assert_eq!(rows.len(), twins.len());
    for row in rows {
        assert_eq!(row["passed"], true, "{row}");
    }
}
