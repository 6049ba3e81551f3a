//! `allow`: a `TIDY-ALLOW` comment names a rule, gives a reason, and is needed.

use super::report::Report;
use super::tree::Tree;
use super::{Check, RULES, Rule};

pub(crate) const RULE: Rule = Rule {
    name: "allow",
    holds: "a TIDY-ALLOW comment names a rule, gives a reason and is needed",
    checks: &[Check::Tree(check)],
};

fn check(_: &Tree, report: &mut Report<'_>) {
    let mut wrong = Vec::new();
    for allowance in report.allowances() {
        let rule = &allowance.rule;
        let message = if !RULES.iter().any(|known| known.name == rule) {
            format!("there is no rule `{rule}`: `cargo xtask tidy --rules` lists them")
        } else if allowance.reason.is_empty() {
            format!("no reason: write `TIDY-ALLOW({rule}): why it is right here`")
        } else if allowance.uses == 0 {
            format!("`{rule}` finds nothing here: delete the comment")
        } else {
            continue;
        };
        wrong.push((allowance.path.clone(), allowance.place, message));
    }
    for (path, place, message) in wrong {
        report.unconditionally(&path, place, message);
    }
}
