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
    let scenarios = json["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 2);
    for scenario in scenarios {
        assert!(scenario["failure"]["history"].as_str().expect("text").contains("thread"));
        assert_eq!(scenario["verdict"], "Failed");
        for number in ["executions", "operations"] {
            assert!(scenario[number].as_u64().expect("a number") > 0);
        }
        assert!(scenario["seconds"].as_f64().expect("a number") > 0.0);
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

/// A site of this operation in `Arc`, as `file:line:column`.
fn a_site(operation: &str) -> String {
    let directory = std::env::temp_dir().join(format!("raddle-{operation}-{}", std::process::id()));
    let path = directory.to_str().expect("UTF-8");
    run(&["--scenario", "ownership/clone_against_drop", "--sites", path]);
    let hits = Hits::read(&directory.join("ownership__clone_against_drop.json")).expect("hits");
    std::fs::remove_dir_all(&directory).expect("removed");
    let site = hits.iter().find(|(_, hit)| hit.operation.name == operation);
    site.expect("reached").0.to_string()
}

#[test]
fn a_mutation_is_killed_or_survives_or_is_not_reached() {
    let mutated =
        |change: &str| run(&["--scenario", "ownership/clone_against_drop", "--mutate", change]);
    let weaker = format!("{}=Release->Relaxed", a_site("fetch_sub"));
    let (code, out, _) = mutated(&weaker);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("killed by 1 of 1 scenarios"), "{out}");
    // What the site does not do cannot be weakened.
    let other = format!("{}=AcqRel->Release", a_site("fetch_sub"));
    let (code, out, _) = mutated(&other);
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("not reached"), "{out}");
    let (code, _, err) = mutated("somewhere");
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_failed_execution_is_replayed_from_its_checkpoint() {
    // No scenario of the list may fail, so a mutation makes one.
    let weaker = format!("{}=Release->Relaxed", a_site("fetch_sub"));
    let scenario = ["--scenario", "ownership/upgrade_against_last_drop", "--mutate", &weaker];
    let (_, out, _) = run(&scenario);
    let execution = |out: &str| {
        let line = out.lines().find(|line| line.contains("execution: ")).expect("its number");
        line.trim().trim_start_matches("execution: ").to_owned()
    };
    let number = execution(&out);
    assert_ne!(number, "1", "{out}");
    let file = std::env::temp_dir().join(format!("raddle-checkpoint-{}", std::process::id()));
    let path = file.to_str().expect("UTF-8");
    let child = ["--child", "ownership/upgrade_against_last_drop", "--mutate", &weaker];
    run(&[&child[..], &["--checkpoint", path, "--checkpoint-before", &number]].concat());
    let (code, out, _) = run(&[&scenario[..], &["--replay", path]].concat());
    std::fs::remove_file(&file).expect("it was written");
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(execution(&out), "1", "{out}");
    assert!(out.contains("Causality violation"), "{out}");
}

#[test]
fn the_shards_are_the_list() {
    let names = |shard: &[&str]| {
        let (code, out, _) = run(&[&["--list"], shard].concat());
        assert_eq!(code, Some(0), "{out}");
        out.lines().filter(|line| !line.starts_with(' ')).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut parts = [names(&["--shard", "1/2"]), names(&["--shard", "2/2"])].concat();
    let mut all = names(&[]);
    parts.sort();
    all.sort();
    assert_eq!(parts, all);
    assert_eq!(run(&["--shard", "3/2"]).0, Some(2));
}
