//! What the rules find, and the comments that allow it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::tree::{Text, Tree};
use raddle_source::{File, FileId, Place, Spot};

/// Something that a rule found.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    /// Relative to the root of the repository.
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) rule: &'static str,
    /// What is wrong, and what to write instead.
    pub(crate) message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, rule, message } = self;
        write!(f, "{}:{line}:{column}: [{rule}] {message}", file.display())
    }
}

/// A `TIDY-ALLOW` comment.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Relative to the root of the tree.
    pub(crate) path: PathBuf,
    pub(crate) place: Place,
    pub(crate) rule: String,
    pub(crate) reason: String,
    /// How many findings it allowed.
    pub(crate) uses: usize,
}

/// Collects findings.
pub(crate) struct Report<'a> {
    tree: &'a Tree,
    /// The rule that is being checked.
    pub(crate) rule: &'static str,
    findings: Vec<Finding>,
    allowances: Vec<Allowance>,
}

const TAG: &str = "TIDY-ALLOW(";

impl<'a> Report<'a> {
    pub(crate) fn new(tree: &'a Tree) -> Self {
        let mut allowances: Vec<_> = tree.files.iter().flat_map(in_source).collect();
        allowances.extend(tree.texts.iter().flat_map(in_text));
        Self { tree, rule: "", findings: Vec::new(), allowances }
    }

    /// Something is wrong at `spot`, unless a comment that covers it allows it.
    pub(crate) fn at(&mut self, spot: &Spot, message: impl Into<String>) {
        let tree = self.tree;
        let path = &tree.files[spot.file.0].path;
        self.add(path, spot.place, &spot.comment_lines, message.into());
    }

    /// Something is wrong at `place` of a source file, whatever stands around it.
    pub(crate) fn in_file(&mut self, file: FileId, place: Place, message: impl Into<String>) {
        let tree = self.tree;
        let file = &tree.files[file.0];
        let above: Vec<_> = file.comments_above(place.line).map(|c| c.place.line).collect();
        self.add(&file.path, place, &above, message.into());
    }

    /// Something is wrong in a file that is not Rust, unless the line above allows it.
    pub(crate) fn in_text(&mut self, path: &Path, place: Place, message: impl Into<String>) {
        self.add(path, place, &[place.line - 1], message.into());
    }

    fn add(&mut self, path: &Path, place: Place, comment_lines: &[usize], message: String) {
        let allowance = self.allowances.iter_mut().find(|allowance| {
            allowance.rule == self.rule
                && allowance.path == path
                && comment_lines.contains(&allowance.place.line)
        });
        match allowance {
            Some(allowance) => allowance.uses += 1,
            None => self.unconditionally(path, place, message),
        }
    }

    /// Something is wrong that no comment allows.
    pub(crate) fn unconditionally(&mut self, path: &Path, place: Place, message: String) {
        self.findings.push(Finding {
            file: self.tree.prefix.join(path),
            line: place.line,
            column: place.column,
            rule: self.rule,
            message,
        });
    }

    /// The `TIDY-ALLOW` comments.
    pub(crate) fn allowances(&self) -> &[Allowance] {
        &self.allowances
    }

    /// The findings, and how many more a comment allowed.
    pub(crate) fn finish(self) -> (Vec<Finding>, usize) {
        let allowed = self.allowances.iter().map(|allowance| allowance.uses).sum();
        (self.findings, allowed)
    }
}

fn in_source(file: &File) -> impl Iterator<Item = Allowance> {
    file.comments()
        .iter()
        .filter(|comment| !comment.doc)
        .filter_map(|comment| Allowance::parse(&file.path, comment.place, &comment.text))
}

/// In a manifest `# TIDY-ALLOW(…): …`, in Markdown `<!-- TIDY-ALLOW(…): … -->`.
fn in_text(text: &Text) -> impl Iterator<Item = Allowance> {
    text.text.lines().enumerate().filter_map(|(index, line)| {
        let line = line.trim();
        let comment = match text.path.extension()?.to_str()? {
            "md" => line.strip_prefix("<!--")?.strip_suffix("-->")?,
            _ => line.strip_prefix('#')?,
        };
        Allowance::parse(&text.path, Place { line: index + 1, column: 1 }, comment)
    })
}

impl Allowance {
    fn parse(path: &Path, place: Place, comment: &str) -> Option<Self> {
        let (rule, rest) = comment.trim().strip_prefix(TAG)?.split_once(')')?;
        let reason = rest.trim_start_matches(':').trim().to_owned();
        Some(Self {
            path: path.to_path_buf(),
            place,
            rule: rule.trim().to_owned(),
            reason,
            uses: 0,
        })
    }
}
