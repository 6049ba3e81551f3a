//! A fault of a disk is told with its place: in the trace, to who reads it, and in a report.

use core::cell::RefCell;
use core::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use raddle_vopr::node::Node;
use raddle_vopr::trace::{self, Contents, Event, Level, Record, Recording, What};
use raddle_vopr::{ALWAYS, FaultKind, Faults, Simulation, Strategy, calm};

use crate::support::{APPEND, CREATE, READ, WRITE, errno, open, remove, rename, sync_directory};

const TRACE: &str = env!("CARGO_BIN_EXE_raddle-trace");

/// A program in which one fault strikes at a certain place.
struct Case {
    kind: FaultKind,
    program: fn(),
    /// What every such event has after its kind, by seed; `*` for what the seed decides.
    fields: &'static str,
}

fn prepared() {
    Node::here().disk().make_directory("data");
    Node::here().disk().write("data/a", &[1; 2048]);
    Node::here().disk().write("data/b", &[1; 512]);
}

const CASES: &[Case] = &[
    Case {
        kind: FaultKind::ShortFileRead,
        program: || {
            let file = open("data/a", READ).expect("there");
            file.read_at(&mut [0; 2], 1600).expect("a part");
        },
        fields: "node=0 path=data/a sector=3 offset=1601 length=1",
    },
    Case {
        kind: FaultKind::ShortFileWrite,
        program: || {
            let file = open("data/a", WRITE).expect("there");
            file.write_at(&[0; 2], 1022).expect("a part");
        },
        fields: "node=0 path=data/a sector=1 offset=1023 length=1",
    },
    Case {
        kind: FaultKind::DiskFull,
        program: || {
            let file = open("data/a", WRITE).expect("there");
            errno(file.write_at(&[0; 7], 512));
        },
        fields: "node=0 path=data/a sector=1 offset=512 length=7",
    },
    Case {
        kind: FaultKind::DiskFull,
        program: || _ = errno(open("data/new", CREATE)),
        fields: "node=0 path=data/new",
    },
    Case {
        kind: FaultKind::DiskError,
        program: || _ = errno(rename("data/a", "data/c")),
        fields: "node=0 path=data/a",
    },
    Case {
        kind: FaultKind::DiskError,
        program: || _ = errno(remove("./data//b")),
        fields: "node=0 path=data/b",
    },
    Case {
        kind: FaultKind::Interrupted,
        program: || {
            let op = raddle_platform::driver::Op::Open { path: c"data/a".as_ptr(), options: READ };
            // SAFETY: the path is static.
            unsafe { <crate::support::D as raddle_platform::Driver>::block_on(op) };
        },
        fields: "node=0 path=data/a",
    },
    Case {
        kind: FaultKind::DiskHang,
        program: || drop(open("data/a", APPEND).expect("there")),
        fields: "node=0 path=data/a",
    },
    Case {
        kind: FaultKind::SyncFails,
        program: || {
            let file = open("data/a", WRITE).expect("there");
            file.write_at(&[0; 10], 2000).expect("written");
            file.write_at(&[0; 5], 600).expect("written");
            errno(file.sync());
        },
        fields: "node=0 path=data/a sector=1 offset=600 length=1410",
    },
    Case {
        kind: FaultKind::SyncFails,
        program: || _ = errno(sync_directory("data")),
        fields: "node=0 path=data",
    },
    Case {
        kind: FaultKind::BitRot,
        program: || {
            let file = open("data/a", READ).expect("there");
            file.read_at(&mut [0; 1], 1025).expect("read");
        },
        fields: "node=0 path=data/a sector=2 offset=1025 length=1",
    },
    Case {
        kind: FaultKind::LatentSector,
        program: || {
            let file = open("data/a", READ).expect("there");
            errno(file.read_at(&mut [0; 1], 1999));
        },
        fields: "node=0 path=data/a sector=3 offset=1536 length=512",
    },
    Case {
        kind: FaultKind::LostSyncedWrite,
        program: || {
            let file = open("data/a", WRITE).expect("there");
            file.write_at(&[7; 9], 515).expect("written");
            file.sync().expect("it says so");
        },
        fields: "node=0 path=data/a sector=1 offset=512 length=512",
    },
    Case {
        kind: FaultKind::MisdirectedWrite,
        program: || {
            let file = open("data/a", WRITE).expect("there");
            file.write_at(&[7; 9], 515).expect("written");
            file.sync().expect("it says so");
        },
        fields: "node=0 path=data/a sector=1 offset=512 length=512 \
                 into_path=* into_sector=* into_offset=*",
    },
    Case {
        kind: FaultKind::LostWrite,
        program: || crash(|| _ = open("data/a", WRITE).expect("there").write_at(&[7; 9], 515)),
        fields: "node=1 path=data/a sector=1 offset=515 length=9",
    },
    Case {
        kind: FaultKind::LostWrite,
        program: || crash(|| drop(open("data/new", CREATE).expect("made"))),
        fields: "node=1 path=data/new",
    },
    Case {
        kind: FaultKind::TornWrite,
        program: || crash(|| _ = open("data/a", WRITE).expect("there").write_at(&[7; 1024], 515)),
        fields: "node=1 path=data/a sector=1 offset=515 length=1024",
    },
];

/// Lets a node do `f`, and takes its power away.
fn crash(f: fn()) {
    let node = Node::start("disk", move || {
        prepared();
        f();
        Node::here().crash();
    });
    node.wait();
}

fn simulation(kind: FaultKind, seed: u64) -> Simulation {
    Simulation::new()
        .seed(seed)
        .strategy(Strategy::Random)
        .faults(Faults::none().rate(kind, ALWAYS))
        .record(Record::level(Level::Blocking))
}

fn record(case: &Case, seed: u64) -> Recording {
    let simulation = simulation(case.kind, seed);
    let report = simulation.run(|| {
        prepared();
        (case.program)();
        calm();
    });
    report.unwrap();
    simulation.recording("tests/places", &report)
}

/// The fields of a fault of that kind, as text.
fn fields(event: &Event, kind: FaultKind) -> Option<String> {
    let What::Told { kind: told, fields } = &event.what else { return None };
    let mut text = String::new();
    for (name, contents) in fields {
        let _ = match contents {
            Contents::Number(number) => write!(text, " {name}={number}"),
            Contents::Text(words) => write!(text, " {name}={words}"),
        };
    }
    let text = text.strip_prefix(&format!(" kind={kind}"))?;
    (&**told == "FaultInjected").then(|| text.trim_start().to_owned())
}

fn fits(text: &str, pattern: &str) -> bool {
    let (words, wanted) = (text.split(' '), pattern.split(' ').filter(|word| !word.is_empty()));
    let fits = |(word, wanted): (&str, &str)| match wanted.strip_suffix('*') {
        Some(start) => word.starts_with(start),
        None => word == wanted,
    };
    words.clone().count() == wanted.clone().count() && words.zip(wanted).all(fits)
}

#[test]
fn each_fault_says_where_it_struck() {
    for case in CASES {
        let mut seen = 0;
        for seed in 0..60 {
            let recording = record(case, seed);
            let bytes = trace::encode(&recording).expect("it fits");
            let read = trace::decode(&bytes).expect("it is whole");
            assert_eq!(read, recording);
            let places: Vec<_> =
                read.events.iter().filter_map(|event| fields(&event, case.kind)).collect();
            seen += places.iter().filter(|place| fits(place, case.fields)).count();
            let told = places.iter().all(|it| it.starts_with("node=") && it.contains(" path="));
            assert!(told, "{}: {places:?}", case.kind);
        }
        assert!(seen > 0, "{}: never {}", case.kind, case.fields);
    }
}

/// No kind of fault on disks is left out above.
#[test]
fn all_faults_of_disks_are_covered() {
    use raddle_vopr::FaultClass::{Corruption, Disk};
    for kind in FaultKind::ALL.iter().filter(|it| matches!(it.class(), Disk | Corruption)) {
        assert!(CASES.iter().any(|case| case.kind == *kind), "{kind}");
    }
}

/// Where a misdirected write has gone is where it is found.
#[test]
fn a_misdirected_write_says_where_it_went() {
    let mut others = 0;
    for seed in 0..60 {
        let simulation = simulation(FaultKind::MisdirectedWrite, seed);
        let found = RefCell::new(Vec::new());
        let report = simulation.run(|| {
            prepared();
            let file = open("data/a", WRITE).expect("there");
            file.write_at(&[7; 512], 512).expect("written");
            file.sync().expect("it says so");
            for name in ["data/a", "data/b"] {
                let bytes = Node::here().disk().durable(name).expect("there");
                let at = bytes.chunks(512).position(|sector| sector == [7; 512]);
                found.borrow_mut().extend(at.map(|at| format!("{name} {at}")));
            }
        });
        report.unwrap();
        let events = report.events.as_ref().expect("recorded");
        let place = events.iter().find_map(|it| fields(&it, FaultKind::MisdirectedWrite));
        let place = place.expect("it struck");
        let field = |name: &str| {
            let mut words = place.split(' ');
            words.find_map(|word| word.strip_prefix(&format!("{name}="))).expect("there").to_owned()
        };
        let said = format!("{} {}", field("into_path"), field("into_sector"));
        assert_eq!(found.into_inner(), [said], "{place}");
        others += usize::from(field("into_path") == "data/b");
    }
    assert!(others > 0);
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(TRACE).args(arguments).output().expect("it can be run");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn whoever_reads_a_trace_sees_the_place() {
    let case = CASES.iter().find(|it| it.kind == FaultKind::BitRot).expect("in the list");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("places");
    let (file, picture) = (folder.join("bit-rot.trace"), folder.join("bit-rot.json"));
    trace::save(&file, &record(case, 1)).expect("a folder for tests");
    let (file, picture) =
        (file.to_str().expect("UTF-8"), picture.to_str().expect("UTF-8").to_owned());
    let text = run(&["events", file, "--kind", "FaultInjected"]);
    let place = r#"kind="bit rot" node=0 path="data/a" sector=2 offset=1025 length=1"#;
    assert!(text.contains(place), "{text}");
    let line = run(&["events", file, "--kind", "FaultInjected", "--json"]);
    let event: serde_json::Value = serde_json::from_str(line.trim()).expect("one line");
    let wanted = serde_json::json!({
        "kind": "bit rot", "node": 0, "path": "data/a", "sector": 2, "offset": 1025, "length": 1,
    });
    assert_eq!(event["fields"], wanted);
    run(&["export", file, "--perfetto", &picture]);
    let json = std::fs::read(&picture).expect("written");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let events = json["traceEvents"].as_array().expect("an array");
    let faults: Vec<_> = events.iter().filter(|event| event["cat"] == "fault").collect();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0]["args"]["fields"], wanted);
}

#[test]
fn a_failure_and_a_divergence_show_the_place() {
    let program = |more: bool| {
        prepared();
        let file = open("data/a", READ).expect("there");
        file.read_at(&mut [0; 1], 1025).expect("read");
        if more {
            open("data/b", READ).expect("there");
        }
        panic!("on purpose");
    };
    let simulation = simulation(FaultKind::BitRot, 1);
    let report = simulation.run(|| program(false));
    let place = "a fault strikes                          = bit rot node 0 data/a sector 2 \
                 offset 1025 length 1";
    let text = report.failure().expect("on purpose").to_string();
    assert!(text.contains(place), "{text}");
    let again = simulation.replay(report.trace.clone()).run(|| program(true));
    let divergence = again.divergence.as_ref().expect("it does more");
    assert!(divergence.last.iter().any(|line| line.contains(place)), "{divergence}");
}

/// A file with such events stays readable, and what it holds stays what it is.
#[test]
fn the_golden_file_is_what_it_always_was() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let path = golden.join("version-1-faults.trace");
    let recording = trace::load(&path).expect("it is readable");
    assert_eq!(recording.loss, None);
    let bytes = std::fs::read(&path).expect("it is there");
    assert_eq!(trace::encode(&recording).expect("it fits"), bytes, "written as it was read");
    let text = run(&["events", path.to_str().expect("UTF-8")]);
    let expected = std::fs::read_to_string(golden.join("version-1-faults.txt"));
    assert_eq!(text, expected.expect("it is there"));
}
