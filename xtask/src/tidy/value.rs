//! `value`: an operation of the platform is called where it is written.
//!
//! `Location::caller()` gives a harness the place of each operation, as long as the operation is
//! called by its name, in the source, from a function that is not `#[track_caller]` itself. Taken
//! as a value (`map(A::load)`) its place is in core; in the body of a `macro_rules!` it is where
//! the macro is called; behind `#[track_caller]` it is wherever the caller is. The catalogue of
//! sites, which is made from the source, would not find it.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use raddle_source::operations;
use raddle_source::{Context, Function, Home, Node, Path, attributes, parse_macro};
use syn::visit::{self, Visit};

use super::report::Report;
use super::tree::{Scope, Tree};
use super::{Check, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "value",
    holds: "platform operations are called by name, in no macro_rules! and no #[track_caller]",
    checks: &[Check::Nodes(Scope::Production, inspect), Check::Tree(behind_track_caller)],
};

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::Path(path) => taken(context, path, report),
        Node::Tokens(tokens) => {
            let in_rules = context.in_rules;
            let mut found =
                |name: &str, span| report.at(&context.spot(span), hidden(name, in_rules));
            calls(tokens, &mut found);
        }
        _ => {}
    }
}

fn taken(context: &Context<'_>, path: &Path, report: &mut Report<'_>) {
    if operations::of_path(path).is_none() || !matches!(path.home, Home::Value | Home::Tokens) {
        return;
    }
    // `mem::swap` and its like.
    let root = context.resolve(path).and_then(|foreign| foreign.segments.into_iter().next());
    if root.is_some_and(|root| matches!(root.as_str(), "std" | "core" | "alloc")) {
        return;
    }
    let Some(last) = path.last() else { return };
    let message = if path.home == Home::Tokens {
        hidden(&last.name, context.in_rules)
    } else {
        format!(
            "`{}` is taken as a value, which hides where it is called: call it in a closure",
            last.name
        )
    };
    report.at(&context.spot(path.segments[0].span), message);
}

/// What is wrong with an operation among the tokens of a macro.
fn hidden(name: &str, in_rules: bool) -> String {
    if in_rules {
        format!("`{name}` in a macro's body is called from wherever the macro is: use a function")
    } else {
        format!(
            "`{name}` among tokens that do not read as Rust is found by no tool: call it before"
        )
    }
}

/// Calls `found` for each operation among `tokens` that is not a plain path: `.load(`, `driver.wait(`,
/// `<P as Platform>::event(`.
fn calls(tokens: &TokenStream, found: &mut impl FnMut(&str, Span)) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for at in 2..tokens.len().saturating_sub(1) {
        let (TokenTree::Ident(ident), TokenTree::Group(arguments)) = (&tokens[at], &tokens[at + 1])
        else {
            continue;
        };
        if arguments.delimiter() != Delimiter::Parenthesis {
            continue;
        }
        let name = ident.to_string();
        let operation = if is_punct(&tokens[at - 1], '.') {
            operations::is_reserved(&name)
                || receivers(&tokens[..at - 1]).any(|receiver| {
                    (0..3).any(|count| operations::of_receiver(&receiver, &name, count).is_some())
                })
        } else {
            // `T as Platform>::name`, from the end of the type backwards.
            at >= 3
                && is_punct(&tokens[at - 1], ':')
                && is_punct(&tokens[at - 2], ':')
                && is_punct(&tokens[at - 3], '>')
                && operations::is_through_platform(&of_type(&tokens[..at - 3]), &name)
        };
        if operation {
            found(&name, ident.span());
        }
    }
    for token in &tokens {
        if let TokenTree::Group(group) = token {
            calls(&group.stream(), found);
        }
    }
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// The names in the chain of fields and calls at the end of `tokens`.
fn receivers(tokens: &[TokenTree]) -> impl Iterator<Item = String> {
    tokens
        .iter()
        .rev()
        .take_while(|token| match token {
            TokenTree::Punct(punct) => matches!(punct.as_char(), '.' | '?' | '$'),
            TokenTree::Ident(_) | TokenTree::Group(_) => true,
            TokenTree::Literal(_) => false,
        })
        .filter_map(|token| match token {
            TokenTree::Ident(ident) => Some(ident.to_string()),
            _ => None,
        })
}

/// The names in `<…` at the end of `tokens`, the first one first.
fn of_type(tokens: &[TokenTree]) -> Vec<String> {
    let mut depth = 1_usize;
    let mut names: Vec<_> = tokens
        .iter()
        .rev()
        .take_while(|token| {
            depth += usize::from(is_punct(token, '>'));
            depth -= usize::from(is_punct(token, '<'));
            depth > 0
        })
        .filter_map(|token| match token {
            TokenTree::Ident(ident) => Some(ident.to_string()),
            _ => None,
        })
        .collect();
    names.reverse();
    names
}

/// Methods of the platform that production code implements and that are `#[track_caller]`: what
/// implements such a method is so, too.
const TRACKED: &[(&str, &str)] =
    &[("Suspend", "park"), ("Suspend", "park_until"), ("Suspend", "yield_now")];

fn behind_track_caller(tree: &Tree, report: &mut Report<'_>) {
    let mut tracked: BTreeSet<(String, String)> =
        TRACKED.iter().map(|(owner, method)| ((*owner).to_owned(), (*method).to_owned())).collect();
    tree.walk(|scope, _, node| {
        if let Node::Function(function) = node
            && scope >= Scope::Shipped
            && function.implements.is_none()
            && attributes::has(function.attributes, "track_caller")
            && let Some(owner) = &function.owner
        {
            tracked.insert((owner.clone(), function.signature.ident.to_string()));
        }
    });
    tree.walk(|scope, context, node| {
        if let Node::Function(function) = node
            && scope >= Scope::Production
        {
            let name = function.signature.ident.to_string();
            let inherits = function
                .implements
                .as_ref()
                .is_some_and(|implemented| tracked.contains(&(implemented.clone(), name)));
            if inherits || attributes::has(function.attributes, "track_caller") {
                behind(context, function, report);
            }
        }
    });
}

fn behind(context: &Context<'_>, function: &Function<'_>, report: &mut Report<'_>) {
    let Some(block) = function.block else { return };
    let mut operations = Operations::default();
    operations.visit_block(block);
    for (name, span) in operations.found {
        let message = format!(
            "`{name}` behind `#[track_caller]` is called from wherever `{}` is: move it to a \
             function without the attribute",
            function.signature.ident
        );
        report.at(&context.spot(span), message);
    }
}

/// The operations of a block.
#[derive(Default)]
struct Operations {
    found: Vec<(String, Span)>,
}

impl Operations {
    fn add(&mut self, operation: Option<operations::Operation>) {
        self.found.extend(operation.map(|operation| (operation.name, operation.span)));
    }
}

impl<'ast> Visit<'ast> for Operations {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.add(operations::of_method(call));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        self.add(operations::of_call(call));
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        for statement in parse_macro(mac).iter().flatten() {
            self.visit_stmt(statement);
        }
    }

    // A closure has a location of its own, and so does a function inside.
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
