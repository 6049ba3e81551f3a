//! Tells the crate which sources it is built from, so that a trace says what recorded it.
//!
//! The hash is over the text of everything that the execution of a scenario depends on, and not
//! over the program: all programs built from the same sources, in any profile and anywhere, can
//! replay each other's traces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// From the root of the workspace.
const SOURCES: [&str; 3] = ["crates", "harness/scenarios", "harness/vopr/src"];
/// What only tells about executions, and has no part in them.
const LEFT_OUT: [&str; 2] = ["harness/vopr/src/bin", "harness/vopr/src/trace"];

fn main() {
    let root = Path::new("../..");
    let mut files = Vec::new();
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        collect(&root.join(folder), &mut files);
    }
    let left_out =
        |file: &PathBuf| LEFT_OUT.iter().any(|folder| file.starts_with(root.join(folder)));
    files.retain(|file| !left_out(file));
    files.sort();
    let mut hash = Hash::default();
    for file in &files {
        hash.add(file.to_string_lossy().as_bytes());
        hash.add(&fs::read(file).unwrap_or_default());
    }
    println!("cargo::rustc-env=RADDLE_SOURCES={:016x}", hash.0);
    println!("cargo::rustc-env=RADDLE_COMMIT={}", commit(root).unwrap_or_default());
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The commit that is checked out, and `+` if sources differ from it.
fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let mut arguments = vec!["status", "--porcelain", "--"];
    arguments.extend(SOURCES);
    let changed = git(&arguments)?;
    Some(if changed.is_empty() { commit } else { commit + "+" })
}

/// FNV-1a: there is nobody to deceive.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
