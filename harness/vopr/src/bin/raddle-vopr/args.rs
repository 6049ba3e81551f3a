//! The command line.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use raddle_scenarios::{Expect, Scenario, Shard};
use raddle_vopr::{
    FaultKind, Faults, Granularity, Limits, Program, Simulation, Strategy, seeds, wakes_spuriously,
};

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
    /// Go on with further seeds for so many minutes, instead of a number of them.
    #[arg(long, value_name = "M", conflicts_with_all = ["seeds", "quick"], value_parser = minutes)]
    pub(crate) minutes: Option<Duration>,
    /// As `cargo xtask test` does: 100 seeds under a root that was never used before, unless one is
    /// given.
    #[arg(long, conflicts_with_all = ["seed", "seeds"])]
    pub(crate) quick: bool,
    /// Look only for the bugs in `harness/vopr/regressions`; a sweep of all scenarios begins with them.
    #[arg(long, conflicts_with_all = ["list", "sites", "minutes"])]
    pub(crate) regressions: bool,
    /// Look for this one of them, which must be found: the fix was taken out of this build.
    #[arg(long, value_name = "NAME", conflicts_with = "regressions")]
    pub(crate) twin: Option<String>,
    /// Run the K-th of N parts of the list.
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
    /// Who decides: `portfolio`, `random`, `sticky`, `pct`, `pct:DEPTH` or `round-robin`.
    #[arg(long, default_value = "portfolio", value_name = "NAME")]
    pub(crate) strategy: Chosen,
    /// Between which operations threads switch: `atomics` or `blocking` [default: atomics, for whole
    /// programs blocking]
    #[arg(long, value_name = "NAME")]
    pub(crate) granularity: Option<Grain>,
    /// What goes wrong: `none`, `all`, `swarm`, or kinds with their rates in 65,536 chances, such as
    /// `reset=256,latency=4096;swarm` [default: each program's own]
    #[arg(long, value_name = "FAULTS")]
    pub(crate) faults: Option<Wrong>,
    /// Operations after which an execution is given up as a livelock [default: 1000000, for whole
    /// programs 5000000]
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// How many scenarios run at a time [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write there which sites of the production code each scenario reached: one file each.
    #[arg(long, value_name = "DIR")]
    pub(crate) sites: Option<PathBuf>,
    /// Run everything in this process: for a debugger. A scenario that dies ends it all.
    #[arg(long)]
    pub(crate) in_process: bool,
    /// Replace a process that has abandoned so many MiB.
    #[arg(long, value_name = "MIB", default_value_t = 512, hide = true)]
    pub(crate) abandon: u64,
    /// Is a child: the job is on standard input.
    #[arg(long, hide = true)]
    pub(crate) child: bool,
    /// Dies in the third run: so the report of deaths is tested.
    #[arg(long, value_enum, hide = true)]
    pub(crate) plant_death: Option<Death>,
}

/// How a process can die.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Death {
    /// It aborts.
    Abort,
    /// Its stack overflows.
    Overflow,
    /// It ends without a word.
    Exit,
}

impl Death {
    pub(crate) fn strike(self) {
        /// Deeper than any stack.
        fn sink(depth: u64) -> u64 {
            let held = std::hint::black_box([depth; 64]);
            if held[0] == u64::MAX { 0 } else { sink(depth + 1) + held[1] }
        }
        match self {
            Self::Abort => std::process::abort(),
            Self::Overflow => drop(std::hint::black_box(sink(0))),
            Self::Exit => std::process::exit(0),
        }
    }
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 something was found, 2 the command is wrong \
    or cannot run here.";

fn minutes(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().map(|minutes| minutes * 60.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| {
        format!("{text:?} is no number of minutes: write one above 0, such as 10 or 0.5")
    })
}

/// How many seeds are a full run: enough to find each planted bug, and to use whatever a scenario
/// says that it uses.
pub(crate) const FULL: u64 = 1000;

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
            None if name == "sticky" => Strategy::Sticky,
            None if name == "pct" => Strategy::Pct { depth: 3 },
            None if name == "round-robin" => Strategy::RoundRobin,
            Some(("pct", depth)) => match depth.parse() {
                Ok(depth @ 1..=100) => Strategy::Pct { depth },
                _ => return Err(format!("{depth:?} is no depth: write a number from 1 to 100")),
            },
            _ => {
                let names = "portfolio, random, sticky, pct, pct:DEPTH or round-robin";
                return Err(format!("write {names}"));
            }
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

/// Faults, as the command line names them.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    text: String,
    pub(crate) faults: Faults,
}

impl FromStr for Wrong {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let faults = match text {
            "none" => Faults::none(),
            "all" => Faults::all(),
            "swarm" => Faults::all().swarm(),
            text => text.parse().map_err(|error| {
                let names: Vec<_> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
                format!("{error}; write none, all, swarm, or KIND=RATE,… of {}", names.join(", "))
            })?,
        };
        Ok(Self { text: text.to_owned(), faults })
    }
}

impl Args {
    /// How `program` is run.
    pub(crate) fn simulation(&self, program: &Program) -> Simulation {
        let limits = Limits { steps: self.steps_of(program), ..Limits::default() };
        let faults = self.faults.as_ref().map_or(&program.faults, |wrong| &wrong.faults);
        let granularity = self.granularity.map_or(program.granularity, |grain| grain.0);
        Simulation::new()
            .strategy(self.strategy.strategy.clone())
            .granularity(granularity)
            .faults(faults.clone())
            .limits(limits)
            .spurious_wakes(wakes_spuriously(&program.scenario))
    }

    /// Whole programs are longer than scenarios.
    fn steps_of(&self, program: &Program) -> u64 {
        let whole = program.granularity == Granularity::Blocking;
        self.steps.unwrap_or(if whole { 5_000_000 } else { 1_000_000 })
    }

    /// How many seeds each scenario runs with.
    pub(crate) fn count(&self) -> u64 {
        self.seeds.unwrap_or(match (self.quick, self.seed) {
            (true, _) => 100,
            (false, Some(_)) => 1,
            (false, None) => FULL,
        })
    }

    /// How many seeds `scenario` runs with, at the most, and under which root. What must be found
    /// is looked for until it is; in the quick form under a constant root, so that whether it is
    /// found does not depend on luck.
    pub(crate) fn plan(&self, scenario: &Scenario, root: u64) -> (u64, u64) {
        if self.quick && scenario.expect != Expect::Holds {
            return (seeds::DEFAULT_ROOT, FULL);
        }
        (root, self.count())
    }

    /// The root seed, and where it came from, in words.
    pub(crate) fn root(&self) -> Result<(u64, String), String> {
        match seeds::root(self.seed)? {
            (_, seeds::Origin::Constant) if self.quick => {
                Ok((RandomState::new().hash_one(std::process::id()), "fresh".to_owned()))
            }
            (root, origin) => Ok((root, origin.to_string())),
        }
    }

    /// Each scenario's part of a run that takes so long.
    pub(crate) fn budget(&self, time: Duration, scenarios: usize, jobs: usize) -> Duration {
        let scenarios = u32::try_from(scenarios.max(1)).unwrap_or(u32::MAX);
        time.saturating_mul(u32::try_from(jobs).unwrap_or(u32::MAX)) / scenarios
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
        match self.granularity {
            Some(Grain(Granularity::Blocking)) => command += " --granularity blocking",
            Some(Grain(Granularity::Atomics)) => command += " --granularity atomics",
            None => {}
        }
        if let Some(wrong) = &self.faults {
            command += &format!(" --faults '{}'", wrong.text);
        }
        if let Some(steps) = self.steps {
            command += &format!(" --steps {steps}");
        }
        command
    }
}
