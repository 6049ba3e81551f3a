//! `reserved`: in production code a method called like an atomic operation is one.
//!
//! Coverage of the atomic sites is found by name. A `load` that is no atomic load would be a site
//! that nothing ever reaches, and hide one that matters.

use super::Rule;
use super::operations;
use super::report::Report;
use super::tree::{Scope, Tree};
use crate::source::Node;

pub(crate) const RULE: Rule = Rule {
    name: "reserved",
    holds: "no method but the platform's is called load, store, swap, compare_exchange, fetch_*",
    check,
};

/// Methods that may have such a name: the type, the method, and why it must.
const ALLOWED: &[(&str, &str, &str)] = &[];

fn check(tree: &Tree, report: &mut Report<'_>) {
    tree.walk(Scope::Production, |context, node| {
        let Node::Function(function) = node else { return };
        let Some(owner) = &function.owner else { return };
        let ident = &function.signature.ident;
        let name = ident.to_string();
        let allowed = ALLOWED.iter().any(|(ty, method, _reason)| ty == owner && *method == name);
        if operations::is_atomic(&name) && !allowed {
            let message = format!(
                "`{owner}::{name}` is called like an atomic operation: choose another name (`get`, \
                 `set`, `replace`, …), or list it in xtask/src/tidy/reserved.rs with the reason"
            );
            report.at(&context.spot(ident.span()), message);
        }
    });
}
