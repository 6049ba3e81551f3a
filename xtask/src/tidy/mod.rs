//! `cargo xtask tidy`: what rustc and clippy cannot check about this repository.
//!
//! Each rule is one file, with fixtures in `xtask/fixtures/<rule>` that show what it finds and
//! what it leaves alone. CONTRIBUTING.md says how to add one.

mod allow;
mod docs;
mod manifest;
mod ordering;
mod platform;
mod reach;
mod report;
mod reserved;
mod retry;
mod safety;
mod syntax;
mod tree;
mod value;
mod words;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{Error, Verdict, workspace};
use raddle_source::{Context, Node};
use report::{Finding, Report};
use tree::{Scope, Tree};

/// A property that the repository keeps.
struct Rule {
    name: &'static str,
    /// What must hold, in one line.
    holds: &'static str,
    checks: &'static [Check],
}

/// How a rule is checked.
enum Check {
    /// Asks about every node of the code in a scope.
    Nodes(Scope, fn(&Context<'_>, &Node<'_>, &mut Report<'_>)),
    /// Asks about whatever it likes, after the nodes.
    Tree(fn(&Tree, &mut Report<'_>)),
}

/// In the order in which they are checked: `allow` asks what the others used.
const RULES: &[Rule] = &[
    docs::RULE,
    manifest::RULE,
    ordering::RULE,
    platform::RULE,
    reach::RULE,
    reserved::RULE,
    retry::RULE,
    safety::RULE,
    syntax::RULE,
    value::RULE,
    words::RULE,
    allow::RULE,
];

/// Check what rustc and clippy cannot.
///
/// Without a path the whole workspace is checked, except for tidy's own fixtures. A path inside
/// narrows the report. A path outside of it, such as a fixture, is checked as if it were
/// production code; a directory with a Cargo.toml counts as a workspace.
///
/// A comment `// TIDY-ALLOW(rule): reason` above a statement allows what the rule finds in it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    /// Print the rules and stop.
    #[arg(long)]
    rules: bool,
    /// What to check.
    paths: Vec<PathBuf>,
}

/// What was checked and found.
#[derive(Debug, Default, Serialize)]
struct Summary {
    findings: Vec<Finding>,
    /// Findings that a comment allows.
    allowed: usize,
    /// Source files that were read.
    files: usize,
}

/// Runs the verb.
pub(crate) fn run(options: &Options) -> Result<Verdict, Error> {
    if options.rules {
        for rule in RULES {
            println!("{:<9} {}", rule.name, rule.holds);
        }
        return Ok(Verdict::Good);
    }
    let mut summary = Summary::default();
    for subject in subjects(&options.paths)? {
        subject.check(&mut summary);
    }
    summary.findings.sort();
    summary.findings.dedup();
    if options.json {
        let json = serde_json::to_string_pretty(&summary)
            .map_err(|error| Error::new(format!("cannot write JSON: {error}")))?;
        println!("{json}");
    } else {
        for finding in &summary.findings {
            println!("{finding}");
        }
        println!(
            "tidy: {} rules, {} files: {} findings, {} allowed by a comment",
            RULES.len(),
            summary.files,
            summary.findings.len(),
            summary.allowed
        );
    }
    Ok(if summary.findings.is_empty() { Verdict::Good } else { Verdict::Bad })
}

/// Something to check, and which of its paths to report; all if there are none.
struct Subject {
    tree: Tree,
    only: Vec<PathBuf>,
}

impl Subject {
    fn check(&self, summary: &mut Summary) {
        let mut report = Report::new(&self.tree);
        // One walk for all rules: it takes longer than what they ask.
        let checks = || RULES.iter().flat_map(|rule| rule.checks.iter().map(|c| (rule.name, c)));
        self.tree.walk(|narrowest, context, node| {
            for (name, check) in checks() {
                if let Check::Nodes(scope, inspect) = check
                    && *scope <= narrowest
                {
                    report.rule = name;
                    inspect(context, node, &mut report);
                }
            }
        });
        for (name, check) in checks() {
            if let Check::Tree(check) = check {
                report.rule = name;
                check(&self.tree, &mut report);
            }
        }
        let (findings, allowed) = report.finish();
        let wanted = |finding: &Finding| {
            self.only.is_empty() || self.only.iter().any(|path| finding.file.starts_with(path))
        };
        summary.findings.extend(findings.into_iter().filter(wanted));
        summary.allowed += allowed;
        summary.files += self.tree.files.len();
    }
}

fn subjects(paths: &[PathBuf]) -> Result<Vec<Subject>, Error> {
    let root = workspace::root();
    if paths.is_empty() {
        return Ok(vec![Subject { tree: Tree::workspace(&root)?, only: Vec::new() }]);
    }
    let mut subjects = Vec::new();
    let mut only = Vec::new();
    for path in paths {
        let absolute = path
            .canonicalize()
            .map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
        match absolute.strip_prefix(&root) {
            Ok(inside) if !tree::excluded(inside) => only.push(inside.to_path_buf()),
            _ => outside(&absolute, &mut subjects)?,
        }
    }
    if !only.is_empty() {
        subjects.push(Subject { tree: Tree::workspace(&root)?, only });
    }
    Ok(subjects)
}

/// Collects what is to be checked at a path that the check of the workspace leaves out.
fn outside(path: &Path, subjects: &mut Vec<Subject>) -> Result<(), Error> {
    if path.is_file() {
        if path.extension().is_none_or(|extension| extension != "rs") {
            let message = format!("{}: neither a .rs file nor a directory", path.display());
            return Err(Error::new(message));
        }
        subjects.push(Subject { tree: Tree::file(path)?, only: Vec::new() });
    } else if path.join("Cargo.toml").is_file() {
        subjects.push(Subject { tree: Tree::workspace(path)?, only: Vec::new() });
    } else {
        let entries = std::fs::read_dir(path)
            .map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
        let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            if entry.is_dir() || entry.extension().is_some_and(|extension| extension == "rs") {
                outside(&entry, subjects)?;
            }
        }
    }
    Ok(())
}
