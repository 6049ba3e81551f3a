//! Runs the list of scenarios in the simulator.

mod args;
mod child;
mod known;
mod sweep;

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use raddle_scenarios::Expect;
use raddle_vopr::heap::Counting;
use raddle_vopr::{OFFERS, Program, programs};
use serde::Serialize;

use crate::args::Args;
use crate::child::sweep_apart;
use crate::sweep::{Found, Outcome, Progress, Row, sweep_here};

/// Counts what executions abandon.
#[global_allocator]
static HEAP: Counting = Counting;

/// What `--json` writes.
#[derive(Serialize)]
struct Results {
    seeds: u64,
    root: u64,
    strategy: String,
    failures: Vec<Found>,
    scenarios: Vec<Row>,
    left_out: Vec<LeftOut>,
    /// How often each kind of fault struck that is on in some program.
    faults: BTreeMap<String, u64>,
}

/// A scenario that this harness cannot run.
#[derive(Serialize)]
struct LeftOut {
    name: &'static str,
    needs: Vec<String>,
}

/// Whoever reads the output may stop (`| head`). Then nothing is left to do, and there is no panic to
/// show.
fn end_with_the_pipe() {
    // SAFETY: the default handling, which runs nothing of this program.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

fn main() -> ExitCode {
    end_with_the_pipe();
    let args = Args::parse();
    if args.child {
        return child::work(&args);
    }
    let list = programs();
    let exact = list.iter().any(|program| program.scenario.name == args.scenario);
    let wanted = |program: &Program| match exact {
        true => program.scenario.name == args.scenario,
        false => program.scenario.name.contains(&args.scenario),
    };
    let mut selected: Vec<_> = list.into_iter().filter(wanted).collect();
    if selected.is_empty() {
        return refuse(&format!("no scenario's name contains {:?}; see --list", args.scenario));
    }
    if let Some(shard) = args.shard {
        let mut position = 0..;
        selected.retain(|_| position.next().is_some_and(|position| shard.has(position)));
    }
    if args.list {
        selected.iter().for_each(print_entry);
        return ExitCode::SUCCESS;
    }
    if let Some(name) = &args.twin {
        return end(known::find(name));
    }
    if args.regressions {
        return end(known::search().map(|failures| failures.is_empty()));
    }
    match args.root() {
        Ok((root, origin)) => run(selected, &args, root, origin),
        Err(error) => refuse(&error),
    }
}

fn end(result: Result<bool, String>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => refuse(&why),
    }
}

/// The harness could not run.
fn refuse(why: &str) -> ExitCode {
    eprintln!("raddle-vopr: {why}");
    ExitCode::from(2)
}

fn print_entry(Program { scenario, faults, .. }: &Program) {
    let expect = match scenario.expect {
        Expect::Holds => String::new(),
        expect => format!(", must be reported: {expect:?}"),
    };
    println!("{}{expect}", scenario.name);
    println!("    {}", scenario.property);
    if faults.kinds().next().is_some() {
        println!("    faults: {faults}");
    }
}

fn run(selected: Vec<Program>, args: &Args, root: u64, origin: String) -> ExitCode {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let started = Instant::now();
    let (can, cannot): (Vec<_>, Vec<_>) =
        selected.into_iter().partition(|it| it.scenario.needs.unmet(&OFFERS).is_empty());
    println!(
        "{} scenarios in the simulator, {} each, strategy {}, root seed {root:#x} ({origin})",
        can.len(),
        match args.minutes {
            Some(time) => format!("{:.1} s", args.budget(time, can.len(), jobs).as_secs_f64()),
            None => format!("{} seeds", args.count()),
        },
        args.strategy.name
    );
    let left_out = |Program { scenario, .. }: &Program| {
        let needs = scenario.needs.unmet(&OFFERS);
        println!("left out  {:<48} needs {}", scenario.name, needs.join(", "));
        LeftOut { name: scenario.name, needs }
    };
    let left_out = cannot.iter().map(left_out).collect();
    let whole = args.scenario.is_empty() && args.shard.is_none() && args.sites.is_none();
    let back = match if whole { known::search() } else { Ok(Vec::new()) } {
        Ok(back) => back,
        Err(why) => return refuse(&why),
    };
    let progress = Progress::default();
    let outcomes = sweep_all(&can, args, root, jobs, &progress);
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count() + back.len();
    let runs = progress.runs.load(Ordering::Relaxed);
    let elapsed = started.elapsed().as_secs_f64();
    let virtual_time: f64 = outcomes.iter().map(|outcome| outcome.row.virtual_seconds).sum();
    let decisions: u64 = outcomes.iter().map(|outcome| outcome.row.decisions).sum();
    println!(
        "{} passed, {failed} failed, {} left out; {runs} runs in {elapsed:.1} s ({:.0} seeds/s), \
         {decisions} decisions, {virtual_time:.1} s of virtual time",
        outcomes.len() + back.len() - failed,
        cannot.len(),
        runs as f64 / elapsed.max(1e-9)
    );
    let mut results = Results {
        seeds: args.count(),
        root,
        strategy: args.strategy.name.clone(),
        failures: back,
        scenarios: Vec::new(),
        left_out,
        faults: faults_of(&outcomes),
    };
    for Outcome { row, result, found } in outcomes {
        if let Err(why) = result {
            println!("FAILED    {}: {why}", row.name);
            results.failures.push(found.unwrap_or_else(|| silent(&row, args, root, why)));
        }
        results.scenarios.push(row);
    }
    if let Some(path) = &args.json
        && let Err(error) = write(path, &results)
    {
        return refuse(&format!("{} could not be written: {error}", path.display()));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How often each kind of fault struck, in all programs in which it is on.
fn faults_of(outcomes: &[Outcome]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (kind, count) in outcomes.iter().flat_map(|outcome| &outcome.row.faults) {
        *all.entry(kind.clone()).or_default() += count;
    }
    all
}

/// A failure that no run showed: what should have been found was not.
fn silent(row: &Row, args: &Args, root: u64, why: String) -> Found {
    let mut command = args.reproduce(&row.name, root);
    command += &format!(" --seeds {}", args.count());
    let (scenario, oracle) = (row.name.clone(), "silence".to_owned());
    Found { scenario, seed: root, oracle, trace: String::new(), command, report: why }
}

/// Sweeps each scenario, `jobs` at a time, and prints what comes. The results are in the order of
/// the list.
fn sweep_all(
    list: &[Program],
    args: &Args,
    root: u64,
    jobs: usize,
    progress: &Progress,
) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut outcomes = Vec::new();
    std::thread::scope(|threads| {
        for _ in 0..jobs {
            let (next, sender) = (&next, sender.clone());
            threads.spawn(move || {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(program) = list.get(index)
                {
                    let budget = args.minutes.map(|time| args.budget(time, list.len(), jobs));
                    let sweep = if args.in_process { sweep_here } else { sweep_apart };
                    let outcome = sweep(program, args, root, budget, progress);
                    // Received until the last sender is gone.
                    let _ = sender.send((index, outcome));
                }
            });
        }
        drop(sender);
        let started = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        loop {
            match receiver.recv_timeout(Duration::from_millis(500)) {
                Ok((index, outcome)) => {
                    clear(terminal);
                    print_outcome(&outcome);
                    outcomes.push((index, outcome));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            if terminal {
                show(progress, list.len(), started);
            }
        }
        clear(terminal);
    });
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn clear(terminal: bool) {
    if terminal {
        eprint!("\r\x1b[K");
    }
}

fn show(progress: &Progress, scenarios: usize, started: Instant) {
    let runs = progress.runs.load(Ordering::Relaxed);
    let rate = runs as f64 / started.elapsed().as_secs_f64().max(1e-9);
    eprint!(
        "\r\x1b[K{}/{scenarios} scenarios, {runs} runs, {rate:.0} seeds/s, {} failures",
        progress.scenarios.load(Ordering::Relaxed),
        progress.failures.load(Ordering::Relaxed)
    );
    let _ = std::io::stderr().flush();
}

fn print_outcome(outcome: &Outcome) {
    let Outcome { row, result, found } = outcome;
    let (word, words) = match result {
        Ok(words) => ("ok", words),
        Err(words) => ("FAILED", words),
    };
    println!(
        "{word:<9} {:<48} {:>6} runs {:>9} decisions {:>6.2} s  {words}",
        row.name, row.runs, row.decisions, row.seconds
    );
    if let Some(found) = found {
        println!("    scenario: {}", found.scenario);
        println!("    seed: {:#x}", found.seed);
        println!("    oracle: {}", found.oracle);
        for line in found.report.lines() {
            println!("    {line}");
        }
        println!("    reproduce: {}", found.command);
        match found.trace.starts_with("not kept") {
            true => println!("    trace: {}", found.trace),
            false => println!("    trace: {0} (look into it: cargo xtask replay {0})", found.trace),
        }
    }
}

fn write(path: &Path, results: &Results) -> std::io::Result<()> {
    let mut json = serde_json::to_vec_pretty(results)?;
    json.push(b'\n');
    fs::write(path, json)
}
