//! What is shown of the results: a table in Markdown, and JSON.

use std::io;
use std::path::Path;

use crate::measure::{LEVEL, Measured, Results, Series};

pub(crate) fn print(results: &Results) {
    println!(
        "sleeps below {} us, zero bias {}; seeds chosen from {} by {} runs of each; random seeds \
         from {}\n",
        results.max_us, results.zero_bias, results.seeds, results.training, results.seed
    );
    println!("| bug | off | random | best seed | worst seed | p, best over off |");
    println!("|---|---|---|---|---|---|");
    for bug in &results.bugs {
        println!("{}", row(bug));
    }
    println!("\nEach: found / runs, found per CPU-second. {}", summary(results));
}

fn row(bug: &Measured) -> String {
    let fixed = |series: &Series| {
        let seed = series.seed.map(|seed| seed.to_string()).unwrap_or_default();
        format!("{}: {}", seed, cell(series))
    };
    format!(
        "| {} | {} | {} | {} | {} | {} |",
        bug.name,
        cell(&bug.off),
        cell(&bug.random),
        fixed(&bug.best),
        fixed(&bug.worst),
        probability(bug.p),
    )
}

fn cell(series: &Series) -> String {
    let Series { found, runs, found_per_cpu_second, .. } = series;
    format!("{found} / {runs}, {found_per_cpu_second:.1}/s")
}

/// Smaller ones would claim more than is known: the runs of a series share a machine and its mood.
const SMALLEST: f64 = 1e-9;

fn probability(p: f64) -> String {
    if p < SMALLEST { format!("< {SMALLEST:e}") } else { format!("{p:.1e}") }
}

/// A find among several is a find only if it is unlikely even once in so many tries: Bonferroni.
fn summary(results: &Results) -> String {
    let count = results.bugs.len();
    let significant = |p: f64| p * count as f64 <= LEVEL;
    let best = results.bugs.iter().filter(|bug| significant(bug.p)).count();
    let random = results.bugs.iter().filter(|bug| significant(bug.p_random)).count();
    let corrected: u32 = results.bugs.iter().map(|bug| bug.corrected.found).sum();
    let runs: u32 = results.bugs.iter().map(|bug| bug.corrected.runs).sum();
    format!(
        "Over off at p < {LEVEL}, divided by the number of bugs: the best seed for {best} of \
         {count}, random seeds for {random}. Without the bugs: {corrected} / {runs}."
    )
}

pub(crate) fn write_json(results: &Results, file: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(results)?;
    std::fs::write(file, json + "\n")
}
