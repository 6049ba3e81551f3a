//! What can be wrong with a trace.

use core::fmt;
use std::io;
use std::path::PathBuf;

use super::header::Build;
use crate::divergence::Divergence;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub(crate) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What is missing of a file that was cut off or damaged.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Loss {
    /// Where in the file the damage begins.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
    /// How many bytes were not used.
    pub bytes: u64,
    /// How many decisions were read.
    pub decisions_read: u64,
    /// How many there were, if the rest of the file says so.
    pub decisions_recorded: Option<u64>,
    /// Whether only observation events are missing: then the trace can be replayed as it is.
    pub only_events: bool,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, reason, bytes, decisions_read, .. } = self;
        write!(f, "damaged at byte {offset} ({reason}): {bytes} bytes were not read; ")?;
        match self.decisions_recorded {
            _ if self.only_events => write!(f, "all decisions are there, some events are not"),
            Some(all) => write!(f, "the first {decisions_read} of {all} decisions are there"),
            None => {
                write!(f, "the first {decisions_read} decisions are there, and nobody knows how ")?;
                f.write_str("many there were")
            }
        }
    }
}

/// Why a trace cannot be read, or cannot be replayed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system says no.
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file is something else.
    NoTrace,
    /// The file is in another version of the format.
    VersionMismatch {
        /// What this build reads.
        expected: u16,
        /// What the file is.
        found: u16,
    },
    /// The file ends, or is damaged, before the end of its header.
    NoHeader {
        /// What is wrong.
        reason: String,
    },
    /// The trace is damaged, and not all decisions are there.
    Damaged {
        /// What is missing.
        reason: String,
    },
    /// The trace is of another scenario.
    ScenarioMismatch {
        /// The trace's.
        recorded: String,
        /// The one that it was to be replayed with.
        found: String,
    },
    /// The trace was recorded by a program built from other sources.
    BuildMismatch {
        /// The trace's.
        recorded: Box<Build>,
        /// This one.
        found: Box<Build>,
    },
    /// The trace was recorded with other settings, or under other defaults.
    ConfigurationMismatch {
        /// What differs: the setting, what was recorded, and what there is here.
        settings: Vec<(String, String, String)>,
    },
    /// The execution asks for one more decision than the trace has.
    UnexpectedEnd(Box<Divergence>),
    /// The execution asks for another decision than the trace has, or came to it another way.
    Divergence(Box<Divergence>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoTrace => f.write_str(
                "this is no trace file: it does not begin as one. `cargo xtask vopr` writes traces \
                 of failures, `cargo xtask replay FILE --record OUT` writes one from another",
            ),
            Self::VersionMismatch { expected, found } => write!(
                f,
                "the trace is in version {found} of the format, and this build reads version \
                 {expected}: read it with the commit that wrote it, or record it again from its \
                 scenario and seed (`cargo xtask vopr --scenario … --seed …`)"
            ),
            Self::NoHeader { reason } => write!(
                f,
                "the trace's header cannot be read ({reason}), so nobody knows what it is a trace \
                 of: take another copy of the file, or record it again"
            ),
            Self::Damaged { reason } => f.write_str(reason),
            Self::ScenarioMismatch { recorded, found } => write!(
                f,
                "the trace is of the scenario {recorded:?}, not of {found:?}: replay it with that \
                 one; if the scenario was renamed, name it with --scenario"
            ),
            Self::BuildMismatch { recorded, found } => write!(
                f,
                "the trace was recorded by build {recorded}, and this is build {found}: check out \
                 the commit of the first, or pass --any-build to replay it with this one (which \
                 works as long as the same operations are done, and ends in a report of the first \
                 other one if not)"
            ),
            Self::ConfigurationMismatch { settings } => {
                f.write_str("the trace was recorded with other settings:")?;
                for (name, recorded, found) in settings {
                    write!(f, "\n  {name}: recorded {recorded:?}, here {found:?}")?;
                }
                f.write_str(
                    "\ntake the settings from the trace (`Recording::simulation`); if it is a \
                     default of the simulator that has changed, replay with the trace's commit",
                )
            }
            Self::UnexpectedEnd(divergence) => write!(
                f,
                "unexpected end of the trace: {divergence}\nif the file was cut off, `cargo xtask \
                 trace info` says so; otherwise the program does more now than it did"
            ),
            Self::Divergence(divergence) => write!(
                f,
                "the execution diverges from its trace: {divergence}\nthe program or its platform \
                 has changed since, or does something that the simulator does not control"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}
