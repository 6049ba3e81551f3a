//! `cargo xtask coverage-loom`: which platform operations the scenarios reach under loom.

use std::ffi::OsString;

use raddle_coverage::{Report, Tally, is_required};

use super::one::{Harness, Options};
use crate::{Error, Verdict};

const HARNESS: Harness = Harness {
    name: "loom",
    package: "raddle-loom",
    ratchet: "harness/coverage/loom.ratchet",
    ratchet_head: "\
# What the scenarios reach under loom, in the quick form: file, function, operation and its number
# there, outcome.
# `cargo xtask coverage-loom --write-ratchet` writes this file, and `--check` holds it: what was
# covered stays covered.
",
    tell: |_, _| {},
    check,
};

/// Report which platform operations the scenarios reach under loom.
///
/// Every scenario is run as `test-loom` runs it. An operation of the production crates that no
/// scenario reached is a gap, and so is a compare-exchange that never succeeded or never failed.
/// `// COVERAGE-EXCLUDE(loom): reason` above a statement excludes what is in it. `--check` fails if
/// there is a gap among atomics, fences, cells, spins and retries. The ratchet is of the quick form.
#[derive(Debug, clap::Args)]
pub(crate) struct Loom {
    #[command(flatten)]
    options: Options,
    /// Explore less of each scenario, as `test-loom --quick` does.
    #[arg(long, conflicts_with = "hits")]
    quick: bool,
}

impl Loom {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        // Whatever the ratchet holds, the quick form must reach as well.
        let quick = self.quick || self.options.write_ratchet;
        let arguments: &[OsString] = if quick { &["--quick".into()] } else { &[] };
        self.options.run(&HARNESS, arguments)
    }
}

fn check(report: &Report<'_>) -> Vec<String> {
    let required = report.points.iter().filter(|point| is_required(point.entry.category));
    match Tally::of(required).gaps() {
        0 => Vec::new(),
        gaps => vec![format!("{gaps} gaps")],
    }
}
