//! `safety`: every unsafe block and impl says why it is sound, every unsafe function what its
//! caller must keep.
//!
//! clippy has a lint for the first half; it does not look into the arguments of macros, nor at
//! private functions.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Item, Safety};

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};
use raddle_source::{Context, Node, Place, attributes};

pub(crate) const RULE: Rule = Rule {
    name: "safety",
    holds: "unsafe blocks and impls have a SAFETY comment, unsafe functions a Safety section",
    checks: &[Check::Nodes(Scope::Everything, inspect)],
};

const COMMENT: &str = "no `// SAFETY:` above it: write there why this is sound";
const SECTION: &str = "no `# Safety` section: document what the caller must keep";

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::UnsafeBlock(span) => comment(context, *span, report),
        Node::Item(Item::Impl(item)) => {
            if let Some(keyword) = item.unsafety {
                comment(context, keyword.span, report);
            }
        }
        Node::Item(Item::ForeignMod(item)) => {
            if let Some(keyword) = item.unsafety {
                comment(context, keyword.span, report);
            }
        }
        Node::Item(Item::Trait(item)) => {
            if let Some(keyword) = item.unsafety {
                section(context, keyword.span, &item.attrs, report);
            }
        }
        // A trait's contract stands at its declaration.
        Node::Function(function) if function.implements.is_none() => {
            if let Safety::Unsafe(keyword) = function.signature.safety {
                section(context, keyword.span, function.attributes, report);
            }
        }
        Node::Tokens(tokens) => in_tokens(context, tokens, report),
        _ => {}
    }
}

fn comment(context: &Context<'_>, span: proc_macro2::Span, report: &mut Report<'_>) {
    if !context.says(Place::of(span), "SAFETY:") {
        report.at(&context.spot(span), COMMENT);
    }
}

fn section(
    context: &Context<'_>,
    span: proc_macro2::Span,
    attributes: &[syn::Attribute],
    report: &mut Report<'_>,
) {
    if !attributes::documentation(attributes).any(|line| line.trim() == "# Safety") {
        report.at(&context.spot(span), SECTION);
    }
}

/// `unsafe {` and `unsafe impl` in what a macro is given or made of.
fn in_tokens(context: &Context<'_>, tokens: &TokenStream, report: &mut Report<'_>) {
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => in_tokens(context, &group.stream(), report),
            TokenTree::Ident(ident) if ident == "unsafe" => match tokens.peek() {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    comment(context, ident.span(), report);
                }
                Some(TokenTree::Ident(next)) if next == "impl" => {
                    comment(context, ident.span(), report);
                }
                _ => {}
            },
            _ => {}
        }
    }
}
