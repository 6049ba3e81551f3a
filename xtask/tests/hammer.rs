//! `cargo xtask hammer`: its exit codes, and the command that its documentation says can be typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hammer(arguments: &[&str], path: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("hammer").args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().expect("xtask can be run")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A folder without any program, and so without a nightly toolchain.
fn nothing() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("raddle-no-toolchain-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn without_nightly_it_says_what_to_do() {
    let nowhere = nothing();
    let output = hammer(&[], Some(&nowhere));
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains("rustup toolchain install nightly"), "{message}");
    assert!(message.contains("--sanitizer none"), "{message}");

    let output = hammer(&["--quick"], Some(&nowhere));
    assert_eq!(output.status.code(), Some(0), "the short form leaves it out");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.starts_with("left out: ") && line.contains("nightly"), "{line}");
    fs::remove_dir(&nowhere).expect("the folder is empty");
}

#[test]
fn wrong_arguments_are_refused() {
    for arguments in [&["--sanitizer", "memory"][..], &["--tests", "--list"], &["--seconds", "x"]] {
        assert_eq!(hammer(arguments, None).status.code(), Some(2), "{arguments:?}");
    }
}

/// The one line of the documentation that begins with the flags.
fn documented() -> String {
    let page = fs::read_to_string(root().join("docs/hammer.md")).expect("the page");
    let mut lines = page.lines().filter(|line| line.starts_with("RUSTFLAGS="));
    let line = lines.next().expect("a command to be typed").to_owned();
    assert_eq!(lines.next(), None, "one command");
    line
}

#[test]
fn the_documented_command_works_as_it_is_typed() {
    let nightly = Command::new("rustc").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        println!("left out: there is no nightly toolchain");
        return;
    }
    let command = documented();
    let mut shell = Command::new("bash");
    shell.args(["-c", &command]).current_dir(root());
    // What cargo tells the programs that it runs is not what a user's shell has.
    for variable in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR", "RUSTFLAGS"] {
        shell.env_remove(variable);
    }
    let output = shell.output().expect("bash");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command}\n{text}\n{errors}");
    assert_eq!(text.matches("reported, as it must be").count(), 3, "{text}");
    assert!(text.contains("1 passed, 0 failed"), "{text}");
}
