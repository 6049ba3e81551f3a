//! Sweeps run in processes of their own, which are replaced when they have abandoned much, and whose
//! death is a failure like others.

use std::process::{Command, Output};

use serde_json::Value;

fn sweep(options: &[&str]) -> (Output, Value) {
    let name = std::thread::current().name().unwrap_or("sweep").replace("::", "_");
    let json = std::env::temp_dir().join(format!("{name}-{}.json", std::process::id()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_raddle-vopr"));
    for variable in ["RADDLE_SEED", "CI_SEED"] {
        command.env_remove(variable);
    }
    let output = command.args(options).arg("--json").arg(&json).output().expect("it runs");
    let results = std::fs::read(&json).expect("results");
    std::fs::remove_file(&json).expect("they were there");
    (output, serde_json::from_slice(&results).expect("JSON"))
}

const MUTEX: &str = "mutex/exclusion/thread+thread";
const TWINS: &str = "broken/arc";

fn certificates(results: &Value) -> Vec<String> {
    let scenarios = results["scenarios"].as_array().expect("a list");
    let row = |row: &Value| format!("{} {} {}", row["name"], row["runs"], row["certificate"]);
    scenarios.iter().map(row).collect()
}

/// Whether one process runs all or each run has its own.
#[test]
fn processes_change_nothing() {
    let options = ["--scenario", MUTEX, "--seeds", "8", "--seed", "7"];
    let (output, here) = sweep(&[&options[..], &["--in-process"]].concat());
    assert!(output.status.success(), "{output:?}");
    let (_, apart) = sweep(&options);
    let (_, each) = sweep(&[&options[..], &["--abandon", "0"]].concat());
    assert!(!certificates(&here).is_empty());
    assert_eq!(certificates(&apart), certificates(&here));
    assert_eq!(certificates(&each), certificates(&here));
}

#[test]
fn a_process_that_dies_is_the_failure_of_its_scenario_and_seed() {
    for (death, how) in [("abort", "signal: 6"), ("overflow", "signal"), ("exit", "exit status: 0")]
    {
        let options = ["--scenario", MUTEX, "--seeds", "8", "--seed", "7"];
        let (output, results) = sweep(&[&options[..], &["--plant-death", death]].concat());
        assert_eq!(output.status.code(), Some(1), "{death}");
        let failures = results["failures"].as_array().expect("a list");
        assert!(!failures.is_empty(), "{death}");
        for failure in failures {
            assert_eq!(failure["oracle"], "process");
            assert!(failure["report"].as_str().expect("text").contains(how), "{failure}");
            // The third seed under that root, and the command that runs it.
            let seed = raddle_vopr::seeds::derive(7, raddle_vopr::seeds::Purpose::Run, 2);
            assert_eq!(failure["seed"], seed);
            let command = failure["command"].as_str().expect("text");
            assert!(command.contains(&format!("--seed {seed:#x}")), "{command}");
        }
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("its process died"), "{text}");
    }
}

/// Failures leave much, and a twin fails until it does so in the way that it must.
#[test]
fn what_was_found_survives_a_replacement() {
    let options = ["--scenario", TWINS, "--seeds", "200", "--seed", "7"];
    let (output, results) = sweep(&[&options[..], &["--abandon", "0"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(!certificates(&results).is_empty());
}
