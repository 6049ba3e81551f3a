//! `cargo xtask bench` from end to end, with a stand-in for cargo: it says that it built a bench, which
//! is a script that writes what criterion writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A workspace with one group, `locks`, in a directory of this test alone.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    fn new(name: &str) -> Self {
        let root =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let workspace = Self { root };
        workspace.write("Cargo.toml", "[workspace]\nmembers = [\"benches\"]\nresolver = \"3\"\n");
        let manifest = "[package]\nname = \"raddle-benches\"\nversion = \"0.1.0\"\n\
            [[bench]]\nname = \"locks\"\nharness = false\n";
        workspace.write("benches/Cargo.toml", manifest);
        workspace.write("benches/src/lib.rs", "");
        workspace.write("benches/benches/locks.rs", "fn main() {}");
        workspace.script(
            "cargo",
            &format!(
                "if [ \"$1\" = metadata ]; then exec {} \"$@\"; fi\n\
                 echo '{{\"target\":{{\"name\":\"locks\"}},\"executable\":\"{}\"}}'\n",
                env!("CARGO"),
                workspace.path("locks").display()
            ),
        );
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside")).expect("the directory can be made");
        fs::write(path, text).expect("the file can be written");
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/bash\nset -e\n{text}"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))
            .expect("executable");
    }

    /// The bench takes so many nanoseconds for ours and for each of two rivals.
    fn bench(&self, ours: u64, std: u64, parking_lot: u64) {
        let subjects = [("raddle", ours), ("std", std), ("parking_lot", parking_lot)];
        let mut text = "if [ \"$2\" = --list ]; then\n".to_owned();
        for (subject, _) in subjects {
            text += &format!("echo mutex_uncontended/{subject}: benchmark\n");
        }
        text += "exit 0\nfi\necho note: it was fair\n";
        for (subject, ns) in subjects {
            text += &format!(
                "echo Benchmarking mutex_uncontended/{subject}\n\
                 echo Benchmarking mutex_uncontended/{subject}: Analyzing >&2\n\
                 d=$CRITERION_HOME/m/{subject}/new; mkdir -p $d\n\
                 echo '{{\"group_id\":\"mutex_uncontended\",\"function_id\":\"{subject}\",\
                 \"value_str\":null,\"full_id\":\"mutex_uncontended/{subject}\"}}' \
                 > $d/benchmark.json\n\
                 echo '{{\"iters\":[1,1,1],\"times\":[{ns},{ns},{ns}]}}' > $d/sample.json\n",
            );
        }
        self.script("locks", &text);
    }

    /// On a machine that counts as quiet, whatever the other tests do.
    fn run(&self, arguments: &[&str]) -> Output {
        self.run_on("1000", arguments)
    }

    fn run_on(&self, limit: &str, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["bench", "--probe-limit", limit, "--waiting-limit", "100%"])
            .args(arguments)
            .current_dir(&self.root)
            .env("CARGO", self.path("cargo"))
            .env("CARGO_MANIFEST_DIR", self.path("xtask"))
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("xtask can be run")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[track_caller]
fn expect(output: &Output, code: i32, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for said in said {
        assert!(text.contains(said), "{said:?} is not in:\n{text}");
    }
}

#[test]
fn a_run_is_shown_written_and_compared_with_a_later_one() {
    let workspace = Workspace::new("bench-compared");
    workspace.bench(10, 20, 40);
    let output = workspace.run(&["--group", "locks", "--json", "base.json"]);
    expect(&output, 0, &["note: it was fair", "[1/3]", "[3/3]", "left: locks: mutex_unc", "kept"]);
    let text = fs::read_to_string(workspace.path("base.json")).expect("written");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(json["probe"]["ratio"].is_number(), "{text}");
    let std = serde_json::json!({"group": "locks", "case": "mutex_uncontended", "subject": "std",
        "median_ns": 20.0, "ratio_to_raddle": 2.0});
    assert_eq!(json["rows"][1], std);
    let page = fs::read_to_string(workspace.path("docs/bench.md")).expect("written");
    assert!(
        page.contains("![locks](bench/locks.svg)") && page.contains("20.0 ns (2.00)"),
        "{page}"
    );
    assert!(workspace.path("docs/bench/locks.svg").is_file());

    // Twice as slow in all, and then ours alone by half.
    workspace.bench(20, 40, 80);
    let compare = ["--compare", "base.json", "--threshold", "10%"];
    expect(&workspace.run(&compare), 0, &["0 of 1 worse"]);
    workspace.bench(15, 20, 40);
    expect(&workspace.run(&compare), 1, &["worse by 50 %: locks mutex_uncontended raddle"]);
    let last = workspace.run(&["--last", "--compare", "base.json", "--threshold", "60%"]);
    expect(&last, 0, &["15.0 ns", "0 of 1 worse"]);
}

#[test]
fn a_busy_machine_is_shown_and_not_recorded() {
    let workspace = Workspace::new("bench-busy");
    workspace.bench(10, 20, 40);
    let output = workspace.run_on("0.01", &["--json", "base.json"]);
    let said = ["the machine is busy", "2.00", "base.json is not written", "`top`"];
    expect(&output, 2, &said);
    for file in ["base.json", "docs/bench.md", "docs/bench"] {
        assert!(!workspace.path(file).exists(), "{file}");
    }
}

#[test]
fn mistakes_are_named() {
    let workspace = Workspace::new("bench-mistakes");
    workspace.bench(10, 20, 40);
    let unknown = workspace.run(&["--group", "lock"]);
    expect(&unknown, 2, &["there is no group `lock`; the groups are locks"]);
    expect(&workspace.run(&["--last"]), 2, &["no benches have run yet", "leave --last out"]);
    expect(&workspace.run(&["--compare", "none.json"]), 2, &["none.json"]);
    workspace.write("bad.json", "{\"rows\":1}");
    expect(&workspace.run(&["--compare", "bad.json"]), 2, &["bad.json", "not the form"]);
    let threshold = ["--compare", "bad.json", "--threshold", "0.1"];
    expect(&workspace.run(&threshold), 2, &["such as 10%"]);
    workspace.script(
        "locks",
        "[ \"$2\" = --list ] && echo a/raddle: benchmark && exit 0\necho why\nexit 3\n",
    );
    expect(&workspace.run(&[]), 2, &["why", "the bench locks ended with exit status: 3"]);
}
