//! `cargo xtask kv-bench` from end to end, with a stand-in for raddle-kv: a script that starts a
//! Redis and prints what raddle-kv prints.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// A directory of this test alone.
fn directory(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&path).expect("the directory can be made");
    path
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("the script can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("and made executable");
}

fn kv_bench(binary: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["kv-bench", "--requests", "2000", "--rounds", "2", "--clients", "4"])
        .arg("--raddle-binary")
        .arg(binary)
        .args(arguments)
        .output()
        .expect("xtask can be run")
}

#[test]
fn two_servers_are_compared_row_by_row() {
    if !installed("redis-server") || !installed("redis-benchmark") {
        eprintln!("left out: redis-server or redis-benchmark is not installed");
        return;
    }
    let directory = directory("compared");
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    // The script becomes the server, so that ending one ends the other. The line comes when the
    // server listens.
    let server = directory.join("server");
    script(
        &server,
        &format!(
            "#!/bin/bash\n\
             ( until redis-cli -p {port} ping >/dev/null 2>&1; do :; done\n\
               echo \"raddle-kv listening on 127.0.0.1:{port}, 1 workers, stand-in\" ) &\n\
             exec redis-server --port {port} --save '' --appendonly no >/dev/null\n"
        ),
    );
    let json = directory.join("rows.json");
    let arguments = ["--keys", "uniform,one-hot", "--json", json.to_str().expect("UTF-8")];
    let output = kv_bench(&server, &arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let text = fs::read_to_string(&json).expect("the rows were written");
    let results: serde_json::Value = serde_json::from_str(&text).expect("as JSON");
    let rows = results["rows"].as_array().expect("rows");
    let names: Vec<_> = rows
        .iter()
        .map(|row| format!("{} {}", row["test"], row["keys"]).replace('"', ""))
        .collect();
    let expected = [
        "ping none",
        "set uniform",
        "set one-hot",
        "get uniform",
        "get one-hot",
        "incr uniform",
        "incr one-hot",
        "mset uniform",
        "mset one-hot",
    ];
    assert_eq!(names, expected);
    for row in rows {
        let number = |name: &str| row[name].as_f64().expect("a number");
        let ratio = number("raddle_rps") / number("redis_rps");
        assert!((number("ratio") - ratio).abs() < 1e-9, "{row}");
    }
    fs::remove_dir_all(&directory).expect("the directory can be removed");
}

#[test]
fn a_server_that_prints_no_address_cannot_be_measured() {
    if !installed("redis-benchmark") {
        eprintln!("left out: redis-benchmark is not installed");
        return;
    }
    let directory = directory("silent");
    let server = directory.join("server");
    script(&server, "#!/bin/bash\nexit 3\n");
    let output = kv_bench(&server, &[]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("printed no address"), "{error}");
    fs::remove_dir_all(&directory).expect("the directory can be removed");
}

#[test]
fn without_redis_benchmark_the_verb_says_how_to_install_it() {
    let directory = directory("empty-path");
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("kv-bench")
        .env("PATH", &directory)
        .output()
        .expect("xtask can be run");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("apt-get install redis-server redis-tools"), "{error}");
    fs::remove_dir_all(&directory).expect("the directory can be removed");
}
