use super::{Rule, report::Report, tree::Tree};
pub(crate) const RULE: Rule = Rule { name: "docs", holds: "x", check };
fn check(_: &Tree, _: &mut Report<'_>) {}
