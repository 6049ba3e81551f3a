//! The command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;
use raddle_vopr::{Granularity, Strategy, seeds};

/// Run the scenarios in the simulator.
#[derive(Clone, Debug, Parser)]
#[command(name = "raddle-vopr", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Run the scenarios whose names contain this, or the one whose name is this.
    #[arg(long, default_value = "", value_name = "NAME", hide_default_value = true)]
    pub(crate) scenario: String,
    /// Print the scenarios and stop.
    #[arg(long)]
    pub(crate) list: bool,
    /// Run this one seed; with `--seeds`, the root from which the others are derived. [default:
    /// RADDLE_SEED, else CI_SEED, else a constant]
    #[arg(long, value_name = "X", value_parser = seeds::parse)]
    pub(crate) seed: Option<u64>,
    /// How many seeds each scenario runs with [default: 1000, or 1 with --seed]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    /// Who decides: `portfolio`, `random`, `pct`, `pct:DEPTH` or `round-robin`.
    #[arg(long, default_value = "portfolio", value_name = "NAME")]
    pub(crate) strategy: Chosen,
    /// Between which operations threads switch: `atomics` or `blocking`.
    #[arg(long, default_value = "atomics", value_name = "NAME")]
    pub(crate) granularity: Grain,
    /// Operations after which an execution is given up as a livelock.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub(crate) steps: u64,
    /// How many scenarios run at a time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 something was found, 2 the command is wrong \
    or cannot run here.";

/// A strategy, as the command line names it.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) name: String,
    pub(crate) strategy: Strategy,
}

impl FromStr for Chosen {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let strategy = match name.split_once(':') {
            None if name == "portfolio" => Strategy::Portfolio,
            None if name == "random" => Strategy::Random,
            None if name == "pct" => Strategy::Pct { depth: 3 },
            None if name == "round-robin" => Strategy::RoundRobin,
            Some(("pct", depth)) => match depth.parse() {
                Ok(depth @ 1..=100) => Strategy::Pct { depth },
                _ => return Err(format!("{depth:?} is no depth: write a number from 1 to 100")),
            },
            _ => return Err("write portfolio, random, pct, pct:DEPTH or round-robin".to_owned()),
        };
        Ok(Self { name: name.to_owned(), strategy })
    }
}

/// A granularity, as the command line names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain(pub(crate) Granularity);

impl FromStr for Grain {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "atomics" => Ok(Self(Granularity::Atomics)),
            "blocking" => Ok(Self(Granularity::Blocking)),
            _ => Err("write atomics or blocking".to_owned()),
        }
    }
}

impl Args {
    /// How many seeds each scenario runs with.
    pub(crate) fn count(&self) -> u64 {
        self.seeds.unwrap_or(if self.seed.is_some() { 1 } else { 1000 })
    }

    /// The seed of the run `index` under `root`. One seed alone is that run's own.
    pub(crate) fn seed_of(&self, root: u64, index: u64) -> u64 {
        if self.seed.is_some() && self.seeds.is_none() {
            return root;
        }
        seeds::derive(root, seeds::Purpose::Run, index)
    }

    /// The command that runs one seed of one scenario again.
    pub(crate) fn reproduce(&self, scenario: &str, seed: u64) -> String {
        let mut command = format!("cargo xtask vopr --scenario {scenario} --seed {seed:#x}");
        if self.strategy.name != "portfolio" {
            command += &format!(" --strategy {}", self.strategy.name);
        }
        if self.granularity.0 == Granularity::Blocking {
            command += " --granularity blocking";
        }
        if self.steps != 1_000_000 {
            command += &format!(" --steps {}", self.steps);
        }
        command
    }
}
