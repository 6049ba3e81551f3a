//! `// COVERAGE-EXCLUDE(harness): reason`: what a harness need not reach.
//!
//! The comment speaks of the operations of its line, or of the statement below it. Between
//! `// COVERAGE-EXCLUDE-BEGIN(harness): reason` and `// COVERAGE-EXCLUDE-END(harness)` it speaks of
//! all. A reason that contains "covered by hammer" is checked, for each harness so named.

use raddle_source::File;

/// The harnesses that can be named.
pub const HARNESSES: [&str; 3] = ["loom", "vopr", "hammer"];

const TAG: &str = "COVERAGE-EXCLUDE";

/// One exclusion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The file, relative to the root of the workspace.
    pub file: String,
    /// The line of the comment.
    pub line: usize,
    /// The line of the END comment, if it is a block.
    pub block: Option<usize>,
    /// Who need not reach it.
    pub harness: String,
    /// Why.
    pub reason: String,
}

impl Exclusion {
    /// The harness that the reason claims to reach the operations.
    pub fn covered_by(&self) -> Option<&'static str> {
        HARNESSES
            .into_iter()
            .find(|harness| self.reason.to_lowercase().contains(&format!("covered by {harness}")))
    }
}

/// What a comment says.
enum Tag {
    Line,
    Begin,
    End,
}

/// The exclusions in `file`; what is not understood is added to `errors`.
pub(crate) fn read(file: &File, errors: &mut Vec<String>) -> Vec<Exclusion> {
    let path = file.path.to_string_lossy().into_owned();
    let mut found: Vec<Exclusion> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let comments = file.comments();
    for (at, comment) in comments.iter().enumerate() {
        let text = comment.text.trim();
        if comment.doc || !text.starts_with(TAG) {
            continue;
        }
        let line = comment.place.line;
        let mut wrong = |message: &str| errors.push(format!("{path}:{line}: {message}"));
        let Some((tag, harness, mut reason)) = parse(text) else {
            wrong(
                "not understood: write `// COVERAGE-EXCLUDE(loom): reason`, or BEGIN and END around \
                 a block",
            );
            continue;
        };
        if !HARNESSES.contains(&harness.as_str()) {
            wrong(&format!("there is no harness {harness:?}: write {}", HARNESSES.join(", ")));
            continue;
        }
        if let Tag::End = tag {
            let begin = open.iter().rposition(|&index: &usize| found[index].harness == harness);
            match begin {
                Some(begin) => found[open.remove(begin)].block = Some(line),
                None => wrong("END without a BEGIN"),
            }
            continue;
        }
        // A reason may go on below.
        let mut last = line;
        for next in &comments[at + 1..] {
            let text = next.text.trim();
            if !comment.own_line || !next.own_line || next.doc || next.place.line != last + 1 {
                break;
            }
            if is_tagged(text) {
                break;
            }
            reason = format!("{reason} {text}");
            last = next.place.line;
        }
        let reason = reason.trim().to_owned();
        if reason.is_empty() {
            wrong("no reason: say why the harness need not come here");
        }
        if let Tag::Begin = tag {
            open.push(found.len());
        }
        found.push(Exclusion { file: path.clone(), line, block: None, harness, reason });
    }
    for index in open {
        let line = found[index].line;
        errors.push(format!("{path}:{line}: BEGIN without an END"));
    }
    found
}

fn parse(text: &str) -> Option<(Tag, String, String)> {
    let rest = text.strip_prefix(TAG)?;
    let (tag, rest) = if let Some(rest) = rest.strip_prefix("-BEGIN") {
        (Tag::Begin, rest)
    } else if let Some(rest) = rest.strip_prefix("-END") {
        (Tag::End, rest)
    } else {
        (Tag::Line, rest)
    };
    let (harness, rest) = rest.strip_prefix('(')?.split_once(')')?;
    let reason = match (rest.strip_prefix(':'), &tag) {
        (Some(reason), _) => reason.trim().to_owned(),
        (None, Tag::End) if rest.trim().is_empty() => String::new(),
        (None, _) => return None,
    };
    Some((tag, harness.trim().to_owned(), reason))
}

/// Whether a comment begins with a tag such as `ORDERING:` or `SAFETY:`.
fn is_tagged(text: &str) -> bool {
    let end = text.find([':', '(']).unwrap_or(0);
    end > 1 && text[..end].chars().all(|char| char.is_ascii_uppercase() || char == '-')
}
