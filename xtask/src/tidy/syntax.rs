//! `syntax`: every file parses, so that the other rules see all of it.

use super::report::Report;
use super::tree::Tree;
use super::{Check, Rule};
use raddle_source::FileId;

pub(crate) const RULE: Rule = Rule {
    name: "syntax",
    holds: "every source file parses, so that no rule overlooks it",
    checks: &[Check::Tree(check)],
};

fn check(tree: &Tree, report: &mut Report<'_>) {
    for (index, file) in tree.files.iter().enumerate() {
        let id = FileId(index);
        if let Some((place, error)) = &file.error
            && !tree.modules.is_included(id)
        {
            report.in_file(id, *place, format!("the file does not parse: {error}"));
        }
    }
}
