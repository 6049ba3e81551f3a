//! `// ORDERING-AUDIT: reason`: why a mutant that no scenario kills is right to survive.
//!
//! The comment stands above the statement, or on its line; a reason may go on below.

use std::fmt;
use std::path::PathBuf;

use raddle_coverage::{Catalogue, Site};
use raddle_source::operations::{of_call, of_method};
use raddle_source::{Comment, Context, File, FileId, Modules, Node, Place, walk};

use crate::Error;

const TAG: &str = "ORDERING-AUDIT:";

/// One comment, at one site that it covers.
#[derive(Clone, Debug)]
pub(crate) struct Explanation {
    site: Site,
    line: usize,
    pub(crate) reason: String,
}

impl Explanation {
    /// Whether it speaks of `site`, as `file:line:column`.
    pub(crate) fn covers(&self, site: &str) -> bool {
        self.site.to_string() == site
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {TAG} {}", self.site.file, self.line, self.reason)
    }
}

/// The explanations in the sources of `catalogue`.
pub(crate) fn read(catalogue: &Catalogue) -> Result<Vec<Explanation>, Error> {
    let mut found = Vec::new();
    for (name, source) in catalogue.sources() {
        if source.text.contains(TAG) {
            in_text(name, &source.text, &mut found);
        }
    }
    match found.iter().find(|explanation| explanation.reason.is_empty()) {
        Some(empty) => Err(Error::new(format!("{empty}: say why"))),
        None => Ok(found),
    }
}

fn in_text(name: &str, text: &str, found: &mut Vec<Explanation>) {
    let files = [File::new(PathBuf::from(name), text)];
    let modules = Modules::build(&files, &[]);
    walk(&files, FileId(0), &modules, &mut |context, node| {
        let operation = match node {
            Node::MethodCall(call) => of_method(call),
            Node::Call(call) => of_call(call),
            _ => None,
        };
        let Some(operation) = operation else { return };
        let place = Place::of(operation.span);
        if let Some((line, reason)) = reason(context, place) {
            let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let (line_of_site, column) = (number(place.line), number(place.column));
            let site = Site { file: name.to_owned(), line: line_of_site, column };
            found.push(Explanation { site, line, reason });
        }
    });
}

/// The reason that the comments at `place` give, and its line.
fn reason(context: &Context<'_>, place: Place) -> Option<(usize, String)> {
    let of_line = context.file.comments().iter().filter(|comment| comment.place.line == place.line);
    let mut comments = context.comments(place).into_iter().chain(of_line);
    let first = comments.find(|comment| comment.text.trim_start().starts_with(TAG))?;
    let mut reason = first.text.trim_start()[TAG.len()..].trim().to_owned();
    let following =
        context.file.comments().iter().filter(|next| next.place.line > first.place.line);
    for (next, line) in following.zip(first.place.line + 1..) {
        if !next.own_line || next.place.line != line || is_tagged(next) {
            break;
        }
        reason = format!("{reason} {}", next.text.trim());
    }
    Some((first.place.line, reason))
}

/// Whether a comment begins with a tag such as `ORDERING:` or `SAFETY:`.
fn is_tagged(comment: &Comment) -> bool {
    let text = comment.text.trim_start();
    let end = text.find([':', '(']).unwrap_or(0);
    end > 1 && text[..end].chars().all(|char| char.is_ascii_uppercase() || char == '-')
}

#[cfg(test)]
mod tests {
    use super::in_text;

    #[test]
    fn a_reason_is_read_above_the_statement_and_goes_on_below() {
        let text = "fn f() {\n    // ORDERING: pairs with g.\n    // ORDERING-AUDIT: the lock \
                    orders\n    // it already.\n    // ORDERING: more.\n    let x = self\n        \
                    .a\n        .load(Ordering::Acquire);\n    self.b.load(Ordering::Acquire);\n}\n";
        let mut found = Vec::new();
        in_text("a.rs", text, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].reason, "the lock orders it already.");
        assert!(found[0].covers("a.rs:8:10"), "{found:?}");
        assert_eq!(found[0].to_string(), "a.rs:3: ORDERING-AUDIT: the lock orders it already.");
    }
}
