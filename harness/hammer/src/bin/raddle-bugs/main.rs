//! Measures how often planted bugs show, with delays and without.
//!
//! `cargo xtask hammer --bugs` builds it optimised and passes its arguments on. Exit code 0 means
//! that the table was measured, whatever is in it; 1 that a program without a bug showed one; 2 that
//! the command is wrong.

mod args;
mod fisher;
mod measure;
mod table;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let results = measure::all(&arguments);
    table::print(&results);
    if let Some(file) = &arguments.json
        && let Err(error) = table::write_json(&results, file)
    {
        eprintln!("error: {}: {error}", file.display());
        return ExitCode::from(2);
    }
    if results.bugs.iter().any(|bug| bug.corrected.found > 0) {
        eprintln!("a program without a bug showed one");
        return ExitCode::from(1);
    }
    ExitCode::SUCCESS
}
