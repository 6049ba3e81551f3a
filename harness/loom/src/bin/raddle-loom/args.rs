//! The command line.

use std::path::PathBuf;

use clap::Parser;
use raddle_loom::Mutation;

/// Runs the scenarios under loom.
///
/// Exit code 0: all passed, or were left out with a reason. 1: one did not pass. 2: the harness
/// could not run.
#[derive(Clone, Debug, Parser)]
#[command(name = "raddle-loom")]
pub(crate) struct Args {
    /// Print the scenarios, with their properties, and run none.
    #[arg(long)]
    pub(crate) list: bool,

    /// Run the scenarios whose names contain this.
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    pub(crate) scenario: String,

    /// Explore only executions with at most so many preemptions, instead of what each scenario
    /// suggests.
    #[arg(long, value_name = "N", conflicts_with = "unbounded")]
    pub(crate) preemption_bound: Option<usize>,

    /// Explore without a bound, whatever a scenario suggests.
    #[arg(long)]
    pub(crate) unbounded: bool,

    /// The most processor time for each scenario, in seconds. (Processor time, so that a busy
    /// machine changes no verdict.)
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) seconds: u64,

    /// Write the results there, as JSON.
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

    /// How many scenarios run at a time; as many as there are processors by default.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,

    /// Run the one scenario of this name here, and print its report.
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) child: Option<String>,
}

impl Args {
    /// The bound to run a scenario with that suggests `suggested`.
    pub(crate) fn bound(&self, suggested: Option<usize>) -> Option<usize> {
        if self.unbounded { None } else { self.preemption_bound.or(suggested) }
    }
}
