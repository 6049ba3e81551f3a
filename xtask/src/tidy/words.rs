//! `words`: nothing that says "not finished" is committed.

use proc_macro2::Span;

use super::report::Report;
use super::tree::{Scope, Tree};
use super::{Check, Rule};
use raddle_source::{Context, FileId, Node, macro_calls};

pub(crate) const RULE: Rule = Rule {
    name: "words",
    holds: "no macro and no comment says that something is not finished",
    checks: &[Check::Tree(comments), Check::Nodes(Scope::Everything, macros)],
};

const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const WORDS: &[&str] = &["FIXME", "XXX"];

fn comments(tree: &Tree, report: &mut Report<'_>) {
    for (index, file) in tree.files.iter().enumerate() {
        for comment in file.comments() {
            let mut words = comment.text.split(|char: char| !char.is_alphanumeric() && char != '_');
            if let Some(word) = words.find(|word| WORDS.contains(word)) {
                let message = format!("`{word}` in a comment: do it, or open an issue and name it");
                report.in_file(FileId(index), comment.place, message);
            }
        }
    }
}

fn macros(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    let mut report_macro = |name: &str, span: Span| {
        if MACROS.contains(&name) {
            let message = format!("`{name}!` is for code that is not finished: finish it");
            report.at(&context.spot(span), message);
        }
    };
    match node {
        Node::Macro(mac) => {
            if let Some(last) = mac.path.segments.last() {
                report_macro(&last.ident.to_string(), last.ident.span());
            }
        }
        Node::Tokens(tokens) => macro_calls(tokens, &mut report_macro),
        _ => {}
    }
}
