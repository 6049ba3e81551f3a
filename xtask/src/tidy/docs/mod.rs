//! `docs`: links lead somewhere, and commands can be typed as they stand.
//!
//! Checked are the Markdown files and the documentation in the sources: relative links to files
//! and headings, and the commands in `sh` and `console` blocks and in code spans: verbs and flags
//! of `cargo xtask` against its own definition, names of packages, tests and benches against the
//! workspace, paths against the tree.

mod commands;
mod markdown;

use std::path::{Path, PathBuf};

use super::report::Report;
use super::tree::Tree;
use super::{Check, Rule};
use markdown::{Line, Page};
use raddle_source::{File, FileId, Place, normal};

pub(crate) const RULE: Rule = Rule {
    name: "docs",
    holds: "links in documentation lead somewhere, its commands exist",
    checks: &[Check::Tree(check)],
};

fn check(tree: &Tree, report: &mut Report<'_>) {
    for text in tree.texts.iter().filter(|text| is_markdown(&text.path)) {
        let page = Page::read(&lines(&text.text));
        for (place, message) in findings(tree, &text.path, &page, true) {
            report.in_text(&text.path, place, message);
        }
    }
    for (index, file) in tree.files.iter().enumerate() {
        for lines in documentation(file) {
            let page = Page::read(&lines);
            for (place, message) in findings(tree, &file.path, &page, false) {
                report.in_file(FileId(index), place, message);
            }
        }
    }
}

fn findings(tree: &Tree, path: &Path, page: &Page, markdown: bool) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    for (place, target) in &page.links {
        // rustdoc's links name items, not files.
        let is_file = markdown || target.contains('/') || is_markdown(Path::new(target));
        if is_file && let Err(message) = follow(tree, path, page, target) {
            found.push((*place, message));
        }
    }
    for (place, command) in &page.commands {
        let messages = commands::check(&tree.workspace, command);
        found.extend(messages.into_iter().map(|message| (*place, message)));
    }
    found
}

/// Whether the link from the page at `from` leads somewhere.
fn follow(tree: &Tree, from: &Path, page: &Page, target: &str) -> Result<(), String> {
    let elsewhere = ["://", "mailto:", "::"].iter().any(|mark| target.contains(mark));
    if elsewhere {
        return Ok(());
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let path = match file.strip_prefix('/') {
        Some(absolute) => PathBuf::from(absolute),
        None if file.is_empty() => from.to_path_buf(),
        None => normal(&from.parent().unwrap_or(Path::new("")).join(file)),
    };
    if !tree.exists(&path) {
        return Err(format!("the link leads to `{}`, which does not exist", path.display()));
    }
    if heading.is_empty() || !is_markdown(&path) {
        return Ok(());
    }
    let other = tree.texts.iter().find(|text| text.path == path);
    let other = other.filter(|_| path != from).map(|text| Page::read(&lines(&text.text)));
    if other.as_ref().unwrap_or(page).anchors.iter().any(|anchor| anchor == heading) {
        return Ok(());
    }
    Err(format!("`{}` has no heading `#{heading}`", path.display()))
}

fn is_markdown(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

fn lines(text: &str) -> Vec<Line> {
    let line = |(index, text): (usize, &str)| Line {
        place: Place { line: index + 1, column: 1 },
        text: text.to_owned(),
    };
    text.lines().enumerate().map(line).collect()
}

/// The blocks of documentation of a source file.
fn documentation(file: &File) -> Vec<Vec<Line>> {
    let mut blocks: Vec<Vec<Line>> = Vec::new();
    for comment in file.comments().iter().filter(|comment| comment.doc) {
        let place = Place { column: comment.place.column + 3, ..comment.place };
        let line = Line { place, text: comment.text.get(1..).unwrap_or("").to_owned() };
        match blocks.last_mut() {
            Some(block) if block.last().is_some_and(|l| l.place.line + 1 == place.line) => {
                block.push(line);
            }
            _ => blocks.push(vec![line]),
        }
    }
    blocks
}
