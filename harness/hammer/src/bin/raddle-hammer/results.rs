//! What children tell and what the file holds.

use std::collections::BTreeMap;

use raddle_hammer::Visits;
use serde::{Deserialize, Serialize};

/// What a child tells at its end.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Ran {
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) delays: u64,
    pub(crate) resident_kib: (u64, u64),
    pub(crate) sites: Vec<SiteRow>,
    /// How often each loop of the platform itself has waited.
    pub(crate) waits: Vec<(String, u64)>,
}

/// What `--sites` writes.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Sites {
    pub(crate) sites: Vec<SiteRow>,
    pub(crate) waits: BTreeMap<String, u64>,
    /// The wait loops that each program says it covers.
    pub(crate) covers: BTreeMap<&'static str, &'static [&'static str]>,
}

/// A site and its visits.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SiteRow {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) visits: u64,
}

impl From<Visits> for SiteRow {
    fn from(site: Visits) -> Self {
        Self { file: site.file, line: site.line, column: site.column, visits: site.count }
    }
}

/// The results, as `--json` writes them.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) sanitizer: &'static str,
    /// Whether the planted bugs were reported.
    pub(crate) active: bool,
    pub(crate) seed: String,
    pub(crate) scenarios: Vec<Row>,
    pub(crate) left_out: Vec<LeftOut>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    pub(crate) races: usize,
    pub(crate) delays: u64,
    /// Resident memory after a minute (or half of the time, if that is less) and at the end.
    pub(crate) resident_kib: (u64, u64),
    /// What is wrong; nothing if all is well.
    pub(crate) failure: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) name: &'static str,
    pub(crate) reason: String,
}
