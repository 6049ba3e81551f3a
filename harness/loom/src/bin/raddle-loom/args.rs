//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use raddle_loom::Mutation;
use raddle_scenarios::Shard;

use crate::effort::Effort;

/// Runs the scenarios under loom.
///
/// Exit code 0: all passed, or were left out with a reason. 1: one did not pass. 2: the harness
/// could not run. With --mutate: 0 if a scenario noticed, 1 if none did, 2 if none came there.
#[derive(Clone, Debug, Parser)]
#[command(name = "raddle-loom")]
pub(crate) struct Args {
    /// Print the scenarios, with their properties, and run none.
    #[arg(long)]
    pub(crate) list: bool,

    /// Run the scenarios whose names contain this.
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    pub(crate) scenario: String,

    /// Run the K-th of N parts of the list.
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,

    /// Explore only executions with at most so many preemptions, instead of what each scenario
    /// suggests.
    #[arg(long, value_name = "N", conflicts_with = "unbounded")]
    pub(crate) max_preemptions: Option<usize>,

    /// Explore without a bound, whatever a scenario suggests.
    #[arg(long)]
    pub(crate) unbounded: bool,

    /// Fewer preemptions than the scenarios suggest: for each change.
    #[arg(long, conflicts_with = "nightly")]
    pub(crate) quick: bool,

    /// One preemption more than the scenarios suggest, and an hour for each: for the night.
    #[arg(long)]
    pub(crate) nightly: bool,

    /// The most processor time for each scenario, in seconds; 120 by default, 20 with --quick,
    /// 3600 with --nightly. (Processor time, so that a busy machine changes no verdict.)
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<f64>,

    /// Write the results there, as JSON; with --list, the list.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write there which sites of the production code each scenario reached: one file each.
    #[arg(long, value_name = "DIR")]
    pub(crate) sites: Option<PathBuf>,

    /// Do something other than the code says at one site, and see which scenarios notice:
    /// `file:line:column=change`, where the change is an ordering that becomes one step weaker
    /// (`AcqRel->Acquire`, `failure:Acquire->Relaxed`), `drop` of a notification, `drop-wake` of
    /// the wake-ups that follow the operation, or a compare-exchange that lies (`Ok->Err`,
    /// `Err->Ok`).
    #[arg(long, value_name = "SITE=CHANGE")]
    pub(crate) mutate: Option<Mutation>,

    /// Run the one execution that this checkpoint leads to. A failure says where its own is.
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,

    /// How many scenarios run at a time; as many as there are processors by default.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// Run the one scenario of this name here, and print its report.
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) child: Option<String>,

    /// Write a checkpoint there.
    #[arg(long, value_name = "FILE", hide = true, requires = "checkpoint_before")]
    pub(crate) checkpoint: Option<PathBuf>,

    /// Before the execution of this number.
    #[arg(long, value_name = "N", hide = true)]
    pub(crate) checkpoint_before: Option<u64>,
}

impl Args {
    /// How far to go.
    pub(crate) fn effort(&self) -> Effort {
        match (self.quick, self.nightly) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Nightly,
            _ => Effort::Normal,
        }
    }

    /// The most processor time for a scenario.
    pub(crate) fn limit(&self) -> Duration {
        let seconds = self.seconds.unwrap_or_else(|| self.effort().seconds());
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}
