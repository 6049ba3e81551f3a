//! The command line: exit codes, and what is printed and written.

use std::process::{Command, Output};

use raddle_coverage::{Hit, Hits};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_raddle-loom"))
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the runner starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn scenarios_that_hold_pass() {
    let (code, out, _) = run(&["--scenario", "ownership/last_weak"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("ok        ownership/last_weak_against_last_arc"), "{out}");
    assert!(out.contains("exhausted within loom 0.7.2"), "{out}");
}

#[test]
fn the_planted_bugs_of_arc_and_parker_are_caught() {
    let (code, out, _) = run(&["--scenario", "broken/arc", "--jobs", "1"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.matches("reported, as it must be").count() >= 5, "{out}");
    let (code, out, _) = run(&["--scenario", "broken/sleep"]);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(out.matches("reported, as it must be").count(), 2, "{out}");
}

#[test]
fn time_that_ran_out_fails_the_run_and_tells_how_to_repeat_it() {
    let (code, out, _) = run(&["--scenario", "ownership/counts", "--seconds", "0"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("time ran out"), "{out}");
    assert!(out.contains("--scenario ownership/counts --unbounded --seconds 0"), "{out}");
}

#[test]
fn nothing_to_run_is_an_error_of_its_own() {
    let (code, _, err) = run(&["--scenario", "no such scenario"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("no scenario's name contains"), "{err}");
    assert_eq!(run(&["--no-such-option"]).0, Some(2));
}

#[test]
fn the_list_names_scenarios_and_properties() {
    let (code, out, _) = run(&["--list"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("ownership/clone_against_drop\n    a value outlives"), "{out}");
    assert!(out.contains("must be reported: Races"), "{out}");
}

#[test]
fn results_are_written_as_json() {
    let file = std::env::temp_dir().join(format!("raddle-loom-{}.json", std::process::id()));
    let path = file.to_str().expect("UTF-8");
    let (code, out, _) = run(&["--scenario", "broken/sleep", "--json", path]);
    assert_eq!(code, Some(0), "{out}");
    let json = std::fs::read(&file).expect("the file is there");
    std::fs::remove_file(&file).expect("it can be removed");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["passed"], true);
    let outcomes = json["outcomes"].as_array().expect("a list");
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        assert!(outcome["verdict"]["Failed"]["history"].as_str().expect("text").contains("thread"));
        assert!(outcome["executions"].as_u64().expect("a number") > 0);
    }
}

#[test]
fn the_sites_that_a_scenario_reached_are_written() {
    let directory = std::env::temp_dir().join(format!("raddle-sites-{}", std::process::id()));
    let path = directory.to_str().expect("UTF-8");
    let (code, out, _) = run(&["--scenario", "ownership/upgrade", "--sites", path]);
    assert_eq!(code, Some(0), "{out}");
    let file = directory.join("ownership__upgrade_against_last_drop.json");
    let hits = Hits::read(&file).expect("hits");
    std::fs::remove_dir_all(&directory).expect("removed");
    let upgrades = |(_, hit): &(_, &Hit)| hit.operation.name == "compare_exchange_weak";
    let (site, upgrade) = hits.iter().find(upgrades).expect("an upgrade");
    assert!(site.file.starts_with("crates/ownership/src/"), "{site}");
    assert_eq!(upgrade.operation.orderings.len(), 2);
    assert!(upgrade.succeeded > 0 && upgrade.failed > 0, "{upgrade:?}");
    assert_eq!(upgrade.count, upgrade.succeeded + upgrade.failed);
}
