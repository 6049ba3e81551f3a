//! How an execution was set up, in words: what decides it besides seed and decisions.

use core::time::Duration;

use raddle_platform::Platform;
use siphasher::sip::SipHasher24;

use super::error::Error;
use crate::control::Script;
use crate::platform::Sim;
use crate::simulation::{Granularity, Limits, Simulation};

/// Names and values, by name. Two executions with the same scenario, seed, decisions and settings
/// are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Settings(pub(crate) Vec<(String, String)>);

const GRANULARITY: &str = "granularity";
const STEPS: &str = "steps";
const VIRTUAL_NS: &str = "virtual_ns";
const SPURIOUS_WAKES: &str = "spurious_wakes";
const FAULTS: &str = "faults";
/// The orders of whoever held time, if somebody did.
const CONTROL: &str = "control";
/// Not a setting of the simulation, but of the world itself: queues and budgets have their sizes
/// from it.
const BOUNDS: &str = "bounds";

impl Simulation {
    /// Lets no watchdog end the process: somebody looks on, and may stop to think.
    pub fn unwatched(mut self) -> Self {
        self.limits.silence = Duration::MAX;
        self
    }
}

impl Settings {
    /// Those of a simulation.
    pub fn of(simulation: &Simulation) -> Self {
        let granularity = match simulation.granularity {
            Granularity::Atomics => "atomics",
            Granularity::Blocking => "blocking",
        };
        let mut settings = Self::default();
        settings.set(BOUNDS, format!("{:?}", Sim::BOUNDS));
        settings.set(GRANULARITY, granularity.to_owned());
        settings.set(STEPS, simulation.limits.steps.to_string());
        settings.set(VIRTUAL_NS, simulation.limits.virtual_ns().to_string());
        settings.set(SPURIOUS_WAKES, simulation.spurious_wakes.to_string());
        settings.set(FAULTS, simulation.faults.to_string());
        if !simulation.script.is_empty() {
            settings.set(CONTROL, simulation.script.to_string());
        }
        settings
    }

    /// Sets one of them.
    pub fn set(&mut self, name: &str, value: String) {
        match self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name.to_owned(), value)),
        }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The configuration hash.
    pub fn hash(&self) -> u64 {
        SipHasher24::new_with_keys(0x7365_7474, 0x696e_6773).hash(self.text().as_bytes())
    }

    /// All of them by name, each on a line of its own, as `name=value`: what is hashed.
    pub(crate) fn text(&self) -> String {
        self.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// What differs: the setting, its value here, and there.
    pub fn differences(&self, other: &Self) -> Vec<(String, String, String)> {
        let mut names: Vec<_> = self.iter().chain(other.iter()).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let value =
            |settings: &Self, name: &str| settings.get(name).unwrap_or("nothing").to_owned();
        let differs = |name: &&str| self.get(name) != other.get(name);
        let row = |name: &str| (name.to_owned(), value(self, name), value(other, name));
        names.into_iter().filter(differs).map(row).collect()
    }

    /// A simulation with these settings.
    ///
    /// # Errors
    /// There is one that this build does not know, or whose value is another here and cannot be
    /// chosen.
    pub fn simulation(&self) -> Result<Simulation, Error> {
        let number = |name| self.get(name).and_then(|value| value.parse::<u64>().ok());
        let mut limits = Limits::default();
        limits.steps = number(STEPS).unwrap_or(limits.steps);
        limits.virtual_time = number(VIRTUAL_NS).map_or(limits.virtual_time, Duration::from_nanos);
        let granularity = match self.get(GRANULARITY) {
            Some("blocking") => Granularity::Blocking,
            _ => Granularity::Atomics,
        };
        let faults = self.get(FAULTS).and_then(|faults| faults.parse().ok()).unwrap_or_default();
        let simulation = Simulation::new()
            .faults(faults)
            .limits(limits)
            .granularity(granularity)
            .spurious_wakes(self.get(SPURIOUS_WAKES) != Some("false"))
            .scripted(self.script());
        self.compare(&Self::of(&simulation))?;
        Ok(simulation)
    }

    /// The orders of whoever held time; none, if they cannot be read.
    pub(crate) fn script(&self) -> Script {
        self.get(CONTROL).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Refuses settings other than these.
    pub(crate) fn compare(&self, found: &Self) -> Result<(), Error> {
        match self.differences(found) {
            settings if settings.is_empty() => Ok(()),
            settings => Err(Error::ConfigurationMismatch { settings }),
        }
    }
}
