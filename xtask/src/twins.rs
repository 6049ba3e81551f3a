//! `cargo xtask vopr --twins`: takes the fix of each known bug out, and sees that the simulator finds
//! it.
//!
//! A twin is built in a copy of the tree, below the target directory, so that nothing of the tree
//! itself is ever broken. All share a target directory of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{self, Workspace};
use crate::{Error, Verdict};

/// Where the bugs are, from the root.
const REGRESSIONS: &str = "harness/vopr/regressions";

/// Runs the verb.
pub(crate) fn run() -> Result<Verdict, Error> {
    let workspace = Workspace::own()?;
    let scratch = workspace.target.join("twins");
    let mut verdict = Verdict::Good;
    for name in names(&workspace.root.join(REGRESSIONS))? {
        let copy = scratch.join("source");
        copy_tree(&workspace.root, &copy)?;
        let patch = workspace.root.join(REGRESSIONS).join(&name).join("twin.patch");
        // Outside of any repository `git apply` works on the directory that it is in.
        let mut git = Command::new("git");
        git.env("GIT_CEILING_DIRECTORIES", &scratch).arg("apply").arg(&patch).current_dir(&copy);
        if !status(&mut git)? {
            println!("FAILED    {name}: its fix cannot be taken out; make twin.patch anew");
            verdict = Verdict::Bad;
            continue;
        }
        let mut cargo = workspace::cargo();
        cargo
            .current_dir(&copy)
            .env("CARGO_TARGET_DIR", scratch.join("target"))
            .args(["run", "--quiet", "--package", "raddle-vopr", "--bin", "raddle-vopr", "--"])
            .args(["--twin", &name]);
        if !status(&mut cargo)? {
            verdict = Verdict::Bad;
        }
    }
    Ok(verdict)
}

fn status(command: &mut Command) -> Result<bool, Error> {
    let status = command.status().map_err(|error| Error::new(format!("cannot run: {error}")))?;
    Ok(status.success())
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(folder).map_err(|error| wrong(folder, &error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Copies what git knows of the tree. Files that did not change keep their times, so that cargo
/// builds no more than it must.
fn copy_tree(root: &Path, to: &Path) -> Result<(), Error> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .map_err(|error| Error::new(format!("cannot run git: {error}")))?;
    let listed = String::from_utf8_lossy(&output.stdout);
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        let (from, to): (PathBuf, PathBuf) = (root.join(file), to.join(file));
        // One that was removed and not committed.
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|there| there == bytes) {
            continue;
        }
        let parent = to.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(parent).map_err(|error| wrong(parent, &error))?;
        fs::write(&to, bytes).map_err(|error| wrong(&to, &error))?;
    }
    Ok(())
}

fn wrong(path: &Path, error: &std::io::Error) -> Error {
    Error::new(format!("{}: {error}", path.display()))
}
