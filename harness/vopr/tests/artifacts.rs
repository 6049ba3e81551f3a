//! What is kept of a failure is enough for somebody who was not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use raddle_platform::{Atomic, Ordering, Parker, Platform, Rng, Threads};
use raddle_scenarios::{Expect, Scenario, scope};
use raddle_vopr::seeds::{DEFAULT_ROOT, Purpose, derive};
use raddle_vopr::{
    Kept, OFFERS, Sim, Simulation, TestCase, inspect, scenarios, trace, wakes_spuriously,
};
use serde_json::Value;

const REPLAY: &str = env!("CARGO_BIN_EXE_raddle-replay");
const VOPR: &str = env!("CARGO_BIN_EXE_raddle-vopr");

fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("artifacts").join(name);
    // What an earlier run left there would count as this one's.
    let _ = fs::remove_dir_all(&path);
    path
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("JSON")
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digits = sha2::Sha256::digest(bytes).into_iter().map(|byte| format!("{byte:02x}"));
    format!("sha256:{}", digits.collect::<String>())
}

/// A program that always fails, after two threads did something.
fn wrong() {
    let word = <Sim as Platform>::AtomicU32::new(0);
    inspect("half", || "done".to_owned());
    scope::<Sim, _>(|threads| {
        threads.spawn(|| word.store(1, Ordering::Relaxed));
        word.store(2, Ordering::Relaxed);
    });
    <Sim as Platform>::Rng::u64();
    assert_eq!(word.load(Ordering::Relaxed), 3, "on purpose");
}

#[test]
fn a_failure_leaves_all_that_the_schema_asks_for() {
    let root = folder("schema");
    let simulation = Simulation::new().seed(0xff);
    let report = simulation.run(wrong);
    let case = TestCase::new("tests/on purpose").inputs(*b"input").under(&root);
    let kept = case.conclude(&simulation, &report, &wrong).expect("written").expect("it failed");
    assert_eq!(kept.directory, root.join("tests__on_purpose/0x00000000000000ff"));
    let manifest = json(&kept.manifest);
    let fields = [
        "schema_version",
        "seed",
        "scenario_id",
        "entropy_seed",
        "config_hash",
        "trace_fingerprint",
        "input_digest",
        "oracle_violations",
        "passed",
        "subsystem",
        "invariant",
        "trace_file",
        "input_file",
        "env_snapshot",
        "phases_executed",
        "failure_reason",
    ];
    for field in fields {
        assert!(!manifest[field].is_null(), "{field}: {manifest:#}");
    }
    assert_eq!(manifest["seed"], 0xff);
    assert_eq!(manifest["entropy_seed"], derive(0xff, Purpose::Entropy, 0));
    assert_eq!(manifest["oracle_violations"][0], "panic");
    assert_eq!(manifest["state"]["half"], "done");
    assert_eq!(manifest["passed"], false);
    assert_eq!(
        (&manifest["subsystem"], &manifest["invariant"]),
        (&"tests".into(), &"on purpose".into())
    );
    assert_eq!(manifest["certificate"], report.certificate.to_string());
    // Anybody can check the digests.
    let digest = |name: &str| sha256(&fs::read(kept.directory.join(name)).expect("kept"));
    assert_eq!(manifest["trace_fingerprint"], digest("trace"));
    assert_eq!(manifest["input_digest"], sha256(b"input"));
    let files = manifest["files"].as_object().expect("by name");
    let names = ["event_log.txt", "failed_assertions.json", "inputs.bin", "trace"];
    assert_eq!(files.keys().collect::<Vec<_>>(), names);
    assert!(files.iter().all(|(name, said)| *said == digest(name)), "{files:?}");
    let settings = manifest["configuration"].as_object().expect("by name").iter();
    let lines = settings.map(|(name, value)| format!("{name}={}\n", value.as_str().expect("text")));
    assert_eq!(manifest["config_hash"], sha256(lines.collect::<String>().as_bytes()));
    let purposes = manifest["derived_seeds"].as_object().expect("by purpose");
    for purpose in Purpose::ALL {
        assert_eq!(purposes[purpose.tag()], derive(0xff, purpose, 0));
    }
    for purpose in ["disk", "network"] {
        assert!(purposes.contains_key(purpose), "{purpose}: {purposes:?}");
    }
    assert_eq!(fs::read(kept.directory.join("inputs.bin")).expect("kept"), b"input");
    // The trace is the execution, with what was observed of it.
    let recording = trace::load(&kept.trace).expect("a trace");
    assert_eq!(recording.trace, report.trace);
    assert!(recording.events.count() > 0);
    let again = recording.simulation().expect("its settings").run(wrong);
    assert_eq!(again.failure(), report.failure());
    let log = fs::read_to_string(kept.directory.join("event_log.txt")).expect("kept");
    for part in ["root seed 0xff", "entropy 0x", "spawn", "on purpose", "half = done"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let assertions = json(&kept.directory.join("failed_assertions.json"));
    assert!(assertions[0]["message"].as_str().expect("text").contains("on purpose"));
    assert_eq!(assertions.as_array().expect("a list").last().expect("one")["verdict"], true);
    let summary = json(&root.join("tests__on_purpose_summary.json"));
    assert_eq!((&summary["passed"], &summary["seed"]), (&false.into(), &0xff.into()));
}

#[test]
fn a_run_that_passes_leaves_a_summary() {
    let root = folder("passed");
    let simulation = Simulation::new().seed(1);
    let good = || _ = <Sim as Platform>::Rng::u64();
    let report = TestCase::new("tests/good").under(&root).check(&simulation, good);
    assert!(report.failure().is_none());
    let names: Vec<_> =
        fs::read_dir(&root).expect("made").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["tests__good_summary.json"]);
    assert_eq!(json(&root.join("tests__good_summary.json"))["passed"], true);
}

/// A broken twin.
fn twin() -> Scenario {
    let mut twins = scenarios().into_iter().filter(|scenario| {
        scenario.expect != Expect::Holds && scenario.needs.unmet(&OFFERS).is_empty()
    });
    twins.next().expect("there are broken twins")
}

/// What a failure of it leaves.
fn keep(scenario: &Scenario, root: &Path) -> Kept {
    let simulation = Simulation::new().spurious_wakes(wakes_spuriously(scenario));
    let mut reports = (0..500).map(|seed| simulation.clone().seed(seed).run(|| scenario.run()));
    let report = reports.find(|report| report.failure().is_some()).expect("found");
    let case = TestCase::new(scenario.name).inputs(*b"input").under(root);
    let kept = case.conclude(&simulation, &report, &|| scenario.run());
    kept.expect("written").expect("it failed")
}

/// Nothing runs before all that the manifest says of the files beside it was verified, and what is
/// wrong is said of the file that is.
#[test]
fn a_manifest_vouches_for_each_file_beside_it() {
    let kept = keep(&twin(), &folder("vouches"));
    let replay = || {
        let output = Command::new(REPLAY).arg(&kept.manifest).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said, output.stdout)
    };
    let refused = |parts: &[&str], others: &[&str]| {
        let (code, said, stdout) = replay();
        assert_eq!((code, stdout.as_slice()), (Some(2), &b""[..]), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        assert!(others.iter().all(|other| !said.contains(other)), "{others:?}: {said}");
    };
    assert_eq!(replay().0, Some(0));
    let names = ["event_log.txt", "failed_assertions.json", "inputs.bin", "trace"];
    let path = |name: &str| format!("/{name}: ");
    for name in names {
        let file = kept.directory.join(name);
        let bytes = fs::read(&file).expect("kept");
        let others = names.map(path);
        let others: Vec<_> =
            others.iter().map(String::as_str).filter(|it| *it != path(name)).collect();
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        fs::write(&file, changed).expect("room");
        refused(&[&path(name), &sha256(&bytes), "another copy"], &others);
        fs::remove_file(&file).expect("it was there");
        refused(&[&path(name), "No such file"], &others);
        fs::write(&file, bytes).expect("room");
    }
    assert_eq!(replay().0, Some(0), "as it was");
    // What the manifest says itself is compared with the files, too.
    let manifest = json(&kept.manifest);
    let nobody = sha256(b"another");
    let old = "siphash-2-4:0000000000000000";
    for (field, value, part) in [
        ("trace_fingerprint", Value::from(nobody.as_str()), "/trace: its digest"),
        ("trace_fingerprint", old.into(), "/trace: its digest"),
        ("input_digest", nobody.as_str().into(), "/inputs.bin: its digest"),
        ("input_digest", Value::Null, "/inputs.bin: the manifest has only one"),
        ("config_hash", nobody.as_str().into(), "config_hash: the manifest has sha256:"),
        ("seed", 12_345.into(), "seed: the manifest has 0x3039"),
        ("scenario_id", "nobody/knows".into(), "scenario_id: the manifest has nobody/knows"),
        ("schema_version", 2.into(), "version 2 of the schema"),
        ("trace_schema", 77.into(), "version 77 of the format"),
        ("trace_file", "else".into(), "/else: No such file"),
        ("trace_file", Value::Null, "no manifest that can be read here"),
    ] {
        let mut changed = manifest.clone();
        changed[field] = value;
        fs::write(&kept.manifest, changed.to_string()).expect("room");
        refused(&[part], &[]);
    }
    fs::write(&kept.manifest, "[]").expect("room");
    refused(&["repro_manifest.json: this is no manifest"], &[]);
    fs::remove_file(&kept.manifest).expect("it was there");
    refused(&["repro_manifest.json: No such file"], &[]);
    // The trace can always be named itself.
    let output = Command::new(REPLAY).arg(&kept.trace).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_manifest_is_replayed_by_the_command_that_it_names() {
    let root = folder("replay");
    let scenario = twin();
    let kept = keep(&scenario, &root);
    let output = Command::new(REPLAY).arg(&kept.manifest).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("the recorded end"), "{text}");
    let named = json(&kept.manifest)["replay_command"].as_str().expect("text").to_owned();
    assert_eq!(named, format!("cargo xtask replay {}", kept.manifest.display()));
}

/// A process of this test, which fails in [`the_child_of_other_tests`].
fn child(root: &Path, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "the_child_of_other_tests", "--nocapture"]);
    command.env_remove("RADDLE_SEED").env_remove("CI_SEED").env_remove("RADDLE_ARTIFACTS");
    command.env("RADDLE_ARTIFACTS_DIR", root).env("RADDLE_TESTS_CHILD", "1");
    let output = command.envs(variables.iter().copied()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

#[test]
fn the_child_of_other_tests() {
    let Some(what) = std::env::var_os("RADDLE_TESTS_CHILD") else { return };
    assert_eq!(what, "1");
    let program = || {
        if std::env::var_os("RADDLE_TESTS_PASS").is_none() {
            wrong()
        }
    };
    let mut case = TestCase::new("tests/child");
    if let Some(directory) = std::env::var_os("RADDLE_TESTS_UNDER") {
        case = case.under(directory);
    }
    case.check(&Simulation::new(), program);
}

#[test]
fn seeds_are_printed_at_the_start_and_on_failure() {
    let root = folder("environment");
    let cases = [
        (&[("RADDLE_SEED", "0x11"), ("CI_SEED", "0x22")][..], 0x11),
        (&[("CI_SEED", "0x22")], 0x22),
        (&[], DEFAULT_ROOT),
    ];
    for (variables, seed) in cases {
        let (passed, text) = child(&root, variables);
        assert!(!passed, "{text}");
        let line =
            format!("root seed {seed:#x}, schedule {:#x}", derive(seed, Purpose::Schedule, 0));
        assert_eq!(text.matches(&line).count(), 2, "at the start and on failure: {text}");
        assert!(text.contains(&format!("reproduce: RADDLE_SEED={seed:#x} cargo test")), "{text}");
        let manifest = root.join(format!("tests__child/{seed:#018x}/repro_manifest.json"));
        let snapshot = json(&manifest)["env_snapshot"].to_string();
        for (name, value) in variables {
            assert!(snapshot.contains(&format!("[\"{name}\",\"{value}\"]")), "{snapshot}");
        }
    }
    let (passed, text) = child(&root, &[("RADDLE_SEED", "seven")]);
    assert!(!passed && text.contains("RADDLE_SEED: \"seven\" is no seed"), "{text}");
}

#[test]
fn all_is_kept_of_good_runs_where_that_is_wanted() {
    let root = folder("always");
    let (passed, text) = child(&root, &[("RADDLE_TESTS_PASS", "1")]);
    assert!(passed && !root.join("tests__child").exists(), "{text}");
    assert_eq!(
        json(&root.join("tests__child_summary.json"))["passed"],
        true,
        "that is always kept"
    );
    let variables = [("RADDLE_TESTS_PASS", "1"), ("RADDLE_ARTIFACTS", "never")];
    let (passed, text) = child(&root, &variables);
    assert!(passed && !root.join("tests__child").exists(), "{text}");
    let variables = [("RADDLE_TESTS_PASS", "1"), ("RADDLE_ARTIFACTS", "always")];
    let (passed, text) = child(&root, &variables);
    assert!(passed, "{text}");
    let kept = root.join(format!("tests__child/{DEFAULT_ROOT:#018x}"));
    assert_eq!(json(&kept.join("repro_manifest.json"))["passed"], true);
    assert!(kept.join("trace").is_file());
    // What a test says itself counts more than the environment.
    let other = folder("always-elsewhere");
    let under = [("RADDLE_TESTS_UNDER", other.to_str().expect("UTF-8"))];
    fs::remove_dir_all(&root).expect("it was there");
    let (passed, text) = child(&root, &under);
    assert!(!passed && other.join("tests__child").is_dir() && !root.exists(), "{text}");
}

fn keep_of(name: &str, program: &dyn Fn()) -> Kept {
    let simulation = Simulation::new().seed(1);
    let report = simulation.run(program);
    TestCase::new("tests/kept")
        .under(folder(name))
        .keep(&simulation, &report, program)
        .expect("room")
}

#[test]
fn a_manifest_says_how_far_the_run_came() {
    let phases = |name: &str, program: &dyn Fn()| {
        json(&keep_of(name, program).manifest)["phases_executed"].to_string()
    };
    assert_eq!(phases("good", &|| {}), r#"["setup","run","end","oracles"]"#);
    assert_eq!(phases("panic", &wrong), r#"["setup","run","oracles"]"#);
    let leak = || {
        let for_ever = Box::new(|| {
            loop {
                <Sim as Platform>::Parker::park();
            }
        });
        <Sim as Platform>::Threads::spawn("sleeper".to_owned(), for_ever).expect("a thread");
    };
    assert_eq!(phases("leak", &leak), r#"["setup","run","end","oracles"]"#);
}

#[test]
fn a_log_says_what_it_leaves_out() {
    let kept = keep_of("long", &|| (0..25_000).for_each(|_| _ = <Sim as Platform>::Rng::u64()));
    let log = fs::read_to_string(kept.directory.join("event_log.txt")).expect("kept");
    let said = log.lines().find_map(|line| line.strip_prefix("… ")?.split(' ').next());
    let said: u64 = said.expect("it says so").parse().expect("a number");
    let shown = log.lines().filter(|line| line.starts_with("step ")).count() as u64;
    assert!(shown == 20_000 && said > 5_000, "{shown}, {said}");
    let all = trace::load(&kept.trace).expect("a trace").events;
    assert_eq!(said + shown, all.count() + all.dropped());
}

#[test]
fn a_program_that_is_another_each_time_is_told() {
    let runs = core::cell::Cell::new(0);
    let kept = keep_of("another", &|| {
        runs.set(runs.get() + 1);
        scope::<Sim, _>(|threads| {
            (0..runs.get()).for_each(|_| drop(threads.spawn(|| ())));
        });
    });
    assert!(runs.get() > 1);
    let log = fs::read_to_string(kept.directory.join("event_log.txt")).expect("kept");
    assert!(log.contains("a replay gave another execution"), "{log}");
    assert_eq!(trace::load(&kept.trace).expect("a trace").events.count(), 0);
}

/// Where the root comes from: given, `RADDLE_SEED`, `CI_SEED`, the constant; in that order.
#[test]
fn a_sweep_says_where_its_root_comes_from() {
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(VOPR);
        command.args(["--scenario", "mutex/", "--seeds", "1"]).args(arguments);
        command.env_remove("RADDLE_SEED").env_remove("CI_SEED").envs(variables.iter().copied());
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    };
    let both = [("RADDLE_SEED", "0x11"), ("CI_SEED", "0x22")];
    let first = run(&["--seed", "0x7"], &both);
    assert!(first.ends_with("root seed 0x7 (as given)"), "{first}");
    let first = run(&[], &both);
    assert!(first.ends_with("root seed 0x11 (from RADDLE_SEED)"), "{first}");
    let first = run(&[], &both[1..]);
    assert!(first.ends_with("root seed 0x22 (from CI_SEED)"), "{first}");
    let first = run(&[], &[]);
    assert!(first.ends_with(&format!("root seed {DEFAULT_ROOT:#x} (the default)")), "{first}");
}

#[test]
fn faults_are_counted_and_named_on_the_command_line() {
    let root = folder("faults");
    fs::create_dir_all(&root).expect("a folder for tests");
    let file = root.join("results.json");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(VOPR);
        command.args(["--scenario", "faults/echo", "--json"]).arg(&file).args(arguments);
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text, json(&file))
    };
    let (code, text, results) = run(&["--seeds", "100"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(results["faults"]["latency"].as_u64() > Some(0), "{results:#}");
    let (code, text, results) = run(&["--seeds", "20", "--faults", "reset=2048"]);
    assert_eq!(code, Some(0), "{text}");
    let faults = results["faults"].as_object().expect("by kind");
    assert_eq!(faults.keys().collect::<Vec<_>>(), ["reset"]);
    // One that is on and never strikes fails a full sweep.
    let (code, text, _) = run(&["--seeds", "1000", "--faults", "clock jump=0,crash=1"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("on and struck in no run: crash"), "{text}");
    let wrong = Command::new(VOPR).args(["--faults", "storm"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && text.contains("latency"), "{text}");
}
