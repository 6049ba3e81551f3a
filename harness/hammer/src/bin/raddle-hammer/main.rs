//! Runs the scenarios and the stress programs on real threads, each in a process of its own.
//!
//! `cargo xtask hammer` builds it with a sanitizer and passes its arguments on. Exit code 0 means
//! that all is well, 1 that something was found, 2 that the command is wrong or cannot run here.

mod args;
mod child;
mod parent;
mod planted;
mod programs;
mod progress;
mod results;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    if let Some(child) = arguments.child() {
        return child::run(&child);
    }
    match parent::run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
