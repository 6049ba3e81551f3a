//! Bugs that were found stay away; and their twins stay twins.

use std::path::Path;
use std::process::Command;

use raddle_vopr::regressions::{Trail, folder, regressions};

#[test]
fn bugs_that_were_found_stay_away() {
    let all = regressions(&folder()).expect("each folder is whole");
    assert!(all.len() >= 2, "the folder is empty");
    for regression in all {
        let searched = regression.search(200);
        println!("{}: {}, {} runs", regression.name, searched.trail, searched.runs);
        if let Some(failure) = searched.found.as_ref().and_then(|found| found.failure()) {
            panic!("{} is back ({}): {failure}", regression.name, regression.bug);
        }
        // Or the search would be one of seeds only: record the trace anew.
        assert!(!matches!(searched.trail, Trail::Nowhere(_)), "{}", searched.trail);
        assert!(searched.runs > 200, "{} runs", searched.runs);
    }
}

/// What takes a fix out fits the source of today, so that the twin can be built
/// (`cargo xtask vopr --twins` does).
#[test]
fn each_fix_can_be_taken_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for regression in regressions(&folder()).expect("each folder is whole") {
        let output = Command::new("git")
            .args(["apply", "--check"])
            .arg(&regression.patch)
            .current_dir(&root)
            .output()
            .expect("git is there: it cloned this");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: make it anew from the fix: {said}", regression.name);
    }
}
