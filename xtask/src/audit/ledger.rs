//! What is known of the mutants from earlier runs, in a file of the target directory.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cannot;
use super::mutants::Mutant;
use crate::Error;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fate {
    /// A scenario failed.
    Killed,
    /// All scenarios that come there held, in every execution within their bounds.
    Survived,
    /// No scenario failed until the time was up. Counts as survived.
    BudgetSpent,
    /// No execution did anything other than the code says. Counts as survived.
    NotReached,
}

/// One mutant, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    /// `file:line:column`.
    pub(crate) site: String,
    pub(crate) function: String,
    pub(crate) operation: String,
    pub(crate) change: String,
    pub(crate) fate: Fate,
    /// The scenario that failed.
    pub(crate) killer: Option<String>,
    /// How it failed.
    pub(crate) message: Option<String>,
    /// What the source says of it, if it survives.
    pub(crate) explanation: Option<String>,
    /// How many scenarios come there.
    pub(crate) scenarios: usize,
    pub(crate) seconds: f64,
}

impl Row {
    /// Neither killed nor explained.
    pub(crate) fn is_bad(&self) -> bool {
        self.fate != Fate::Killed && self.explanation.is_none()
    }

    /// The file of the site.
    pub(crate) fn file(&self) -> &str {
        self.site.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Killed => "killed",
            Fate::Survived => "survived",
            Fate::BudgetSpent => "budget spent",
            Fate::NotReached => "not reached",
        };
        let Self { site, function, operation, change, scenarios, seconds, .. } = self;
        write!(
            f,
            "{fate:<12} {site}={change}  {operation} in {function}, {scenarios} scenarios, \
             {seconds:.1} s"
        )?;
        match &self.explanation {
            Some(reason) if self.fate != Fate::Killed => write!(f, "  explained: {reason}"),
            _ => Ok(()),
        }
    }
}

/// What is kept of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    row: Row,
    /// Of the program that it was found with.
    binary: u64,
    /// Of the text of the site's file.
    file: u64,
    /// The time that was given.
    budget: f64,
}

/// See the module.
pub(crate) struct Ledger {
    path: PathBuf,
    root: PathBuf,
    binary: u64,
    kept: BTreeMap<String, Kept>,
    /// The time that this run gives.
    budget: f64,
}

impl Ledger {
    /// Reads the file, if there is one.
    pub(crate) fn read(path: &Path, root: &Path, binary: u64, budget: f64) -> Result<Self, Error> {
        let kept = match fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| cannot(path, &error))?,
            Err(_) => BTreeMap::new(),
        };
        Ok(Self { path: path.to_path_buf(), root: root.to_path_buf(), binary, kept, budget })
    }

    /// Whether the mutant need not be run: this very program has been asked, for as long; or
    /// (`changed`) it was killed, and its file is as it was.
    pub(crate) fn knows(&self, mutant: &Mutant, changed: bool) -> bool {
        self.kept.get(&mutant.id).is_some_and(|kept| {
            let killed = kept.row.fate == Fate::Killed;
            let same = kept.binary == self.binary && (killed || kept.budget >= self.budget);
            let as_before = || kept.file == hash_of(&self.root.join(&mutant.site.file));
            same || changed && killed && as_before()
        })
    }

    /// The scenario that killed the mutant the last time.
    pub(crate) fn killer(&self, mutant: &Mutant) -> Option<String> {
        self.kept.get(&mutant.id)?.row.killer.clone()
    }

    /// Keeps a row.
    pub(crate) fn add(&mut self, mutant: &Mutant, row: Row) -> Result<(), Error> {
        let file = hash_of(&self.root.join(&mutant.site.file));
        let kept = Kept { row, binary: self.binary, file, budget: self.budget };
        self.kept.insert(mutant.id.clone(), kept);
        let json = serde_json::to_vec(&self.kept).map_err(|error| cannot(&self.path, &error))?;
        // Written beside and moved, so that a run that is stopped leaves a whole file.
        let new = self.path.with_extension("new");
        fs::write(&new, json).map_err(|error| cannot(&new, &error))?;
        fs::rename(&new, &self.path).map_err(|error| cannot(&self.path, &error))
    }

    /// What is known of the mutant, at its place of today.
    pub(crate) fn row(&self, mutant: &Mutant) -> Option<Row> {
        let mut row = self.kept.get(&mutant.id)?.row.clone();
        row.site = mutant.site.to_string();
        row.explanation = mutant.explanation.clone();
        Some(row)
    }
}

/// Of the bytes of a file; 0 if there is none.
fn hash_of(file: &Path) -> u64 {
    let Ok(bytes) = fs::read(file) else { return 0 };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
