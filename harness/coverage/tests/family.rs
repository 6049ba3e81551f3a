//! The operations that the catalogue tells are those that the platform declares.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use raddle_source::{File, operations};

/// Traits whose methods are no operations of a world: the runtime implements one, for what parks.
const NOT_OF_A_WORLD: [&str; 1] = ["Suspend"];

/// Tracked, and no operation: it tells a place of the caller's, in whatever crate.
const NO_OPERATION: &str = "called";

/// The methods that are `#[track_caller]`, of traits and of `RaceCell`. What makes a value is no
/// operation.
fn declared() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/platform/src");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("the platform's source") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("UTF-8");
        let file = File::new(path, &text);
        assert!(file.error.is_none(), "{:?}", file.error);
        let tracked = |attributes: &[syn::Attribute]| {
            raddle_source::attributes::has(attributes, "track_caller")
        };
        for item in &file.syntax.items {
            match item {
                syn::Item::Trait(item) if !NOT_OF_A_WORLD.contains(&&*item.ident.to_string()) => {
                    names.extend(item.items.iter().filter_map(|item| match item {
                        syn::TraitItem::Fn(method) if tracked(&method.attrs) => {
                            Some(method.sig.ident.to_string())
                        }
                        _ => None,
                    }));
                }
                syn::Item::Impl(item) => {
                    names.extend(item.items.iter().filter_map(|item| match item {
                        syn::ImplItem::Fn(method) if tracked(&method.attrs) => {
                            Some(method.sig.ident.to_string())
                        }
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
    }
    names.retain(|name| !name.starts_with("new") && name != NO_OPERATION);
    names
}

#[test]
fn every_tracked_method_of_the_platform_is_an_operation() {
    let known: BTreeSet<_> = operations::known().map(|(name, _)| name.to_owned()).collect();
    let declared = declared();
    let unknown: Vec<_> = declared
        .iter()
        .filter(|name| !known.contains(*name) && !operations::is_atomic(name))
        .collect();
    assert!(unknown.is_empty(), "not told in the source: {unknown:?}");
    let gone: Vec<_> = known.difference(&declared).collect();
    assert!(gone.is_empty(), "not declared by the platform: {gone:?}");
}
