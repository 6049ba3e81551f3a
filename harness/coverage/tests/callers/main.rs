//! The catalogue has exactly the places that `Location::caller()` gives at run time.

mod calls;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

use raddle_coverage::{Catalogue, Lines};

const FILE: &str = "harness/coverage/tests/callers/calls.rs";

fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    let files = vec![(PathBuf::from(FILE), include_str!("calls.rs").to_owned())];
    catalogue.add("callers", files, &[PathBuf::from(FILE)]).expect("it parses");
    catalogue
}

#[test]
fn the_source_and_the_run_name_the_same_places() {
    calls::all();
    let reached: BTreeSet<_> = world::places().into_iter().collect();
    let catalogue = catalogue();
    let listed: BTreeSet<_> =
        catalogue.entries().iter().map(|entry| (entry.site.line, entry.site.column)).collect();
    // The message of an assertion that holds is not made.
    let unreached: Vec<_> = listed.difference(&reached).collect();
    assert_eq!(unreached.len(), 1, "{unreached:?}");
    let unlisted: Vec<_> = reached.difference(&listed).collect();
    assert!(unlisted.is_empty(), "{unlisted:?}");
}

#[test]
fn an_operation_is_named_by_its_function_and_number() {
    let keys: Vec<_> = catalogue().entries().iter().map(|entry| entry.key()).collect();
    assert_eq!(keys[0], format!("{FILE} Word::methods load#1"));
    assert_eq!(keys[1], format!("{FILE} Word::methods load#2"));
}

#[test]
fn debug_information_tells_which_lines_have_code() {
    let binary = std::env::current_exe().expect("a test is a program");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the workspace is there");
    let lines = Lines::read(&binary, &root).expect("a line table");
    let catalogue = catalogue();
    for entry in catalogue.entries() {
        let (first, last) = entry.function_lines;
        assert!(lines.has_code(FILE, first, last), "{}", entry.site);
    }
    assert!(!lines.has_code(FILE, 1, 3), "a comment has no code");
    assert!(!lines.has_code("crates/none.rs", 1, 1000), "a file that is not there has no code");
    let source = root.join(FILE);
    assert!(Lines::read(&source, &root).is_err(), "a source file is no binary");
}
