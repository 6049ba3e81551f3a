//! `cargo xtask coverage`: what all harnesses together reach.

use std::collections::BTreeMap;

use raddle_coverage::{Evidence, HARNESSES, Hits, Tally, is_required, join};

use super::{Outputs, catalogue, hits_directory, print, read_hits};
use crate::workspace::Workspace;
use crate::{Error, Verdict};

/// Report which platform operations no harness reaches.
///
/// Joins what the last runs of the harnesses left; runs nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct All {
    #[command(flatten)]
    outputs: Outputs,
}

impl All {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let workspace = Workspace::own()?;
        let catalogue = catalogue(&workspace)?;
        let mut by = BTreeMap::new();
        let mut together = Hits::default();
        for harness in HARNESSES {
            if let Some(hits) = read_hits(&hits_directory(&workspace, harness))? {
                together
                    .merge(hits.clone())
                    .map_err(|error| Error::new(format!("{harness}: {error}")))?;
                by.insert(harness.to_owned(), hits);
            }
        }
        if by.is_empty() {
            let directory = workspace.target.join("coverage");
            return Err(Error::new(format!(
                "no harness has left its sites in {}: run `cargo xtask coverage-loom` or `cargo xtask coverage-vopr` first",
                directory.display()
            )));
        }
        let none = BTreeMap::new();
        let evidence = |hits| Evidence { harness: None, hits, others: &none, lines: None };
        let report = join(&catalogue, &evidence(&together));
        print(&catalogue, &report);
        for harness in HARNESSES {
            let Some(hits) = by.get(harness) else {
                println!("{harness:<7} no sites: it has not run, or is not there");
                continue;
            };
            let alone = join(&catalogue, &evidence(hits));
            let tally = |required| {
                let points = alone.points.iter();
                Tally::of(points.filter(|point| is_required(point.entry.category) == required))
            };
            let (points, others) = (tally(true), tally(false));
            println!(
                "{harness:<7} {} of {} points, {} of {} others",
                points.covered, points.total, others.covered, others.total
            );
        }
        self.outputs.write("Coverage by all harnesses", &catalogue, &report, &by)?;
        Ok(if report.errors.is_empty() { Verdict::Good } else { Verdict::Bad })
    }
}
