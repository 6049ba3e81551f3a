//! `reserved`: in production code a method called like an atomic operation is one.
//!
//! Coverage of the atomic sites is found by name. A `load` that is no atomic load would be a site
//! that nothing ever reaches, and hide one that matters.

use super::report::Report;
use super::tree::Scope;
use super::{Check, Rule};
use raddle_source::operations;
use raddle_source::{Context, Node};

pub(crate) const RULE: Rule = Rule {
    name: "reserved",
    holds: "no method but the platform's is called load, store, swap, compare_exchange, fetch_*",
    checks: &[Check::Nodes(Scope::Production, inspect)],
};

/// Methods that may have such a name: the type, the method, and why it must.
const ALLOWED: &[(&str, &str, &str)] = &[];

fn inspect(context: &Context<'_>, node: &Node<'_>, report: &mut Report<'_>) {
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
}
