//! The command line.

use std::path::PathBuf;

use clap::Parser;
use raddle_hammer::{Settings, Unusable};

/// Hammer the scenarios and stress programs on real threads.
///
/// Each runs over and over in a process of its own, with delays that a hash of the seed decides. A
/// failure is shown with the seed that led to it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask hammer", version)]
pub(crate) struct Arguments {
    /// Run those whose name contains this.
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Option<String>,
    /// Show what would run and what would not, and end.
    #[arg(long)]
    pub(crate) list: bool,
    /// How long all of them may take together, without the start of their processes.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Derive the delays from this seed, a number or a text; empty means none, and full speed
    /// [default: a new one].
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<String>,
    /// Count the visits of each site, for the coverage of wait loops.
    #[arg(long, value_name = "FILE")]
    pub(crate) sites: Option<PathBuf>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Be the process that runs this one.
    #[arg(long, value_name = "NAME", hide = true)]
    child: Option<String>,
    /// How long the child repeats it.
    #[arg(long, value_name = "MS", hide = true, default_value_t = 0)]
    child_ms: u64,
}

/// What a child process does.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) milliseconds: u64,
    pub(crate) seed: String,
    pub(crate) sites: bool,
}

impl Arguments {
    /// What to do as a child.
    pub(crate) fn child(&self) -> Option<Child> {
        let name = self.child.clone()?;
        let seed = self.seed.clone().unwrap_or_default();
        Some(Child { name, milliseconds: self.child_ms, seed, sites: self.sites.is_some() })
    }

    /// The seed: the one asked for, or a new one.
    pub(crate) fn seed(&self) -> String {
        self.seed.clone().unwrap_or_else(|| {
            use raddle_platform::Rng;
            let fresh = raddle_platform::native::NativeRng::u64();
            format!("{:#x}", fresh >> 32)
        })
    }
}

/// The settings of the environment, with this seed.
pub(crate) fn settings(seed: &str) -> Result<Settings, Unusable> {
    Settings::from_variables(|name| match name {
        "RADDLE_HAMMER_SEED" => Some(seed.to_owned()),
        _ => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
    })
}
