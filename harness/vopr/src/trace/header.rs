//! What a trace is of, and what came of it.

use core::fmt;

use super::error::{Broken, Error};
use super::fields::{self, Fields};
use super::settings::Settings;
use super::varint::{Bytes, put_text};
use crate::decisions::Certificate;
use crate::report::{Failure, Report};
use crate::simulation::Simulation;
use crate::strategy::Strategy;

/// Which program recorded a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Build {
    /// The version of the package.
    pub version: String,
    /// A hash of all sources that the execution of a scenario depends on. It decides whether two
    /// builds are the same.
    pub sources: String,
    /// The commit, for a reader to go back to. A `+` says that files differed from it. Empty where
    /// nobody knew.
    pub commit: String,
}

impl Build {
    /// This one.
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sources: env!("RADDLE_SOURCES").to_owned(),
            commit: env!("RADDLE_COMMIT").to_owned(),
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, sources, commit } = self;
        write!(f, "{version} (sources {sources}")?;
        match commit.is_empty() {
            true => f.write_str(")"),
            false => write!(f, ", commit {commit})"),
        }
    }
}

/// What a trace is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Header {
    /// The scenario, or the name of the test.
    pub scenario: String,
    /// Who recorded it.
    pub build: Build,
    /// The settings.
    pub settings: Settings,
    /// The hash of the settings.
    pub configuration: u64,
    /// The root seed.
    pub seed: u64,
    /// Who took the decisions. A replay does not need to know.
    pub strategy: String,
}

const SCENARIO: u64 = 1;
const VERSION: u64 = 2;
const SOURCES: u64 = 3;
const COMMIT: u64 = 4;
const SEED: u64 = 5;
const STRATEGY: u64 = 6;
const CONFIGURATION: u64 = 7;
/// Once for each setting: name and value.
const SETTING: u64 = 8;

impl Header {
    /// That of a simulation of `scenario`, by this build.
    pub fn new(scenario: &str, simulation: &Simulation, seed: u64) -> Self {
        let settings = Settings::of(simulation);
        Self {
            scenario: scenario.to_owned(),
            build: Build::current(),
            configuration: settings.hash(),
            settings,
            seed,
            strategy: name(&simulation.strategy),
        }
    }

    /// Refuses a scenario other than the trace's.
    ///
    /// # Errors
    /// [`Error::ScenarioMismatch`].
    pub fn verify_scenario(&self, scenario: &str) -> Result<(), Error> {
        match self.scenario == scenario {
            true => Ok(()),
            false => Err(Error::ScenarioMismatch {
                recorded: self.scenario.clone(),
                found: scenario.to_owned(),
            }),
        }
    }

    /// Refuses a build other than this one.
    ///
    /// # Errors
    /// [`Error::BuildMismatch`].
    pub fn verify_build(&self) -> Result<(), Error> {
        let (recorded, found) = (Box::new(self.build.clone()), Box::new(Build::current()));
        match recorded.sources == found.sources {
            true => Ok(()),
            false => Err(Error::BuildMismatch { recorded, found }),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        fields.text(SCENARIO, &self.scenario);
        fields.text(VERSION, &self.build.version);
        fields.text(SOURCES, &self.build.sources);
        fields.text(COMMIT, &self.build.commit);
        fields.number(SEED, self.seed);
        fields.text(STRATEGY, &self.strategy);
        fields.number(CONFIGURATION, self.configuration);
        for (name, value) in self.settings.iter() {
            let mut pair = Vec::new();
            put_text(&mut pair, name);
            put_text(&mut pair, value);
            fields.bytes(SETTING, &pair);
        }
        fields.0
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Broken> {
        let mut header = Self::default();
        fields::read(payload, |tag, mut bytes| {
            let bytes: &mut Bytes<'_> = &mut bytes;
            match tag {
                SCENARIO => header.scenario = fields::text(bytes)?,
                VERSION => header.build.version = fields::text(bytes)?,
                SOURCES => header.build.sources = fields::text(bytes)?,
                COMMIT => header.build.commit = fields::text(bytes)?,
                SEED => header.seed = bytes.number()?,
                STRATEGY => header.strategy = fields::text(bytes)?,
                CONFIGURATION => header.configuration = bytes.number()?,
                SETTING => {
                    let name = bytes.text()?.to_owned();
                    header.settings.0.push((name, bytes.text()?.to_owned()));
                }
                _ => {}
            }
            Ok(())
        })?;
        if !header.settings.0.is_sorted() || header.settings.hash() != header.configuration {
            return Err(Broken("the settings are not those of the configuration hash"));
        }
        Ok(header)
    }
}

/// As the command line names it.
fn name(strategy: &Strategy) -> String {
    match strategy {
        Strategy::Pct { depth } => format!("pct:{depth}"),
        Strategy::RoundRobin => "round-robin".to_owned(),
        Strategy::Replay(_) => "replay".to_owned(),
        Strategy::Prefix { .. } => "prefix".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// What came of an execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ending {
    /// How many decisions were taken.
    pub decisions: u64,
    /// How many operations were done.
    pub steps: u64,
    /// The certificate.
    pub certificate: Certificate,
    /// How far the clock went.
    pub virtual_ns: u64,
    /// How many observation events are in the file.
    pub events: u64,
    /// How many were left out, because there was no room or the recording had not begun.
    pub events_dropped: u64,
    /// How it failed, if it did.
    pub failure: Option<Ended>,
}

/// A failure, as a trace keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ended {
    /// Which oracle spoke.
    pub kind: String,
    /// The step at which it failed.
    pub step: u64,
    /// The oracle's message. Of a long one, the beginning.
    pub message: String,
}

/// Longer messages are cut.
const MESSAGE_BYTES: usize = 16 * 1024;

impl Ended {
    fn new(failure: &Failure) -> Self {
        let message = failure.message();
        let end = message.floor_char_boundary(MESSAGE_BYTES);
        let (kind, step) = (failure.kind.to_string(), failure.step);
        Self { kind, step, message: message[..end].to_owned() }
    }
}

const DECISIONS: u64 = 1;
const STEPS: u64 = 2;
const CERTIFICATE: u64 = 3;
const VIRTUAL: u64 = 4;
const EVENTS: u64 = 5;
const DROPPED: u64 = 6;
const KIND: u64 = 7;
const STEP: u64 = 8;
const MESSAGE: u64 = 9;

impl Ending {
    /// That of an execution.
    pub fn new(report: &Report) -> Self {
        let events = report.events.as_ref();
        Self {
            decisions: report.decisions,
            steps: report.steps,
            certificate: report.certificate,
            virtual_ns: u64::try_from(report.virtual_time.as_nanos()).unwrap_or(u64::MAX),
            events: events.map_or(0, |events| events.count()),
            events_dropped: events.map_or(0, |events| events.dropped()),
            failure: report.failure().map(Ended::new),
        }
    }

    /// Whether another execution came to the same end, whatever was observed of it.
    pub fn same(&self, other: &Self) -> bool {
        let of = |ending: &Self| {
            let Self { decisions, steps, certificate, virtual_ns, failure, .. } = ending.clone();
            (decisions, steps, certificate, virtual_ns, failure)
        };
        of(self) == of(other)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        fields.number(DECISIONS, self.decisions);
        fields.number(STEPS, self.steps);
        fields.number(CERTIFICATE, self.certificate.bits());
        fields.number(VIRTUAL, self.virtual_ns);
        fields.number(EVENTS, self.events);
        fields.number(DROPPED, self.events_dropped);
        if let Some(Ended { kind, step, message }) = &self.failure {
            fields.text(KIND, kind);
            fields.number(STEP, *step);
            fields.text(MESSAGE, message);
        }
        fields.0
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Broken> {
        let mut ending = Self::default();
        let mut failure = Ended::default();
        fields::read(payload, |tag, mut bytes| {
            let bytes: &mut Bytes<'_> = &mut bytes;
            match tag {
                DECISIONS => ending.decisions = bytes.number()?,
                STEPS => ending.steps = bytes.number()?,
                CERTIFICATE => ending.certificate = Certificate::from_bits(bytes.number()?),
                VIRTUAL => ending.virtual_ns = bytes.number()?,
                EVENTS => ending.events = bytes.number()?,
                DROPPED => ending.events_dropped = bytes.number()?,
                KIND => failure.kind = fields::text(bytes)?,
                STEP => failure.step = bytes.number()?,
                MESSAGE => failure.message = fields::text(bytes)?,
                _ => {}
            }
            Ok(())
        })?;
        ending.failure = (!failure.kind.is_empty()).then_some(failure);
        Ok(ending)
    }
}
