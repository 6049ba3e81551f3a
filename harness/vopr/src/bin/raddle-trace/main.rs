//! Looks into trace files.

mod info;
mod list;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use raddle_vopr::trace::{self, Error, Reader, Recording};

/// Look into trace files.
#[derive(Debug, Parser)]
#[command(name = "raddle-trace", version, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "Exit codes: 0 all is well, 1 the file is damaged or the traces differ, \
    2 the command is wrong or the file cannot be read.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Say what a trace is of, what came of it, and how large it is.
    Info {
        /// The trace file.
        file: PathBuf,
        /// Write JSON.
        #[arg(long)]
        json: bool,
    },
    /// List what was observed, or the decisions.
    Events(list::Options),
    /// Check every chunk, and say what is missing if anything is.
    Verify {
        /// The trace file.
        file: PathBuf,
        /// Write JSON.
        #[arg(long)]
        json: bool,
    },
    /// Find the first difference of two traces, by binary search over their certificates.
    Diff {
        /// The one trace file.
        left: PathBuf,
        /// The other.
        right: PathBuf,
        /// Write JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a trace in another form.
    #[command(group = clap::ArgGroup::new("form").required(true))]
    Export {
        /// The trace file.
        file: PathBuf,
        /// As JSON for ui.perfetto.dev: threads and tasks over the count of operations.
        #[arg(long, value_name = "OUT", group = "form")]
        perfetto: Option<PathBuf>,
        /// As one line of text, which has seed and decisions and nothing else.
        #[arg(long, group = "form")]
        text: bool,
    },
}

/// Whether all is well.
type Verdict = Result<bool, String>;

fn main() -> ExitCode {
    let verdict = match Args::parse().verb {
        Verb::Info { file, json } => info::info(&file, json),
        Verb::Events(options) => list::list(&options),
        Verb::Verify { file, json } => info::verify(&file, json),
        Verb::Diff { left, right, json } => diff(&left, &right, json),
        Verb::Export { file, perfetto, .. } => match perfetto {
            Some(out) => export(&file, &out),
            None => read(&file).and_then(|recording| say(&recording.trace.to_string())),
        },
    };
    match verdict {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("raddle-trace: {why}");
            ExitCode::from(2)
        }
    }
}

fn named(path: &Path, error: &Error) -> String {
    match error {
        Error::Io { .. } => error.to_string(),
        other => format!("{}: {other}", path.display()),
    }
}

fn open(path: &Path) -> Result<Reader<std::io::BufReader<File>>, String> {
    Reader::open(path).map_err(|error| named(path, &error))
}

/// Reads a file, and says on standard error what is missing.
fn read(path: &Path) -> Result<Recording, String> {
    let recording = trace::load(path).map_err(|error| named(path, &error))?;
    if let Some(loss) = &recording.loss {
        eprintln!("{}: {loss}", path.display());
    }
    Ok(recording)
}

/// Prints a line. Whoever reads may have seen enough.
fn say(line: &str) -> Verdict {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(true),
    }
}

fn say_json(value: &impl serde::Serialize) -> Verdict {
    say(&serde_json::to_string_pretty(value).map_err(|error| error.to_string())?)
}

fn diff(left: &Path, right: &Path, json: bool) -> Verdict {
    let difference = trace::diff(&read(left)?, &read(right)?);
    if json {
        say_json(&difference)?
    } else {
        say(difference.to_string().trim_end())?
    };
    Ok(difference.is_none())
}

fn export(file: &Path, out: &Path) -> Verdict {
    let recording = read(file)?;
    if recording.events.count() == 0 {
        return Err(format!(
            "{0}: the trace has no events, only decisions: record some by a replay, with `cargo \
             xtask replay {0} --record OUT`, and export that",
            file.display()
        ));
    }
    let wrong = |error: std::io::Error| format!("{}: {error}", out.display());
    let to = BufWriter::new(File::create(out).map_err(wrong)?);
    trace::export_perfetto(to, &recording.header, recording.events.iter())
        .and_then(|mut to| to.flush())
        .map_err(wrong)?;
    say(&format!(
        "{} events in {}: open it in ui.perfetto.dev",
        recording.events.count(),
        out.display()
    ))
}
