use super::{Rule, report::Report, tree::Tree};
pub(crate) const RULE: Rule = Rule { name: "manifest", holds: "x", check };
fn check(_: &Tree, _: &mut Report<'_>) {}
