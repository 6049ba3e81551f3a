//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::RangedU64ValueParser;
use raddle_hammer::{Priority, Settings};

/// Measure how often planted bugs show, with delays and without.
///
/// First each seed is tried on training runs, and the best and the worst one are chosen. Then each
/// setting has its runs, none of them a training run: delays off, a new seed each run, the best seed,
/// the worst one, and the program without the bug. The settings take turns run by run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask hammer --bugs", version)]
pub(crate) struct Arguments {
    /// Run each setting so often.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = positive(1_000_000))]
    pub(crate) runs: u32,
    /// Choose from so many seeds: 1, 2, …
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = positive(10_000))]
    pub(crate) seeds: u32,
    /// Try each seed so often before.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive(1_000_000))]
    pub(crate) training: u32,
    /// Sleeps are shorter than this many microseconds.
    #[arg(long, value_name = "US", default_value_t = 100, value_parser = positive(1_000_000))]
    pub(crate) max_us: u32,
    /// At this share of visits nothing is done, from 0 to below 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.6, value_parser = share)]
    pub(crate) zero_bias: f64,
    /// Derive the seeds that are new in each run from this one [default: a new one].
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Measure the bugs whose name contains this.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(crate) bug: String,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

fn positive(most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..=most)
}

fn share(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    parsed.ok_or_else(|| "this wants a number from 0 to below 1, such as 0.6".to_owned())
}

impl Arguments {
    /// The delays of this seed; none means off.
    pub(crate) fn settings(&self, seed: Option<u64>) -> Settings {
        Settings {
            seed,
            max: Duration::from_micros(u64::from(self.max_us)),
            zero_bias: self.zero_bias,
            // The programs leave nothing to choose.
            priority: Priority::Off,
        }
    }
}
