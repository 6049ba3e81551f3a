//! Reading Rust: files with their comments, the module tree, names, and a walk over it all.
//!
//! What rustc knows and throws away (comments), and what a compiler is not needed for: the tools of
//! this repository check rules about the text and list the platform operations in it.
//!
//! ```text
//! File        text, syntax tree, comments of one file
//! Modules     which file is which module of which crate, and what each module's names mean
//! walk        shows a file's nodes, each with its scope, its enclosing statement, its test-ness
//! operations  tells the operations of the platform among the calls
//! ```

pub mod attributes;
mod comments;
mod file;
mod macros;
mod modules;
mod names;
pub mod operations;
mod walk;

pub use comments::Comment;
pub use file::{File, FileId};
pub use macros::{macro_calls, parse_macro};
pub use modules::{Modules, Root, normal};
pub use names::Foreign;
pub use walk::{Context, Enclosing, Function, Home, Node, Path, Segment, Spot, walk};

/// A position in a text. Both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The first character.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Where `span` begins.
    pub fn of(span: proc_macro2::Span) -> Self {
        let start = span.start();
        Self { line: start.line, column: start.column + 1 }
    }

    /// The place of the byte at `offset` of `text`.
    pub fn of_offset(text: &str, offset: usize) -> Self {
        let before = &text[..offset.min(text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
