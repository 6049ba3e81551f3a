//! `value`: an operation of the platform is called where it is written.
//!
//! `Location::caller()` gives a harness the place of each operation, as long as the operation is
//! called by its name, in the source, from a function that is not `#[track_caller]` itself. Taken
//! as a value (`map(A::load)`) its place is in core; in the body of a `macro_rules!` it is where
//! the macro is called; behind `#[track_caller]` it is wherever the caller is. The catalogue of
//! sites, which is made from the source, would not find it.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, Expr};

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};
use raddle_source::operations;
use raddle_source::{Context, Function, Home, Node, Path, attributes};

pub(crate) const RULE: Rule = Rule {
    name: "value",
    holds: "platform operations are called by name, in no macro_rules! and no #[track_caller]",
    checks: &[Check::Nodes(Scope::Production, inspect)],
};

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::Path(path) => taken(context, path, report),
        Node::Tokens(tokens) if context.in_rules => {
            let mut found = |name: &str, span| report.at(&context.spot(span), in_macro(name));
            method_calls(tokens, &mut found);
        }
        Node::Function(function) => behind_track_caller(context, function, report),
        _ => {}
    }
}

fn taken(context: &Context<'_>, path: &Path, report: &mut Report<'_>) {
    let in_rules = path.home == Home::Tokens && context.in_rules;
    if !operations::of_path(path).is_some() || !(path.home == Home::Value || in_rules) {
        return;
    }
    // `mem::swap` and its like.
    let root = context.resolve(path).and_then(|foreign| foreign.segments.into_iter().next());
    if root.is_some_and(|root| matches!(root.as_str(), "std" | "core" | "alloc")) {
        return;
    }
    let Some(last) = path.last() else { return };
    let message = if in_rules {
        in_macro(&last.name)
    } else {
        format!(
            "`{}` is taken as a value, which hides where it is called: call it in a closure",
            last.name
        )
    };
    report.at(&context.spot(path.segments[0].span), message);
}

fn in_macro(name: &str) -> String {
    format!("`{name}` in a macro's body is called from wherever the macro is: use a function")
}

/// Calls `found` for each `.load(` and its like among `tokens`.
fn method_calls(tokens: &TokenStream, found: &mut impl FnMut(&str, Span)) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for window in tokens.windows(3) {
        if let [TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(arguments)] = window
            && dot.as_char() == '.'
            && arguments.delimiter() == Delimiter::Parenthesis
            && operations::is_atomic(&name.to_string())
        {
            found(&name.to_string(), name.span());
        }
    }
    for token in &tokens {
        if let TokenTree::Group(group) = token {
            method_calls(&group.stream(), found);
        }
    }
}

fn behind_track_caller(context: &Context<'_>, function: &Function<'_>, report: &mut Report<'_>) {
    let (true, Some(block)) =
        (attributes::has(function.attributes, "track_caller"), function.block)
    else {
        return;
    };
    let mut operations = Operations { first: None };
    operations.visit_block(block);
    if let Some((name, span)) = operations.first {
        let message = format!(
            "`{name}` behind `#[track_caller]` is called from wherever `{}` is: move it to a \
             function without the attribute",
            function.signature.ident
        );
        report.at(&context.spot(span), message);
    }
}

/// The first operation of a block.
struct Operations {
    first: Option<(String, Span)>,
}

impl<'ast> Visit<'ast> for Operations {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        let found = match expr {
            Expr::MethodCall(call) => {
                let name = call.method.to_string();
                let count = call.args.len();
                let ordered = !operations::ordering_arguments(&name, count).is_empty();
                (operations::is_atomic(&name) && ordered).then(|| (name, call.method.span()))
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) => {
                    let path = Path::new(&path.path, path.qself.as_ref(), Home::Callee);
                    let name = path.last().map(|last| last.name.clone()).unwrap_or_default();
                    operations::of_path(&path).is_some().then(|| (name, call.span()))
                }
                _ => None,
            },
            _ => None,
        };
        if self.first.is_none() {
            self.first = found;
        }
        visit::visit_expr(self, expr);
    }

    // A closure has a location of its own, and so does a function inside.
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
    fn visit_block(&mut self, block: &'ast Block) {
        visit::visit_block(self, block);
    }
}
