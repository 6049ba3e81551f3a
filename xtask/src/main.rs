//! The commands of this repository: `cargo xtask --help` lists them.
//!
//! Each verb is one file. Exit codes are the same for all: 0 if everything is well, 1 if something
//! was found or failed, 2 if the command is wrong or cannot run here.

mod audit;
mod bench;
mod coverage;
mod forward;
mod hammer;
mod kv_bench;
mod test;
mod tidy;
mod twins;
mod workspace;

use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 something was found or failed, \
    2 the command is wrong or cannot run here.";

#[derive(Debug, Subcommand)]
enum Verb {
    Test(test::Options),
    Tidy(tidy::Options),
    TestLoom(forward::TestLoom),
    CoverageLoom(coverage::Loom),
    CoverageVopr(coverage::Vopr),
    CoverageHammer(coverage::Hammer),
    Coverage(coverage::All),
    AuditOrderings(audit::Options),
    Vopr(forward::Vopr),
    Hammer(hammer::Options),
    Trace(forward::Trace),
    Replay(forward::Replay),
    KvBench(kv_bench::Options),
    Bench(bench::Options),
}

/// How a verb ended that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
}

/// Why a verb could not run.
#[derive(Debug)]
struct Error(String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

fn main() -> ExitCode {
    let verdict = match Cli::parse().verb {
        Verb::Test(options) => test::run_steps(&options),
        Verb::Tidy(options) => tidy::run(&options),
        Verb::TestLoom(options) => options.run(),
        Verb::CoverageLoom(options) => options.run(),
        Verb::CoverageVopr(options) => options.run(),
        Verb::CoverageHammer(options) => options.run(),
        Verb::Coverage(options) => options.run(),
        Verb::AuditOrderings(options) => options.run(),
        Verb::Vopr(options) => options.run(),
        Verb::Hammer(options) => hammer::run(&options),
        Verb::Trace(options) => options.run(),
        Verb::Replay(options) => options.run(),
        Verb::KvBench(options) => kv_bench::run(&options),
        Verb::Bench(options) => bench::run(&options),
    };
    match verdict {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
