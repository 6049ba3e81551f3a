//! The tables, and the page that they stand on.

use std::path::Path;
use std::process::ExitCode;

use raddle_benches::{at_once, lcg};

use crate::counted::Count;
use crate::{Figures, LOCKS, Measured, Program, STRATEGIES, Seen};

/// How much longer two threads may take than one.
const QUIET: f64 = 1.15;
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Measures all rows, prints them, and writes them to the page if that is wanted.
pub(crate) fn run(write: bool) -> ExitCode {
    let before = probe();
    let text = tables();
    let probe = probe().max(before);
    let text = format!(
        "{text}\nProbe: a fixed piece of work took at most {probe:.2} times as long on two threads at once as \
         on one.\n"
    );
    println!("{text}");
    if !write {
        return ExitCode::SUCCESS;
    }
    if probe > QUIET {
        eprintln!(
            "error: the machine is busy: two threads take {probe:.2} times as long as one, up to {QUIET} is \
             quiet. docs/contention.md is not written; stop what else runs here and try again"
        );
        return ExitCode::from(2);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/contention.md");
    let result = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let result = result.and_then(|page| {
        let page = replace(&page, &text).ok_or("it has not the two comments around the figures")?;
        std::fs::write(&file, page).map_err(|error| error.to_string())
    });
    match result {
        Ok(()) => {
            println!("wrote docs/contention.md");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: docs/contention.md: {error}");
            ExitCode::from(2)
        }
    }
}

/// How much longer a piece of work takes on two threads than on one; medians of five.
fn probe() -> f64 {
    let time = |threads| {
        let (elapsed, _) = at_once(threads, |index| lcg(index as u64, 20_000_000));
        elapsed.as_secs_f64()
    };
    let median = |threads| {
        let mut times: [f64; 5] = std::array::from_fn(|_| time(threads));
        times.sort_by(f64::total_cmp);
        times[2]
    };
    median(2) / median(1)
}

fn tables() -> String {
    let columns = [
        "lock",
        "strategy",
        "who",
        "ns",
        "contended",
        "atomics",
        "loads, stores",
        "yields",
        "suspended",
        "atomics to unlock",
        "wakes",
        "all atomics",
        "switches",
        "system calls",
    ];
    let head = format!("\n| {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    let mut text = String::new();
    let (mut index, all) = (0, LOCKS.len() + STRATEGIES.len());
    for table in [LOCKS, STRATEGIES] {
        text += &head;
        for program in table {
            index += 1;
            eprintln!("[{index}/{all}] {}", program.name());
            text += &line(program, &program.measure());
        }
    }
    text
}

/// A row; the page says what its columns are.
fn line(program: &Program, measured: &Measured) -> String {
    let figures = &measured.figures;
    let Figures { acquired, contended, elapsed_ns, .. } = *figures;
    let per_contended = |all: f64| {
        if contended == 0.0 { "-".to_owned() } else { number(all / contended) }
    };
    let per_acquire = |all: f64| number(all / acquired);
    let mut cells = vec![
        program.lock.to_owned(),
        program.strategy.to_owned(),
        program.who.name(),
        format!("{:.0}", elapsed_ns / acquired),
        format!("{:.1} %", 100.0 * contended / acquired),
    ];
    match figures.counts {
        Some(Seen { waiting: [rmw, access, _, park, give_way], leaving, all }) => {
            cells.extend([rmw, access, give_way, park].map(per_contended));
            cells.push(per_acquire(leaving[Count::Rmw as usize]));
            cells.push(per_acquire(all[Count::Wake as usize]));
            cells.push(per_acquire(all[Count::Rmw as usize]));
        }
        None => cells.extend([(); 7].map(|()| "-".to_owned())),
    }
    cells.push(per_acquire(figures.voluntary + figures.forced));
    cells.push(measured.calls.map_or("-".to_owned(), per_acquire));
    format!("| {} |\n", cells.join(" | "))
}

fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 0.0005 => "< 0.001".to_owned(),
        value if value < 0.0995 => format!("{value:.3}"),
        value if value < 9.95 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

/// `page` with other figures.
fn replace(page: &str, figures: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
}
