//! `cargo xtask coverage-loom`, `cargo xtask coverage-vopr` and `cargo xtask coverage`: which
//! platform operations of the production code the harnesses reach.
//!
//! A harness leaves the sites that it reached in `<target directory>/coverage/<harness>`, one file
//! for each process; here they are merged and joined with the catalogue that is read from the
//! source.

mod all;
mod hammer;
mod loom;
mod one;
mod vopr;

pub(crate) use all::All;
pub(crate) use hammer::Hammer;
pub(crate) use loom::Loom;
pub(crate) use vopr::Vopr;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use raddle_coverage::{Catalogue, Hits, Package, Report};

use crate::Error;
use crate::workspace::{Kind, Role, Workspace};

/// Where the report goes besides standard output.
#[derive(Debug, clap::Args)]
struct Outputs {
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as an LCOV tracefile.
    #[arg(long, value_name = "FILE")]
    lcov: Option<PathBuf>,
    /// Write the sources with their gaps as HTML pages.
    #[arg(long, value_name = "DIR")]
    html: Option<PathBuf>,
}

impl Outputs {
    /// Writes what is asked for. `by` has the hits of each harness.
    fn write(
        &self,
        title: &str,
        catalogue: &Catalogue,
        report: &Report<'_>,
        by: &BTreeMap<String, Hits>,
    ) -> Result<(), Error> {
        if let Some(path) = &self.json {
            let json = raddle_coverage::json(report, by)
                .map_err(|error| Error::new(format!("cannot write JSON: {error}")))?;
            write(path, &format!("{json}\n"))?;
        }
        if let Some(path) = &self.lcov {
            write(path, &raddle_coverage::lcov(catalogue, report))?;
        }
        if let Some(directory) = &self.html {
            make_directory(directory)?;
            for (name, page) in raddle_coverage::pages(title, catalogue, report) {
                write(&directory.join(name), &page)?;
            }
            println!("pages: {}", directory.join("index.html").display());
        }
        Ok(())
    }
}

/// The operations of the production crates. The programs and the platform itself are no part of it:
/// what they do is built from these.
pub(crate) fn catalogue(workspace: &Workspace) -> Result<Catalogue, Error> {
    let packages: Vec<_> = workspace
        .packages
        .iter()
        .filter(|package| {
            package.role == Role::Production && package.directory.starts_with("crates")
        })
        .map(|package| Package {
            name: package.name.clone(),
            directory: package.directory.clone(),
            roots: package
                .targets
                .iter()
                .filter(|target| matches!(target.kind, Kind::Library | Kind::Binary))
                .map(|target| target.file.clone())
                .collect(),
        })
        .collect();
    Catalogue::read(&workspace.root, &packages).map_err(Error::new)
}

/// Where `harness` leaves the sites that it reached.
fn hits_directory(workspace: &Workspace, harness: &str) -> PathBuf {
    workspace.target.join("coverage").join(harness)
}

/// Subjects of scenarios that prove the harness, not the code: what they reach does not count.
const TWINS: &[&str] = &["broken__", "twin__"];

/// The hits in a directory; none if there is no file in it.
fn read_hits(directory: &Path) -> Result<Option<Hits>, Error> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(None) };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json") && !TWINS.iter().any(|twin| name.starts_with(twin))
    });
    files.sort();
    let mut hits = None;
    for file in files {
        let found = Hits::read(&file).map_err(|error| Error::new(error.to_string()))?;
        hits.get_or_insert_with(Hits::default)
            .merge(found)
            .map_err(|error| Error::new(format!("{}: {error}", file.display())))?;
    }
    Ok(hits)
}

/// Prints the table, the gaps, and what makes them wrong.
fn print(catalogue: &Catalogue, report: &Report<'_>) {
    println!("{}", raddle_coverage::table(catalogue, report));
    print!("{}", raddle_coverage::gaps(catalogue, report));
    let excluded = raddle_coverage::excluded(report);
    if !excluded.is_empty() {
        print!("excluded:\n{excluded}");
    }
    for claim in &report.unchecked {
        println!("unchecked: {claim}");
    }
    for error in &report.errors {
        println!("error: {error}");
    }
}

fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path)
        .map_err(|error| Error::new(format!("cannot make {}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))
}
