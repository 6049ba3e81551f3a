//! `cargo xtask audit-orderings`: which memory orderings no scenario needs.
//!
//! For each site that the scenarios reach under loom, and each way in which it could promise less,
//! the scenarios that come there are run with that one thing changed (`raddle-loom --mutate`).
//! One that fails has *killed* the mutant: it is the reason why the code is as strong as it is. A
//! mutant that nobody kills stands for a missing scenario, a needless ordering, or a difference
//! that loom cannot see; the last two are explained at the site, with `// ORDERING-AUDIT: reason`.
//!
//! Most bugs need few preemptions, so each mutant is looked for with one preemption, then with two,
//! and only then with what the scenarios suggest; the last run's killer first, then the quick ones.

mod explained;
mod harness;
mod hunt;
mod ledger;
mod mutants;
mod patient;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::workspace::{self, Workspace};
use crate::{Error, Verdict, coverage};
use harness::Harness;
use ledger::{Fate, Ledger, Row};
use mutants::Mutant;

/// Weaken each memory ordering and see which scenario notices.
///
/// Each mutant is killed by a scenario, or survives; one that survives needs a scenario that kills
/// it, or `// ORDERING-AUDIT: reason` at its site. Results are kept in the target directory: a run
/// that was stopped goes on where it was. Exit code 0: every survivor is explained. 1: one is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Audit this crate only, by its name or its directory's.
    #[arg(long = "crate", value_name = "C")]
    package: Option<String>,
    /// Write the results to a file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run again only what survived, and what stands in files that have changed since.
    #[arg(long)]
    changed: bool,
    /// Audit the K-th of N parts of the mutants.
    #[arg(long, value_name = "K/N", value_parser = shard)]
    shard: Option<(usize, usize)>,
    /// How long to look for the killer of a mutant, in seconds of processor time.
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    seconds: f64,
    /// How many scenarios run at a time [default: as many as there are processors].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write docs/orderings.md. (Only a run over all mutants can.)
    #[arg(long, conflicts_with_all = ["package", "shard"])]
    write: bool,
}

fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    parts.filter(|(k, n)| (1..=*n).contains(k)).ok_or_else(|| "write K/N with 1 ≤ K ≤ N".to_owned())
}

/// What `--json` writes.
#[derive(Serialize)]
struct Summary<'a> {
    mutants: usize,
    killed: usize,
    /// Neither killed nor explained.
    survived: usize,
    explained: usize,
    rows: &'a [Row],
}

impl Options {
    /// Runs the verb.
    pub(crate) fn run(&self) -> Result<Verdict, Error> {
        let workspace = Workspace::own()?;
        let catalogue = coverage::catalogue(&workspace)?;
        let directory = workspace.target.join("audit");
        std::fs::create_dir_all(&directory).map_err(|error| cannot(&directory, &error))?;
        let harness = Harness::build(&directory)?;
        let reach = harness.reach()?;
        let explained = explained::read(&catalogue)?;
        let mut mutants = mutants::all(&catalogue, &reach, &explained)?;
        if let Some(package) = &self.package {
            mutants.retain(|mutant| mutant.is_of(package));
        }
        if let Some((k, n)) = self.shard {
            let mut position = 0..;
            mutants.retain(|_| position.next().is_some_and(|position| position % n == k - 1));
        }
        if mutants.is_empty() {
            return Err(Error::new("there is nothing to audit: no scenario reaches an ordering"));
        }
        let ledger = Ledger::read(
            &directory.join("ledger.json"),
            &workspace.root,
            harness.hash,
            self.seconds,
        )?;
        let rows = self.hunt_all(&mutants, &harness, ledger)?;
        self.tell(&rows)?;
        if self.write {
            let file = workspace.root.join("docs/orderings.md");
            std::fs::write(&file, table::markdown(&rows)).map_err(|error| cannot(&file, &error))?;
            println!("{}", file.display());
        }
        let stale = explained.iter().filter(|explanation| {
            let mut here = rows.iter().filter(|row| explanation.covers(&row.site)).peekable();
            here.peek().is_some() && here.all(|row| row.fate == Fate::Killed)
        });
        let mut bad = rows.iter().any(Row::is_bad);
        for explanation in stale {
            println!("error: {explanation}: nothing survives here that this would explain");
            bad = true;
        }
        Ok(if bad { Verdict::Bad } else { Verdict::Good })
    }

    /// The fates of all mutants, in their order.
    fn hunt_all(
        &self,
        mutants: &[Mutant],
        harness: &Harness,
        ledger: Ledger,
    ) -> Result<Vec<Row>, Error> {
        let todo: Vec<_> =
            mutants.iter().filter(|mutant| !ledger.knows(mutant, self.changed)).collect();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.unwrap_or(processors).max(1);
        println!(
            "{} mutants, {} of them known from before; {jobs} at a time, {} s each",
            mutants.len(),
            mutants.len() - todo.len(),
            self.seconds
        );
        let progress = Progress::new(todo.len());
        let next = AtomicUsize::new(0);
        let ledger = Mutex::new(ledger);
        let lock = || ledger.lock().unwrap_or_else(|poison| poison.into_inner());
        let work = || -> Result<(), Error> {
            while let Some(mutant) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                let before = lock().killer(mutant);
                let row = hunt::hunt(mutant, harness, before.as_deref(), self.seconds)?;
                progress.ended(&row);
                lock().add(mutant, row)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(end) => end,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        progress.bar.finish_and_clear();
        let ledger = lock();
        Ok(mutants.iter().filter_map(|mutant| ledger.row(mutant)).collect())
    }

    fn tell(&self, rows: &[Row]) -> Result<(), Error> {
        let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        let summary = Summary {
            mutants: rows.len(),
            killed: count(|row| row.fate == Fate::Killed),
            survived: count(Row::is_bad),
            explained: count(|row| row.fate != Fate::Killed && row.explanation.is_some()),
            rows,
        };
        for row in rows.iter().filter(|row| row.is_bad()) {
            println!("{row}");
        }
        println!(
            "{} mutants, {} killed ({:.1} %), {} explained, {} survived without an explanation",
            summary.mutants,
            summary.killed,
            100.0 * summary.killed as f64 / summary.mutants.max(1) as f64,
            summary.explained,
            summary.survived,
        );
        if let Some(file) = &self.json {
            let mut json = serde_json::to_vec_pretty(&summary)
                .map_err(|error| Error::new(format!("cannot write JSON: {error}")))?;
            json.push(b'\n');
            std::fs::write(file, json).map_err(|error| cannot(file, &error))?;
        }
        Ok(())
    }
}

/// How far the run is: a bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// When a line was printed last, and how many have been killed.
    state: Mutex<(Instant, usize)>,
}

impl Progress {
    fn new(count: usize) -> Self {
        let bar = ProgressBar::new(count as u64);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { bar, started: now, state: Mutex::new((now, 0)) }
    }

    fn ended(&self, row: &Row) {
        let mut state = self.state.lock().unwrap_or_else(|poison| poison.into_inner());
        state.1 += usize::from(row.fate == Fate::Killed);
        if row.fate != Fate::Killed {
            self.bar.suspend(|| println!("{row}"));
        }
        self.bar.inc(1);
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(1e-9);
        let text = format!(
            "{done} of {all} mutants, {} killed, {rate:.2}/s, about {:.0} s left",
            state.1,
            (all - done) as f64 / rate
        );
        self.bar.set_message(text.clone());
        if self.bar.is_hidden() && state.0.elapsed() >= Duration::from_secs(10) {
            state.0 = Instant::now();
            println!("{text}");
        }
    }
}

fn cannot(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(format!("{}: {error}", file.display()))
}

/// `program`, in the root of the workspace: the sites are relative to it.
fn in_root(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}
