//! `raddle-trace` and `raddle-replay`, as somebody uses them.

use std::path::{Path, PathBuf};
use std::process::Command;

use raddle_scenarios::{Expect, Scenario};
use raddle_vopr::trace::{self, Record, Recording};
use raddle_vopr::{OFFERS, Simulation, scenarios, wakes_spuriously};

const TRACE: &str = env!("CARGO_BIN_EXE_raddle-trace");
const REPLAY: &str = env!("CARGO_BIN_EXE_raddle-replay");

/// A program's exit code, and all that it says.
fn run(program: &str, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(program).args(arguments).output().expect("it can be run");
    let text =
        String::from_utf8(output.stdout).expect("text") + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("it ended by itself"), text)
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("traces").join(name)
}

fn simulate(scenario: &Scenario, seed: u64) -> Recording {
    let simulation = Simulation::new()
        .seed(seed)
        .spurious_wakes(wakes_spuriously(scenario))
        .record(Record::default());
    let report = simulation.run(|| scenario.run());
    simulation.recording(scenario.name, &report)
}

/// Broken twins that were caught, one after the other.
fn failures() -> impl Iterator<Item = Recording> {
    let twins = scenarios().into_iter().filter(|scenario| {
        scenario.expect != Expect::Holds && scenario.needs.unmet(&OFFERS).is_empty()
    });
    twins.filter_map(|scenario| {
        let mut recordings = (0..200).map(|seed| simulate(&scenario, seed));
        recordings.find(|it| it.ending.as_ref().is_some_and(|ending| ending.failure.is_some()))
    })
}

/// One of some length.
fn failure() -> Recording {
    let mut long = failures().filter(|recording| recording.trace.decisions.len() > 12);
    long.next().expect("a broken twin is caught")
}

fn save(name: &str, recording: &Recording) -> String {
    let path = file(name);
    trace::save(&path, recording).expect("a folder for tests");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn every_failure_is_replayed_from_its_file_ten_times_of_ten() {
    let mut count = 0;
    for recording in failures().take(5) {
        let name = recording.header.scenario.replace('/', "_") + ".trace";
        let path = save(&name, &recording);
        let first = run(REPLAY, &[&path]);
        assert_eq!(first.0, 0, "{}", first.1);
        let failure = recording.ending.as_ref().and_then(|it| it.failure.clone());
        let failure = failure.expect("it failed");
        let place = format!("{} at step {}", failure.kind, failure.step);
        assert!(first.1.contains("the recorded end") && first.1.contains(&place), "{}", first.1);
        for _ in 0..9 {
            assert_eq!(run(REPLAY, &[&path]), first);
        }
        count += 1;
    }
    assert!(count >= 3, "{count} broken twins");
}

#[test]
fn a_replay_is_stepped_through_forwards_and_back() {
    let recording = failure();
    let path = save("steps.trace", &recording);
    let script = "state; peek 3; next; next; verify; back; seek 7; where; verify; step; last 3; \
                  break op:park; breaks; delete 0; seek 2; reset; nonsense; help; run; back; verify";
    let (code, text) = run(REPLAY, &[&path, "--step", "-c", script]);
    assert_eq!(code, 0, "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("decision ")).collect();
    let at = |line: &str| line.split(' ').nth(1).and_then(|it| it.parse::<u64>().ok());
    let places: Vec<_> = lines.iter().filter_map(|line| at(line)).collect();
    // Start, next, next, back, seek, where, (a step that is an operation or the next decision) …
    assert_eq!(places[..6], [0, 1, 2, 1, 7, 7], "{text}");
    assert_eq!(places[7..9], [2, 0], "{text}");
    let all = recording.trace.decisions.len() as u64;
    assert_eq!(places.last(), Some(&(all - 1)), "back from the end\n{text}");
    for part in ["thread 0 (main", "as recorded", "the end. the recorded end", "-> ", "forgotten"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("RECORDED WAS"), "{text}");
    // The same place is the same, however it was come to.
    let place = |script| {
        let (_, text) = run(REPLAY, &[&path, "--to", "4", "-c", script]);
        text.rsplit("> state").next().map(str::to_owned)
    };
    assert_eq!(place("state"), place("next; next; back; back; state"));
    assert_eq!(place("state"), place("run; seek 4; state"));
}

#[test]
fn a_replay_stops_where_it_is_told() {
    let recording = failure();
    let path = save("stops.trace", &recording);
    let stop = |place: &str| {
        let (code, text) = run(REPLAY, &[&path, "--break", place, "-c", "where; quit"]);
        assert_eq!(code, 0, "{text}");
        text
    };
    let numbers = [("decision:3", "decision 3 of"), ("step:9", "step 9")];
    for (place, shown) in numbers {
        let text = stop(place);
        assert!(text.contains("stopped at 0") && text.contains(shown), "{place}: {text}");
    }
    for place in ["thread:1", "op:=", "site:scenarios", "kind:spawn", "time:0", "event:5"] {
        let text = stop(place);
        assert!(text.contains(&format!("stopped at 0: {place}")), "{place}: {text}");
    }
    let (code, text) = run(REPLAY, &[&path, "--break", "where:1"]);
    assert_eq!(code, 2, "{text}");
    // A place that was passed is come to again after a new start.
    for place in ["step:9", "event:14"] {
        let script = "reset; run; quit";
        let (_, text) = run(REPLAY, &[&path, "--break", place, "-c", script]);
        assert_eq!(text.matches(&format!("stopped at 0: {place}")).count(), 2, "{text}");
    }
}

#[test]
fn a_replay_stops_at_the_event_and_at_the_task_that_are_named() {
    let scenario = scenarios().into_iter().find(|it| it.name == "runtime/shutdown_against_spawn");
    let plain = save("tasks.trace", &simulate(&scenario.expect("in the list"), 1));
    let full = file("tasks-full.trace").to_str().expect("UTF-8").to_owned();
    assert_eq!(run(REPLAY, &[&plain, "--record", &full]).0, 0);
    let recording = trace::load(Path::new(&full)).expect("written");
    let events: Vec<_> = recording.events.iter().collect();
    let stops_at = |place: &str, number: usize| {
        let (_, text) = run(REPLAY, &[&plain, "--break", place, "-c", "quit"]);
        let trace::Event { thread, what, site, step, .. } = &events[number];
        let shown = format!("  after: thread {thread} {what} at {site}");
        assert!(text.lines().any(|line| line == shown), "{place}, {shown}: {text}");
        assert!(text.contains(&format!(", step {step}, ")), "{place}, {step}: {text}");
    };
    for number in [1, 5, 6, 50, events.len()] {
        stops_at(&format!("event:{number}"), number - 1);
    }
    let mut tasks: Vec<_> = events.iter().filter_map(|event| event.field("task")).collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert!(!tasks.is_empty());
    for task in tasks {
        let first = events.iter().position(|event| event.field("task") == Some(task));
        stops_at(&format!("task:{task}"), first.expect("it is one of them"));
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let recording = failure();
    let refused = |name: &str, change: &dyn Fn(&mut Recording), part: &str| {
        let mut changed = recording.clone();
        change(&mut changed);
        let path = save(name, &changed);
        let (code, text) = run(REPLAY, &[&path]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(part), "{part}: {text}");
        path
    };
    let other = |it: &mut Recording| "0123".clone_into(&mut it.header.build.sources);
    let path = refused("build.trace", &other, "--any-build");
    let (code, text) = run(REPLAY, &[&path, "--any-build"]);
    assert_eq!(code, 0, "{text}");
    let other = |it: &mut Recording| "no/such".clone_into(&mut it.header.scenario);
    let path = refused("scenario.trace", &other, "no/such");
    let (code, text) = run(REPLAY, &[&path, "--scenario", &recording.header.scenario]);
    assert_eq!(code, 0, "{text}");
    let other = |it: &mut Recording| {
        it.header.settings.set("gravity", "9.81".to_owned());
        it.header.configuration = it.header.settings.hash();
    };
    refused("settings.trace", &other, "gravity: recorded \"9.81\", here \"nothing\"");
    assert_eq!(run(REPLAY, &["/no/such/file.trace"]).0, 2);
}

#[test]
fn a_trace_of_another_program_ends_in_a_report() {
    let scenarios = raddle_vopr::scenarios();
    let of = |name: &str| scenarios.iter().find(|it| it.name == name).expect("in the list");
    let mut recording = simulate(of("runtime/one_fiber_to_shutdown"), 1);
    "runtime/shutdown_against_spawn".clone_into(&mut recording.header.scenario);
    let path = save("other.trace", &recording);
    let first = run(REPLAY, &[&path]);
    assert_eq!(first.0, 1, "{}", first.1);
    for part in ["diverge", "expected", "actual", "prefix", "enabled", "the last operations"] {
        assert!(first.1.contains(part), "{part}: {}", first.1);
    }
    assert_eq!(run(REPLAY, &[&path]), first, "the same bytes again");
}

#[test]
fn damaged_traces_are_replayed_only_on_demand() {
    let scenario = scenarios().into_iter().find(|it| it.name == "runtime/shutdown_against_spawn");
    let recording = simulate(&scenario.expect("in the list"), 1);
    let path = save("cut.trace", &recording);
    let bytes = std::fs::read(&path).expect("written");
    let mut damaged = bytes.clone();
    let decisions = trace::Reader::open(Path::new(&path)).expect("whole").places()[1];
    damaged[decisions.offset as usize + 15] ^= 1;
    std::fs::write(&path, &damaged).expect("a folder for tests");
    let (code, text) = run(TRACE, &["verify", &path]);
    assert!(code == 1 && text.contains("a checksum is wrong"), "{code}: {text}");
    let (code, text) = run(TRACE, &["info", "--json", &path]);
    assert!(code == 1 && text.contains("\"loss\": {"), "{code}: {text}");
    let (code, text) = run(REPLAY, &[&path]);
    assert!(code == 2 && text.contains("--damaged"), "{code}: {text}");
    let (code, text) = run(REPLAY, &[&path, "--damaged"]);
    assert!(code == 1 && text.contains("unexpected end"), "{code}: {text}");
}

#[test]
fn a_replay_records_what_a_trace_can_be_looked_into_for() {
    let scenario = scenarios().into_iter().find(|it| it.name == "runtime/shutdown_against_spawn");
    let scenario = scenario.expect("in the list");
    let plain = save("plain.trace", &simulate(&scenario, 1));
    let (code, text) = run(TRACE, &["events", &plain]);
    assert!(code == 0 && text.contains("--record"), "{text}");
    let full = file("full.trace").to_str().expect("UTF-8").to_owned();
    let (code, text) = run(REPLAY, &[&plain, "--record", &full]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(TRACE, &["verify", &full]);
    assert!(code == 0 && text.starts_with("whole"), "{text}");
    // It is the same execution, observed.
    let (code, text) = run(TRACE, &["diff", &plain, &full]);
    assert!(code == 0 && text.contains("decisions: the same"), "{text}");
    let (code, text) = run(TRACE, &["events", &full, "--kind", "Scheduled", "--json"]);
    assert_eq!(code, 0);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(value["fields"]["worker"].is_u64(), "{line}");
    }
    let (_, text) = run(TRACE, &["events", &full, "--thread", "1", "--from", "20", "--limit", "4"]);
    assert!(text.lines().count() == 4 && text.lines().all(|it| it.contains("thread 1")), "{text}");
    let (_, text) = run(TRACE, &["events", &full, "--decisions", "--to", "9"]);
    assert_eq!(text.lines().count(), 10, "{text}");
    let picture = file("full.json").to_str().expect("UTF-8").to_owned();
    let (code, text) = run(TRACE, &["export", &full, "--perfetto", &picture]);
    assert_eq!(code, 0, "{text}");
    let json = std::fs::read_to_string(&picture).expect("written");
    let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let events = value["traceEvents"].as_array().expect("an array");
    for phase in ["M", "X", "i", "C", "s", "f"] {
        assert!(events.iter().any(|event| event["ph"] == phase), "no event of phase {phase}");
    }
    let (code, text) = run(TRACE, &["export", &plain, "--perfetto", &picture]);
    assert!(code == 2 && text.contains("--record"), "{text}");
}

#[test]
fn two_traces_part_where_binary_search_says() {
    let scenario = scenarios().into_iter().find(|it| it.name == "runtime/shutdown_against_spawn");
    let scenario = scenario.expect("in the list");
    let (one, other) = (simulate(&scenario, 1), simulate(&scenario, 2));
    let (left, right) = (save("left.trace", &one), save("right.trace", &other));
    assert_eq!(run(TRACE, &["diff", &left, &left]).0, 0);
    let (code, text) = run(TRACE, &["diff", &left, &right, "--json"]);
    assert_eq!(code, 1, "{text}");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let index = value["first"]["index"].as_u64().expect("they differ") as usize;
    assert_eq!(one.trace.decisions[..index], other.trace.decisions[..index]);
    assert_ne!(one.trace.decisions[index], other.trace.decisions[index], "or the certificate");
}

/// Files of this version stay readable, and what they hold stays what it is.
#[test]
fn the_golden_file_is_what_it_always_was() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = golden.join("version-1.trace");
    let recording = trace::load(&path).expect("it is readable");
    assert_eq!(recording.loss, None);
    let bytes = std::fs::read(&path).expect("it is there");
    assert_eq!(trace::encode(&recording).expect("it fits"), bytes, "written as it was read");
    let path = path.to_str().expect("UTF-8");
    let mut text = String::new();
    for arguments in [&["info", path][..], &["events", path], &["events", "--decisions", path]] {
        let (code, part) = run(TRACE, arguments);
        assert_eq!(code, 0, "{part}");
        text += &part;
    }
    let expected = std::fs::read_to_string(golden.join("version-1.txt")).expect("it is there");
    assert_eq!(text, expected);
}
