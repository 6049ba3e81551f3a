//! One source file.

use std::path::{Path, PathBuf};

use super::Place;
use super::comments::{self, Comment, Trivia};

/// Index of a file among those that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// The syntax tree of a file and its comments.
pub struct File {
    /// Relative to the root of what is checked.
    pub path: PathBuf,
    /// Empty if the text does not parse; then `error` says why.
    pub syntax: syn::File,
    /// Why it does not parse, and where.
    pub error: Option<(Place, String)>,
    trivia: Trivia,
}

impl File {
    /// Parses `text`.
    pub fn new(path: PathBuf, text: &str) -> Self {
        let trivia = comments::scan(text);
        let (syntax, error) = match syn::parse_file(text) {
            Ok(syntax) => (syntax, None),
            Err(error) => {
                let empty = syn::File {
                    shebang: None,
                    frontmatter: None,
                    attrs: Vec::new(),
                    items: Vec::new(),
                };
                (empty, Some((Place::of(error.span()), error.to_string())))
            }
        };
        Self { path, syntax, error, trivia }
    }

    /// The directory of the file.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// All comments, in order.
    pub fn comments(&self) -> &[Comment] {
        &self.trivia.comments
    }

    /// The comment lines that touch each other and end directly above `line`; documentation among
    /// them does not interrupt, and is left out.
    pub fn comments_above(&self, line: usize) -> impl Iterator<Item = &Comment> {
        let comments = self.comments();
        let end = comments.partition_point(|comment| comment.place.line < line);
        let mut expected = line;
        comments[..end]
            .iter()
            .rev()
            .filter(|comment| comment.own_line)
            .take_while(move |comment| {
                let touches = comment.place.line + 1 == expected;
                expected = comment.place.line;
                touches
            })
            .filter(|comment| !comment.doc)
    }

    /// The comments between the start of line `first` and the end of the line of `token` that
    /// stand in a block which is still open at `token`.
    pub fn comments_before(&self, first: usize, token: Place) -> impl Iterator<Item = &Comment> {
        self.comments().iter().filter(move |comment| {
            let line = comment.place.line;
            first <= line
                && line <= token.line
                && !comment.doc
                && (comment.place > token || self.encloses(comment.place, token))
        })
    }

    /// Whether the innermost braces around `outer` also hold the later place `inner`.
    fn encloses(&self, outer: Place, inner: Place) -> bool {
        let mut depth = 0_isize;
        self.trivia
            .braces
            .iter()
            .skip_while(|brace| brace.place < outer)
            .take_while(|brace| brace.place < inner)
            .all(|brace| {
                depth += if brace.opens { 1 } else { -1 };
                depth >= 0
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{File, Place};

    fn file(text: &str) -> File {
        File::new("lib.rs".into(), text)
    }

    fn above(file: &File, line: usize) -> Vec<&str> {
        file.comments_above(line).map(|comment| comment.text.trim()).collect()
    }

    #[test]
    fn only_touching_comments_are_above() {
        let file = file("// far\n\n// near\n// nearer\nfn f() {} // behind\nfn g() {}\n");
        assert_eq!(above(&file, 5), ["nearer", "near"]);
        assert_eq!(above(&file, 6), [""; 0]);
    }

    #[test]
    fn a_comment_in_a_block_that_has_closed_does_not_count() {
        let text = "fn f() {\n if a {\n // inside\n b();\n } else if\n // here\n c() {}\n}";
        let texts: Vec<_> = file(text)
            .comments_before(2, Place { line: 7, column: 2 })
            .map(|comment| comment.text.trim().to_owned())
            .collect();
        assert_eq!(texts, ["here"]);
    }
}
