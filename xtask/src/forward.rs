//! Verbs that run a program of the workspace: `cargo xtask test-loom`, `cargo xtask vopr`.
//!
//! The program is built in release, its output is shown as it comes, and its exit code becomes
//! that of the verb.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use crate::{Error, Verdict, workspace};

/// A program that a verb runs.
struct Program {
    package: &'static str,
    binary: &'static str,
}

const LOOM: Program = Program { package: "raddle-loom", binary: "raddle-loom" };
const VOPR: Program = Program { package: "raddle-vopr", binary: "raddle-vopr" };
const TRACE: Program = Program { package: "raddle-vopr", binary: "raddle-trace" };
const REPLAY: Program = Program { package: "raddle-vopr", binary: "raddle-replay" };

/// Model check the scenarios with loom.
///
/// Every interleaving of each scenario is run, up to a bound on the preemptions; the report says
/// for each how far that went.
#[derive(Debug, clap::Args)]
pub(crate) struct TestLoom {
    /// Run the scenarios whose names contain this.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Print the scenarios and stop.
    #[arg(long)]
    list: bool,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run the K-th of N parts of the list.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// How often threads may be interrupted where they could go on [default: the scenario's own].
    #[arg(long, value_name = "N", conflicts_with = "unbounded")]
    max_preemptions: Option<usize>,
    /// Interrupt threads as often as possible, whatever the scenario suggests.
    #[arg(long)]
    unbounded: bool,
    /// Fewer interruptions than the scenarios suggest, as `cargo xtask test` does.
    #[arg(long, conflicts_with = "nightly")]
    quick: bool,
    /// One interruption more than the scenarios suggest, and an hour for each.
    #[arg(long)]
    nightly: bool,
    /// How long a scenario may take, in seconds of processor time [default: 120].
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// Do something other than the code says at one site, and see which scenarios notice:
    /// `file:line:column=change`.
    #[arg(long, value_name = "SITE=CHANGE")]
    mutate: Option<String>,
    /// Run the one execution that a failure's checkpoint leads to.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// How many scenarios run at a time [default: as many as there are processors].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl TestLoom {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let mut arguments = Arguments::default();
        arguments.option("--scenario", self.scenario.as_ref());
        arguments.flag("--list", self.list);
        arguments.path("--json", self.json.as_deref())?;
        arguments.option("--shard", self.shard.as_ref());
        arguments.option("--max-preemptions", self.max_preemptions.as_ref());
        arguments.flag("--unbounded", self.unbounded);
        arguments.flag("--quick", self.quick);
        arguments.flag("--nightly", self.nightly);
        arguments.option("--seconds", self.seconds.as_ref());
        arguments.option("--mutate", self.mutate.as_ref());
        arguments.path("--replay", self.replay.as_deref())?;
        arguments.option("--jobs", self.jobs.as_ref());
        LOOM.run(&arguments)
    }
}

/// Run the scenarios in the simulator.
///
/// Each scenario runs once for each seed; all that is left to chance in a run follows from its
/// seed. A failure prints the seed, the last operations, and the command that runs it again.
#[derive(Debug, clap::Args)]
pub(crate) struct Vopr {
    /// Run the scenarios whose names contain this, or the one whose name is this.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Print the scenarios and stop.
    #[arg(long)]
    list: bool,
    /// Run this one seed; with `--seeds`, the root from which the others are derived [default:
    /// RADDLE_SEED, else CI_SEED, else a constant].
    #[arg(long, value_name = "X")]
    seed: Option<String>,
    /// How many seeds each scenario runs with [default: 1000, or 1 with --seed].
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// Go on with further seeds for so many minutes, instead of a number of them.
    #[arg(long, value_name = "M", conflicts_with = "seeds")]
    minutes: Option<f64>,
    /// As `cargo xtask test` does: 100 seeds under a root that was never used before, unless one is
    /// given.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "minutes"])]
    quick: bool,
    /// Look only for the bugs in `harness/vopr/regressions`; a sweep of all scenarios begins with them.
    #[arg(long)]
    regressions: bool,
    /// Take the fix of each of these bugs out, in a copy of the tree, and see that it is found.
    #[arg(long, exclusive = true)]
    twins: bool,
    /// Run the K-th of N parts of the list.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Who decides: `portfolio`, `random`, `sticky`, `pct`, `pct:DEPTH` or `round-robin` [default:
    /// portfolio].
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Between which operations threads switch: `atomics` or `blocking` [default: atomics, for whole
    /// programs blocking].
    #[arg(long, value_name = "NAME")]
    granularity: Option<String>,
    /// What goes wrong: `none`, `all`, `swarm`, or kinds with their rates in 65,536 chances, such as
    /// `reset=256,latency=4096;swarm` [default: each program's own].
    #[arg(long, value_name = "FAULTS")]
    faults: Option<String>,
    /// Operations after which an execution is given up as a livelock [default: 1000000, for whole
    /// programs 5000000].
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// How many scenarios run at a time [default: as many as there are processors].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Vopr {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        if self.twins {
            return crate::twins::run();
        }
        let mut arguments = Arguments::default();
        arguments.option("--scenario", self.scenario.as_ref());
        arguments.flag("--list", self.list);
        arguments.option("--seed", self.seed.as_ref());
        arguments.option("--seeds", self.seeds.as_ref());
        arguments.option("--minutes", self.minutes.as_ref());
        arguments.flag("--quick", self.quick);
        arguments.option("--shard", self.shard.as_ref());
        arguments.option("--strategy", self.strategy.as_ref());
        arguments.flag("--regressions", self.regressions);
        arguments.option("--granularity", self.granularity.as_ref());
        arguments.option("--faults", self.faults.as_ref());
        arguments.option("--steps", self.steps.as_ref());
        arguments.option("--jobs", self.jobs.as_ref());
        arguments.path("--json", self.json.as_deref())?;
        VOPR.run(&arguments)
    }
}

/// Look into the simulator's trace files.
///
/// `info`, `events`, `verify`, `diff` and `export`; `cargo xtask trace --help` says more.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Trace {
    #[command(flatten)]
    all: Passed,
}

/// Run a scenario again from its trace, to its end or step by step.
///
/// `cargo xtask replay FILE` compares the end with the recorded one, `--step`, `--to` and `--break`
/// stop on the way; `cargo xtask replay --help` says more.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Replay {
    #[command(flatten)]
    all: Passed,
}

/// Arguments that are the program's own business.
#[derive(Debug, clap::Args)]
struct Passed {
    /// What the program is told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

impl Trace {
    /// Runs the verb.
    pub(crate) fn run(self) -> Result<Verdict, Error> {
        TRACE.run_here(&Arguments(self.all.arguments))
    }
}

impl Replay {
    /// Runs the verb.
    pub(crate) fn run(self) -> Result<Verdict, Error> {
        REPLAY.run_here(&Arguments(self.all.arguments))
    }
}

/// The command line of a program.
#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, name: &str, on: bool) {
        self.0.extend(on.then(|| name.to_owned()));
    }

    fn option(&mut self, name: &str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.0.extend([name.to_owned(), value.to_string()]);
        }
    }

    /// A path means the same in the program, which starts in the root of the workspace.
    fn path(&mut self, name: &str, path: Option<&Path>) -> Result<(), Error> {
        let Some(path) = path else { return Ok(()) };
        let absolute = std::path::absolute(path)
            .map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
        self.option(name, Some(&absolute.display()));
        Ok(())
    }
}

impl Program {
    /// In the root of the workspace.
    fn run(&self, arguments: &Arguments) -> Result<Verdict, Error> {
        self.run_by(&mut workspace::cargo(), arguments)
    }

    /// Where the caller is, so that paths mean what they say.
    fn run_here(&self, arguments: &Arguments) -> Result<Verdict, Error> {
        let here = std::env::current_dir()
            .map_err(|error| Error::new(format!("where is this? {error}")))?;
        let mut cargo = workspace::cargo();
        cargo.current_dir(here);
        self.run_by(&mut cargo, arguments)
    }

    fn run_by(&self, cargo: &mut Command, arguments: &Arguments) -> Result<Verdict, Error> {
        let status = cargo
            .args(["run", "--release", "--quiet", "--package", self.package])
            .arg("--manifest-path")
            .arg(workspace::root().join("Cargo.toml"))
            .args(["--bin", self.binary, "--"])
            .args(&arguments.0)
            .status()
            .map_err(|error| Error::new(format!("cannot run cargo: {error}")))?;
        self.verdict(status)
    }

    fn verdict(&self, status: ExitStatus) -> Result<Verdict, Error> {
        match status.code() {
            Some(0) => Ok(Verdict::Good),
            Some(1) => Ok(Verdict::Bad),
            _ => Err(Error::new(format!("{} ended with {status}", self.binary))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use std::path::Path;

    #[test]
    fn options_that_are_not_given_are_not_passed() {
        let mut arguments = Arguments::default();
        arguments.flag("--list", false);
        arguments.option("--scenario", None::<&String>);
        arguments.option("--seconds", Some(&5));
        arguments.path("--json", Some(Path::new("/a/b.json"))).expect("an absolute path");
        assert_eq!(arguments.0, ["--seconds", "5", "--json", "/a/b.json"]);
    }
}
