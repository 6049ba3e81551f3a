//! What the delays are made of, and where it is set.

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use core::time::Duration;
use std::hash::Hasher;

use crate::mix::Mixer;

/// How the hammer strikes. Where nothing is set it does not: then a site costs one branch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What all decisions are derived from; none turns them off.
    pub seed: Option<u64>,
    /// Each sleep is shorter than this.
    pub max: Duration,
    /// The share of visits at which nothing is done, in `[0, 1)`.
    pub zero_bias: f64,
    /// Who goes first where the runtime may choose.
    pub priority: Priority,
}

/// Policies of the choice of the next task and worker, after those that namazu has for threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// The one that the seed picks.
    #[default]
    BySeed,
    /// As in production.
    Off,
    /// Each alternative has a nice value, -20 to 19, and a share that is 1.25 times that of the next.
    Mild,
    /// Some alternatives always go first; the others share a twentieth of the choices.
    Extreme,
    /// Shares from a Dirichlet distribution, drawn anew at every tenth choice.
    Dirichlet,
}

impl Priority {
    const NAMED: [(&'static str, Self); 5] = [
        ("by-seed", Self::BySeed),
        ("off", Self::Off),
        ("mild", Self::Mild),
        ("extreme", Self::Extreme),
        ("dirichlet", Self::Dirichlet),
    ];

    /// The name in the environment and in reports.
    pub fn name(self) -> &'static str {
        let named = Self::NAMED.iter().find(|(_, policy)| *policy == self);
        named.map_or("", |(name, _)| name)
    }
}

/// A variable of the environment that cannot be used, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: None,
            max: Duration::from_millis(1),
            zero_bias: 0.99,
            priority: Priority::BySeed,
        }
    }
}

impl Settings {
    /// The usual ones with this seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// Those of `RADDLE_HAMMER_SEED`, `_MAX`, `_ZBIAS` and `_PRIORITY`.
    ///
    /// # Errors
    /// A value that is none.
    pub fn from_env() -> Result<Self, Unusable> {
        Self::from_variables(|name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// As [`from_env`](Self::from_env), with another environment.
    ///
    /// # Errors
    /// A value that is none.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Unusable> {
        let given = |name| get(name).filter(|value| !value.is_empty());
        let mut settings = Self::default();
        if let Some(seed) = given("RADDLE_HAMMER_SEED") {
            settings.seed = Some(seed_of(&seed));
        }
        if let Some(max) = given("RADDLE_HAMMER_MAX") {
            settings.max = duration_of(&max).ok_or_else(|| {
                let wants = "a duration, such as 1ms, 250us or 2s";
                Unusable(format!("RADDLE_HAMMER_MAX={max}: this wants {wants}"))
            })?;
        }
        if let Some(bias) = given("RADDLE_HAMMER_ZBIAS") {
            let parsed = bias.parse().ok().filter(|bias| (0.0..1.0).contains(bias));
            settings.zero_bias = parsed.ok_or_else(|| {
                let wants = "a number from 0 to below 1, such as 0.99";
                Unusable(format!("RADDLE_HAMMER_ZBIAS={bias}: this wants {wants}"))
            })?;
        }
        if let Some(name) = given("RADDLE_HAMMER_PRIORITY") {
            let named = Priority::NAMED.iter().find(|(known, _)| *known == name);
            settings.priority = named.map(|(_, policy)| *policy).ok_or_else(|| {
                let names = Priority::NAMED.map(|(name, _)| name).join(", ");
                Unusable(format!("RADDLE_HAMMER_PRIORITY={name}: this wants one of {names}"))
            })?;
        }
        Ok(settings)
    }

    /// Makes these the ones of the process, from now on and for all threads.
    pub fn install(&self) {
        let priority = match (self.seed, self.priority) {
            (None, _) => Priority::Off,
            (Some(seed), Priority::BySeed) => {
                let mut mixer = Mixer::new(seed);
                mixer.write(b"priority");
                [Priority::Off, Priority::Mild, Priority::Extreme, Priority::Dirichlet]
                    [(mixer.finish() % 4) as usize]
            }
            (Some(_), chosen) => chosen,
        };
        let max = u64::try_from(self.max.as_nanos()).unwrap_or(u64::MAX);
        SEED.store(self.seed.unwrap_or(0), Ordering::Relaxed);
        MAX_NS.store(max, Ordering::Relaxed);
        QUIET.store((self.zero_bias * TWO_TO_64) as u64, Ordering::Relaxed);
        PRIORITY.store(priority as u8, Ordering::Relaxed);
        set(DELAYS, self.seed.is_some());
    }
}

const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// A number means itself, in decimal or with `0x`; any other text means its hash.
fn seed_of(text: &str) -> u64 {
    let hexadecimal = text.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16));
    hexadecimal.unwrap_or_else(|| text.parse()).unwrap_or_else(|_| {
        let mut mixer = Mixer::new(0);
        mixer.write(text.as_bytes());
        mixer.finish()
    })
}

fn duration_of(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ns" => Some(Duration::from_nanos(number)),
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

// Only read while anything runs: they order nothing, and no site waits for another.
static SEED: AtomicU64 = AtomicU64::new(0);
static MAX_NS: AtomicU64 = AtomicU64::new(0);
static QUIET: AtomicU64 = AtomicU64::new(0);
static PRIORITY: AtomicU8 = AtomicU8::new(Priority::Off as u8);
/// What a site has to do; 0 if nothing, which is what it looks at first.
static DUTIES: AtomicU8 = AtomicU8::new(UNREAD);

/// The environment was not read yet.
pub(crate) const UNREAD: u8 = 1;
/// Delays are on.
pub(crate) const DELAYS: u8 = 2;
/// Sites are counted.
pub(crate) const COUNTS: u8 = 4;
/// Decisions are written down.
pub(crate) const LOG: u8 = 8;

/// What a site has to do.
#[inline(always)]
pub(crate) fn duties() -> u8 {
    DUTIES.load(Ordering::Relaxed)
}

/// Reads the environment, unless the program has said what it wants.
#[cold]
pub(crate) fn read_environment() -> u8 {
    match Settings::from_env() {
        Ok(settings) => settings.install(),
        Err(error) => {
            // Where a site is, nobody could handle an error.
            eprintln!("{error}");
            std::process::exit(2);
        }
    }
    duties()
}

/// Turns a duty on or off. Delays that are set so are the program's own, and the environment no
/// longer matters; before another duty it is read, or nobody would read it any more.
pub(crate) fn set(duty: u8, on: bool) {
    if duty != DELAYS && duties() & UNREAD != 0 {
        read_environment();
    }
    DUTIES.fetch_and(!UNREAD, Ordering::Relaxed);
    if on {
        DUTIES.fetch_or(duty, Ordering::Relaxed);
    } else {
        DUTIES.fetch_and(!duty, Ordering::Relaxed);
    }
}

/// What a decision is made of.
#[derive(Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) seed: u64,
    pub(crate) max_ns: u64,
    /// Hashes below it mean nothing.
    pub(crate) quiet: u64,
}

pub(crate) fn rates() -> Rates {
    Rates {
        seed: SEED.load(Ordering::Relaxed),
        max_ns: MAX_NS.load(Ordering::Relaxed),
        quiet: QUIET.load(Ordering::Relaxed),
    }
}

pub(crate) fn priority() -> Priority {
    let number = PRIORITY.load(Ordering::Relaxed);
    let known = Priority::NAMED.iter().find(|(_, policy)| *policy as u8 == number);
    known.map_or(Priority::Off, |(_, policy)| *policy)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Priority, Settings, seed_of};

    fn of(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::from_variables(get).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_set_means_off() {
        assert_eq!(of(&[]), Ok(Settings::default()));
        assert_eq!(of(&[("RADDLE_HAMMER_SEED", "")]), Ok(Settings::default()));
        assert_eq!(Settings::default().seed, None);
    }

    #[test]
    fn everything_can_be_set() {
        let all = [
            ("RADDLE_HAMMER_SEED", "0x2a"),
            ("RADDLE_HAMMER_MAX", "250us"),
            ("RADDLE_HAMMER_ZBIAS", "0"),
            ("RADDLE_HAMMER_PRIORITY", "dirichlet"),
        ];
        let expected = Settings {
            seed: Some(42),
            max: Duration::from_micros(250),
            zero_bias: 0.0,
            priority: Priority::Dirichlet,
        };
        assert_eq!(of(&all), Ok(expected));
    }

    #[test]
    fn what_is_no_value_is_refused_with_what_would_be() {
        for (name, value, wanted) in [
            ("RADDLE_HAMMER_ZBIAS", "1", "below 1"),
            ("RADDLE_HAMMER_ZBIAS", "-0.1", "below 1"),
            ("RADDLE_HAMMER_ZBIAS", "NaN", "below 1"),
            ("RADDLE_HAMMER_ZBIAS", "lots", "below 1"),
            ("RADDLE_HAMMER_MAX", "10", "1ms"),
            ("RADDLE_HAMMER_MAX", "-1ms", "1ms"),
            ("RADDLE_HAMMER_MAX", "99999999999999999999ms", "1ms"),
            ("RADDLE_HAMMER_PRIORITY", "wild", "dirichlet"),
        ] {
            let error = of(&[(name, value)]).expect_err(value);
            assert!(error.contains(name) && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn seeds_are_numbers_or_texts() {
        assert_eq!((seed_of("7"), seed_of("0x7")), (7, 7));
        assert_ne!(seed_of("foo"), seed_of("bar"));
    }
}
