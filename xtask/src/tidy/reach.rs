//! `reach`: every source file is part of some crate.
//!
//! A file that no `mod` names is not compiled: its tests never run, and it rots unnoticed.

use super::report::Report;
use super::tree::Tree;
use super::{Check, Rule};
use raddle_source::Place;

pub(crate) const RULE: Rule = Rule {
    name: "reach",
    holds: "every source file is a module of some crate",
    checks: &[Check::Tree(check)],
};

fn check(tree: &Tree, report: &mut Report<'_>) {
    for id in tree.modules.strays() {
        let path = &tree.files[id.0].path;
        // A lone file belongs to no package.
        let Some(package) = tree.workspace.package_of(path) else { continue };
        let message =
            format!("nothing in {} leads here: declare it with `mod`, or delete it", package.name);
        report.in_file(id, Place::START, message);
    }
}
