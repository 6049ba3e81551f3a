//! Runs the list of scenarios under loom.

mod args;
mod child;
mod effort;
mod failure;
mod job;
mod parent;
mod progress;
mod results;
mod watched;

use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use raddle_loom::{OFFERS, Verdict, scenarios};
use raddle_scenarios::{Expect, Scenario};

use crate::args::Args;
use crate::parent::Outcome;
use crate::progress::Screen;
use crate::results::{Listed, Results};

/// Whoever reads the output may stop (`| head`). Then nothing is left to do, and there is no panic to
/// show.
fn end_with_the_pipe() {
    // SAFETY: the default handling, which runs nothing of this program.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

fn main() -> ExitCode {
    end_with_the_pipe();
    let args = Args::parse();
    let list = scenarios();
    if let Some(name) = &args.child {
        return match list.iter().find(|scenario| scenario.name == name) {
            Some(scenario) => child::run(scenario, &args),
            None => refuse(&format!("there is no scenario {name}")),
        };
    }
    let mut selected: Vec<_> =
        list.into_iter().filter(|scenario| scenario.name.contains(&args.scenario)).collect();
    if selected.is_empty() {
        return refuse(&format!("no scenario's name contains {:?}; see --list", args.scenario));
    }
    if args.mutate.is_some() {
        // A twin fails in any case.
        selected.retain(|scenario| scenario.expect == Expect::Holds);
    }
    if let Some(shard) = args.shard {
        let mut position = 0..;
        selected.retain(|_| position.next().is_some_and(|position| shard.has(position)));
    }
    let done = if args.list { print_list(&selected, &args) } else { run(selected, &args) };
    done.unwrap_or_else(|error| refuse(&error.to_string()))
}

/// The harness could not run.
fn refuse(why: &str) -> ExitCode {
    eprintln!("raddle-loom: {why}");
    ExitCode::from(2)
}

fn print_list(selected: &[Scenario], args: &Args) -> io::Result<ExitCode> {
    for scenario in selected {
        let bound = effort::bound(scenario, args);
        let bound = bound.map(|bound| format!(", at most {bound} preemptions"));
        let expect = match scenario.expect {
            Expect::Holds => String::new(),
            expect => format!(", must be reported: {expect:?}"),
        };
        println!("{}{}{expect}", scenario.name, bound.unwrap_or_default());
        println!("    {}", scenario.property);
    }
    if let Some(file) = &args.json {
        results::write(file, &selected.iter().map(Listed::from).collect::<Vec<_>>())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn run(selected: Vec<Scenario>, args: &Args) -> io::Result<ExitCode> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let started = Instant::now();
    let (can, cannot): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|scenario| scenario.needs.unmet(&OFFERS).is_empty());
    println!(
        "{} scenarios under loom 0.7.2, {jobs} at a time, at most {} s of processor time each",
        can.len(),
        args.limit().as_secs_f64()
    );
    for scenario in &cannot {
        let needs = scenario.needs.unmet(&OFFERS);
        println!("left out  {:<44} needs {}", scenario.name, needs.join(", "));
    }
    if let Some(directory) = &args.sites {
        fs::create_dir_all(directory)?;
    }
    let screen = Screen::new(&can, jobs);
    let outcomes = parent::run(&can, args, jobs, &screen)?;
    screen.finish(&outcomes);
    if let Some(file) = &args.json {
        results::write(file, &Results::new(&outcomes, &cannot))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    if args.replay.is_some() {
        return Ok(tell_replay(&outcomes));
    }
    if args.mutate.is_some() {
        return Ok(tell_mutant(&outcomes));
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    let count = |verdict: fn(&Verdict) -> bool| {
        outcomes.iter().filter(|outcome| verdict(&outcome.report.verdict)).count()
    };
    println!(
        "{} exhausted within loom 0.7.2, {} within a bound, {} out of time, {} stopped at a failure",
        count(|verdict| *verdict == Verdict::Exhausted),
        count(|verdict| matches!(verdict, Verdict::Bounded(_))),
        count(|verdict| *verdict == Verdict::TimedOut),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
    );
    println!("what loom 0.7.2 does not see: docs/loom.md#what-loom-does-not-see");
    println!(
        "{} passed, {} failed, {} left out, {seconds:.1} s",
        outcomes.len() - failed.len(),
        failed.len(),
        cannot.len(),
    );
    for outcome in &failed {
        println!("FAILED    {}: {}", outcome.scenario.name, outcome.reason);
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What came of the one execution that was asked for.
fn tell_replay(outcomes: &[Outcome]) -> ExitCode {
    if outcomes.iter().any(|outcome| matches!(outcome.report.verdict, Verdict::Failed(_))) {
        return ExitCode::FAILURE;
    }
    println!("the execution that the checkpoint leads to does not fail");
    ExitCode::SUCCESS
}

/// Whether anybody noticed the mutation.
fn tell_mutant(outcomes: &[Outcome]) -> ExitCode {
    let failed = |outcome: &&Outcome| matches!(outcome.report.verdict, Verdict::Failed(_));
    let killers: Vec<_> = outcomes.iter().filter(failed).collect();
    if !killers.is_empty() {
        println!("killed by {} of {} scenarios:", killers.len(), outcomes.len());
        killers.iter().for_each(|outcome| println!("    {}", outcome.scenario.name));
        return ExitCode::SUCCESS;
    }
    let reached = outcomes.iter().filter(|outcome| outcome.report.mutated > 0).count();
    if reached == 0 {
        println!("not reached: no execution of {} scenarios came to the site", outcomes.len());
        return ExitCode::from(2);
    }
    println!("survived {reached} scenarios that came to the site");
    ExitCode::FAILURE
}
