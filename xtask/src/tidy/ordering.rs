//! `ordering`: every ordering stronger than Relaxed says what it pairs with, and every ordering is
//! written at its operation.
//!
//! An `Acquire` alone orders nothing: it is one half of an edge, and a reader who does not find the
//! other half cannot check either. The tools that ask which orderings a test needs weaken them one
//! by one, in the source, so they must find them there.

use syn::{Expr, ExprPath};

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};
use raddle_source::operations::{self, ORDERINGS};
use raddle_source::{Context, Home, Node, Path, Place};

pub(crate) const RULE: Rule = Rule {
    name: "ordering",
    holds: "an ordering stronger than Relaxed has an ORDERING comment; orderings are literal",
    checks: &[
        Check::Nodes(Scope::Shipped, has_comment),
        // The platform's own operations forward the ordering that they are given.
        Check::Nodes(Scope::Production, is_literal),
    ],
};

const COMMENT: &str = "no `// ORDERING:` above the statement: write there what it pairs with";

fn has_comment(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    if let Node::Path(path) = node {
        path_names_ordering(context, path, report);
    }
}

fn is_literal(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
    match node {
        Node::MethodCall(call) => {
            let arguments: Vec<_> = call.args.iter().collect();
            literal(context, &call.method.to_string(), &arguments, report);
        }
        Node::Call(call) => {
            if let Expr::Path(ExprPath { path, qself, .. }) = &*call.func
                && let Some(last) = path.segments.last()
                && (path.segments.len() > 1 || qself.is_some())
            {
                let name = last.ident.to_string();
                // `Atomic::load(&a, …)` has the receiver first.
                let receiver = usize::from(operations::is_atomic(&name));
                let arguments: Vec<_> = call.args.iter().skip(receiver).collect();
                literal(context, &name, &arguments, report);
            }
        }
        _ => {}
    }
}

fn path_names_ordering(context: &Context<'_>, path: &Path, report: &mut Report<'_>) {
    if !matches!(path.home, Home::Value | Home::Callee | Home::Tokens) {
        return;
    }
    let written: Vec<_> = path.segments.iter().map(|segment| segment.name.as_str()).collect();
    let spelled_out = is_ordering(&written);
    let meant = context.resolve(path).map(|foreign| foreign.segments).unwrap_or_default();
    let meant: Vec<_> = meant.iter().map(String::as_str).collect();
    let Some(last) = path.last().filter(|_| spelled_out || is_ordering(&meant)) else { return };
    if !spelled_out {
        let message =
            format!("the ordering has another name here: write `Ordering::{}`", last.name);
        report.at(&context.spot(last.span), message);
    } else if last.name != "Relaxed" && !context.says(Place::of(last.span), "ORDERING:") {
        report.at(&context.spot(path.segments[0].span), COMMENT);
    }
}

fn is_ordering(path: &[&str]) -> bool {
    matches!(path, [.., "Ordering", last] if ORDERINGS.contains(last))
}

fn literal(context: &Context<'_>, method: &str, arguments: &[&Expr], report: &mut Report<'_>) {
    for &position in operations::ordering_arguments(method, arguments.len()) {
        let argument = arguments[position];
        let path = match argument {
            Expr::Path(path) => Some(&path.path),
            _ => None,
        };
        let names: Vec<_> = path
            .iter()
            .flat_map(|path| &path.segments)
            .map(|segment| segment.ident.to_string())
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        // Slices have a `swap` of two arguments as well.
        let slice_swap = method == "swap"
            && !names.last().is_some_and(|last| last.to_lowercase().contains("order"));
        // Under another name it has been found already.
        let renamed = names.last().is_some_and(|last| ORDERINGS.contains(last));
        if !is_ordering(&names) && !slice_swap && !renamed {
            let span = syn::spanned::Spanned::span(argument);
            let message = format!("the ordering of `{method}` is not literal: write `Ordering::…`");
            report.at(&context.spot(span), message);
        }
    }
}
