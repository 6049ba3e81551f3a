//! `manifest`: what the packages have in common stands once, in the workspace's manifest; and each
//! dependency is where it belongs.

use toml_edit::{Document, Item, Table, TableLike};

use super::report::Report;
use super::tree::{Text, Tree};
use super::{Check, Rule};
use crate::workspace::{Package, Role};
use raddle_source::Place;

pub(crate) const RULE: Rule = Rule {
    name: "manifest",
    holds: "packages inherit from the workspace, rivals are dependencies of benches only",
    checks: &[Check::Tree(check)],
};

/// What every package inherits.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// Packages that one directory alone depends on, and why.
const HOMES: &[(&[&str], &str, &str)] = &[
    (
        &[
            "arc-swap",
            "async-executor",
            "crossbeam-channel",
            "crossbeam-deque",
            "crossbeam-epoch",
            "may",
            "parking_lot",
            "shuttle",
            "smol",
            "tokio",
        ],
        "benches",
        "a rival is measured, not used",
    ),
    (
        &["loom"],
        "harness/loom",
        "what is to be model checked takes `P: Platform` and knows no loom",
    ),
];

/// Packages that reach the machine: of what ships, only the platform depends on them.
const MACHINE: &[&str] =
    &["getrandom", "io-uring", "libc", "mio", "nix", "rand", "rustix", "socket2"];

const TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

fn check(tree: &Tree, report: &mut Report<'_>) {
    for package in &tree.workspace.packages {
        let path = package.manifest();
        let Some(text) = tree.texts.iter().find(|text| text.path == path) else { continue };
        // Cargo has read it, so it parses.
        let Ok(document) = Document::parse(text.text.as_str()) else { continue };
        let mut manifest = Manifest { tree, package, text, report };
        manifest.inherits(document.as_table());
        manifest.dependencies(document.as_table());
    }
}

struct Manifest<'a, 'r, 't> {
    tree: &'a Tree,
    package: &'a Package,
    text: &'a Text,
    report: &'r mut Report<'t>,
}

impl Manifest<'_, '_, '_> {
    fn inherits(&mut self, root: &Table) {
        let package = root.get("package").and_then(Item::as_table);
        let header = package.and_then(Table::span);
        for field in INHERITED {
            let item = package.and_then(|package| package.get(field));
            if !item.is_some_and(inherits) {
                let key = package.and_then(|package| package.key(field));
                let message = format!("write `{field}.workspace = true`");
                self.finding(key.and_then(toml_edit::Key::span).or(header.clone()), message);
            }
        }
        if !root.get("lints").is_some_and(inherits) {
            let message = "write `[lints]` with `workspace = true`".to_owned();
            self.finding(root.get("lints").and_then(Item::span).or(header), message);
        }
    }

    fn dependencies(&mut self, root: &Table) {
        self.tables(root);
        let targets = root.get("target").and_then(Item::as_table_like);
        for (_, target) in targets.into_iter().flat_map(TableLike::iter) {
            if let Some(target) = target.as_table_like() {
                self.tables(target);
            }
        }
    }

    fn tables(&mut self, parent: &dyn TableLike) {
        for table in TABLES {
            let Some(entries) = parent.get(table).and_then(Item::as_table_like) else { continue };
            let ships = *table != "dev-dependencies";
            for (name, item) in entries.iter() {
                let span = entries.key(name).and_then(toml_edit::Key::span);
                if !inherits(item) {
                    let message = format!(
                        "the version of `{name}` stands in the workspace's manifest: write \
                         `{name}.workspace = true`"
                    );
                    self.finding(span.clone(), message);
                }
                if let Some(message) = self.misplaced(name, ships) {
                    self.finding(span, message);
                }
            }
        }
    }

    /// Why the package may not depend on what its manifest calls `key`.
    fn misplaced(&self, key: &str, ships: bool) -> Option<String> {
        let dependency =
            self.package.dependencies.iter().find(|dependency| dependency.key == key)?;
        let name = dependency.package.as_str();
        for (packages, home, why) in HOMES {
            if packages.contains(&name) && !self.package.directory.starts_with(home) {
                return Some(format!("`{name}` is a dependency of {home} alone: {why}"));
            }
        }
        if !ships || self.package.role == Role::Tool {
            return None;
        }
        if self.package.role == Role::Production && MACHINE.contains(&name) {
            return Some(format!("`{name}` reaches the machine: go through `P: Platform`"));
        }
        let tool = self.tree.workspace.package(name).filter(|other| other.role == Role::Tool);
        tool.map(|_| format!("`{name}` tests what ships; what ships does not depend on it"))
    }

    fn finding(&mut self, span: Option<std::ops::Range<usize>>, message: String) {
        let place = span.map_or(Place::START, |span| Place::of_offset(&self.text.text, span.start));
        self.report.in_text(&self.text.path, place, message);
    }
}

fn inherits(item: &Item) -> bool {
    item.get("workspace").and_then(Item::as_bool) == Some(true)
}
