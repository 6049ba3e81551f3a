//! What a harness reached: platform operations by their sites.
//!
//! A harness notes each operation with [`Hits::note`], writes the hits of a process to a file, and
//! whoever wants the whole [merges](Hits::merge) the files. A site is where the production code
//! calls the platform, as `Location::caller()` says it: the column is that of the method's name.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::panic::Location;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place in a source file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// Relative to the root of the workspace.
    pub file: String,
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl From<&Location<'_>> for Site {
    fn from(location: &Location<'_>) -> Self {
        let (line, column) = (location.line(), location.column());
        Self { file: location.file().to_owned(), line, column }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let site = || {
            let mut parts = text.rsplitn(3, ':');
            let column = parts.next()?.parse().ok()?;
            let line = parts.next()?.parse().ok()?;
            let file = parts.next().filter(|file| !file.is_empty())?.to_owned();
            Some(Self { file, line, column })
        };
        site().ok_or_else(|| format!("{text:?} is no site: write `file:line:column`"))
    }
}

/// What a site does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The method of the platform: `load`, `compare_exchange_weak`, `fence`, `retry`, …
    pub name: String,
    /// As they are written at the site: two for a compare-exchange, none where there is none.
    pub orderings: Vec<String>,
}

/// How often a site was reached, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// What was done there.
    pub operation: Operation,
    /// How often.
    pub count: u64,
    /// How many compare-exchanges took effect.
    pub succeeded: u64,
    /// How many compare-exchanges found another value.
    pub failed: u64,
    /// The threads that did it, one bit each; bit 0 is the main thread's.
    pub threads: u64,
}

/// What a harness reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    sites: BTreeMap<Site, Hit>,
}

impl Hits {
    /// Adds `hit` to what is known of `site`.
    ///
    /// # Errors
    /// The site is known for another operation: the hits are of two versions of the source.
    pub fn note(&mut self, site: Site, hit: Hit) -> Result<(), String> {
        let Some(known) = self.sites.get_mut(&site) else {
            self.sites.insert(site, hit);
            return Ok(());
        };
        if known.operation != hit.operation {
            let (one, other) = (&known.operation.name, &hit.operation.name);
            return Err(format!("{site} is `{one}` and `{other}`: hits of two versions"));
        }
        known.count += hit.count;
        known.succeeded += hit.succeeded;
        known.failed += hit.failed;
        known.threads |= hit.threads;
        Ok(())
    }

    /// Adds all hits of `other`.
    ///
    /// # Errors
    /// As [`note`](Self::note).
    pub fn merge(&mut self, other: Self) -> Result<(), String> {
        other.sites.into_iter().try_for_each(|(site, hit)| self.note(site, hit))
    }

    /// What is known of `site`.
    pub fn get(&self, site: &Site) -> Option<&Hit> {
        self.sites.get(site)
    }

    /// All sites that were reached, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = (&Site, &Hit)> {
        self.sites.iter()
    }

    /// How many sites were reached.
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Whether none was reached.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// Writes a file that [`read`](Self::read) understands.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let rows: Vec<_> = self.iter().map(|(site, hit)| Row::of(site, hit)).collect();
        let mut json = serde_json::to_vec(&rows)?;
        json.push(b'\n');
        fs::write(file, json)
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// Those of reading; [`InvalidData`](io::ErrorKind::InvalidData) if it is no file of hits.
    pub fn read(file: &Path) -> io::Result<Self> {
        let invalid = |why: String| {
            let message = format!("{} is no file of hits: {why}", file.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let rows: Vec<Row> =
            serde_json::from_slice(&fs::read(file)?).map_err(|error| invalid(error.to_string()))?;
        let mut hits = Self::default();
        for Row { site, hit } in rows {
            hits.note(site, hit).map_err(invalid)?;
        }
        Ok(hits)
    }
}

/// One line of the file: JSON objects have no structured keys.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(flatten)]
    site: Site,
    #[serde(flatten)]
    hit: Hit,
}

impl Row {
    fn of(site: &Site, hit: &Hit) -> Self {
        Self { site: site.clone(), hit: hit.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hit, Hits, Operation, Site};

    fn hit(name: &str) -> Hit {
        let operation = Operation { name: name.to_owned(), orderings: vec!["Acquire".to_owned()] };
        Hit { operation, count: 3, succeeded: 1, failed: 2, threads: 0b10 }
    }

    fn site() -> Site {
        "crates/a/src/lib.rs:12:5".parse().expect("a site")
    }

    #[test]
    fn a_site_is_read_as_it_is_written() {
        assert_eq!(site().to_string(), "crates/a/src/lib.rs:12:5");
        for wrong in ["", "a.rs", "a.rs:1", ":1:2", "a.rs:x:2"] {
            assert!(wrong.parse::<Site>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hits_add_up() {
        let mut hits = Hits::default();
        hits.note(site(), hit("load")).expect("new");
        hits.note(site(), Hit { threads: 1, ..hit("load") }).expect("the same operation");
        let both = hits.get(&site()).expect("reached");
        assert_eq!((both.count, both.succeeded, both.failed, both.threads), (6, 2, 4, 3));
        assert!(hits.note(site(), hit("store")).is_err());
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let file = std::env::temp_dir().join(format!("raddle-hits-{}", std::process::id()));
        let mut hits = Hits::default();
        hits.note(site(), hit("load")).expect("new");
        hits.write(&file).expect("written");
        assert_eq!(Hits::read(&file).expect("read"), hits);
        std::fs::write(&file, "{}").expect("written");
        assert!(Hits::read(&file).is_err());
        std::fs::remove_file(&file).expect("removed");
    }
}
