//! `repro_manifest.json`: what a run was, how to run it again, and digests of the files beside it.
//!
//! All digests are SHA-256, as `sha256:` and 64 hexadecimal digits, and anybody can check them
//! (`sha256sum`): those of files are of their bytes, and `config_hash` is of the settings, by name,
//! each on a line as `name=value`.

use core::fmt::{self, Write as _};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::trace::{self, Build, Header, Settings};

/// The version of the manifest.
pub(crate) const SCHEMA_VERSION: u32 = 1;
/// The names of the files beside it.
pub(crate) const TRACE: &str = "trace";
pub(crate) const LOG: &str = "event_log.txt";
pub(crate) const ASSERTIONS: &str = "failed_assertions.json";
pub(crate) const INPUTS: &str = "inputs.bin";

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of this schema.
    pub schema_version: u32,
    /// The version of the trace's format.
    pub trace_schema: u16,
    /// The test.
    pub test_id: String,
    /// The scenario that the trace is of.
    pub scenario_id: String,
    /// The root seed.
    pub seed: u64,
    /// What is derived from it for the scheduler, the program, the faults and the clients.
    pub schedule_seed: u64,
    /// See [`schedule_seed`](Self::schedule_seed).
    pub entropy_seed: u64,
    /// See [`schedule_seed`](Self::schedule_seed).
    pub fault_seed: u64,
    /// See [`schedule_seed`](Self::schedule_seed).
    pub fuzz_seed: u64,
    /// All derived seeds, by purpose.
    pub derived_seeds: BTreeMap<String, u64>,
    /// The digest of the settings.
    pub config_hash: String,
    /// The settings.
    pub configuration: BTreeMap<String, String>,
    /// The digest of the trace file.
    pub trace_fingerprint: String,
    /// The digest of the input file.
    pub input_digest: Option<String>,
    /// The digests of all files, by name.
    pub files: BTreeMap<String, String>,
    /// The certificate of the execution: another trace file of the same execution has the same.
    pub certificate: String,
    /// Which oracles spoke.
    pub oracle_violations: Vec<String>,
    /// Whether none did.
    pub passed: bool,
    /// What was tested.
    pub subsystem: String,
    /// What must hold.
    pub invariant: String,
    /// The trace, beside the manifest.
    pub trace_file: String,
    /// What the test was given besides the seed, beside the manifest.
    pub input_file: Option<String>,
    /// What of the environment matters: names and values.
    pub env_snapshot: Vec<(String, String)>,
    /// How far the run came.
    pub phases_executed: Vec<String>,
    /// The message of the oracle.
    pub failure_reason: Option<String>,
    /// The step of the failure, or of the end.
    pub step: u64,
    /// How many decisions were taken.
    pub decisions: u64,
    /// How far the clock went.
    pub virtual_ns: u64,
    /// What the program showed of itself, by name.
    pub state: BTreeMap<String, String>,
    /// Which program it was.
    pub build: Build,
    /// The command that replays it.
    pub replay_command: String,
    /// The command that runs the seed again.
    pub rerun_command: String,
}

/// Why a manifest cannot be believed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Untrue {
    /// It cannot be read.
    Io {
        /// The manifest.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It is no manifest, or one of another version.
    NoManifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The files beside it are not those that it was written for.
    Files {
        /// The manifest.
        path: PathBuf,
        /// For each file that differs, what is wrong with it.
        differences: Vec<(PathBuf, String)>,
    },
    /// The trace is of something else than the manifest says.
    Trace {
        /// What differs: the field, what the manifest says, and what the trace has.
        differences: Vec<(&'static str, String, String)>,
    },
}

impl Manifest {
    /// Reads the manifest at `path`, and verifies the digests of all files that it names: nothing
    /// that came after the run, or from another one, is taken for what the run left.
    ///
    /// # Errors
    /// All but [`Untrue::Trace`].
    pub fn load(path: &Path) -> Result<Self, Untrue> {
        let owned = || path.to_owned();
        let bytes = std::fs::read(path).map_err(|error| Untrue::Io { path: owned(), error })?;
        let wrong = |reason: String| Untrue::NoManifest { path: owned(), reason };
        /// What all versions have.
        #[derive(Deserialize)]
        struct Versions {
            schema_version: u32,
            trace_schema: u16,
        }
        let versions: Versions =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if versions.schema_version != SCHEMA_VERSION {
            let found = versions.schema_version;
            return Err(wrong(format!(
                "it has version {found} of the schema, and this build reads {SCHEMA_VERSION}"
            )));
        }
        if versions.trace_schema != trace::VERSION {
            let (found, expected) = (versions.trace_schema, trace::VERSION);
            return Err(wrong(format!(
                "its trace is in version {found} of the format, and this build reads {expected}"
            )));
        }
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let differences = manifest.differences(path);
        match differences.is_empty() {
            true => Ok(manifest),
            false => Err(Untrue::Files { path: owned(), differences }),
        }
    }

    /// The trace of the manifest at `path`.
    pub fn trace(&self, path: &Path) -> PathBuf {
        beside(path, &self.trace_file)
    }

    fn differences(&self, path: &Path) -> Vec<(PathBuf, String)> {
        let mut named: Vec<_> = self.files.iter().collect();
        // Said twice, and both must hold.
        named.push((&self.trace_file, &self.trace_fingerprint));
        named.extend(self.input_file.iter().zip(&self.input_digest));
        let mut all = Vec::new();
        for (name, recorded) in named {
            let file = beside(path, name);
            let why = match digest_of(&file) {
                Err(error) => error.to_string(),
                Ok(found) if found != *recorded => {
                    format!("its digest is {found}, and the manifest has {recorded}")
                }
                Ok(_) => continue,
            };
            if !all.contains(&(file.clone(), why.clone())) {
                all.push((file, why));
            }
        }
        if self.input_file.is_some() != self.input_digest.is_some() {
            let name = self.input_file.as_deref().unwrap_or(INPUTS);
            let why = "the manifest has only one of input_file and input_digest".to_owned();
            all.push((beside(path, name), why));
        }
        all
    }

    /// Refuses a trace of another scenario, seed or configuration than the manifest's.
    ///
    /// # Errors
    /// [`Untrue::Trace`].
    pub fn verify(&self, header: &Header) -> Result<(), Untrue> {
        let pairs = [
            ("scenario_id", self.scenario_id.clone(), header.scenario.clone()),
            ("seed", format!("{:#x}", self.seed), format!("{:#x}", header.seed)),
            ("config_hash", self.config_hash.clone(), configuration_digest(&header.settings)),
        ];
        let differs = |(_, said, found): &(&str, String, String)| said != found;
        let differences: Vec<_> = pairs.into_iter().filter(differs).collect();
        match differences.is_empty() {
            true => Ok(()),
            false => Err(Untrue::Trace { differences }),
        }
    }
}

fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

fn text(hash: Sha256) -> String {
    let mut text = "sha256:".to_owned();
    for byte in hash.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The digest of a file's bytes.
pub(crate) fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut block) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(text(hash)),
            Ok(count) => hash.update(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The digest of settings.
pub(crate) fn configuration_digest(settings: &Settings) -> String {
    text(Sha256::new_with_prefix(settings.text()))
}

impl fmt::Display for Untrue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoManifest { path, reason } => write!(
                f,
                "{}: this is no manifest that can be read here: {reason}. Its trace file may be: \
                 name that instead, or run the seed again",
                path.display()
            ),
            Self::Files { path, differences } => {
                write!(f, "{}: files beside it are not those of its run:", path.display())?;
                for (file, why) in differences {
                    write!(f, "\n  {}: {why}", file.display())?;
                }
                f.write_str(
                    "\ntake another copy of the directory, or run the seed again; to replay the \
                     trace as it is, name the trace file instead of the manifest",
                )
            }
            Self::Trace { differences } => {
                f.write_str("the trace is of another run than the manifest says:")?;
                for (field, said, found) in differences {
                    write!(f, "\n  {field}: the manifest has {said}, the trace {found}")?;
                }
                f.write_str("\nto replay the trace as it is, name it instead of the manifest")
            }
        }
    }
}

impl core::error::Error for Untrue {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{configuration_digest, text};
    use crate::trace::Settings;

    #[test]
    fn digests_are_those_of_the_standard() {
        // FIPS 180-2, appendix B.1; and of nothing.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(text(Sha256::new_with_prefix("abc")), abc);
        let nothing = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(configuration_digest(&Settings::default()), nothing);
    }
}
