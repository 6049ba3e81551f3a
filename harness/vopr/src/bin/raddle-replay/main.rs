//! Runs a scenario again from its trace: to its end, or step by step.

mod breaks;
mod console;
mod session;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use raddle_scenarios::Scenario;
use raddle_vopr::trace::{self, Error, Filter, Level, Overflow, Record, Recording};
use raddle_vopr::{Manifest, programs};

use crate::breaks::Break;
use crate::session::{Session, Verdict};

/// Run a scenario again from its trace.
///
/// Without further options it runs to its end, and the end is compared with the recorded one. With
/// --to, --step, --break or -c it stops on the way and takes commands: from -c, from the terminal,
/// or from standard input. `help` lists them. Going back is running again from the start.
#[derive(Debug, Parser)]
#[command(name = "raddle-replay", version, after_help = EXIT_CODES)]
struct Args {
    /// The trace file; or the repro manifest beside it, whose digests are verified first.
    file: PathBuf,
    /// Stop before this decision.
    #[arg(long, value_name = "N", conflicts_with = "step")]
    to: Option<u64>,
    /// Stop before the first decision.
    #[arg(long)]
    step: bool,
    /// Stop where this comes: `decision:N`, `step:N`, `time:NANOSECONDS`, `event:N`, `thread:N`,
    /// `task:N`, `kind:NAME`, or a part of an operation or a site as `op:TEXT`, `site:TEXT`.
    #[arg(long = "break", value_name = "WHERE")]
    breaks: Vec<Break>,
    /// Take these commands, separated by `;`, and stop after them.
    #[arg(short = 'c', long = "commands", value_name = "COMMANDS")]
    commands: Vec<String>,
    /// Replay with this scenario, although the trace is of another.
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Replay although the trace was recorded by a build from other sources.
    #[arg(long)]
    any_build: bool,
    /// Replay what there is of a damaged trace.
    #[arg(long)]
    damaged: bool,
    /// Record what happens, and write it into another trace file.
    #[arg(long, value_name = "OUT", conflicts_with_all = ["to", "step", "breaks", "commands"])]
    record: Option<PathBuf>,
    /// How much is recorded.
    #[arg(long, value_enum, default_value = "operations", requires = "record")]
    level: LevelName,
    /// From which step on it is recorded.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "record")]
    from: u64,
    /// Record only operations and kinds with these names.
    #[arg(long, value_name = "NAME", requires = "record")]
    kind: Vec<String>,
    /// How many bytes there are for what is recorded.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, requires = "record")]
    cap: usize,
    /// What happens when they are used up.
    #[arg(long, value_enum, default_value = "ring", requires = "record")]
    overflow: OverflowName,
    /// Write the result as JSON.
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 the replay came to the recorded end, or did what was asked, \
    1 it did not, 2 the command is wrong or the trace cannot be replayed here.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LevelName {
    /// What blocks, wakes and schedules, and what the program tells.
    Blocking,
    /// Every operation.
    Operations,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverflowName {
    /// The first events are kept.
    Stop,
    /// The last events are kept.
    Ring,
    /// The replay fails.
    Fail,
}

impl Args {
    fn record(&self) -> Record {
        Record {
            level: match self.level {
                LevelName::Blocking => Level::Blocking,
                LevelName::Operations => Level::Operations,
            },
            filter: Filter { kinds: self.kind.clone(), ..Filter::default() },
            from_step: self.from,
            cap_bytes: self.cap,
            overflow: match self.overflow {
                OverflowName::Stop => Overflow::Stop,
                OverflowName::Ring => Overflow::Ring,
                OverflowName::Fail => Overflow::Fail,
            },
        }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("raddle-replay: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Verdict, String> {
    let (file, recording) = open(&args.file)?;
    let scenario = find(args, &recording).map_err(|error| named(&file, &error))?;
    let session = Session::new(recording, scenario)?;
    if let Some(out) = &args.record {
        return session.record(args.record(), out);
    }
    let stops = args.to.is_some() || args.step || !args.breaks.is_empty();
    if !stops && args.commands.is_empty() {
        return session.run(args.json);
    }
    let commands = args.commands.join(";");
    let first = match (args.to, args.step || !stops) {
        (Some(to), _) => Some(to),
        (None, true) => Some(0),
        (None, false) => None,
    };
    let input = if !args.commands.is_empty() {
        let lines = commands.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty());
        console::Input::Script(lines.map(str::to_owned).collect())
    } else if std::io::stdin().is_terminal() {
        console::Input::Terminal
    } else {
        console::Input::Pipe
    };
    session.debug(first, args.breaks.clone(), input)
}

fn named(path: &Path, error: &Error) -> String {
    match error {
        Error::Io { .. } => error.to_string(),
        other => format!("{}: {other}", path.display()),
    }
}

/// The trace of a file; of a manifest, after all that it says of the files beside it was verified.
fn open(path: &Path) -> Result<(PathBuf, Recording), String> {
    let load = |file: &Path| trace::load(file).map_err(|error| named(file, &error));
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok((path.to_owned(), load(path)?));
    }
    let manifest = Manifest::load(path).map_err(|error| error.to_string())?;
    let file = manifest.trace(path);
    let recording = load(&file)?;
    let verified = manifest.verify(&recording.header);
    verified.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((file, recording))
}

/// The scenario of a trace, after everything else in its header has been verified.
fn find(args: &Args, recording: &Recording) -> Result<Scenario, Error> {
    let header = &recording.header;
    if let Some(name) = &args.scenario
        && let Err(mismatch) = header.verify_scenario(name)
    {
        eprintln!("warning: {mismatch}");
    }
    let wanted = args.scenario.as_ref().unwrap_or(&header.scenario);
    let mut all = programs().into_iter().map(|program| program.scenario);
    let found = all.find(|scenario| scenario.name == *wanted);
    let Some(scenario) = found else {
        let found = format!("any of this build (there is no {wanted:?} in its list)");
        return Err(Error::ScenarioMismatch { recorded: header.scenario.clone(), found });
    };
    if let Err(mismatch) = header.verify_build() {
        if !args.any_build {
            return Err(mismatch);
        }
        eprintln!("warning: {mismatch}");
    }
    if let Some(loss) = &recording.loss
        && !loss.only_events
    {
        if !args.damaged {
            let reason = format!("{loss}; --damaged replays what is there");
            return Err(Error::Damaged { reason });
        }
        eprintln!("warning: {loss}");
    }
    Ok(scenario)
}
